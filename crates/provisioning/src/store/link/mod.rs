//! Links: which account of a connector belongs to which identity.
//!
//! Here are the reads. Every change of a link writes a [`LinkEvent`] beside it, in the same transaction. [`rejection`]
//! keeps the pairs that a person has refused; [`kept`] what a run expects of an account.

mod change;
mod event;
pub mod kept;
pub mod rejection;
pub mod staged;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;
use xavyo_core::{
    Error,
    account::AccountKey,
    error::Result,
    ids::{ConnectorId, IdentityId, LaneId, LinkId, TenantId},
    link::Link,
};
use xavyo_runtime::db;

pub use change::{LinkUpsert, Renaming, delete_all, insert, rename, save_all, save_deprovision_due};
pub use event::{LinkEvent, forget_events, insert_events};

/// What a list shows; an absent part filters nothing.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub connector_id: Option<ConnectorId>,
    pub identity_id: Option<IdentityId>,
    pub external_uid: Option<String>,
}

/// An account as the database finds it: `uid_key` is the uid as its connector compares it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccountName {
    pub uid_key: String,
    pub immutable_id: Option<String>,
}

#[derive(sqlx::FromRow)]
struct LinkRow {
    id: Uuid,
    connector_id: Uuid,
    object_class: String,
    intent: String,
    identity_id: Uuid,
    lane_id: Uuid,
    external_uid: String,
    immutable_id: Option<String>,
    disabled_by_us: bool,
    deprovision_due_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<LinkRow> for Link {
    fn from(row: LinkRow) -> Self {
        Self {
            id: LinkId(row.id),
            connector_id: ConnectorId(row.connector_id),
            object_class: row.object_class,
            intent: row.intent,
            identity_id: IdentityId(row.identity_id),
            lane_id: LaneId(row.lane_id),
            account: AccountKey { external_uid: row.external_uid, immutable_id: row.immutable_id },
            disabled_by_us: row.disabled_by_us,
            deprovision_due_at: row.deprovision_due_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// The link, or NOT_FOUND.
pub async fn get(tx: &mut PgConnection, tenant: TenantId, id: LinkId) -> Result<Link> {
    find_all(tx, tenant, &[id]).await?.into_iter().next().ok_or_else(|| Error::not_found("link"))
}

/// Those of the ids that exist, in no order that counts.
pub async fn find_all(tx: &mut PgConnection, tenant: TenantId, ids: &[LinkId]) -> Result<Vec<Link>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query_as!(
        LinkRow,
        "select id, connector_id, object_class, intent, identity_id, lane_id, external_uid, immutable_id,
                disabled_by_us, deprovision_due_at, created_at, updated_at
           from link
          where tenant_id = $1 and id = any($2)",
        tenant.0,
        &ids,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(Link::from).collect())
}

/// The links whose accounts the lanes are.
pub async fn find_by_lanes(tx: &mut PgConnection, tenant: TenantId, lanes: &[LaneId]) -> Result<Vec<Link>> {
    let lanes: Vec<Uuid> = lanes.iter().map(|id| id.0).collect();
    let rows = sqlx::query_as!(
        LinkRow,
        "select id, connector_id, object_class, intent, identity_id, lane_id, external_uid, immutable_id,
                disabled_by_us, deprovision_due_at, created_at, updated_at
           from link
          where tenant_id = $1 and lane_id = any($2)",
        tenant.0,
        &lanes,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(Link::from).collect())
}

/// Those links that the identities have on the connectors. Each identity is looked up by itself (`offset 0` keeps it
/// so): a fresh install has no statistics, and without them the planner would read every link of the tenant.
pub async fn of_identities(
    tx: &mut PgConnection,
    tenant: TenantId,
    connectors: &[ConnectorId],
    identities: &[IdentityId],
) -> Result<Vec<Link>> {
    let connectors: Vec<Uuid> = connectors.iter().map(|id| id.0).collect();
    let identities: Vec<Uuid> = identities.iter().map(|id| id.0).collect();
    let rows = sqlx::query_as!(
        LinkRow,
        r#"select found.id as "id!", found.connector_id as "connector_id!", found.object_class as "object_class!",
                  found.intent as "intent!", found.identity_id as "identity_id!", found.lane_id as "lane_id!",
                  found.external_uid as "external_uid!", found.immutable_id,
                  found.disabled_by_us as "disabled_by_us!", found.deprovision_due_at,
                  found.created_at as "created_at!", found.updated_at as "updated_at!"
             from unnest($3::uuid[]) as named(identity_id)
            cross join lateral (
                  select *
                    from link
                   where link.tenant_id = $1 and link.identity_id = named.identity_id
                     and link.connector_id = any($2)
                  offset 0) found"#,
        tenant.0,
        &connectors,
        &identities,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(Link::from).collect())
}

/// Those links of a connector that belong to the accounts: by immutable id where both sides know it, else by uid.
pub async fn of_accounts(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
    object_class: &str,
    accounts: &[AccountName],
) -> Result<Vec<Link>> {
    let uid_keys: Vec<String> = accounts.iter().map(|account| account.uid_key.clone()).collect();
    let immutable_ids: Vec<Option<String>> =
        accounts.iter().map(|account| account.immutable_id.clone()).collect();
    let rows = sqlx::query_as!(
        LinkRow,
        "with named as (
             select * from unnest($4::text[], $5::text[]) as named(uid_key, immutable_id)),
         found as (
             select link.id
               from named
               join link on link.tenant_id = $1 and link.connector_id = $2
                        and link.immutable_id = named.immutable_id
             union
             -- the same uid with another immutable id is another account
             select link.id
               from named
               join link on link.tenant_id = $1 and link.connector_id = $2 and link.object_class = $3
                        and link.uid_key = named.uid_key
                        and (link.immutable_id is null or named.immutable_id is null))
         select link.id, connector_id, object_class, intent, identity_id, lane_id, external_uid, immutable_id,
                disabled_by_us, deprovision_due_at, created_at, updated_at
           from found
           join link on link.tenant_id = $1 and link.id = found.id",
        tenant.0,
        connector.0,
        object_class,
        &uid_keys,
        &immutable_ids as &[Option<String>],
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(Link::from).collect())
}

/// The accounts that mapping expressions may refer to: (identity, connector's name, account), of default intent.
pub async fn references(
    tx: &mut PgConnection,
    tenant: TenantId,
    identities: &[IdentityId],
) -> Result<Vec<(IdentityId, String, AccountKey)>> {
    let identities: Vec<Uuid> = identities.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        "select link.identity_id, connector.name, link.external_uid, link.immutable_id
           from link
           join connector on connector.tenant_id = $1 and connector.id = link.connector_id
                         and connector.deleted_at is null
          where link.tenant_id = $1 and link.identity_id = any($2) and link.intent = 'default'",
        tenant.0,
        &identities,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let account = AccountKey { external_uid: row.external_uid, immutable_id: row.immutable_id };
            (IdentityId(row.identity_id), row.name, account)
        })
        .collect())
}

