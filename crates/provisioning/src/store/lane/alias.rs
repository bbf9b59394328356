//! The names by which a lane is found: (object class, intent, identity), immutable id, normalised uid.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    error::Result,
    ids::{ConnectorId, IdentityId, LaneId, TenantId},
};
use xavyo_runtime::db;

/// One name of an account on a connector.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Alias {
    pub connector_id: ConnectorId,
    pub kind: &'static str,
    pub key: String,
}

impl Alias {
    pub fn identity(connector_id: ConnectorId, class: &str, intent: &str, identity: IdentityId) -> Self {
        Self { connector_id, kind: "identity", key: format!("{class}\u{1f}{intent}\u{1f}{identity}") }
    }

    pub fn immutable(connector_id: ConnectorId, immutable_id: &str) -> Self {
        Self { connector_id, kind: "immutable", key: immutable_id.to_owned() }
    }

    /// `uid_key` is the uid as the connector compares it.
    pub fn uid(connector_id: ConnectorId, class: &str, uid_key: &str) -> Self {
        Self { connector_id, kind: "uid", key: format!("{class}\u{1f}{uid_key}") }
    }
}

/// The lanes of those names that have one.
pub async fn find_all(
    tx: &mut PgConnection,
    tenant: TenantId,
    aliases: &[Alias],
) -> Result<HashMap<Alias, LaneId>> {
    let (connectors, kinds, keys) = columns(aliases);
    let rows = sqlx::query!(
        r#"select named.position as "position!", alias.lane_id
             from unnest($2::uuid[], $3::text[], $4::text[])
                  with ordinality as named(connector_id, kind, key, position)
            -- a look-up each, whatever the planner believes about a young table
            cross join lateral (
                  select lane_id
                    from lane_alias
                   where tenant_id = $1 and connector_id = named.connector_id
                     and kind = named.kind and key = named.key
                   limit 1) as alias"#,
        tenant.0,
        &connectors,
        &kinds,
        &keys,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    let found = rows.into_iter().filter_map(|row| {
        let position = usize::try_from(row.position - 1).ok()?;
        Some((aliases.get(position)?.clone(), LaneId(row.lane_id)))
    });
    Ok(found.collect())
}

/// Gives names to lanes. A name that is taken, or that another transaction is just taking, keeps its first lane. Returns
/// how many were free.
pub async fn insert(tx: &mut PgConnection, tenant: TenantId, named: &[(Alias, LaneId)]) -> Result<usize> {
    if named.is_empty() {
        return Ok(0);
    }
    let aliases: Vec<Alias> = named.iter().map(|(alias, _)| alias.clone()).collect();
    let (connectors, kinds, keys) = columns(&aliases);
    let lanes: Vec<Uuid> = named.iter().map(|(_, lane)| lane.0).collect();
    let inserted = sqlx::query!(
        "insert into lane_alias (tenant_id, connector_id, kind, key, lane_id)
         select $1, * from unnest($2::uuid[], $3::text[], $4::text[], $5::uuid[])
         on conflict do nothing",
        tenant.0,
        &connectors,
        &kinds,
        &keys,
        &lanes,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(usize::try_from(inserted.rows_affected()).unwrap_or(usize::MAX))
}

/// Gives names to lanes, taking them from whatever lane had them: the account behind a reused uid is another one now.
pub async fn reassign(tx: &mut PgConnection, tenant: TenantId, named: &[(Alias, LaneId)]) -> Result<()> {
    let aliases: Vec<Alias> = named.iter().map(|(alias, _)| alias.clone()).collect();
    let (connectors, kinds, keys) = columns(&aliases);
    let lanes: Vec<Uuid> = named.iter().map(|(_, lane)| lane.0).collect();
    sqlx::query!(
        "insert into lane_alias (tenant_id, connector_id, kind, key, lane_id)
         select $1, named.*
           from unnest($2::uuid[], $3::text[], $4::text[], $5::uuid[]) as named(connector_id, kind, key, lane_id)
           left join lateral (
                select lane_id
                  from lane_alias
                 where tenant_id = $1 and connector_id = named.connector_id
                   and kind = named.kind and key = named.key
                 limit 1) as known on true
          where known.lane_id is distinct from named.lane_id
         on conflict (tenant_id, connector_id, kind, key) do update
            set lane_id = excluded.lane_id",
        tenant.0,
        &connectors,
        &kinds,
        &keys,
        &lanes,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

fn columns(aliases: &[Alias]) -> (Vec<Uuid>, Vec<String>, Vec<String>) {
    (
        aliases.iter().map(|alias| alias.connector_id.0).collect(),
        aliases.iter().map(|alias| alias.kind.to_owned()).collect(),
        aliases.iter().map(|alias| alias.key.clone()).collect(),
    )
}
