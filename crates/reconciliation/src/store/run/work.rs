//! What waits for a worker: runs to carry on and remediations to follow, of all tenants. No payload, no row-level
//! security: [`find_due`] says where to look, everything else names the tenant.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    error::Result,
    ids::{TenantId, WorkerId},
};
use xavyo_runtime::db;

/// What kind of thing waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkKind {
    Run,
    Remediation,
}

/// One thing that waits: the id is the run's or the remediation's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Work {
    pub tenant: TenantId,
    pub kind: WorkKind,
    pub id: Uuid,
}

impl WorkKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Remediation => "remediation",
        }
    }
}

/// Adds work, in the hands of `worker` where it is already being done.
pub async fn insert(
    tx: &mut PgConnection,
    work: Work,
    due_at: DateTime<Utc>,
    worker: Option<WorkerId>,
) -> Result<()> {
    let inserted = sqlx::query!(
        "insert into run_work (tenant_id, kind, id, due_at, worker_id)
         values ($1, $2, $3, $4, $5)",
        work.tenant.0,
        work.kind.name(),
        work.id,
        due_at,
        worker.map(|worker| worker.0),
    );
    inserted.execute(tx).await.map_err(db::failed)?;
    Ok(())
}

/// Makes work due, whether it was known or not, in nobody's hands.
pub async fn put(tx: &mut PgConnection, work: Work, due_at: DateTime<Utc>) -> Result<()> {
    let put = sqlx::query!(
        "insert into run_work (tenant_id, kind, id, due_at)
         values ($1, $2, $3, $4)
             on conflict (tenant_id, kind, id) do update
            set due_at = excluded.due_at,
                worker_id = null",
        work.tenant.0,
        work.kind.name(),
        work.id,
        due_at,
    );
    put.execute(tx).await.map_err(db::failed)?;
    Ok(())
}

/// What is due and in the hands of nobody else who lives, oldest first. What is in `worker`'s own hands is for it to know:
/// it may have lost its place. Only a hint: [`claim`] decides.
pub async fn find_due(
    connection: &mut PgConnection,
    kind: WorkKind,
    worker: WorkerId,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Work>> {
    let rows = sqlx::query!(
        "select tenant_id, id
           from run_work
          where kind = $1
            and due_at <= $2
            and (worker_id is null or worker_id = $4
                 or not exists (select from worker where worker.id = worker_id and lease_until > now()))
          order by due_at
          limit $3",
        kind.name(),
        now,
        limit,
        worker.0,
    );
    let rows = rows.fetch_all(connection).await.map_err(db::failed)?;
    Ok(rows.into_iter().map(|row| Work { tenant: row.tenant_id.into(), kind, id: row.id }).collect())
}

/// Takes the work, unless somebody else alive has it. False: it is gone, or theirs.
pub async fn claim(tx: &mut PgConnection, work: Work, worker: WorkerId) -> Result<bool> {
    let claimed = sqlx::query!(
        "update run_work
            set worker_id = $4
          where tenant_id = $1 and kind = $2 and id = $3
            and (worker_id is null or worker_id = $4
                 or not exists (select from worker where worker.id = worker_id and lease_until > now()))",
        work.tenant.0,
        work.kind.name(),
        work.id,
        worker.0,
    );
    Ok(claimed.execute(tx).await.map_err(db::failed)?.rows_affected() == 1)
}

/// Gives the work back, to be taken up at `due_at`; not if it is in other hands by now.
pub async fn release(
    tx: &mut PgConnection,
    work: Work,
    worker: WorkerId,
    due_at: DateTime<Utc>,
) -> Result<()> {
    let released = sqlx::query!(
        "update run_work
            set worker_id = null,
                due_at = $5
          where tenant_id = $1 and kind = $2 and id = $3 and worker_id = $4",
        work.tenant.0,
        work.kind.name(),
        work.id,
        worker.0,
        due_at,
    );
    released.execute(tx).await.map_err(db::failed)?;
    Ok(())
}

/// The work is done.
pub async fn delete(tx: &mut PgConnection, work: Work) -> Result<()> {
    let deleted = sqlx::query!(
        "delete from run_work
          where tenant_id = $1 and kind = $2 and id = $3",
        work.tenant.0,
        work.kind.name(),
        work.id,
    );
    deleted.execute(tx).await.map_err(db::failed)?;
    Ok(())
}
