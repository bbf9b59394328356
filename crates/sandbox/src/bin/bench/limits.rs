//! The bare limits: what the same Postgres does with plain SQL in plain tables, without tenants, order, attempts, logs,
//! history, counters or row-level security.

use std::time::Instant;

use anyhow::Result;
use sqlx::PgPool;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::samples::rate;

/// Rows in one statement of the bare drain.
const CLAIMED: i64 = 500;
const DRAINERS: usize = 4;

/// Makes the plain tables.
pub async fn prepare(pool: &PgPool) -> Result<()> {
    sqlx::raw_sql(
        "create table if not exists bare (id bigserial primary key, status int not null, payload jsonb not null);
         create index if not exists bare_ready on bare (id) where status = 0;",
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Claim 500, complete 500, four clients: rows a second.
pub async fn drain(pool: &PgPool, rows: usize) -> Result<f64> {
    sqlx::raw_sql("truncate bare").execute(pool).await?;
    insert_batch(pool, rows).await?;
    sqlx::raw_sql("vacuum analyze bare").execute(pool).await?;
    let started = Instant::now();
    let mut drainers = JoinSet::new();
    for _ in 0..DRAINERS {
        drainers.spawn(drain_some(pool.clone()));
    }
    while let Some(done) = drainers.join_next().await {
        done??;
    }
    Ok(rate(rows, started.elapsed()))
}

async fn drain_some(pool: PgPool) -> Result<()> {
    loop {
        let claimed: Vec<i64> = sqlx::query_scalar(
            "with next as materialized (
                 select id from bare where status = 0 order by id limit $1 for update skip locked)
             update bare set status = 1 from next where bare.id = next.id returning bare.id",
        )
        .bind(CLAIMED)
        .fetch_all(&pool)
        .await?;
        if claimed.is_empty() {
            return Ok(());
        }
        sqlx::query("update bare set status = 2 where id = any($1)").bind(claimed).execute(&pool).await?;
    }
}

/// `insert … unnest` of 1,000 rows at a time, four clients: rows a second.
pub async fn insert_batches(pool: &PgPool, rows: usize) -> Result<f64> {
    sqlx::raw_sql("truncate bare").execute(pool).await?;
    let started = Instant::now();
    let mut inserters = JoinSet::new();
    for _ in 0..DRAINERS {
        let pool = pool.clone();
        inserters.spawn(async move {
            for _ in 0..rows / DRAINERS / 1_000 {
                insert_batch(&pool, 1_000).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = inserters.join_next().await {
        done??;
    }
    Ok(rate(rows / DRAINERS / 1_000 * 1_000 * DRAINERS, started.elapsed()))
}

async fn insert_batch(pool: &PgPool, rows: usize) -> Result<()> {
    let payloads = vec![payload(); rows];
    sqlx::query("insert into bare (status, payload) select 0, * from unnest($1::jsonb[])")
        .bind(payloads)
        .execute(pool)
        .await?;
    Ok(())
}

/// Single inserts, each its own commit, from so many clients: rows a second.
pub async fn insert_singly(pool: &PgPool, clients: usize, each: usize) -> Result<f64> {
    sqlx::raw_sql("truncate bare").execute(pool).await?;
    let started = Instant::now();
    let mut inserters = JoinSet::new();
    for _ in 0..clients {
        let pool = pool.clone();
        inserters.spawn(async move {
            for _ in 0..each {
                insert_batch(&pool, 1).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = inserters.join_next().await {
        done??;
    }
    Ok(rate(clients * each, started.elapsed()))
}

fn payload() -> serde_json::Value {
    serde_json::json!({ "mail": format!("{}@example.com", Uuid::nil()) })
}
