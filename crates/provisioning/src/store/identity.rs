//! Identities, one by one and, for imports, 500 at a time: every statement here takes or gives a set.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;
use xavyo_core::{
    Error, Reason,
    error::Result,
    identity::Identity,
    ids::{IdentityId, TenantId},
    value::Attributes,
};
use xavyo_runtime::db;

const SOURCE_KEY_FREE: &str = "identity_source_key_free";

/// What a list shows; an absent part filters nothing.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub active: Option<bool>,
}

struct IdentityRow {
    id: Uuid,
    source_key: Option<String>,
    active: bool,
    attributes: Json<Attributes>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<IdentityRow> for Identity {
    fn from(row: IdentityRow) -> Self {
        Self {
            id: IdentityId(row.id),
            source_key: row.source_key,
            active: row.active,
            attributes: row.attributes.0,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// New identities. A taken source key is ALREADY_EXISTS.
pub async fn insert(tx: &mut PgConnection, tenant: TenantId, identities: &[Identity]) -> Result<()> {
    let columns = Columns::of(identities)?;
    sqlx::query!(
        "insert into identity (tenant_id, id, source_key, active, attributes, version, created_at, updated_at)
         select $1, made.*
           from unnest($2::uuid[], $3::text[], $4::bool[], $5::jsonb[], $6::bigint[], $7::timestamptz[],
                       $8::timestamptz[]) as made",
        tenant.0,
        &columns.ids,
        &columns.source_keys as &[Option<String>],
        &columns.active,
        &columns.attributes,
        &columns.versions,
        &columns.created_at,
        &columns.updated_at,
    )
    .execute(tx)
    .await
    .map_err(source_keys_apart)?;
    Ok(())
}

/// Writes identities whose rows the caller has locked. Their versions are the new ones. A taken source key is
/// ALREADY_EXISTS.
pub async fn save(tx: &mut PgConnection, tenant: TenantId, identities: &[Identity]) -> Result<()> {
    let columns = Columns::of(identities)?;
    let done = sqlx::query!(
        "update identity
            set source_key = changed.source_key,
                active = changed.active,
                attributes = changed.attributes,
                version = changed.version,
                updated_at = changed.updated_at
           from unnest($2::uuid[], $3::text[], $4::bool[], $5::jsonb[], $6::bigint[], $7::timestamptz[])
                as changed(id, source_key, active, attributes, version, updated_at)
          where identity.tenant_id = $1 and identity.id = changed.id and identity.version = changed.version - 1",
        tenant.0,
        &columns.ids,
        &columns.source_keys as &[Option<String>],
        &columns.active,
        &columns.attributes,
        &columns.versions,
        &columns.updated_at,
    )
    .execute(tx)
    .await
    .map_err(source_keys_apart)?;
    match usize::try_from(done.rows_affected()) {
        Ok(saved) if saved == identities.len() => Ok(()),
        _ => Err(Error::internal("an identity changed under its lock")),
    }
}

/// The identity, or NOT_FOUND.
pub async fn get(tx: &mut PgConnection, tenant: TenantId, id: IdentityId) -> Result<Identity> {
    let found = find_all(tx, tenant, &[id]).await?;
    found.into_iter().next().ok_or_else(|| Error::not_found("identity"))
}

/// Those of the ids that exist, in no order that counts.
pub async fn find_all(tx: &mut PgConnection, tenant: TenantId, ids: &[IdentityId]) -> Result<Vec<Identity>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query_as!(
        IdentityRow,
        r#"select id, source_key, active, attributes as "attributes: _", version, created_at, updated_at
             from identity
            where tenant_id = $1 and id = any($2) and deleted_at is null"#,
        tenant.0,
        &ids,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(Identity::from).collect())
}

/// Those of the source keys that exist, in no order that counts. Each key is looked up by itself: a fresh install has
/// no statistics, and without them the planner would read the whole tenant for a batch of keys.
pub async fn find_by_source_keys(
    tx: &mut PgConnection,
    tenant: TenantId,
    source_keys: &[String],
) -> Result<Vec<Identity>> {
    let rows = sqlx::query_as!(
        IdentityRow,
        r#"select found.id as "id!", found.source_key, found.active as "active!",
                  found.attributes as "attributes!: _", found.version as "version!",
                  found.created_at as "created_at!", found.updated_at as "updated_at!"
             from unnest($2::text[]) as named(source_key)
            cross join lateral (
                  select *
                    from identity
                   where identity.tenant_id = $1 and identity.source_key = named.source_key
                     and identity.deleted_at is null
                   limit 1) found"#,
        tenant.0,
        source_keys,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(Identity::from).collect())
}

/// Locks identities in id order and returns their versions: what was decided before holds for the version it saw.
pub async fn lock(
    tx: &mut PgConnection,
    tenant: TenantId,
    ids: &[IdentityId],
) -> Result<Vec<(IdentityId, i64)>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        "select id, version
           from identity
          where tenant_id = $1 and id = any($2) and deleted_at is null
          order by id
            for no key update",
        tenant.0,
        &ids,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(|row| (IdentityId(row.id), row.version)).collect())
}

/// A page, newest first, of those made before `before`.
pub async fn page(
    tx: &mut PgConnection,
    tenant: TenantId,
    filter: &Filter,
    before: Option<IdentityId>,
    limit: i64,
) -> Result<Vec<Identity>> {
    let rows = sqlx::query_as!(
        IdentityRow,
        r#"select id, source_key, active, attributes as "attributes: _", version, created_at, updated_at
             from identity
            where tenant_id = $1 and deleted_at is null
              and id < $2
              and ($3::bool is null or active = $3)
            order by id desc
            limit $4"#,
        tenant.0,
        before.map_or(Uuid::max(), |id| id.0),
        filter.active,
        limit,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(Identity::from).collect())
}

/// How many a list has, counted up to `most`.
pub async fn count(tx: &mut PgConnection, tenant: TenantId, filter: &Filter, most: i64) -> Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!"
             from (select from identity
                    where tenant_id = $1 and deleted_at is null
                      and ($2::bool is null or active = $2)
                    limit $3) as counted"#,
        tenant.0,
        filter.active,
        most,
    )
    .fetch_one(tx)
    .await
    .map_err(db::failed)
}

