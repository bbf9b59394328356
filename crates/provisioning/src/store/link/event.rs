//! The history of links: what explains an account long after.

use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    cause::Cause,
    error::Result,
    ids::{OperationId, TenantId},
    link::Link,
};
use xavyo_runtime::{Clock, db};

/// What can happen to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkEventKind {
    Linked,
    Unlinked,
    Renamed,
    Disabled,
    Enabled,
}

/// Something that happened to a link.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkEvent {
    pub kind: LinkEventKind,
    /// As it is after the event; of `unlinked`, as it was.
    pub link: Link,
    /// The operation that made it happen, where one did.
    pub operation_id: Option<OperationId>,
    pub cause: Cause,
}

impl LinkEventKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Linked => "linked",
            Self::Unlinked => "unlinked",
            Self::Renamed => "renamed",
            Self::Disabled => "disabled",
            Self::Enabled => "enabled",
        }
    }
}

/// In the transaction that changes the links.
pub async fn insert(
    tx: &mut PgConnection,
    clock: &Clock,
    tenant: TenantId,
    events: &[LinkEvent],
) -> Result<()> {
    let ids: Vec<Uuid> = events.iter().map(|_| clock.new_id()).collect();
    let links: Vec<Uuid> = events.iter().map(|event| event.link.id.0).collect();
    let connectors: Vec<Uuid> = events.iter().map(|event| event.link.connector_id.0).collect();
    let classes: Vec<String> = events.iter().map(|event| event.link.object_class.clone()).collect();
    let intents: Vec<String> = events.iter().map(|event| event.link.intent.clone()).collect();
    let identities: Vec<Uuid> = events.iter().map(|event| event.link.identity_id.0).collect();
    let lanes: Vec<Uuid> = events.iter().map(|event| event.link.lane_id.0).collect();
    let uids: Vec<String> = events.iter().map(|event| event.link.account.external_uid.clone()).collect();
    let immutable_ids: Vec<Option<String>> =
        events.iter().map(|event| event.link.account.immutable_id.clone()).collect();
    let kinds: Vec<String> = events.iter().map(|event| event.kind.name().to_owned()).collect();
    let operations: Vec<Option<Uuid>> = events.iter().map(|event| event.operation_id.map(|id| id.0)).collect();
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
