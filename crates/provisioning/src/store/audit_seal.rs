//! The chain over the audit rows of each tenant, in a table of its own: the rows that it seals are never touched.

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    Error,
    chain::{Link, Seal},
    error::Result,
    ids::TenantId,
};
use xavyo_runtime::db;

/// Everything that an audit row says: what its hash covers.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    pub tenant_id: Uuid,
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub subject: Uuid,
    pub method: String,
    pub resource_type: String,
    pub resource_id: Option<Uuid>,
    pub connector_id: Option<Uuid>,
    pub details: serde_json::Value,
    pub reason: Option<String>,
    pub request_id: Option<Uuid>,
    pub trace_id: Option<String>,
}

/// At or after, and before; none = from the first, to the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    pub from: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
}

/// Tenants that have rows to seal.
pub async fn tenants(tx: &mut PgConnection, limit: i64) -> Result<Vec<TenantId>> {
    let tenants = sqlx::query_scalar!("select distinct tenant_id from audit_unsealed limit $1", limit);
    let tenants = tenants.fetch_all(tx).await.map_err(db::failed)?;
    Ok(tenants.into_iter().map(TenantId).collect())
}

/// Keeps others from laying the tenant's chain until the transaction ends. False: somebody else does.
pub async fn try_lock(tx: &mut PgConnection, tenant: TenantId) -> Result<bool> {
    let locked = sqlx::query_scalar!(
        r#"select pg_try_advisory_xact_lock(hashtextextended('audit_seal ' || $1::text, 0)) as "locked!""#,
        tenant.to_string(),
    );
    locked.fetch_one(tx).await.map_err(db::failed)
}

/// The end of the chain.
pub async fn last(tx: &mut PgConnection, tenant: TenantId) -> Result<Option<Seal>> {
    let last = sqlx::query_as!(
        SealRow,
        "select position, previous_hash, hash
           from audit_seal
          where tenant_id = $1
          order by position desc
          limit 1",
        tenant.0,
    );
    last.fetch_optional(tx).await.map_err(db::failed)?.map(Seal::try_from).transpose()
}

pub async fn find(tx: &mut PgConnection, tenant: TenantId, position: i64) -> Result<Option<Seal>> {
    let found = sqlx::query_as!(
        SealRow,
        "select position, previous_hash, hash
           from audit_seal
          where tenant_id = $1 and position = $2",
        tenant.0,
        position,
    );
    found.fetch_optional(tx).await.map_err(db::failed)?.map(Seal::try_from).transpose()
}

/// Rows that wait for their place, the oldest first.
pub async fn unsealed(tx: &mut PgConnection, tenant: TenantId, limit: i64) -> Result<Vec<Entry>> {
    let entries = sqlx::query_as!(
        Entry,
        "select event.tenant_id, id, at, subject, method, resource_type, resource_id, connector_id, details, reason,
                request_id, trace_id
           from audit_unsealed
           join audit_event event on event.tenant_id = audit_unsealed.tenant_id and event.id = audit_event_id
          where audit_unsealed.tenant_id = $1
          order by audit_event_id
          limit $2",
        tenant.0,
        limit,
    );
    entries.fetch_all(tx).await.map_err(db::failed)
}

/// Lays the chain on; what is sealed waits no more.
pub async fn insert_all(tx: &mut PgConnection, tenant: TenantId, sealed: &[(&Entry, Seal)]) -> Result<()> {
    let ids: Vec<Uuid> = sealed.iter().map(|(entry, _)| entry.id).collect();
    let inserted = sqlx::query!(
        "insert into audit_seal (tenant_id, position, audit_event_id, previous_hash, hash)
         select $1, position, audit_event_id, previous_hash, hash
           from unnest($2::bigint[], $3::uuid[], $4::bytea[], $5::bytea[])
                as sealed (position, audit_event_id, previous_hash, hash)",
        tenant.0,
        &sealed.iter().map(|(_, seal)| seal.position).collect::<Vec<_>>(),
        &ids,
        &sealed.iter().map(|(_, seal)| seal.previous_hash.to_vec()).collect::<Vec<_>>(),
        &sealed.iter().map(|(_, seal)| seal.hash.to_vec()).collect::<Vec<_>>(),
    );
    inserted.execute(&mut *tx).await.map_err(db::failed)?;
    let waits_no_more = sqlx::query!(
        "delete from audit_unsealed where tenant_id = $1 and audit_event_id = any($2)",
        tenant.0,
        &ids,
    );
    waits_no_more.execute(tx).await.map_err(db::failed)?;
    Ok(())
}

