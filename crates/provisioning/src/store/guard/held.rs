//! Operations that the guard holds, in groups by cause.
//!
//! A group's digest covers every operation in it, and each one's version: whoever decides names what was seen.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    Error,
    cause::CauseKind,
    error::Result,
    guard::{Effect, Effects},
    ids::{ConnectorId, LaneId, OperationId, SubjectId, TenantId},
    operation::Operation,
};
use xavyo_runtime::db;

use crate::store::operation;

/// What a group has in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupKey {
    pub connector_id: ConnectorId,
    pub cause_kind: CauseKind,
    pub cause_id: Option<Uuid>,
}

#[derive(Clone, Debug)]
pub struct Group {
    pub key: GroupKey,
    pub connector_name: String,
    /// Of the first operation, as the reason.
    pub requested_by: SubjectId,
    pub reason: Option<String>,
    pub creates: i64,
    pub updates: i64,
    pub deletes: i64,
    pub destructive: i64,
    pub first_at: DateTime<Utc>,
    pub digest: String,
}

/// Where a page of groups ends: connector, cause, the cause's id or the nil one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place(pub Uuid, pub String, pub Uuid);

impl Group {
    pub fn count(&self) -> i64 {
        self.creates + self.updates + self.deletes
    }

    pub fn place(&self) -> Place {
        let GroupKey { connector_id, cause_kind, cause_id } = self.key;
        Place(connector_id.0, cause_kind.name().to_owned(), cause_id.unwrap_or_default())
    }
}

