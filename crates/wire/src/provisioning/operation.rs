//! Operations.

use xavyo_core::{
    ids::TenantId,
    operation::{Operation, Precondition},
    sealed,
};

use crate::{change, fields::Fields, limits, numbers::Numbered, pb::provisioning as pb, time};

/// `waits_for` says why it does not run now. Sealed values are `***` in the payload.
pub fn to_pb(
    operation: &Operation,
    tenant: TenantId,
    waits_for: Vec<pb::WaitsFor>,
) -> pb::ProvisioningOperation {
    let cause = &operation.cause;
    pb::ProvisioningOperation {
        id: operation.id.to_string(),
        tenant_id: tenant.to_string(),
        connector_id: operation.connector_id.to_string(),
        connector_name: operation.connector_name.clone(),
        user_id: operation.identity_id.map(|id| id.to_string()),
        operation_type: operation.operation_type.number(),
        object_class: operation.object_class.clone(),
        target_uid: operation.target_uid.clone(),
        status: operation.status.number(),
        priority: operation.priority,
        retry_count: operation.retry_count,
        max_retries: operation.max_retries,
        error_message: operation.failure.as_ref().map(|failure| failure.message.clone()),
        payload: Some(change::to_struct(&sealed::shown(&operation.payload))),
        created_at: Some(time::to_pb(operation.created_at)),
        updated_at: Some(time::to_pb(operation.updated_at)),
        completed_at: operation.completed_at.map(time::to_pb),
        resolution_notes: operation.resolution_notes.clone(),
        intent: operation.intent.clone(),
        connector_revision: operation.connector_revision,
        lane_id: operation.lane_id.to_string(),
        sequence: operation.sequence,
        not_before: operation.not_before.map(time::to_pb),
        next_attempt_at: operation.next_attempt_at.map(time::to_pb),
        blocked_by_operation_id: operation.blocked_by.map(|id| id.to_string()),
        conflict_id: operation.conflict_id.map(|id| id.to_string()),
        hold_reason: operation.hold_reason.map(Numbered::number),
        crash_count: operation.crash_count,
        error_code: operation.failure.as_ref().map(|failure| failure.code.clone()),
        outcome_unknown: operation.outcome_unknown,
        precondition: operation.precondition.as_ref().map(precondition_to_pb),
        merged_into_operation_id: operation.merged_into.map(|id| id.to_string()),
        overtaken: operation.overtaken,
        request_id: operation.request_id.map(|id| id.to_string()),
        resolved_by: operation.resolved_by.map(|id| id.to_string()),
        resolved_at: operation.resolved_at.map(time::to_pb),
        cause_kind: cause.kind.number(),
        cause_id: cause.id.map(|id| id.to_string()),
        requested_by: cause.requested_by.to_string(),
        reason: cause.reason.clone(),
        trace_id: cause.trace_id.clone(),
        etag: operation.version.to_string(),
        waits_for,
    }
}

pub fn precondition_to_pb(precondition: &Precondition) -> pb::Precondition {
    pb::Precondition {
        immutable_id: precondition.immutable_id.clone(),
        linked: precondition.linked,
        identity_active: precondition.identity_active,
        attributes_digest: precondition.attributes_digest.clone(),
    }
}

/// The precondition at the path `precondition`.
pub fn precondition_of_pb(
    fields: &mut Fields,
    precondition: Option<pb::Precondition>,
) -> Option<Precondition> {
    let it = precondition?;
    fields.within("precondition", |fields| {
        if it.attributes_digest.as_deref().is_some_and(|digest| !is_digest(digest)) {
            fields.refuse("attributes_digest", "32 lower-case hex digits");
        }
        Some(Precondition {
            immutable_id: fields.optional_text("immutable_id", it.immutable_id, limits::UID),
            linked: it.linked,
            identity_active: it.identity_active,
            attributes_digest: it.attributes_digest,
        })
    })
}

fn is_digest(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
