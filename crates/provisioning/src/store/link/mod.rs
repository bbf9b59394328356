//! Links: which account of a connector belongs to which identity.
//!
//! Every change of a link writes a [`event`] beside it, in the same transaction. [`rejection`] keeps the pairs that a
//! person has refused; [`digest`] the expected side of the comparison.

pub mod digest;
pub mod event;
pub mod rejection;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    Error, Reason,
    account::AccountKey,
    error::Result,
    ids::{ConnectorId, IdentityId, LaneId, LinkId, TenantId},
    link::Link,
};
use xavyo_runtime::db;

/// What a list shows; an absent part filters nothing.
#[derive(Clone, Debug, Default, Serialize)]
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

/// A new link. An identity or account that has one already is ALREADY_EXISTS.
pub async fn insert(tx: &mut PgConnection, tenant: TenantId, link: &Link, uid_key: &str) -> Result<()> {
    sqlx::query!(
        "insert into link (
             tenant_id, id, connector_id, object_class, intent, identity_id, lane_id, external_uid, uid_key,
             immutable_id, disabled_by_us, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)",
        tenant.0,
        link.id.0,
        link.connector_id.0,
        link.object_class,
        link.intent,
        link.identity_id.0,
        link.lane_id.0,
        link.account.external_uid,
        uid_key,
        link.account.immutable_id,
        link.disabled_by_us,
        link.created_at,
    )
    .execute(tx)
    .await
    .map_err(taken)?;
    Ok(())
}

/// A link as a finished operation leaves it.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkUpsert {
    /// Of a new link; one that exists keeps its id.
    pub id: LinkId,
    pub connector_id: ConnectorId,
    pub object_class: String,
    pub intent: String,
    pub identity_id: IdentityId,
    pub lane_id: LaneId,
    pub external_uid: String,
    pub uid_key: String,
    pub immutable_id: Option<String>,
    pub disabled_by_us: bool,
    pub now: DateTime<Utc>,
}

/// Makes links, or brings those of the same (connector, object class, intent, identity) up to date. An account that is
/// linked to another identity is ALREADY_EXISTS, for all of them.
pub async fn save_all(tx: &mut PgConnection, tenant: TenantId, links: &[LinkUpsert]) -> Result<()> {
    let ids: Vec<Uuid> = links.iter().map(|link| link.id.0).collect();
    let connectors: Vec<Uuid> = links.iter().map(|link| link.connector_id.0).collect();
    let classes: Vec<String> = links.iter().map(|link| link.object_class.clone()).collect();
    let intents: Vec<String> = links.iter().map(|link| link.intent.clone()).collect();
    let identities: Vec<Uuid> = links.iter().map(|link| link.identity_id.0).collect();
    let lanes: Vec<Uuid> = links.iter().map(|link| link.lane_id.0).collect();
    let uids: Vec<String> = links.iter().map(|link| link.external_uid.clone()).collect();
    let uid_keys: Vec<String> = links.iter().map(|link| link.uid_key.clone()).collect();
    let immutable_ids: Vec<Option<String>> = links.iter().map(|link| link.immutable_id.clone()).collect();
    let disabled: Vec<bool> = links.iter().map(|link| link.disabled_by_us).collect();
    let times: Vec<DateTime<Utc>> = links.iter().map(|link| link.now).collect();
    sqlx::query!(
        "insert into link (
             tenant_id, id, connector_id, object_class, intent, identity_id, lane_id, external_uid, uid_key,
             immutable_id, disabled_by_us, created_at, updated_at)
         select $1, saved.*, saved.now
           from unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::uuid[], $7::uuid[], $8::text[],
                       $9::text[], $10::text[], $11::bool[], $12::timestamptz[])
                as saved(id, connector_id, object_class, intent, identity_id, lane_id, external_uid, uid_key,
                         immutable_id, disabled_by_us, now)
         on conflict (tenant_id, connector_id, object_class, intent, identity_id) do update
            set lane_id = excluded.lane_id,
                external_uid = excluded.external_uid,
                uid_key = excluded.uid_key,
                immutable_id = excluded.immutable_id,
                disabled_by_us = excluded.disabled_by_us,
                updated_at = excluded.updated_at",
        tenant.0,
        &ids,
        &connectors,
        &classes,
        &intents,
        &identities,
        &lanes,
        &uids,
        &uid_keys,
        &immutable_ids as &[Option<String>],
        &disabled,
        &times,
    )
    .execute(tx)
    .await
    .map_err(taken)?;
    Ok(())
}

/// The link, or NOT_FOUND.
pub async fn get(tx: &mut PgConnection, tenant: TenantId, id: LinkId) -> Result<Link> {
    let row = sqlx::query_as!(
        LinkRow,
        "select id, connector_id, object_class, intent, identity_id, lane_id, external_uid, immutable_id,
                disabled_by_us, deprovision_due_at, created_at, updated_at
           from link
          where tenant_id = $1 and id = $2",
        tenant.0,
        id.0,
    )
    .fetch_optional(tx)
    .await
    .map_err(db::failed)?;
    Ok(row.ok_or_else(|| Error::not_found("link"))?.into())
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

/// Those links that the identities have on the connectors.
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
        "select id, connector_id, object_class, intent, identity_id, lane_id, external_uid, immutable_id,
                disabled_by_us, deprovision_due_at, created_at, updated_at
           from link
          where tenant_id = $1 and identity_id = any($3) and connector_id = any($2)",
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

/// The uids that mapping expressions may refer to: (identity, connector's name, uid), of default intent.
pub async fn references(
    tx: &mut PgConnection,
    tenant: TenantId,
    identities: &[IdentityId],
) -> Result<Vec<(IdentityId, String, String)>> {
    let identities: Vec<Uuid> = identities.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        "select link.identity_id, connector.name, link.external_uid
           from link
           join connector on connector.tenant_id = $1 and connector.id = link.connector_id
                         and connector.deleted_at is null
          where link.tenant_id = $1 and link.identity_id = any($2) and link.intent = 'default'
          order by link.identity_id, connector.name, link.object_class",
        tenant.0,
        &identities,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(|row| (IdentityId(row.identity_id), row.name, row.external_uid)).collect())
}

