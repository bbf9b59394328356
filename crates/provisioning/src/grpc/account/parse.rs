//! Requests of AccountService, parsed into commands: every field at fault is named.

use uuid::Uuid;
use xavyo_core::{cause::CauseKind, error::Result, ids::LinkId};
use xavyo_runtime::Caller;
use xavyo_wire::{fields::Fields, limits, object_type::intent_of_pb, page::Page, pb::provisioning as pb};

use crate::{
    accounts::{
        CompletedRun, Key, Kind, LinkAccount, ListLinks, RefreshLinks, RefreshedLink, UnlinkAccount,
        batch::{BatchGet, Selector},
        expected::ReadExpected,
        live::GetAccount,
        target::ReadTarget,
    },
    store::link::Filter,
};

pub(super) fn list(request: pb::ListLinksRequest, page: &Page<LinkId>) -> Result<ListLinks> {
    let mut fields = Fields::default();
    let filter = Filter {
        connector_id: fields.optional_id("connector_id", request.connector_id.as_deref()),
        identity_id: fields.optional_id("identity_id", request.identity_id.as_deref()),
        external_uid: fields.optional_text("external_uid", request.external_uid, limits::UID),
    };
    let command =
        ListLinks { filter, after: page.after, page_size: page.size, count_total: page.count_total };
    fields.finish(command)
}

pub(super) fn get(request: pb::GetAccountRequest) -> Result<GetAccount> {
    let mut fields = Fields::default();
    let kind = kind(&mut fields, &request.connector_id, request.object_class, request.intent);
    let key = key(&mut fields, request.key);
    fields.finish(GetAccount { kind, key })
}

pub(super) fn key(fields: &mut Fields, key: Option<pb::get_account_request::Key>) -> Key {
    use pb::get_account_request::Key as Pb;
    match key {
        Some(Pb::IdentityId(id)) => Key::Identity(fields.id("identity_id", &id)),
        Some(Pb::ExternalUid(uid)) => Key::ExternalUid(fields.text("external_uid", uid, limits::UID)),
        Some(Pb::ImmutableId(id)) => Key::ImmutableId(fields.text("immutable_id", id, limits::UID)),
        None => {
            fields.refuse("key", "identity_id, external_uid or immutable_id");
            Key::ExternalUid(String::new())
        }
    }
}

pub(super) fn link(request: pb::LinkAccountRequest, caller: &Caller) -> Result<LinkAccount> {
    let mut fields = Fields::default();
    let command = LinkAccount {
        kind: kind(&mut fields, &request.connector_id, request.object_class, request.intent),
        identity_id: fields.id("identity_id", &request.identity_id),
        external_uid: fields.text("external_uid", request.external_uid, limits::UID),
        immutable_id: fields.optional_text("immutable_id", request.immutable_id, limits::UID),
        reason: fields.optional_text("reason", request.reason, limits::REASON),
        cause: cause(&mut fields, request.cause_kind, request.cause_id.as_deref(), caller),
        request_id: fields.optional_id("request_id", request.request_id.as_deref()),
    };
    fields.finish(command)
}

pub(super) fn unlink(request: pb::UnlinkAccountRequest, caller: &Caller) -> Result<UnlinkAccount> {
    let mut fields = Fields::default();
    let command = UnlinkAccount {
        link_id: fields.id("link_id", &request.link_id),
        etag: fields.etag(&request.etag),
        reject_pair: request.reject_pair,
        reason: fields.optional_text("reason", request.reason, limits::REASON),
        cause: cause(&mut fields, request.cause_kind, request.cause_id.as_deref(), caller),
    };
    fields.finish(command)
}

pub(super) fn batch_get(request: pb::BatchGetAccountsRequest) -> Result<BatchGet> {
    let mut fields = Fields::default();
    let kind = kind(&mut fields, &request.connector_id, request.object_class, request.intent);
    if request.selectors.is_empty() {
        fields.refuse("selectors", format!("1 to {} selectors", limits::BATCH));
    }
    let selectors = fields.each("selectors", request.selectors, limits::BATCH, |fields, selector| {
        let selector = Selector {
            identity_id: fields.optional_id("identity_id", selector.identity_id.as_deref()),
            external_uid: fields.optional_text("external_uid", selector.external_uid, limits::UID),
            immutable_id: fields.optional_text("immutable_id", selector.immutable_id, limits::UID),
        };
        if selector == Selector::default() {
            fields.refuse("", "at least one of identity_id, external_uid and immutable_id");
        }
        selector
    });
    fields.finish(BatchGet { kind, selectors })
}

pub(super) fn refresh(request: pb::RefreshLinksRequest) -> Result<RefreshLinks> {
    let mut fields = Fields::default();
    if request.links.is_empty() {
        fields.refuse("links", format!("1 to {} links", limits::BATCH));
    }
    let command = RefreshLinks {
        connector_id: fields.id("connector_id", &request.connector_id),
        links: fields.each("links", request.links, limits::BATCH, |fields, link| RefreshedLink {
            link_id: fields.id("link_id", &link.link_id),
            external_uid: fields.text("external_uid", link.external_uid, limits::UID),
            immutable_id: fields.optional_text("immutable_id", link.immutable_id, limits::UID),
        }),
    };
    fields.finish(command)
}

pub(super) fn completed_run(request: &pb::RecordCompletedRunRequest) -> Result<CompletedRun> {
    let mut fields = Fields::default();
    let completed_at = fields.time("completed_at", request.completed_at);
    let run = CompletedRun {
        connector_id: fields.id("connector_id", &request.connector_id),
        run_id: fields.id("run_id", &request.run_id),
        revision: request.connector_revision,
        completed_at: fields.required("completed_at", completed_at).unwrap_or_default(),
    };
    fields.finish(run)
}

pub(super) fn read_target(request: pb::ReadTargetAccountsRequest) -> Result<ReadTarget> {
    let mut fields = Fields::default();
    let command = ReadTarget {
        kind: kind(&mut fields, &request.connector_id, request.object_class, request.intent),
        include_attributes: request.include_attributes,
        since: fields.optional_text("since", request.since, limits::SETTING),
    };
    fields.finish(command)
}

pub(super) fn read_expected(request: pb::ReadExpectedAccountsRequest) -> Result<ReadExpected> {
    let mut fields = Fields::default();
    let command = ReadExpected {
        kind: kind(&mut fields, &request.connector_id, request.object_class, request.intent),
        since: fields.optional_text("since", request.since, limits::SETTING),
    };
    fields.finish(command)
}

pub(super) fn kind(fields: &mut Fields, connector_id: &str, object_class: String, intent: String) -> Kind {
    Kind {
        connector_id: fields.id("connector_id", connector_id),
        object_class: fields.text("object_class", object_class, limits::ATTRIBUTE_NAME),
        intent: intent_of_pb(fields, intent),
    }
}

/// Only the other service acts for something else than the call itself.
fn cause(
    fields: &mut Fields,
    kind: Option<i32>,
    id: Option<&str>,
    caller: &Caller,
) -> (CauseKind, Option<Uuid>) {
    let kind = fields.optional_choice::<CauseKind>("cause_kind", kind);
    let id = fields.optional_id("cause_id", id);
    if (kind.is_some() || id.is_some()) && !caller.is_service() {
        fields.refuse("cause_kind", "absent: only a service names another cause than api");
    }
    (kind.unwrap_or(CauseKind::Api), id)
}
