//! Answers of IdentityService.

use xavyo_core::{identity::Identity, ids::IdentityId};
use xavyo_wire::{
    Numbered, change,
    page::{Page, Tokens},
    pb::provisioning as pb,
    time,
};

use crate::{
    identities::{Changed, Planned},
    paging::Listed,
};

pub(super) fn identity(identity: &Identity) -> pb::Identity {
    xavyo_wire::identity::to_pb(identity)
}

pub(super) fn changed(changed: Changed) -> (Option<pb::Identity>, Vec<pb::PlannedOperation>) {
    let operations = changed.operations.into_iter().map(planned).collect();
    (Some(identity(&changed.identity)), operations)
}

pub(super) fn planned(planned: Planned) -> pb::PlannedOperation {
    pb::PlannedOperation {
        operation_id: planned.operation_id.map(|id| id.to_string()),
        connector_id: planned.connector_id.to_string(),
        connector_name: planned.connector_name,
        operation_type: planned.operation_type.number(),
        object_class: planned.object_class,
        intent: planned.intent,
        user_id: Some(planned.identity_id.to_string()),
        target_uid: planned.target_uid,
        payload: Some(change::to_struct(&planned.payload)),
        not_before: planned.not_before.map(time::to_pb),
        is_destructive: planned.is_destructive,
        refused_reason: planned.refused.map(|reason| reason.name().to_owned()),
    }
}

pub(super) fn list(
    tokens: &Tokens,
    page: &Page<IdentityId>,
    listed: &Listed<Identity>,
) -> pb::ListIdentitiesResponse {
    let last = listed.last().map(|identity| identity.id);
    pb::ListIdentitiesResponse {
        next_page_token: tokens.next(page, last.as_ref()),
        total_size: listed.total.map(|total| total.size),
        total_size_capped: listed.total.is_some_and(|total| total.is_capped),
        identities: listed.items.iter().map(identity).collect(),
    }
}
