//! What the guard holds, as requests and answers.

use std::collections::BTreeMap;

use xavyo_core::{cause::CauseKind, error::Result, guard::ApprovedItem, operation::OperationType};
use xavyo_runtime::Caller;
use xavyo_wire::{
    fields::Fields,
    limits,
    numbers::Numbered,
    object_type::intent_of_pb,
    page::{Page, Tokens},
    pb::provisioning as pb,
    time,
};

use super::answer;
use crate::{
    operations::{DecideHeld, HeldGroup, ListHeld, RegisterPlan, Registered},
    paging::Listed,
    store::guard::held::{Group, GroupKey, Place},
};

/// Items of a plan in one call.
const ITEMS: usize = 10_000;

/// Characters of a digest; what they say is compared, not parsed.
const DIGEST: usize = 64;

pub(super) fn list(request: &pb::ListHeldOperationsRequest, page: &Page<Place>) -> Result<ListHeld> {
    let mut fields = Fields::default();
    let command = ListHeld {
        connector_id: fields.optional_id("connector_id", request.connector_id.as_deref()),
        after: page.after.clone(),
        page_size: page.size,
        count_total: page.count_total,
    };
    fields.finish(command)
}

pub(super) fn release(request: pb::ReleaseHeldOperationsRequest) -> Result<DecideHeld> {
    decide(request.group, request.digest, request.reason)
}

pub(super) fn cancel(request: pb::CancelHeldOperationsRequest) -> Result<DecideHeld> {
    decide(request.group, request.digest, request.reason)
}

fn decide(group: Option<pb::HeldGroupKey>, digest: String, reason: Option<String>) -> Result<DecideHeld> {
    let mut fields = Fields::default();
    let group = fields.required("group", group).unwrap_or_default();
    let key = fields.within("group", |fields| GroupKey {
        connector_id: fields.id("connector_id", &group.connector_id),
        cause_kind: fields.choice("cause_kind", group.cause_kind).unwrap_or(CauseKind::Api),
        cause_id: fields.optional_id("cause_id", group.cause_id.as_deref()),
    });
    let command = DecideHeld {
        key,
        digest: fields.text("digest", digest, DIGEST),
        reason: fields.optional_text("reason", reason, limits::REASON),
    };
    fields.finish(command)
}

pub(super) fn register(request: pb::RegisterApprovedPlanRequest) -> Result<RegisterPlan> {
    let mut fields = Fields::default();
    let run_id = fields.id("run_id", &request.run_id);
    if request.items.is_empty() {
        fields.refuse("items", format!("1 to {ITEMS} items"));
    }
    let items = fields.each("items", request.items, ITEMS, |fields, item| {
        if item.identity_id.is_none() && item.external_uid.is_none() {
            fields.refuse("identity_id", "an identity_id, an external_uid, or both");
        }
        ApprovedItem {
            run_id,
            discrepancy_id: fields.id("discrepancy_id", &item.discrepancy_id),
            operation_type: fields
                .choice("operation_type", item.operation_type)
                .unwrap_or(OperationType::Update),
            object_class: fields.text("object_class", item.object_class, limits::ATTRIBUTE_NAME),
            intent: intent_of_pb(fields, item.intent),
            identity_id: fields.optional_id("identity_id", item.identity_id.as_deref()),
            external_uid: fields.optional_text("external_uid", item.external_uid, limits::UID),
            immutable_id: fields.optional_text("immutable_id", item.immutable_id, limits::UID),
        }
    });
    let command = RegisterPlan {
        connector_id: fields.id("connector_id", &request.connector_id),
        run_id,
        plan_digest: fields.text("plan_digest", request.plan_digest, DIGEST),
        approved_by: fields.id("approved_by", &request.approved_by),
        items,
    };
    fields.finish(command)
}

pub(super) fn registered(registered: Registered) -> pb::RegisterApprovedPlanResponse {
    pb::RegisterApprovedPlanResponse {
        registered: registered.items,
        expires_at: Some(time::to_pb(registered.expires_at)),
    }
}

pub(super) fn page(
    caller: &Caller,
    tokens: &Tokens,
    page: &Page<Place>,
    listed: &Listed<HeldGroup>,
) -> pb::ListHeldOperationsResponse {
    let last = listed.last().map(|shown| shown.group.place());
    pb::ListHeldOperationsResponse {
        groups: listed.items.iter().map(|shown| group(caller, shown)).collect(),
        next_page_token: tokens.next(page, last.as_ref()),
        total_size: listed.total.map(|total| total.size),
        total_size_capped: listed.total.is_some_and(|total| total.is_capped),
    }
}

fn group(caller: &Caller, shown: &HeldGroup) -> pb::HeldOperationGroup {
    let group = &shown.group;
    pb::HeldOperationGroup {
        connector_id: group.key.connector_id.to_string(),
        connector_name: group.connector_name.clone(),
        cause_kind: group.key.cause_kind.number(),
        cause_id: group.key.cause_id.map(|id| id.to_string()),
        requested_by: group.requested_by.to_string(),
        reason: group.reason.clone(),
        count: group.count(),
        by_type: by_type(group),
        destructive: group.destructive,
        first_at: Some(time::to_pb(group.first_at)),
        examples: shown.examples.iter().map(|one| answer::operation(caller, one)).collect(),
        digest: group.digest.clone(),
    }
}

fn by_type(group: &Group) -> BTreeMap<String, i64> {
    let counts = [
        (OperationType::Create, group.creates),
        (OperationType::Update, group.updates),
        (OperationType::Delete, group.deletes),
    ];
    counts.into_iter().map(|(kind, count)| (kind.name().to_owned(), count)).collect()
}
