//! Statistics by deltas: each transaction inserts its net changes, the folder merges them, a reading sums both.

use std::collections::BTreeMap;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;
use xavyo_core::{
    error::Result,
    ids::{ConnectorId, TenantId},
    operation::OperationStatus,
};
use xavyo_runtime::{Clock, db};

/// The net changes of one transaction, gathered while it moves operations.
#[derive(Debug, Default)]
pub struct Deltas {
    by_key: BTreeMap<(ConnectorId, &'static str, DateTime<Utc>), (i64, f64)>,
}

impl Deltas {
    pub fn accepted(&mut self, connector: ConnectorId) {
        self.add(connector, OperationStatus::Pending, DateTime::UNIX_EPOCH, 1, 0.0);
    }

    /// An operation stored as `from` is stored as `to` now; `at` is the time of the move. `in_progress` is never
    /// stored: a claimed operation still counts as pending.
    pub fn moved(
        &mut self,
        connector: ConnectorId,
        from: OperationStatus,
        to: OperationStatus,
        at: DateTime<Utc>,
    ) {
        if from != to {
            self.add(connector, from, DateTime::UNIX_EPOCH, -1, 0.0);
            self.add(connector, to, period(to, at), 1, 0.0);
        }
    }

    /// A pending operation was completed; `seconds` since its first claim.
    pub fn completed(&mut self, connector: ConnectorId, at: DateTime<Utc>, seconds: f64) {
        self.add(connector, OperationStatus::Pending, DateTime::UNIX_EPOCH, -1, 0.0);
        let completed = OperationStatus::Completed;
        self.add(connector, completed, period(completed, at), 1, seconds);
    }

    fn add(
        &mut self,
        connector: ConnectorId,
        status: OperationStatus,
        period: DateTime<Utc>,
        n: i64,
        seconds: f64,
    ) {
        let entry = self.by_key.entry((connector, status.name(), period)).or_default();
        entry.0 += n;
        entry.1 += seconds;
    }
}

/// Final operations are counted by the hour in which they ended.
fn period(status: OperationStatus, at: DateTime<Utc>) -> DateTime<Utc> {
    if status.is_final() {
        at.duration_trunc(TimeDelta::hours(1)).unwrap_or(DateTime::UNIX_EPOCH)
    } else {
        DateTime::UNIX_EPOCH
    }
}

pub async fn insert(tx: &mut PgConnection, clock: &Clock, tenant: TenantId, deltas: &Deltas) -> Result<()> {
    let net: Vec<_> = deltas.by_key.iter().filter(|(_, (n, _))| *n != 0).collect();
    if net.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = net.iter().map(|_| clock.new_id()).collect();
    let connectors: Vec<Uuid> = net.iter().map(|((connector, ..), _)| connector.0).collect();
    let statuses: Vec<String> = net.iter().map(|((_, status, _), _)| (*status).to_owned()).collect();
    let periods: Vec<DateTime<Utc>> = net.iter().map(|((.., period), _)| *period).collect();
    let counts: Vec<i64> = net.iter().map(|(_, (n, _))| *n).collect();
    let seconds: Vec<f64> = net.iter().map(|(_, (_, seconds))| *seconds).collect();
    sqlx::query!(
        "insert into operation_delta (tenant_id, id, connector_id, status, period, n, seconds)
         select $1, * from unnest($2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::bigint[], $7::float8[])",
        tenant.0,
        &ids,
        &connectors,
        &statuses,
        &periods,
        &counts,
        &seconds,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Merges up to `limit` deltas of a tenant into its counts. Returns how many: fewer than the limit = done.
pub async fn fold(tx: &mut PgConnection, tenant: TenantId, limit: i64) -> Result<i64> {
    sqlx::query_scalar!(
        r#"with oldest as materialized (
               select id from operation_delta
                where tenant_id = $1
                order by id
                limit $2
                  for update skip locked),
           taken as (
               delete from operation_delta
                using oldest
                where operation_delta.tenant_id = $1 and operation_delta.id = oldest.id
            returning operation_delta.*),
           merged as (
               insert into operation_count (tenant_id, connector_id, status, period, n, seconds)
               select $1, connector_id, status, period, sum(n)::bigint, sum(seconds)
                 from taken
                group by connector_id, status, period
                order by connector_id, status, period
               on conflict (tenant_id, connector_id, status, period) do update
                  set n = operation_count.n + excluded.n,
                      seconds = operation_count.seconds + excluded.seconds)
           select count(*) as "count!" from taken"#,
        tenant.0,
        limit,
    )
    .fetch_one(tx)
    .await
    .map_err(db::failed)
}

/// Merges the hours before `before` into one count for all: nobody asks for them by the hour any more.
pub async fn merge_hours(tx: &mut PgConnection, tenant: TenantId, before: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        "with old as (
             delete from operation_count
              where tenant_id = $1 and period > 'epoch' and period < $2
          returning connector_id, status, n, seconds)
         insert into operation_count (tenant_id, connector_id, status, period, n, seconds)
         select $1, connector_id, status, 'epoch', sum(n)::bigint, sum(seconds)
           from old
          group by connector_id, status
          order by connector_id, status
         on conflict (tenant_id, connector_id, status, period) do update
            set n = operation_count.n + excluded.n,
                seconds = operation_count.seconds + excluded.seconds",
        tenant.0,
        before,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// A count by stored status.
#[derive(Clone, Debug, FromRow)]
pub struct Count {
    pub status: String,
    pub n: i64,
    /// Of those that ended since `since`: how many, and their seconds from first claim to completion.
    pub recent: i64,
    pub recent_seconds: f64,
}

pub async fn read(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: Option<ConnectorId>,
    since: DateTime<Utc>,
) -> Result<Vec<Count>> {
    sqlx::query_as!(
        Count,
        r#"select status as "status!", sum(n)::bigint as "n!",
                  coalesce(sum(n) filter (where period >= $3), 0)::bigint as "recent!",
                  coalesce(sum(seconds) filter (where period >= $3), 0)::float8 as "recent_seconds!"
             from (select connector_id, status, period, n, seconds from operation_count where tenant_id = $1
                    union all
                   select connector_id, status, period, n, seconds from operation_delta where tenant_id = $1) as both_kinds
            where $2::uuid is null or connector_id = $2
            group by status"#,
        tenant.0,
        connector.map(|id| id.0),
        since,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)
}
