//! The lease of this process: renewed every second on the database's clock, watched on our own monotonic clock. No call
//! to a target starts after its end: by then another process may have taken over (faults 15, 18).

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;
use xavyo_core::{error::Result, ids::WorkerId};
use xavyo_runtime::Database;

use crate::store::worker::{self, LEASE_SECONDS};

const HEARTBEAT: Duration = Duration::from_secs(1);

/// Cheap to clone; all clones see one lease.
#[derive(Clone, Debug)]
pub struct Lease {
    pub worker: WorkerId,
    started: Instant,
    /// Milliseconds after `started`.
    ends: Arc<AtomicU64>,
    given_up: CancellationToken,
}

impl Lease {
    /// Not held until the first heartbeat.
    pub fn new(worker: WorkerId) -> Self {
        Self { worker, started: Instant::now(), ends: Arc::default(), given_up: CancellationToken::new() }
    }

    /// Whether a call to a target may start now.
    pub fn is_held(&self) -> bool {
        self.started.elapsed() < Duration::from_millis(self.ends.load(Ordering::Acquire))
    }

    /// One heartbeat. The lease is counted from before the statement was sent, so it never outlasts the database's.
    pub async fn renew(&self, database: &Database) -> Result<()> {
        let sent = self.started.elapsed();
        let mut tx = database.begin_system().await?;
        worker::heartbeat(&mut tx, self.worker).await?;
        xavyo_runtime::db::commit(tx).await?;
        let ends = sent + Duration::from_secs_f64(LEASE_SECONDS);
        self.ends.store(u64::try_from(ends.as_millis()).unwrap_or(u64::MAX), Ordering::Release);
        Ok(())
    }

    /// Renews until it is given up: what is under way when the process is told to stop still needs it. An unreachable
    /// database only lets it run out; a pool that has no connection to give does not.
    pub async fn run(self, database: Database) -> Result<()> {
        let database = database.apart();
        while !self.given_up.is_cancelled() {
            if let Err(error) = self.renew(&database).await {
                tracing::warn!(%error, "no heartbeat");
            }
            tokio::select! {
                () = tokio::time::sleep(HEARTBEAT) => {}
                () = self.given_up.cancelled() => {}
            }
        }
        Ok(())
    }

    /// The process has recorded all it claimed, and goes.
    pub async fn give_up(&self, database: &Database) -> Result<()> {
        self.given_up.cancel();
        self.ends.store(0, Ordering::Release);
        let mut tx = database.begin_system().await?;
        worker::delete(&mut tx, self.worker).await?;
        xavyo_runtime::db::commit(tx).await
    }
}
