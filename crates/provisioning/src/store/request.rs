//! Request ids: a creating call repeated with the same id and body answers the same resources.
//!
//! [`recall`] comes first in a creating transaction and claims the id: a second call of the same id waits there until
//! the first has ended, so that no race makes two resources. [`remember`] comes last. A call without an id does neither.

use chrono::TimeDelta;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{Error, Reason, ids::TenantId};
use xavyo_runtime::{Clock, db};

/// How long an id is kept. Afterwards it may be used for anything.
const KEPT: TimeDelta = TimeDelta::hours(24);

/// A call that its caller may repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    method: &'static str,
    request_id: Uuid,
    body_hash: [u8; 32],
}

impl Key {
    /// None for a call without a request id. The body is everything that the caller asked for, in an order that does
    /// not depend on the encoding: a serialised command with sorted maps.
    pub fn of(
        method: &'static str,
        request_id: Option<Uuid>,
        body: &impl Serialize,
    ) -> Result<Option<Self>, Error> {
        let Some(request_id) = request_id else { return Ok(None) };
        let body = serde_json::to_vec(body).map_err(Error::internal)?;
        Ok(Some(Self { method, request_id, body_hash: *blake3::hash(&body).as_bytes() }))
    }

    /// The same for a body that holds values which nobody may guess from their hash.
    pub fn keyed(
        key: &[u8; 32],
        method: &'static str,
        request_id: Option<Uuid>,
        body: &impl Serialize,
    ) -> Result<Option<Self>, Error> {
        let Some(request_id) = request_id else { return Ok(None) };
        let body = serde_json::to_vec(body).map_err(Error::internal)?;
        Ok(Some(Self { method, request_id, body_hash: *blake3::keyed_hash(key, &body).as_bytes() }))
    }

    pub fn request_id(&self) -> Uuid {
        self.request_id
    }
}

/// The resources of an earlier call with this id; None when this call is the first, which has then claimed the id.
/// Another body than the first call's is REQUEST_ID_REUSED.
pub async fn recall(
    tx: &mut PgConnection,
    clock: &Clock,
    tenant: TenantId,
    key: Option<&Key>,
) -> Result<Option<Vec<Uuid>>, Error> {
    let Some(key) = key else { return Ok(None) };
    if claim(tx, clock, tenant, key).await? {
        return Ok(None);
    }
    let first = sqlx::query!(
        "select body_hash, resource_ids
           from request
          where tenant_id = $1 and method = $2 and request_id = $3",
        tenant.0,
        key.method,
        key.request_id,
    )
    .fetch_one(tx)
    .await
    .map_err(db::failed)?;
    if first.body_hash != key.body_hash {
        return Err(Error::new(Reason::RequestIdReused, "the request id was used with another body")
            .with("request_id", key.request_id.to_string()));
    }
    Ok(Some(first.resource_ids))
}

/// Records what the call has made, under the id that [`recall`] claimed in this transaction.
pub async fn remember(
    tx: &mut PgConnection,
    tenant: TenantId,
    key: Option<&Key>,
    resource_ids: &[Uuid],
) -> Result<(), Error> {
    let Some(key) = key else { return Ok(()) };
    sqlx::query!(
        "update request
            set resource_ids = $4
          where tenant_id = $1 and method = $2 and request_id = $3",
        tenant.0,
        key.method,
        key.request_id,
        resource_ids,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Forgets the ids whose time is over; returns how many.
pub async fn forget(tx: &mut PgConnection, clock: &Clock, tenant: TenantId) -> Result<u64, Error> {
    let done = sqlx::query!(
        "delete from request
          where tenant_id = $1 and created_at < $2",
        tenant.0,
        clock.now() - KEPT,
    );
    Ok(done.execute(tx).await.map_err(db::failed)?.rows_affected())
}

/// True when the id was free. Waits for another transaction that has it under way.
async fn claim(tx: &mut PgConnection, clock: &Clock, tenant: TenantId, key: &Key) -> Result<bool, Error> {
    let now = clock.now();
    let claimed = sqlx::query!(
        "insert into request (tenant_id, method, request_id, body_hash, resource_ids, created_at)
         values ($1, $2, $3, $4, '{}', $5)
         on conflict (tenant_id, method, request_id) do update
            set body_hash = excluded.body_hash,
                resource_ids = excluded.resource_ids,
                created_at = excluded.created_at
          where request.created_at < $6",
        tenant.0,
        key.method,
        key.request_id,
        &key.body_hash,
        now,
        now - KEPT,
    );
    Ok(claimed.execute(tx).await.map_err(db::failed)?.rows_affected() == 1)
}
