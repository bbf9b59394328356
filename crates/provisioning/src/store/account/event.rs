//! What happened to accounts: links made, renamed and taken away, pairs rejected, operations completed. Put together
//! from where each is recorded; the newest first.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    error::Result,
    ids::{ConnectorId, IdentityId, LaneId, OperationId, TenantId},
};
use xavyo_runtime::db;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub id: Uuid,
    pub lane_id: Uuid,
    pub at: DateTime<Utc>,
    /// `linked`, `unlinked`, `renamed`, `rejected`, `created`, `updated`, `disabled`, `enabled` or `deleted`.
    pub kind: String,
    pub identity_id: Option<Uuid>,
    pub external_uid: Option<String>,
    pub operation_id: Option<Uuid>,
    pub performed_by: Uuid,
    pub cause_kind: String,
    pub cause_id: Option<Uuid>,
    pub reason: Option<String>,
}

/// The place of an event in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub at: DateTime<Utc>,
    pub id: Uuid,
}

/// Up to `limit` events of the lanes, older than `after`.
pub async fn page(
    tx: &mut PgConnection,
    tenant: TenantId,
    lanes: &[LaneId],
    after: Option<Place>,
    limit: i64,
) -> Result<Vec<Event>> {
    let ids: Vec<Uuid> = lanes.iter().map(|lane| lane.0).collect();
    sqlx::query_as!(
        Event,
        r#"select id as "id!", lane_id as "lane_id!", at as "at!", kind as "kind!", identity_id, external_uid,
                  operation_id, performed_by as "performed_by!", cause_kind as "cause_kind!", cause_id, reason
             from ((select id, lane_id, at, event as kind, identity_id, external_uid, operation_id,
                           requested_by as performed_by, cause_kind, cause_id, reason
                      from link_event
                     -- what became of the account's state is an operation's doing
                     where tenant_id = $1 and lane_id = any($2) and event in ('linked', 'unlinked', 'renamed')
                       and ($3::timestamptz is null or (at, id) < ($3, $4::uuid))
                     order by at desc, id desc
                     limit $5)
                    union all
                   (select id, lane_id, completed_at, case
                               when operation_type = 'create' then 'created'
                               when operation_type = 'delete' then 'deleted'
                               when payload ->> 'account_state' = 'disabled' then 'disabled'
                               when payload ->> 'account_state' = 'enabled' then 'enabled'
                               else 'updated'
                           end, user_id, target_uid, id, requested_by, cause_kind, cause_id, reason
                      from operation_history
                     where tenant_id = $1 and lane_id = any($2) and status = 'completed'
                       and ($3::timestamptz is null or (completed_at, id) < ($3, $4::uuid))
                     order by completed_at desc, id desc
                     limit $5)
                    union all
                   -- a rejection has no id of its own: it is that of its pair
                   (select distinct md5(rejected.identity_id::text || rejected.account_key)::uuid, event.lane_id,
                           rejected.rejected_at, 'rejected', rejected.identity_id, rejected.external_uid, null::uuid,
                           rejected.rejected_by, 'api', null::uuid, rejected.reason
                      from link_event event
                      join rejected_pair rejected
                        on rejected.tenant_id = $1 and rejected.connector_id = event.connector_id
                       and rejected.object_class = event.object_class
                       and rejected.identity_id = event.identity_id
                       and rejected.external_uid = event.external_uid
                     where event.tenant_id = $1 and event.lane_id = any($2)
                       and ($3::timestamptz is null
                            or (rejected.rejected_at, md5(rejected.identity_id::text || rejected.account_key)::uuid)
                               < ($3, $4::uuid)))) as happened
            order by at desc, id desc
            limit $5"#,
        tenant.0,
        &ids,
        after.map(|place| place.at),
        after.map(|place| place.id),
        limit,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)
}

/// The lanes that an identity's accounts on a connector have, or had.
pub async fn lanes_of_identity(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
    identity: IdentityId,
) -> Result<Vec<LaneId>> {
    let lanes = sqlx::query_scalar!(
        "select lane_id
           from link_event
          where tenant_id = $1 and identity_id = $2 and connector_id = $3
          union
         select lane_id
           from operation_history
          where tenant_id = $1 and user_id = $2 and connector_id = $3",
        tenant.0,
        identity.0,
        connector.0,
    );
    let lanes = lanes.fetch_all(tx).await.map_err(db::failed)?;
    Ok(lanes.into_iter().flatten().map(LaneId).collect())
}

/// An operation that was completed, and the attributes that it names.
#[derive(Clone, Debug)]
pub struct Written {
    pub id: OperationId,
    /// None = all that are mapped: a create, or a computed payload.
    pub attributes: Option<Vec<String>>,
}

/// The newest writes of a lane, up to `limit`.
pub async fn written(
    tx: &mut PgConnection,
    tenant: TenantId,
    lane: LaneId,
    limit: i64,
) -> Result<Vec<Written>> {
    let rows = sqlx::query!(
        r#"select id, operation_type = 'create' or payload = '{}' as "all!",
                  array(select jsonb_object_keys(payload)) as "attributes!"
             from operation_history
            where tenant_id = $1 and lane_id = $2 and status = 'completed' and operation_type <> 'delete'
            order by id desc
            limit $3"#,
        tenant.0,
        lane.0,
        limit,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    let written = rows
        .into_iter()
        .map(|row| Written { id: OperationId(row.id), attributes: (!row.all).then_some(row.attributes) });
    Ok(written.collect())
}