/// A page, newest first, of those made before `before`.
pub async fn page(
    tx: &mut PgConnection,
    tenant: TenantId,
    filter: &Filter,
    before: Option<LinkId>,
    limit: i64,
) -> Result<Vec<Link>> {
    let mut query = QueryBuilder::new(
        "select id, connector_id, object_class, intent, identity_id, lane_id, external_uid, immutable_id,
                disabled_by_us, deprovision_due_at, created_at, updated_at
           from link",
    );
    filter.push(&mut query, tenant);
    if let Some(before) = before {
        query.push(" and id < ").push_bind(before.0);
    }
    query.push(" order by id desc limit ").push_bind(limit);
    let rows: Vec<LinkRow> = query.build_query_as().fetch_all(tx).await.map_err(db::failed)?;
    Ok(rows.into_iter().map(Link::from).collect())
}

/// How many a list has, counted up to `most`.
pub async fn count(tx: &mut PgConnection, tenant: TenantId, filter: &Filter, most: i64) -> Result<i64> {
    let mut query = QueryBuilder::new("select count(*) from (select from link");
    filter.push(&mut query, tenant);
    query.push(" limit ").push_bind(most).push(") as counted");
    query.build_query_scalar().fetch_one(tx).await.map_err(db::failed)
}

impl Filter {
    /// Only the conditions that are asked for, so that each list has the plan of its own index.
    fn push(&self, query: &mut QueryBuilder<Postgres>, tenant: TenantId) {
        query.push(" where tenant_id = ").push_bind(tenant.0);
        if let Some(connector) = self.connector_id {
            query.push(" and connector_id = ").push_bind(connector.0);
        }
        if let Some(identity) = self.identity_id {
            query.push(" and identity_id = ").push_bind(identity.0);
        }
        if let Some(uid) = &self.external_uid {
            query.push(" and external_uid = ").push_bind(uid.clone());
        }
    }
}
