//! The audit log: one row for each change by a caller, in the transaction that makes it (S4). Append-only: the
//! program's role may neither update nor delete.

use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{Error, ids::ConnectorId};
use xavyo_runtime::{Clock, auth::Caller, db};

/// What a caller changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The RPC: `CreateConnector`.
    pub method: &'static str,
    /// The noun: `connector`.
    pub resource_type: &'static str,
    /// None where the change is to no single resource (a batch names its ids in the details).
    pub resource_id: Option<Uuid>,
    pub connector_id: Option<ConnectorId>,
    /// What changed; never a secret.
    pub details: serde_json::Value,
    pub reason: Option<String>,
}

pub async fn insert(
    tx: &mut PgConnection,
    clock: &Clock,
    caller: &Caller,
    entry: Entry,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into audit_event (
             tenant_id, id, at, subject, method, resource_type, resource_id, connector_id, details, reason, trace_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        caller.tenant.0,
        clock.new_id(),
        clock.now(),
        caller.subject.0,
        entry.method,
        entry.resource_type,
        entry.resource_id,
        entry.connector_id.map(|id| id.0),
        entry.details,
        entry.reason,
        caller.trace_id,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}
