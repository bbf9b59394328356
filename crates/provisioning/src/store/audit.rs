//! The audit log: one row for each change by a caller, in the transaction that makes it (S4). Append-only: the
//! program's role may neither update nor delete.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;
use xavyo_core::{
    error::Result,
    ids::{ConnectorId, SubjectId, TenantId},
};
use xavyo_runtime::{Clock, auth::Caller, db};

/// How far the time in an event's id and its `at` may lie apart: it is taken from the same clock, a moment later.
const SLACK: TimeDelta = TimeDelta::minutes(1);

/// What a caller changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The RPC: `CreateConnector`.
    pub method: &'static str,
    /// The noun: `connector`.
    pub resource_type: &'static str,
    /// None where the change is to no single resource (a batch names its ids in the details).
    pub resource_id: Option<Uuid>,
    pub connector_id: Option<ConnectorId>,
    /// What changed; never a secret.
    pub details: serde_json::Value,
    pub reason: Option<String>,
}

/// An event as it is read back, with its link in the chain once it is sealed.
#[derive(Clone, Debug, FromRow)]
pub struct Event {
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
    pub hash: Option<Vec<u8>>,
    pub previous_hash: Option<Vec<u8>>,
}

/// Which events; None = all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub subject: Option<SubjectId>,
    pub method: Option<String>,
    pub resource_type: Option<String>,
    pub resource_id: Option<Uuid>,
    pub connector_id: Option<ConnectorId>,
    /// At or after, and before.
    pub from: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
}

pub async fn insert(tx: &mut PgConnection, clock: &Clock, caller: &Caller, entry: Entry) -> Result<()> {
    insert_asked(tx, clock, caller, entry, None).await
}

/// The same for a call with a request id.
pub async fn insert_asked(
    tx: &mut PgConnection,
    clock: &Clock,
    caller: &Caller,
    entry: Entry,
    request_id: Option<Uuid>,
) -> Result<()> {
    sqlx::query!(
        "with made as (
             insert into audit_event (
                 tenant_id, id, at, subject, method, resource_type, resource_id, connector_id, details, reason,
                 trace_id, request_id)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12))
         -- the sealer looks there
         insert into audit_unsealed (tenant_id, audit_event_id)
         values ($1, $2)",
        caller.tenant.0,
        clock.new_id(),
        clock.now(),
        caller.subject.0,
        entry.method,
        entry.resource_type,
        entry.resource_id,
        entry.connector_id.map(|id| id.0),
        entry.details,
        entry.reason,
        caller.trace_id,
        request_id,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// The same for many calls of a tenant, each with a row of its own.
pub async fn insert_all(
    tx: &mut PgConnection,
    clock: &Clock,
    tenant: TenantId,
    entries: Vec<(&Caller, Entry)>,
) -> Result<()> {
    let ids: Vec<Uuid> = entries.iter().map(|_| clock.new_id()).collect();
    let subjects: Vec<Uuid> = entries.iter().map(|(caller, _)| caller.subject.0).collect();
    let traces: Vec<&str> = entries.iter().map(|(caller, _)| caller.trace_id.as_str()).collect();
    let methods: Vec<&str> = entries.iter().map(|(_, entry)| entry.method).collect();
    let types: Vec<&str> = entries.iter().map(|(_, entry)| entry.resource_type).collect();
    let resources: Vec<Option<Uuid>> = entries.iter().map(|(_, entry)| entry.resource_id).collect();
    let connectors: Vec<Option<Uuid>> =
        entries.iter().map(|(_, entry)| entry.connector_id.map(|id| id.0)).collect();
    let details: Vec<&serde_json::Value> = entries.iter().map(|(_, entry)| &entry.details).collect();
    let reasons: Vec<Option<&str>> = entries.iter().map(|(_, entry)| entry.reason.as_deref()).collect();
    sqlx::query!(
        "with called as (
             select *
               from unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::uuid[], $8::uuid[], $9::jsonb[],
                           $10::text[], $11::text[])
                    as called(id, subject, method, resource_type, resource_id, connector_id, details, reason,
                              trace_id)),
         made as (
             insert into audit_event (
                 tenant_id, at, id, subject, method, resource_type, resource_id, connector_id, details, reason,
                 trace_id)
             select $1, $2, * from called)
         -- the sealer looks there
         insert into audit_unsealed (tenant_id, audit_event_id)
         select $1, id from called",
        tenant.0,
        clock.now(),
        &ids,
        &subjects,
        &methods as &[&str],
        &types as &[&str],
        &resources as &[Option<Uuid>],
        &connectors as &[Option<Uuid>],
        &details as &[&serde_json::Value],
        &reasons as &[Option<&str>],
        &traces as &[&str],
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Newest first: up to `limit` older than `after`.
pub async fn page(
    tx: &mut PgConnection,
    tenant: TenantId,
    filter: &Filter,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Event>> {
    let mut query = QueryBuilder::new(
        "select event.*, seal.hash, seal.previous_hash
           from (select * from audit_event where tenant_id = ",
    );
    query.push_bind(tenant.0);
    filter.push(&mut query);
    if let Some(after) = after {
        query.push(" and id < ").push_bind(after);
    }
    query.push(" order by id desc limit ").push_bind(limit).push(
        ") as event
           left join audit_seal seal on seal.tenant_id = event.tenant_id and seal.audit_event_id = event.id
          order by event.id desc",
    );
    query.build_query_as().fetch_all(tx).await.map_err(db::failed)
}

/// How many match, counted to `most` at the most.
pub async fn count(tx: &mut PgConnection, tenant: TenantId, filter: &Filter, most: i64) -> Result<i64> {
    let mut query = QueryBuilder::new("select count(*) from (select from audit_event where tenant_id = ");
    query.push_bind(tenant.0);
    filter.push(&mut query);
    query.push(" limit ").push_bind(most).push(") as matching");
    query.build_query_scalar().fetch_one(tx).await.map_err(db::failed)
}

impl Filter {
    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some(subject) = self.subject {
            query.push(" and subject = ").push_bind(subject.0);
        }
        if let Some(method) = &self.method {
            query.push(" and method = ").push_bind(method.clone());
        }
        if let Some(kind) = &self.resource_type {
            query.push(" and resource_type = ").push_bind(kind.clone());
        }
        if let Some(id) = self.resource_id {
            query.push(" and resource_id = ").push_bind(id);
        }
        if let Some(id) = self.connector_id {
            query.push(" and connector_id = ").push_bind(id.0);
        }
        // The ids carry the time, too, and have the index.
        if let Some(from) = self.from {
            query.push(" and at >= ").push_bind(from);
            query.push(" and id >= uuid_floor(").push_bind(floor(from - SLACK)).push(")");
        }
        if let Some(until) = self.until {
            query.push(" and at < ").push_bind(until);
            query.push(" and id < uuid_floor(").push_bind(floor(until + SLACK)).push(")");
        }
    }
}

/// No id is older than the epoch.
fn floor(at: DateTime<Utc>) -> DateTime<Utc> {
    at.max(DateTime::UNIX_EPOCH)
}
