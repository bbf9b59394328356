//! Conflicts.

use xavyo_core::{conflict::Conflict, ids::TenantId};

use crate::{numbers::Numbered, pb::provisioning as pb, time};

pub fn to_pb(conflict: &Conflict, tenant: TenantId) -> pb::ProvisioningConflict {
    pb::ProvisioningConflict {
        id: conflict.id.to_string(),
        tenant_id: tenant.to_string(),
        operation_id_a: conflict.operation_id_a.to_string(),
        operation_id_b: conflict.operation_id_b.to_string(),
        conflict_type: conflict.conflict_type.name().to_owned(),
        affected_attributes: conflict.affected_attributes.clone(),
        status: conflict.status.name().to_owned(),
        outcome: conflict.outcome.map(Numbered::number),
        notes: conflict.notes.clone(),
        created_at: Some(time::to_pb(conflict.created_at)),
        resolved_at: conflict.resolved_at.map(time::to_pb),
        resolved_by: conflict.resolved_by.map(|id| id.to_string()),
        connector_id: conflict.connector_id.to_string(),
        etag: conflict.version.to_string(),
    }
}