pub async fn count_unsealed(tx: &mut PgConnection, tenant: TenantId, range: Range) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!"
             from audit_event event
            where tenant_id = $1
              and ($2::timestamptz is null or at >= $2)
              and ($3::timestamptz is null or at < $3)
              and not exists (select from audit_seal
                               where audit_seal.tenant_id = event.tenant_id and audit_event_id = event.id)"#,
        tenant.0,
        range.from,
        range.until,
    );
    count.fetch_one(tx).await.map_err(db::failed)
}

/// Where the range's entries begin and end in the chain; none where it has none.
pub async fn positions(tx: &mut PgConnection, tenant: TenantId, range: Range) -> Result<Option<(i64, i64)>> {
    let whole = range == Range::default();
    let ends = sqlx::query!(
        "select min(position) as first, max(position) as last
           from audit_seal
           left join audit_event event on event.tenant_id = audit_seal.tenant_id and event.id = audit_event_id
          where audit_seal.tenant_id = $1
            and ($2::timestamptz is null or at >= $2)
            and ($3::timestamptz is null or at < $3)",
        tenant.0,
        range.from,
        range.until,
    );
    let ends = ends.fetch_one(tx).await.map_err(db::failed)?;
    // Without a beginning the walk begins at the first place, whoever stands there.
    Ok(ends.first.zip(ends.last).map(|(first, last)| (if whole { 1 } else { first }, last)))
}

/// Sealed entries at these positions, in order.
pub async fn page(
    tx: &mut PgConnection,
    tenant: TenantId,
    positions: RangeInclusive<i64>,
    limit: i64,
) -> Result<Vec<(Entry, Seal)>> {
    let rows = sqlx::query!(
        "select position, previous_hash, hash, id, at, subject, method, resource_type, resource_id, connector_id,
                details, reason, request_id, trace_id
           from audit_seal
           join audit_event event on event.tenant_id = audit_seal.tenant_id and event.id = audit_event_id
          where audit_seal.tenant_id = $1 and position between $2 and $3
          order by position
          limit $4",
        tenant.0,
        positions.start(),
        positions.end(),
        limit,
    );
    let rows = rows.fetch_all(tx).await.map_err(db::failed)?;
    let entries = rows.into_iter().map(|row| {
        let (position, previous_hash, hash) = (row.position, row.previous_hash, row.hash);
        let entry = Entry {
            tenant_id: tenant.0,
            id: row.id,
            at: row.at,
            subject: row.subject,
            method: row.method,
            resource_type: row.resource_type,
            resource_id: row.resource_id,
            connector_id: row.connector_id,
            details: row.details,
            reason: row.reason,
            request_id: row.request_id,
            trace_id: row.trace_id,
        };
        Ok((entry, SealRow { position, previous_hash, hash }.try_into()?))
    });
    entries.collect()
}

struct SealRow {
    position: i64,
    previous_hash: Vec<u8>,
    hash: Vec<u8>,
}

impl TryFrom<SealRow> for Seal {
    type Error = Error;

    fn try_from(row: SealRow) -> Result<Self, Error> {
        let link = |bytes: Vec<u8>| -> Result<Link> {
            bytes.try_into().map_err(|_| Error::internal("audit_seal.hash is not 32 bytes long"))
        };
        Ok(Self { position: row.position, previous_hash: link(row.previous_hash)?, hash: link(row.hash)? })
    }
}
