//! Connectors and their revisions.
//!
//! Whoever enqueues operations of a connector holds its row shared; [`lock`] excludes that, so that a deletion sees
//! every live operation.

pub mod secret;
pub mod work;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;
use xavyo_core::{
    Error, Reason,
    connector::{Connector, Mode, ObjectType, Policies, Settings},
    error::Result,
    ids::{ConnectorId, SubjectId, TenantId},
};
use xavyo_runtime::db;

const NAME_FREE: &str = "connector_name_free";

/// What a list shows; an absent part filters nothing.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub kind: Option<&'static str>,
    pub mode: Option<Mode>,
}

struct ConnectorRow {
    id: Uuid,
    name: String,
    mode: String,
    settings: Json<Settings>,
    object_types: Json<Vec<ObjectType>>,
    policies: Json<Policies>,
    revision: i32,
    paused: bool,
    pause_reason: Option<String>,
    first_full_run_at: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<ConnectorRow> for Connector {
    type Error = Error;

    fn try_from(row: ConnectorRow) -> Result<Self> {
        let unknown = || Error::internal(format!("connector {} has the unknown mode {}", row.id, row.mode));
        Ok(Self {
            id: ConnectorId(row.id),
            mode: Mode::named(&row.mode).ok_or_else(unknown)?,
            name: row.name,
            settings: row.settings.0,
            object_types: row.object_types.0,
            policies: row.policies.0,
            revision: row.revision,
            paused: row.paused,
            pause_reason: row.pause_reason,
            first_full_run_at: row.first_full_run_at,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

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

/// The connector, or NOT_FOUND.
pub async fn get(tx: &mut PgConnection, tenant: TenantId, id: ConnectorId) -> Result<Connector> {
    find(tx, tenant, id).await?.ok_or_else(|| Error::not_found("connector"))
}

pub async fn find(tx: &mut PgConnection, tenant: TenantId, id: ConnectorId) -> Result<Option<Connector>> {
    let row = sqlx::query_as!(
        ConnectorRow,
        r#"select id, name, mode, settings as "settings: _", object_types as "object_types: _",
                  policies as "policies: _", revision, paused, pause_reason, first_full_run_at, version,
                  created_at, updated_at
             from connector
            where tenant_id = $1 and id = $2 and deleted_at is null"#,
        tenant.0,
        id.0,
    )
    .fetch_optional(tx)
    .await
    .map_err(db::failed)?;
    row.map(Connector::try_from).transpose()
}

/// Locks connectors shared, in id order, for a transaction that enqueues operations of them. NOT_FOUND where one is
/// missing.
pub async fn lock_shared(tx: &mut PgConnection, tenant: TenantId, ids: &[ConnectorId]) -> Result<()> {
    let ids: BTreeSet<Uuid> = ids.iter().map(|id| id.0).collect();
    let ids = Vec::from_iter(ids);
    let locked = sqlx::query_scalar!(
        "select id
           from connector
          where tenant_id = $1 and id = any($2) and deleted_at is null
          order by id
            for key share",
        tenant.0,
        &ids,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    if locked.len() == ids.len() { Ok(()) } else { Err(Error::not_found("connector")) }
}

/// The connector, or NOT_FOUND, locked against changes and against whoever enqueues.
pub async fn lock(tx: &mut PgConnection, tenant: TenantId, id: ConnectorId) -> Result<Connector> {
    sqlx::query_scalar!(
        "select id
           from connector
          where tenant_id = $1 and id = $2 and deleted_at is null
            for update",
        tenant.0,
        id.0,
    )
    .fetch_optional(&mut *tx)
    .await
    .map_err(db::failed)?
    .ok_or_else(|| Error::not_found("connector"))?;
    get(tx, tenant, id).await
}

/// All connectors of a mode, oldest first: the order in which their rows are locked.
pub async fn in_mode(tx: &mut PgConnection, tenant: TenantId, mode: Mode) -> Result<Vec<Connector>> {
    let rows = sqlx::query_as!(
        ConnectorRow,
        r#"select id, name, mode, settings as "settings: _", object_types as "object_types: _",
                  policies as "policies: _", revision, paused, pause_reason, first_full_run_at, version,
                  created_at, updated_at
             from connector
            where tenant_id = $1 and mode = $2 and deleted_at is null
            order by id"#,
        tenant.0,
        mode.name(),
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    rows.into_iter().map(Connector::try_from).collect()
}

/// The ids and versions of the connectors of a mode, locked so that neither changes before the transaction ends.
pub async fn share_in_mode(
    tx: &mut PgConnection,
    tenant: TenantId,
    mode: Mode,
) -> Result<Vec<(ConnectorId, i64)>> {
    let rows = sqlx::query!(
        "select id, version
           from connector
          where tenant_id = $1 and mode = $2 and deleted_at is null
          order by id
            for share",
        tenant.0,
        mode.name(),
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(|row| (ConnectorId(row.id), row.version)).collect())
}

/// A page, newest first, of those made before `before`.
pub async fn page(
    tx: &mut PgConnection,
    tenant: TenantId,
    filter: &Filter,
    before: Option<ConnectorId>,
    limit: i64,
) -> Result<Vec<Connector>> {
    let rows = sqlx::query_as!(
        ConnectorRow,
        r#"select id, name, mode, settings as "settings: _", object_types as "object_types: _",
                  policies as "policies: _", revision, paused, pause_reason, first_full_run_at, version,
                  created_at, updated_at
             from connector
            where tenant_id = $1 and deleted_at is null
              and id < $2
              and ($3::text is null or kind = $3)
              and ($4::text is null or mode = $4)
            order by id desc
            limit $5"#,
        tenant.0,
        before.map_or(Uuid::max(), |id| id.0),
        filter.kind,
        filter.mode.map(Mode::name),
        limit,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    rows.into_iter().map(Connector::try_from).collect()
}

/// How many a list has, counted up to `most`.
pub async fn count(tx: &mut PgConnection, tenant: TenantId, filter: &Filter, most: i64) -> Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!"
             from (select from connector
                    where tenant_id = $1 and deleted_at is null
                      and ($2::text is null or kind = $2)
                      and ($3::text is null or mode = $3)
                    limit $4) as counted"#,
        tenant.0,
        filter.kind,
        filter.mode.map(Mode::name),
        most,
    )
    .fetch_one(tx)
    .await
    .map_err(db::failed)
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
            set paused = $9
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
            set due_at = null, breaker = 'closed', probe_at = null
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

/// Whether operations of the connector will still act by themselves. Dead letters do not.
pub async fn has_live_operations(tx: &mut PgConnection, tenant: TenantId, id: ConnectorId) -> Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (
               select from operation
                where tenant_id = $1 and connector_id = $2 and status <> 'dead_letter') as "exists!""#,
        tenant.0,
        id.0,
    )
    .fetch_one(tx)
    .await
    .map_err(db::failed)
}

fn named_apart(error: sqlx::Error) -> Error {
    match db::violated_constraint(&error) {
        Some(NAME_FREE) => Error::new(Reason::AlreadyExists, "the tenant has a connector of this name")
            .with("resource", "connector")
            .with("field", "name"),
        _ => db::failed(error),
    }
}
