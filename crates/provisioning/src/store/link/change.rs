//! Changes of links. The caller holds the lanes concerned.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    Error, Reason,
    error::Result,
    ids::{ConnectorId, IdentityId, LaneId, LinkId, TenantId},
    link::Link,
};
use xavyo_runtime::db;

use super::LinkRow;

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
    /// Stored where the link has none yet.
    pub immutable_id: Option<String>,
}

/// Follows accounts that were renamed in the target.
pub async fn rename(
    tx: &mut PgConnection,
    tenant: TenantId,
    renamings: &[Renaming],
    at: DateTime<Utc>,
) -> Result<Vec<Link>> {
    let ids: Vec<Uuid> = renamings.iter().map(|renaming| renaming.link.0).collect();
    let uids: Vec<String> = renamings.iter().map(|renaming| renaming.external_uid.clone()).collect();
    let keys: Vec<String> = renamings.iter().map(|renaming| renaming.uid_key.clone()).collect();
    let immutable_ids: Vec<Option<String>> =
        renamings.iter().map(|renaming| renaming.immutable_id.clone()).collect();
    let rows = sqlx::query_as!(
        LinkRow,
        "update link
            set external_uid = renamed.external_uid,
                uid_key = renamed.uid_key,
                immutable_id = coalesce(link.immutable_id, renamed.immutable_id),
                updated_at = $6
           from unnest($2::uuid[], $3::text[], $4::text[], $5::text[])
                as renamed(id, external_uid, uid_key, immutable_id)
          where link.tenant_id = $1 and link.id = renamed.id
      returning link.id, connector_id, object_class, intent, identity_id, lane_id, link.external_uid,
                link.immutable_id, disabled_by_us, deprovision_due_at, created_at, updated_at",
        tenant.0,
        &ids,
        &uids,
        &keys,
        &immutable_ids as &[Option<String>],
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
