//! Workers: one row per process, its lease on the database's clock. Without tenant, without payload.

use sqlx::PgConnection;
use xavyo_core::{error::Result, ids::WorkerId};
use xavyo_runtime::db;

/// How long a worker counts as alive after its last heartbeat.
pub const LEASE_SECONDS: f64 = 5.0;

/// Announces the worker, or renews its lease.
pub async fn heartbeat(connection: &mut PgConnection, worker: WorkerId) -> Result<()> {
    sqlx::query!(
        "insert into worker (id, started_at, lease_until)
         values ($1, now(), now() + make_interval(secs => $2))
         on conflict (id) do update
            set lease_until = excluded.lease_until",
        worker.0,
        LEASE_SECONDS,
    )
    .execute(connection)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Whether a worker has died, without giving up its lease, in the last ten minutes: longer than any grace.
pub async fn has_died_of_late(connection: &mut PgConnection) -> Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (
               select from worker
                where lease_until between now() - interval '10 minutes' and now()) as "exists!""#,
    )
    .fetch_one(connection)
    .await
    .map_err(db::failed)
}

/// The worker has finished what it claimed and goes.
pub async fn delete(connection: &mut PgConnection, worker: WorkerId) -> Result<()> {
    sqlx::query!("delete from worker where id = $1", worker.0)
        .execute(connection)
        .await
        .map_err(db::failed)?;
    Ok(())
}

/// Forgets workers that have been dead for an hour: their lanes were taken over long ago.
pub async fn delete_dead(connection: &mut PgConnection) -> Result<()> {
    sqlx::query!("delete from worker where lease_until < now() - interval '1 hour'")
        .execute(connection)
        .await
        .map_err(db::failed)?;
    Ok(())
}
