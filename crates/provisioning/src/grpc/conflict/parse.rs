//! Requests of ConflictService, parsed into commands: every field at fault is named.

use uuid::Uuid;
use xavyo_core::{
    conflict::{ConflictOutcome, ConflictType},
    error::Result,
    ids::ConflictId,
};
use xavyo_wire::{fields::Fields, limits, page::Page, pb::provisioning as pb};

use crate::{
    conflicts::{ListConflicts, ResolveConflict},
    store::conflict::Filter,
};

pub(super) fn list(request: &pb::ListConflictsRequest, page: &Page<Uuid>) -> Result<ListConflicts> {
    let mut fields = Fields::default();
    let conflict_type = request.conflict_type.as_deref().and_then(|name| {
        let named = ConflictType::named(name);
        if named.is_none() {
            fields.refuse("conflict_type", ConflictType::ALL.map(ConflictType::name).join(", "));
        }
        named
    });
    let filter = Filter {
        operation_id: fields.optional_id("operation_id", request.operation_id.as_deref()),
        conflict_type,
        connector_id: fields.optional_id("connector_id", request.connector_id.as_deref()),
        pending_only: request.pending_only,
    };
    let command =
        ListConflicts { filter, after: page.after, page_size: page.size, count_total: page.count_total };
    fields.finish(command)
}

pub(super) fn conflict_id(text: &str) -> Result<ConflictId> {
    let mut fields = Fields::default();
    let id = fields.id("conflict_id", text);
    fields.finish(id)
}

pub(super) fn resolve(request: pb::ResolveConflictRequest) -> Result<ResolveConflict> {
    let mut fields = Fields::default();
    let command = ResolveConflict {
        conflict_id: fields.id("conflict_id", &request.conflict_id),
        etag: fields.etag(&request.etag),
        outcome: fields.choice("outcome", request.outcome).unwrap_or(ConflictOutcome::Applied),
        notes: fields.optional_text("notes", request.notes, limits::NOTES),
    };
    fields.finish(command)
}
