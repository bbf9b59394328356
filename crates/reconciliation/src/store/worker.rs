//! Workers: one row per process, its lease on the database's clock. Without tenant, without payload.

use sqlx::PgConnection;
use xavyo_core::{error::Result, ids::WorkerId};
use xavyo_runtime::db;

/// How long a worker counts as alive after its last heartbeat.
pub const LEASE_SECONDS: f64 = 5.0;

/// Announces the worker, or renews its lease.
pub async fn heartbeat(connection: &mut PgConnection, worker: WorkerId) -> Result<()> {
    let renewed = sqlx::query!(
        "insert into worker (id, started_at, lease_until)
         values ($1, now(), now() + make_interval(secs => $2))
         on conflict (id) do update
            set lease_until = excluded.lease_until",
        worker.0,
        LEASE_SECONDS,
    );
    renewed.execute(connection).await.map_err(db::failed)?;
    Ok(())
}

/// The worker goes: what it still holds is free at once.
pub async fn delete(connection: &mut PgConnection, worker: WorkerId) -> Result<()> {
    let gone = sqlx::query!("delete from worker where id = $1", worker.0);
    gone.execute(connection).await.map_err(db::failed)?;
    Ok(())
}

/// Forgets workers that have been dead for an hour: their work was taken over long ago.
pub async fn delete_dead(connection: &mut PgConnection) -> Result<()> {
    let gone = sqlx::query!("delete from worker where lease_until < now() - interval '1 hour'");
    gone.execute(connection).await.map_err(db::failed)?;
    Ok(())
}
