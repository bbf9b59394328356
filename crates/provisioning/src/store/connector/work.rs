//! Where work is found: pairs of tenant and connector, without payload, outside row-level security.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;
use xavyo_core::{
    error::Result,
    ids::{ConnectorId, TenantId},
};
use xavyo_runtime::{Database, db};

/// Successful calls that close a half-open breaker.
const CLOSES_AFTER: i32 = 3;

/// A connector of a tenant, as a place where work may be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    pub tenant: TenantId,
    pub connector: ConnectorId,
}

/// The most pairs in one look for work.
const MOST_DUE: i64 = 1_000;

/// Pairs that are due and whose target is not known to be down: of each tenant the longest due, at most `each`. Where
/// there are too many, every tenant's first comes before anybody's second. One statement, hence without a transaction: it
/// stands between an enqueue and its claim.
pub async fn find_due(pool: &PgPool, now: DateTime<Utc>, each: i64) -> Result<Vec<Pair>> {
    let rows = sqlx::query!(
        "select tenant_id, connector_id
           from (select tenant_id, connector_id, due_at,
                        row_number() over (partition by tenant_id order by due_at) as place
                   from connector_work
                  where due_at <= $1 and not paused and breaker <> 'open') as due
          where place <= $2
          order by place, due_at
          limit $3",
        now,
        each,
        MOST_DUE,
    )
    .fetch_all(pool)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(|row| pair(row.tenant_id, row.connector_id)).collect())
}

/// Pairs that no worker drains: paused, idle, or with a target that is down.
pub async fn find_standing(connection: &mut PgConnection, limit: i64) -> Result<Vec<Pair>> {
    let rows = sqlx::query!(
        "select tenant_id, connector_id
           from connector_work
          where paused or breaker = 'open' or due_at is null
          limit $1",
        limit,
    )
    .fetch_all(connection)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(|row| pair(row.tenant_id, row.connector_id)).collect())
}

/// Every tenant that ever had a connector: nobody else has operations. A few at a time, so that no transaction is long.
pub async fn tenants(database: &Database) -> Result<Vec<TenantId>> {
    let mut tenants: Vec<TenantId> = Vec::new();
    loop {
        let mut tx = database.begin_system().await?;
        let found = sqlx::query_scalar!(
            "select distinct tenant_id
               from connector_work
              where $1::uuid is null or tenant_id > $1
              order by tenant_id
              limit 1000",
            tenants.last().map(|tenant| tenant.0),
        )
        .fetch_all(&mut *tx)
        .await
        .map_err(db::failed)?;
        db::commit(tx).await?;
        if found.is_empty() {
            return Ok(tenants);
        }
        tenants.extend(found.into_iter().map(TenantId));
    }
}

