//! Conflicts: two live operations, or an operation and the target, that contradict each other.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    conflict::ConflictType,
    error::Result,
    ids::{ConflictId, ConnectorId, LaneId, OperationId, TenantId},
};
use xavyo_runtime::db;

/// A conflict that a person decides.
#[derive(Clone, Debug)]
pub struct NewConflict {
    pub id: ConflictId,
    pub connector_id: ConnectorId,
    pub lane_id: LaneId,
    pub operation_a: OperationId,
    /// The same as `operation_a` where the other side is the target.
    pub operation_b: OperationId,
    pub conflict_type: ConflictType,
    pub affected: Vec<String>,
    pub at: DateTime<Utc>,
}

pub async fn insert(tx: &mut PgConnection, tenant: TenantId, conflicts: &[NewConflict]) -> Result<()> {
    for conflict in conflicts {
        sqlx::query!(
            "insert into conflict (
                 tenant_id, id, connector_id, lane_id, operation_id_a, operation_id_b, conflict_type,
                 affected_attributes, status, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, 'pending', $9)",
            tenant.0,
            conflict.id.0,
            conflict.connector_id.0,
            conflict.lane_id.0,
            conflict.operation_a.0,
            conflict.operation_b.0,
            conflict.conflict_type.name(),
            &conflict.affected,
            conflict.at,
        )
        .execute(&mut *tx)
        .await
        .map_err(db::failed)?;
    }
    Ok(())
}

/// A conflict whose operation ended otherwise resolves itself, with a note.
pub async fn resolve_moot(
    tx: &mut PgConnection,
    tenant: TenantId,
    operations: &[OperationId],
    now: DateTime<Utc>,
    note: &str,
) -> Result<()> {
    let ids: Vec<Uuid> = operations.iter().map(|id| id.0).collect();
    sqlx::query!(
        "update conflict
            set status = 'resolved', resolved_at = $3, notes = $4, version = version + 1
          where tenant_id = $1 and status = 'pending'
            and (operation_id_a = any($2) or operation_id_b = any($2))",
        tenant.0,
        &ids,
        now,
        note,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}
