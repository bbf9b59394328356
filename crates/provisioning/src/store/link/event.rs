//! The history of links: what explains an account long after.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    account::AccountKey,
    cause::Cause,
    error::Result,
    ids::{ConnectorId, IdentityId, LaneId, LinkId, OperationId, TenantId},
    link::Link,
};
use xavyo_runtime::{Clock, db};

/// Something that happened to a link.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkEvent {
    pub link_id: LinkId,
    pub connector_id: ConnectorId,
    pub object_class: String,
    pub intent: String,
    pub identity_id: IdentityId,
    pub lane_id: LaneId,
    /// `linked`, `unlinked`, `renamed`, `disabled` or `enabled`.
    pub event: &'static str,
    /// As it is called after the event; of `unlinked`, as it was.
    pub account: AccountKey,
    /// The operation that made it happen, where one did.
    pub operation_id: Option<OperationId>,
    pub cause: Cause,
}

impl LinkEvent {
    /// What a caller did to a link, with no operation between.
    pub fn by_call(event: &'static str, link: &Link, cause: &Cause) -> Self {
        Self {
            link_id: link.id,
            connector_id: link.connector_id,
            object_class: link.object_class.clone(),
            intent: link.intent.clone(),
            identity_id: link.identity_id,
            lane_id: link.lane_id,
            event,
            account: link.account.clone(),
            operation_id: None,
            cause: cause.clone(),
        }
    }
}

/// In the transaction that changes the links.
pub async fn insert_events(
    tx: &mut PgConnection,
    clock: &Clock,
    tenant: TenantId,
    events: &[LinkEvent],
) -> Result<()> {
    let ids: Vec<Uuid> = events.iter().map(|_| clock.new_id()).collect();
    let links: Vec<Uuid> = events.iter().map(|event| event.link_id.0).collect();
    let connectors: Vec<Uuid> = events.iter().map(|event| event.connector_id.0).collect();
    let classes: Vec<String> = events.iter().map(|event| event.object_class.clone()).collect();
    let intents: Vec<String> = events.iter().map(|event| event.intent.clone()).collect();
    let identities: Vec<Uuid> = events.iter().map(|event| event.identity_id.0).collect();
    let lanes: Vec<Uuid> = events.iter().map(|event| event.lane_id.0).collect();
    let uids: Vec<String> = events.iter().map(|event| event.account.external_uid.clone()).collect();
    let immutable_ids: Vec<Option<String>> =
        events.iter().map(|event| event.account.immutable_id.clone()).collect();
    let kinds: Vec<String> = events.iter().map(|event| event.event.to_owned()).collect();
    let operations: Vec<Option<Uuid>> =
        events.iter().map(|event| event.operation_id.map(|id| id.0)).collect();
    let cause_kinds: Vec<String> = events.iter().map(|event| event.cause.kind.name().to_owned()).collect();
    let cause_ids: Vec<Option<Uuid>> = events.iter().map(|event| event.cause.id).collect();
    let subjects: Vec<Uuid> = events.iter().map(|event| event.cause.requested_by.0).collect();
    let reasons: Vec<Option<String>> = events.iter().map(|event| event.cause.reason.clone()).collect();
    sqlx::query!(
        "insert into link_event (
             tenant_id, at, id, link_id, connector_id, object_class, intent, identity_id, lane_id, external_uid,
             immutable_id, event, operation_id, cause_kind, cause_id, requested_by, reason)
         select $1, $2, touched.*
           from unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::uuid[], $9::uuid[],
                       $10::text[], $11::text[], $12::text[], $13::uuid[], $14::text[], $15::uuid[],
                       $16::uuid[], $17::text[]) as touched",
        tenant.0,
        clock.now(),
        &ids,
        &links,
        &connectors,
        &classes,
        &intents,
        &identities,
        &lanes,
        &uids,
        &immutable_ids as &[Option<String>],
        &kinds,
        &operations as &[Option<Uuid>],
        &cause_kinds,
        &cause_ids as &[Option<Uuid>],
        &subjects,
        &reasons as &[Option<String>],
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Forgets up to `limit` events from before `before` of links that exist no more. Returns how many.
pub async fn forget_events(
    tx: &mut PgConnection,
    tenant: TenantId,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<i64> {
    let forgotten = sqlx::query!(
        "delete from link_event
          where tenant_id = $1
            and id in (select id
                         from link_event event
                        where tenant_id = $1 and at < $2
                          and not exists (select from link where link.tenant_id = $1 and link.id = event.link_id)
                        limit $3)",
        tenant.0,
        before,
        limit,
    );
    let forgotten = forgotten.execute(tx).await.map_err(db::failed)?.rows_affected();
    Ok(i64::try_from(forgotten).unwrap_or(i64::MAX))
}
