//! Changes of connectors. Whoever changes one has locked it.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};
use xavyo_core::{
    Error, Reason,
    connector::Connector,
    error::Result,
    ids::{ConnectorId, SubjectId, TenantId},
};
use xavyo_runtime::db;

const NAME_FREE: &str = "connector_name_free";

/// A new connector, its first revision, and its place among the pairs where work is found. A taken name is
/// ALREADY_EXISTS.
pub async fn insert(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: &Connector,
    by: SubjectId,
) -> Result<()> {
    sqlx::query!(
        "with made as (
             insert into connector (
                 tenant_id, id, name, kind, mode, settings, object_types, policies, revision, version,
                 created_at, updated_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)),
         -- what the first operations are computed from
         revised as (
             insert into connector_revision (
                 tenant_id, connector_id, revision, object_types, policies, created_at, created_by)
             values ($1, $2, $9, $7, $8, $11, $12))
         insert into connector_work (tenant_id, connector_id)
         values ($1, $2)",
        tenant.0,
        connector.id.0,
        connector.name,
        connector.settings.kind(),
        connector.mode.name(),
        Json(&connector.settings) as _,
        Json(&connector.object_types) as _,
        Json(&connector.policies) as _,
        connector.revision,
        connector.version,
        connector.created_at,
        by.0,
    )
    .execute(tx)
    .await
    .map_err(named_apart)?;
    Ok(())
}

/// A revision as it is from now on.
pub async fn insert_revision(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: &Connector,
    by: SubjectId,
) -> Result<()> {
    sqlx::query!(
        "insert into connector_revision (
             tenant_id, connector_id, revision, object_types, policies, created_at, created_by)
         values ($1, $2, $3, $4, $5, $6, $7)",
        tenant.0,
        connector.id.0,
        connector.revision,
        Json(&connector.object_types) as _,
        Json(&connector.policies) as _,
        connector.updated_at,
        by.0,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Writes everything that can change, of a connector that the caller has locked; the version rises by one.
pub async fn save(tx: &mut PgConnection, tenant: TenantId, connector: &Connector) -> Result<()> {
    sqlx::query!(
        "with saved as (
             update connector
                set name = $3, mode = $4, settings = $5, object_types = $6, policies = $7, revision = $8,
                    paused = $9, pause_reason = $10, first_full_run_at = $11, updated_at = $12,
                    version = version + 1
              where tenant_id = $1 and id = $2 and deleted_at is null)
         -- workers look there, without row-level security
         update connector_work
            set paused = $9, paused_until = null
          where tenant_id = $1 and connector_id = $2 and paused <> $9",
        tenant.0,
        connector.id.0,
        connector.name,
        connector.mode.name(),
        Json(&connector.settings) as _,
        Json(&connector.object_types) as _,
        Json(&connector.policies) as _,
        connector.revision,
        connector.paused,
        connector.pause_reason,
        connector.first_full_run_at,
        connector.updated_at,
    )
    .execute(tx)
    .await
    .map_err(named_apart)?;
    Ok(())
}

/// Stops everything that would be sent to the target, for the reason that people are shown. A connector that is paused
/// keeps its first reason.
pub async fn pause(
    tx: &mut PgConnection,
    tenant: TenantId,
    id: ConnectorId,
    reason: Option<&str>,
    at: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "with paused as (
             update connector
                set paused = true, pause_reason = $3, updated_at = $4, version = version + 1
              where tenant_id = $1 and id = $2 and not paused)
         update connector_work
            set paused = true
          where tenant_id = $1 and connector_id = $2 and not paused",
        tenant.0,
        id.0,
        reason,
        at,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Deletes softly a connector that the caller has locked. Its place among the pairs stays: housekeeping still goes by.
pub async fn delete(
    tx: &mut PgConnection,
    tenant: TenantId,
    id: ConnectorId,
    at: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "with deleted as (
             update connector
                set deleted_at = $3, updated_at = $3, version = version + 1
              where tenant_id = $1 and id = $2 and deleted_at is null)
         update connector_work
            set due_at = null, breaker = 'closed', probe_at = null, paused_until = null
          where tenant_id = $1 and connector_id = $2",
        tenant.0,
        id.0,
        at,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

fn named_apart(error: sqlx::Error) -> Error {
    match db::violated_constraint(&error) {
        Some(NAME_FREE) => Error::new(Reason::AlreadyExists, "the tenant has a connector of this name")
            .with("resource", "connector")
            .with("field", "name"),
        _ => db::failed(error),
    }
}