/// A page, newest first, of those made before `before`.
pub async fn page(
    tx: &mut PgConnection,
    tenant: TenantId,
    filter: &Filter,
    before: Option<LinkId>,
    limit: i64,
) -> Result<Vec<Link>> {
    let rows = sqlx::query_as!(
        LinkRow,
        "select id, connector_id, object_class, intent, identity_id, lane_id, external_uid, immutable_id,
                disabled_by_us, deprovision_due_at, created_at, updated_at
           from link
          where tenant_id = $1
            and ($2::uuid is null or id < $2)
            and ($3::uuid is null or connector_id = $3)
            and ($4::uuid is null or identity_id = $4)
            and ($5::text is null or external_uid = $5)
          order by id desc
          limit $6",
        tenant.0,
        before.map(|id| id.0),
        filter.connector_id.map(|id| id.0),
        filter.identity_id.map(|id| id.0),
        filter.external_uid,
        limit,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(Link::from).collect())
}

/// How many a list has, counted up to `most`.
pub async fn count(tx: &mut PgConnection, tenant: TenantId, filter: &Filter, most: i64) -> Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!"
             from (select from link
                    where tenant_id = $1
                      and ($2::uuid is null or connector_id = $2)
                      and ($3::uuid is null or identity_id = $3)
                      and ($4::text is null or external_uid = $4)
                    limit $5) as counted"#,
        tenant.0,
        filter.connector_id.map(|id| id.0),
        filter.identity_id.map(|id| id.0),
        filter.external_uid,
        most,
    )
    .fetch_one(tx)
    .await
    .map_err(db::failed)
}

/// Removes links; returns how many there still were.
pub async fn delete_all(tx: &mut PgConnection, tenant: TenantId, links: &[LinkId]) -> Result<u64> {
    let ids: Vec<Uuid> = links.iter().map(|id| id.0).collect();
    let done = sqlx::query!("delete from link where tenant_id = $1 and id = any($2)", tenant.0, &ids);
    Ok(done.execute(tx).await.map_err(db::failed)?.rows_affected())
}

/// What a link's account is called now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renaming {
    pub link: LinkId,
    pub external_uid: String,
    pub uid_key: String,
}

/// Follows accounts that were renamed in the target; returns the links whose uid really changed.
pub async fn rename(
    tx: &mut PgConnection,
    tenant: TenantId,
    renamings: &[Renaming],
    at: DateTime<Utc>,
) -> Result<Vec<Link>> {
    let ids: Vec<Uuid> = renamings.iter().map(|renaming| renaming.link.0).collect();
    let uids: Vec<String> = renamings.iter().map(|renaming| renaming.external_uid.clone()).collect();
    let keys: Vec<String> = renamings.iter().map(|renaming| renaming.uid_key.clone()).collect();
    let rows = sqlx::query_as!(
        LinkRow,
        "update link
            set external_uid = renamed.external_uid,
                uid_key = renamed.uid_key,
                updated_at = $5
           from unnest($2::uuid[], $3::text[], $4::text[]) as renamed(id, external_uid, uid_key)
          where link.tenant_id = $1 and link.id = renamed.id and link.external_uid <> renamed.external_uid
      returning link.id, connector_id, object_class, intent, identity_id, lane_id, link.external_uid, immutable_id,
                disabled_by_us, deprovision_due_at, created_at, updated_at",
        tenant.0,
        &ids,
        &uids,
        &keys,
        at,
    )
    .fetch_all(tx)
    .await
    .map_err(taken)?;
    Ok(rows.into_iter().map(Link::from).collect())
}

/// When staged deprovisionings delete their accounts; None = the identity has returned.
pub async fn save_deprovision_due(
    tx: &mut PgConnection,
    tenant: TenantId,
    due: &[(LinkId, Option<DateTime<Utc>>)],
) -> Result<()> {
    let ids: Vec<Uuid> = due.iter().map(|(link, _)| link.0).collect();
    let dates: Vec<Option<DateTime<Utc>>> = due.iter().map(|(_, at)| *at).collect();
    sqlx::query!(
        "with changed as materialized (
             select link.id, given.due_at
               from unnest($2::uuid[], $3::timestamptz[]) as given(id, due_at)
               join link on link.tenant_id = $1 and link.id = given.id
              order by link.id
                for no key update of link)
         update link
            set deprovision_due_at = changed.due_at
           from changed
          where link.tenant_id = $1 and link.id = changed.id",
        tenant.0,
        &ids,
        &dates as &[Option<DateTime<Utc>>],
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

fn taken(error: sqlx::Error) -> Error {
    let message = match db::violated_constraint(&error) {
        Some("link_one_per_identity") => "the identity is linked to another account of this kind",
        Some("link_one_per_immutable_id" | "link_one_per_uid") => "the account is linked to another identity",
        _ => return db::failed(error),
    };
    Error::new(Reason::AlreadyExists, message).with("resource", "link")
}
