//! Ignores on the wire.

use uuid::Uuid;
use xavyo_core::error::Result;
use xavyo_wire::{Fields, Numbered, limits, pb::reconciliation as pb, time};

use crate::{
    ignores::{Ignore, IgnoreDiscrepancy},
    store::ignore::IgnoreFilter,
};

pub(super) fn command_of(request: pb::IgnoreDiscrepancyRequest) -> Result<IgnoreDiscrepancy> {
    let mut fields = Fields::default();
    let command = IgnoreDiscrepancy {
        discrepancy_id: fields.id("discrepancy_id", &request.discrepancy_id),
        until: fields.time("until", request.until),
        reason: fields.optional_text("reason", request.reason, limits::REASON),
    };
    fields.finish(command)
}

pub(super) fn filter_of(request: &pb::ListIgnoresRequest) -> Result<IgnoreFilter> {
    let mut fields = Fields::default();
    let connector_id = fields.optional_id("connector_id", request.connector_id.as_deref());
    fields.finish(IgnoreFilter { connector_id })
}

pub(super) fn id_of(request: &pb::DeleteIgnoreRequest) -> Result<Uuid> {
    let mut fields = Fields::default();
    let id = fields.id("ignore_id", &request.ignore_id);
    fields.finish(id)
}

pub(super) fn to_pb(ignore: &Ignore) -> pb::Ignore {
    pb::Ignore {
        id: ignore.id.to_string(),
        connector_id: ignore.connector_id.to_string(),
        discrepancy_type: ignore.discrepancy_type.number(),
        identity_id: ignore.identity_id.map(|id| id.to_string()),
        external_uid: ignore.external_uid.clone(),
        attribute_name: ignore.attribute_name.clone(),
        discrepancy_id: ignore.discrepancy_id.to_string(),
        until: ignore.until.map(time::to_pb),
        reason: ignore.reason.clone(),
        created_by: ignore.created_by.to_string(),
        created_at: Some(time::to_pb(ignore.created_at)),
    }
}