/// The next active identities that a source imported, in id order.
pub async fn page_of_source(
    tx: &mut PgConnection,
    tenant: TenantId,
    after: Option<IdentityId>,
    limit: i64,
) -> Result<Vec<Identity>> {
    let rows = sqlx::query_as!(
        IdentityRow,
        r#"select id, source_key, active, attributes as "attributes: _", version, created_at, updated_at
             from identity
            where tenant_id = $1 and deleted_at is null and active and source_key is not null
              and id > $2
            order by id
            limit $3"#,
        tenant.0,
        after.map_or(Uuid::nil(), |id| id.0),
        limit,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(Identity::from).collect())
}

/// Deletes softly identities whose rows the caller has locked; their source keys are free again.
pub async fn delete(
    tx: &mut PgConnection,
    tenant: TenantId,
    id: IdentityId,
    at: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "update identity
            set deleted_at = $3, updated_at = $3, active = false, version = version + 1
          where tenant_id = $1 and id = $2 and deleted_at is null",
        tenant.0,
        id.0,
        at,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Identities as parallel arrays, the form in which one statement takes many.
struct Columns {
    ids: Vec<Uuid>,
    source_keys: Vec<Option<String>>,
    active: Vec<bool>,
    attributes: Vec<serde_json::Value>,
    versions: Vec<i64>,
    created_at: Vec<DateTime<Utc>>,
    updated_at: Vec<DateTime<Utc>>,
}

impl Columns {
    fn of(identities: &[Identity]) -> Result<Self> {
        let attributes = identities.iter().map(|identity| serde_json::to_value(&identity.attributes));
        Ok(Self {
            ids: identities.iter().map(|identity| identity.id.0).collect(),
            source_keys: identities.iter().map(|identity| identity.source_key.clone()).collect(),
            active: identities.iter().map(|identity| identity.active).collect(),
            attributes: attributes.collect::<Result<_, _>>().map_err(Error::internal)?,
            versions: identities.iter().map(|identity| identity.version).collect(),
            created_at: identities.iter().map(|identity| identity.created_at).collect(),
            updated_at: identities.iter().map(|identity| identity.updated_at).collect(),
        })
    }
}

fn source_keys_apart(error: sqlx::Error) -> Error {
    match db::violated_constraint(&error) {
        Some(SOURCE_KEY_FREE) => Error::new(Reason::AlreadyExists, "another identity has this source key")
            .with("resource", "identity")
            .with("field", "source_key"),
        _ => db::failed(error),
    }
}

/// Locks identities, deleted or not, in id order.
pub async fn hold(tx: &mut PgConnection, tenant: TenantId, ids: &[IdentityId]) -> Result<()> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    sqlx::query_scalar!(
        "select id
           from identity
          where tenant_id = $1 and id = any($2)
          order by id
            for no key update",
        tenant.0,
        &ids,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Forgets up to `limit` deleted identities that no link and no operation needs any more, with the pairs that were rejected
/// for them.
pub async fn forget_departed(tx: &mut PgConnection, tenant: TenantId, limit: i64) -> Result<u64> {
    let departed = sqlx::query_scalar!(
        "select id
           from identity
          where tenant_id = $1 and deleted_at is not null
            and not exists (select from link where link.tenant_id = $1 and link.identity_id = identity.id)
            and not exists (select from operation where operation.tenant_id = $1 and operation.user_id = identity.id)
          order by deleted_at
          limit $2
            for update skip locked",
        tenant.0,
        limit,
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(db::failed)?;
    if departed.is_empty() {
        return Ok(0);
    }
    sqlx::query!(
        "delete from rejected_pair where tenant_id = $1 and identity_id = any($2)",
        tenant.0,
        &departed,
    )
    .execute(&mut *tx)
    .await
    .map_err(db::failed)?;
    let gone =
        sqlx::query!("delete from identity where tenant_id = $1 and id = any($2)", tenant.0, &departed);
    Ok(gone.execute(tx).await.map_err(db::failed)?.rows_affected())
}