/// The pairs of connectors have something to do from `at` on. Writes only those that were idle or due later.
pub async fn set_due(
    tx: &mut PgConnection,
    tenant: TenantId,
    connectors: &[ConnectorId],
    at: DateTime<Utc>,
) -> Result<()> {
    let ids: Vec<Uuid> = connectors.iter().map(|id| id.0).collect();
    sqlx::query!(
        "with idle as materialized (
             select connector_id
               from connector_work
              where tenant_id = $1 and connector_id = any($2) and (due_at is null or due_at > $3)
              order by connector_id
                for no key update)
         update connector_work
            set due_at = $3
           from idle
          where connector_work.tenant_id = $1 and connector_work.connector_id = idle.connector_id",
        tenant.0,
        &ids,
        at,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Locks the connector against enqueues, so that the pair may be called idle: enqueues, and whoever else makes a lane
/// ready that no worker holds, have its row shared until they commit. False when one is under way.
pub async fn lock_against_enqueues(tx: &mut PgConnection, pair: Pair) -> Result<bool> {
    let locked = sqlx::query_scalar!(
        "select id from connector where tenant_id = $1 and id = $2 for update skip locked",
        pair.tenant.0,
        pair.connector.0,
    )
    .fetch_optional(tx)
    .await
    .map_err(db::failed)?;
    Ok(locked.is_some())
}

/// Says when to look at the pair again; null = when something is enqueued.
pub async fn save_due(tx: &mut PgConnection, pair: Pair, due_at: Option<DateTime<Utc>>) -> Result<()> {
    sqlx::query!(
        "update connector_work
            set due_at = $3
          where tenant_id = $1 and connector_id = $2 and due_at is distinct from $3",
        pair.tenant.0,
        pair.connector.0,
        due_at,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// The target is down: nothing is claimed until a probe, due at `probe_at`, gets an answer. In the transaction that makes
/// operations wait for it. An open breaker is written too: whoever is just closing it then sees what waits.
pub async fn open_breaker(tx: &mut PgConnection, pair: Pair, probe_at: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        "update connector_work
            set breaker = 'open', probe_at = coalesce(probe_at, $3)
          where tenant_id = $1 and connector_id = $2",
        pair.tenant.0,
        pair.connector.0,
        probe_at,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Pairs whose probe is due. Each is taken by one process: its next probe is put off by `lease` at once.
pub async fn claim_probes(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    lease_until: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<(Pair, i32)>> {
    let rows = sqlx::query!(
        "with due as materialized (
             select tenant_id, connector_id
               from connector_work
              where probe_at <= $1 and not paused
              order by probe_at
              limit $3
                for no key update skip locked)
         update connector_work work
            set probe_at = $2
           from due
          where work.tenant_id = due.tenant_id and work.connector_id = due.connector_id
      returning work.tenant_id, work.connector_id, work.failed_probes",
        now,
        lease_until,
        limit,
    )
    .fetch_all(connection)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(|row| (pair(row.tenant_id, row.connector_id), row.failed_probes)).collect())
}

pub async fn probe_failed(tx: &mut PgConnection, pair: Pair, next_probe_at: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        "update connector_work
            set probe_at = $3, failed_probes = failed_probes + 1
          where tenant_id = $1 and connector_id = $2 and breaker = 'open'",
        pair.tenant.0,
        pair.connector.0,
        next_probe_at,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Other pairs that are due come first now.
pub async fn put_last(tx: &mut PgConnection, pair: Pair, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        "update connector_work
            set due_at = $3
          where tenant_id = $1 and connector_id = $2 and due_at < $3",
        pair.tenant.0,
        pair.connector.0,
        now,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// The target answered a probe: claims try it out, from `now` on, at the slowest step of the ramp.
pub async fn half_open_breaker(tx: &mut PgConnection, pair: Pair, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        "update connector_work
            set breaker = 'half_open', probe_at = null, failed_probes = 0, half_open_successes = 0,
                ramp_started_at = clock_timestamp(), due_at = $3
          where tenant_id = $1 and connector_id = $2 and breaker = 'open'",
        pair.tenant.0,
        pair.connector.0,
        now,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// When the pair's pause, which the caller has just begun, ends by itself.
pub async fn set_pause_end(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
    until: Option<DateTime<Utc>>,
) -> Result<()> {
    sqlx::query!(
        "update connector_work
            set paused_until = $3
          where tenant_id = $1 and connector_id = $2 and paused",
        tenant.0,
        connector.0,
        until,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Pairs whose pause has come to its end.
pub async fn find_ended_pauses(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Pair>> {
    let rows = sqlx::query!(
        "select tenant_id, connector_id
           from connector_work
          where paused_until <= $1
          order by paused_until
          limit $2",
        now,
        limit,
    )
    .fetch_all(connection)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(|row| pair(row.tenant_id, row.connector_id)).collect())
}

/// When the pair's pause ends by itself; None = it is not paused, or until somebody resumes it.
pub async fn pause_end(tx: &mut PgConnection, pair: Pair) -> Result<Option<DateTime<Utc>>> {
    let found = sqlx::query_scalar!(
        "select paused_until from connector_work where tenant_id = $1 and connector_id = $2",
        pair.tenant.0,
        pair.connector.0,
    )
    .fetch_optional(tx)
    .await
    .map_err(db::failed)?;
    Ok(found.flatten())
}

/// Calls succeeded. The few of them that close a half-open breaker begin the ramp; a breaker in another state is left
/// alone.
pub async fn count_successes(tx: &mut PgConnection, pair: Pair, successes: i32) -> Result<()> {
    sqlx::query!(
        "update connector_work
            set half_open_successes = half_open_successes + $3,
                breaker = case when half_open_successes + $3 >= $4 then 'closed' else breaker end,
                ramp_started_at = case when half_open_successes + $3 >= $4 then clock_timestamp()
                                       else ramp_started_at end
          where tenant_id = $1 and connector_id = $2 and breaker = 'half_open'",
        pair.tenant.0,
        pair.connector.0,
        successes,
        CLOSES_AFTER,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Whether the pair's target is known to be down.
pub async fn breaker_is_open(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
) -> Result<bool> {
    let open = sqlx::query_scalar!(
        r#"select breaker = 'open' as "open!" from connector_work where tenant_id = $1 and connector_id = $2"#,
        tenant.0,
        connector.0,
    )
    .fetch_optional(tx)
    .await.map_err(db::failed)?;
    Ok(open.unwrap_or(false))
}

fn pair(tenant: Uuid, connector: Uuid) -> Pair {
    Pair { tenant: TenantId(tenant), connector: ConnectorId(connector) }
}