/// Holds operations back, in lanes that the caller has locked.
pub async fn hold(
    tx: &mut PgConnection,
    tenant: TenantId,
    operations: &[(OperationId, Effect)],
    now: DateTime<Utc>,
) -> Result<()> {
    let ids: Vec<Uuid> = operations.iter().map(|(id, _)| id.0).collect();
    let effects: Vec<String> = operations.iter().map(|(_, effect)| effect.name().to_owned()).collect();
    sqlx::query!(
        "update operation
            set hold_reason = 'guard', held_effect = held.effect, updated_at = $4, version = version + 1
           from unnest($2::uuid[], $3::text[]) as held(id, effect)
          where operation.tenant_id = $1 and operation.id = any($2) and operation.id = held.id",
        tenant.0,
        &ids,
        &effects,
        now,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Lets operations go, in lanes that the caller has locked.
pub async fn let_go(
    tx: &mut PgConnection,
    tenant: TenantId,
    operations: &[OperationId],
    now: DateTime<Utc>,
) -> Result<()> {
    let ids: Vec<Uuid> = operations.iter().map(|id| id.0).collect();
    sqlx::query!(
        "update operation
            set hold_reason = null, held_effect = null, updated_at = $3, version = version + 1
          where tenant_id = $1 and id = any($2) and hold_reason = 'guard'",
        tenant.0,
        &ids,
        now,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Groups after `after`, at most `limit`.
pub async fn page(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: Option<ConnectorId>,
    after: Option<Place>,
    limit: i64,
) -> Result<Vec<Group>> {
    let Place(after_connector, after_kind, after_cause) =
        after.unwrap_or_else(|| Place(Uuid::nil(), String::new(), Uuid::nil()));
    let rows = sqlx::query!(
        r#"select connector_id, min(connector_name) as "connector_name!", cause_kind, cause_id,
                  (array_agg(requested_by order by id))[1] as "requested_by!",
                  (array_agg(reason order by id))[1] as reason,
                  count(*) filter (where operation_type = 'create') as "creates!",
                  count(*) filter (where operation_type = 'update') as "updates!",
                  count(*) filter (where operation_type = 'delete') as "deletes!",
                  count(*) filter (where held_effect = 'destructive') as "destructive!",
                  min(created_at) as "first_at!",
                  encode(sha256(string_agg(uuid_send(id) || int8send(version), '' order by id)), 'hex') as "digest!"
             from operation
            where tenant_id = $1 and hold_reason is not null and hold_reason = 'guard'
              and ($2::uuid is null or connector_id = $2)
              and (connector_id, cause_kind, coalesce(cause_id, '00000000-0000-0000-0000-000000000000'))
                  > ($3, $4, $5)
            group by connector_id, cause_kind, cause_id
            order by connector_id, cause_kind, coalesce(cause_id, '00000000-0000-0000-0000-000000000000')
            limit $6"#,
        tenant.0,
        connector.map(|id| id.0),
        after_connector,
        after_kind,
        after_cause,
        limit,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    let groups = rows.into_iter().map(|row| {
        Ok(Group {
            key: GroupKey {
                connector_id: ConnectorId(row.connector_id),
                cause_kind: CauseKind::named(&row.cause_kind).ok_or_else(|| {
                    Error::internal(format!("an operation is caused by {}", row.cause_kind))
                })?,
                cause_id: row.cause_id,
            },
            connector_name: row.connector_name,
            requested_by: SubjectId(row.requested_by),
            reason: row.reason,
            creates: row.creates,
            updates: row.updates,
            deletes: row.deletes,
            destructive: row.destructive,
            first_at: row.first_at,
            digest: row.digest,
        })
    });
    groups.collect()
}

/// How many groups there are, counted up to `most`.
pub async fn count(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: Option<ConnectorId>,
    most: i64,
) -> Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!"
             from (select from operation
                    where tenant_id = $1 and hold_reason is not null and hold_reason = 'guard'
                      and ($2::uuid is null or connector_id = $2)
                    group by connector_id, cause_kind, cause_id
                    limit $3) as counted"#,
        tenant.0,
        connector.map(|id| id.0),
        most,
    )
    .fetch_one(tx)
    .await
    .map_err(db::failed)
}

/// How many operations of the connector are held, by what the guard would count them as.
pub async fn count_by_effect(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
) -> Result<Effects> {
    let held = sqlx::query!(
        r#"select count(*) filter (where held_effect = 'destructive') as "destructive!",
                  count(*) filter (where held_effect = 'constructive') as "constructive!"
             from operation
            where tenant_id = $1 and connector_id = $2 and hold_reason = 'guard'"#,
        tenant.0,
        connector.0,
    )
    .fetch_one(tx)
    .await
    .map_err(db::failed)?;
    Ok(Effects { destructive: held.destructive, constructive: held.constructive })
}

/// The first operations of a group, in order of creation.
pub async fn examples(
    tx: &mut PgConnection,
    tenant: TenantId,
    key: &GroupKey,
    limit: i64,
) -> Result<Vec<Operation>> {
    let ids = sqlx::query_scalar!(
        "select id
           from operation
          where tenant_id = $1 and connector_id = $2 and hold_reason = 'guard'
            and cause_kind = $3 and cause_id is not distinct from $4
          order by id
          limit $5",
        tenant.0,
        key.connector_id.0,
        key.cause_kind.name(),
        key.cause_id,
        limit,
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(db::failed)?;
    in_order(tx, tenant, ids).await
}

/// The lanes in which a group's operations stand.
pub async fn lanes(tx: &mut PgConnection, tenant: TenantId, key: &GroupKey) -> Result<Vec<LaneId>> {
    let ids = sqlx::query_scalar!(
        "select distinct lane_id
           from operation
          where tenant_id = $1 and connector_id = $2 and hold_reason = 'guard'
            and cause_kind = $3 and cause_id is not distinct from $4
          order by lane_id",
        tenant.0,
        key.connector_id.0,
        key.cause_kind.name(),
        key.cause_id,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(ids.into_iter().map(LaneId).collect())
}

/// The group's operations in lanes that the caller has locked, in order of creation, and their digest. What was held in
/// other lanes meanwhile is not among them.
pub async fn members(
    tx: &mut PgConnection,
    tenant: TenantId,
    key: &GroupKey,
    lanes: &[LaneId],
) -> Result<(Vec<Operation>, String)> {
    let lanes: Vec<Uuid> = lanes.iter().map(|lane| lane.0).collect();
    let found = sqlx::query!(
        r#"select coalesce(array_agg(id), '{}') as "ids!",
                  encode(sha256(string_agg(uuid_send(id) || int8send(version), '' order by id)), 'hex') as digest
             from operation
            where tenant_id = $1 and connector_id = $2 and hold_reason = 'guard'
              and cause_kind = $3 and cause_id is not distinct from $4
              and lane_id = any($5)"#,
        tenant.0,
        key.connector_id.0,
        key.cause_kind.name(),
        key.cause_id,
        &lanes,
    )
    .fetch_one(&mut *tx)
    .await
    .map_err(db::failed)?;
    Ok((in_order(tx, tenant, found.ids).await?, found.digest.unwrap_or_default()))
}

async fn in_order(tx: &mut PgConnection, tenant: TenantId, ids: Vec<Uuid>) -> Result<Vec<Operation>> {
    let ids: Vec<OperationId> = ids.into_iter().map(OperationId).collect();
    let mut found = operation::find_all(tx, tenant, &ids).await?;
    found.sort_by_key(|operation| operation.id);
    Ok(found)
}
