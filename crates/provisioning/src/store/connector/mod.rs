//! Connectors and their revisions.
//!
//! Whoever enqueues operations of a connector holds its row shared; [`lock`] excludes that, so that a deletion sees
//! every live operation.

mod change;
pub mod health;
pub mod pace;
pub mod secret;
pub mod work;

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;
use xavyo_core::{
    Error,
    connector::{Connector, Mode, ObjectType, Policies, Settings},
    error::Result,
    ids::{ConnectorId, TenantId},
};
use xavyo_runtime::db;

pub use change::{delete, insert, insert_revision, pause, save};

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

/// The version of the connector, unless it is deleted.
pub async fn version(tx: &mut PgConnection, tenant: TenantId, id: ConnectorId) -> Result<Option<i64>> {
    sqlx::query_scalar!(
        "select version from connector where tenant_id = $1 and id = $2 and deleted_at is null",
        tenant.0,
        id.0,
    )
    .fetch_optional(tx)
    .await
    .map_err(db::failed)
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

/// The connectors by id, locked as by [`lock_shared`]: nobody changes them before the transaction ends.
pub async fn share(
    tx: &mut PgConnection,
    tenant: TenantId,
    ids: &[ConnectorId],
) -> Result<HashMap<ConnectorId, Connector>> {
    let ids: BTreeSet<Uuid> = ids.iter().map(|id| id.0).collect();
    let ids = Vec::from_iter(ids);
    let rows = sqlx::query_as!(
        ConnectorRow,
        r#"select id, name, mode, settings as "settings: _", object_types as "object_types: _",
                  policies as "policies: _", revision, paused, pause_reason, first_full_run_at, version,
                  created_at, updated_at
             from connector
            where tenant_id = $1 and id = any($2) and deleted_at is null
            order by id
              for key share"#,
        tenant.0,
        &ids,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    if rows.len() < ids.len() {
        return Err(Error::not_found("connector"));
    }
    rows.into_iter().map(|row| Connector::try_from(row).map(|connector| (connector.id, connector))).collect()
}

/// Holds the connector's row shared, deleted or not, for a transaction that makes a lane ready: the pair is not called
/// idle meanwhile.
pub async fn hold(tx: &mut PgConnection, tenant: TenantId, id: ConnectorId) -> Result<()> {
    sqlx::query_scalar!(
        "select id from connector where tenant_id = $1 and id = $2 for key share",
        tenant.0,
        id.0
    )
    .fetch_optional(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
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

/// An attribute whose values nobody is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SensitiveAttribute {
    pub connector_id: Uuid,
    pub object_class: String,
    pub intent: String,
    pub attribute: String,
}

/// The sensitive and write-only attributes of connectors, as of each of the revisions and as of now; of deleted
/// connectors too.
pub async fn sensitive_attributes(
    tx: &mut PgConnection,
    tenant: TenantId,
    revisions: &[(ConnectorId, i32)],
) -> Result<Vec<SensitiveAttribute>> {
    let ids: Vec<Uuid> = revisions.iter().map(|(id, _)| id.0).collect();
    let numbers: Vec<i32> = revisions.iter().map(|(_, number)| *number).collect();
    sqlx::query_as!(
        SensitiveAttribute,
        r#"with asked as (
               select object_types, connector_id
                 from connector_revision
                 join unnest($2::uuid[], $3::int[]) as wanted(id, number)
                   on connector_id = wanted.id and revision = wanted.number
                where tenant_id = $1
                union all
               select object_types, id
                 from connector
                where tenant_id = $1 and id = any($2))
           select distinct connector_id as "connector_id!", kind ->> 'object_class' as "object_class!",
                  kind ->> 'intent' as "intent!", rule ->> 'name' as "attribute!"
             from asked
            cross join jsonb_array_elements(object_types) as kind
            cross join jsonb_array_elements(kind -> 'mapping') as rule
            where (rule -> 'sensitive')::boolean or (rule -> 'write_only')::boolean"#,
        tenant.0,
        &ids,
        &numbers,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)
}
