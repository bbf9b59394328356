//! ListAccountEvents: its request and its answer.

use xavyo_core::{cause::CauseKind, error::Result};
use xavyo_wire::{
    Numbered, change,
    fields::Fields,
    limits,
    page::{Page, Tokens},
    pb::provisioning as pb,
    time,
};

use crate::{
    accounts::{Happened, ListAccountEvents, StoryKey},
    paging::Listed,
    store::account::event::Place,
};

pub(super) fn of_pb(request: pb::ListAccountEventsRequest, page: &Page<Place>) -> Result<ListAccountEvents> {
    use pb::list_account_events_request::Key as Pb;
    let mut fields = Fields::default();
    let key = match request.key {
        Some(Pb::LaneId(id)) => StoryKey::Lane(fields.id("lane_id", &id)),
        Some(Pb::ExternalUid(uid)) => StoryKey::ExternalUid(fields.text("external_uid", uid, limits::UID)),
        Some(Pb::ImmutableId(id)) => StoryKey::ImmutableId(fields.text("immutable_id", id, limits::UID)),
        Some(Pb::IdentityId(id)) => StoryKey::Identity(fields.id("identity_id", &id)),
        None => {
            fields.refuse("key", "lane_id, external_uid, immutable_id or identity_id");
            StoryKey::ExternalUid(String::new())
        }
    };
    if request.count_total {
        fields.refuse("count_total", "false: an account's events are not counted");
    }
    let command = ListAccountEvents {
        connector_id: fields.id("connector_id", &request.connector_id),
        key,
        after: page.after,
        page_size: page.size,
    };
    fields.finish(command)
}

pub(super) fn to_pb(
    tokens: &Tokens,
    page: &Page<Place>,
    listed: Listed<Happened>,
) -> pb::ListAccountEventsResponse {
    let last = listed.last().map(|happened| Place { at: happened.event.at, id: happened.event.id });
    pb::ListAccountEventsResponse {
        next_page_token: tokens.next(page, last.as_ref()),
        total_size: None,
        total_size_capped: false,
        events: listed.items.into_iter().map(event).collect(),
    }
}

fn event(happened: Happened) -> pb::AccountEvent {
    let Happened { event, written } = happened;
    pb::AccountEvent {
        id: event.id.to_string(),
        lane_id: event.lane_id.to_string(),
        at: Some(time::to_pb(event.at)),
        kind: kind(&event.kind).into(),
        identity_id: event.identity_id.map(|id| id.to_string()),
        external_uid: event.external_uid,
        operation_id: event.operation_id.map(|id| id.to_string()),
        performed_by: event.performed_by.to_string(),
        cause_kind: CauseKind::named(&event.cause_kind).map_or(0, Numbered::number),
        cause_id: event.cause_id.map(|id| id.to_string()),
        reason: event.reason,
        details: (!written.is_empty()).then(|| change::to_struct(&written)),
    }
}

fn kind(stored: &str) -> pb::AccountEventKind {
    match stored {
        "linked" => pb::AccountEventKind::Linked,
        "unlinked" => pb::AccountEventKind::Unlinked,
        "renamed" => pb::AccountEventKind::Renamed,
        "created" => pb::AccountEventKind::Created,
        "updated" => pb::AccountEventKind::Updated,
        "disabled" => pb::AccountEventKind::Disabled,
        "enabled" => pb::AccountEventKind::Enabled,
        "deleted" => pb::AccountEventKind::Deleted,
        "rejected" => pb::AccountEventKind::Rejected,
        _ => pb::AccountEventKind::Unspecified,
    }
}
