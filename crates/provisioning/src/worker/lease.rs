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
    /// How often it has run out before it was renewed.
    lapses: Arc<AtomicU64>,
    /// Of a licence: the lapses when it was given.
    lapses_before: Option<u64>,
    /// No more calls under this licence.
    halted: CancellationToken,
}

impl Lease {
    /// Not held until the first heartbeat.
    pub fn new(worker: WorkerId) -> Self {
        Self {
            worker,
            started: Instant::now(),
            ends: Arc::default(),
            given_up: CancellationToken::new(),
            lapses: Arc::default(),
            lapses_before: None,
            halted: CancellationToken::new(),
        }
    }

    /// The same lease for a part of the work, which may be halted apart. It ends for good when the lease runs out, also if
    /// that is renewed: what was claimed before may be in other hands by then (fault 15).
    pub fn licence(&self) -> Self {
        let lapses_before = Some(self.lapses.load(Ordering::Acquire));
        Self { halted: CancellationToken::new(), lapses_before, ..self.clone() }
    }

    /// No call begins any more under this licence.
    pub fn halt(&self) {
        self.halted.cancel();
    }

    /// Returns when no call may begin any more.
    pub async fn ended(&self) {
        while self.is_held() {
            let ends = Duration::from_millis(self.ends.load(Ordering::Acquire));
            tokio::select! {
                () = tokio::time::sleep(ends.saturating_sub(self.started.elapsed())) => {}
                () = self.halted.cancelled() => {}
            }
        }
    }

    /// Whether a call to a target may start now.
    pub fn is_held(&self) -> bool {
        !self.halted.is_cancelled()
            && self.lapses_before.is_none_or(|before| before == self.lapses.load(Ordering::Acquire))
            && self.started.elapsed() < Duration::from_millis(self.ends.load(Ordering::Acquire))
    }

    /// One heartbeat. The lease is counted from before the statement was sent, so it never outlasts the database's.
    pub async fn renew(&self, database: &Database) -> Result<()> {
        let sent = self.started.elapsed();
        let mut tx = database.begin_system().await?;
        worker::heartbeat(&mut tx, self.worker).await?;
        xavyo_runtime::db::commit(tx).await?;
        self.renewed(sent, self.started.elapsed());
        Ok(())
    }

    /// A heartbeat that was sent and answered at those times after `started`.
    fn renewed(&self, sent: Duration, answered: Duration) {
        // Before the new end: a licence of before the lapse must not be taken for good in between.
        if answered >= Duration::from_millis(self.ends.load(Ordering::Acquire)) {
            self.lapses.fetch_add(1, Ordering::AcqRel);
        }
        let ends = sent + Duration::from_secs_f64(LEASE_SECONDS);
        self.ends.store(u64::try_from(ends.as_millis()).unwrap_or(u64::MAX), Ordering::Release);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_of_before_a_lapse_is_void_after_it_fault_15() {
        let second = Duration::from_secs;
        let lease = Lease::new(WorkerId(uuid::Uuid::from_u128(1)));
        lease.renewed(second(0), second(0));
        let licence = lease.licence();
        lease.renewed(second(4), second(4));
        assert!(licence.is_held(), "renewed in time");

        lease.renewed(second(8), second(10));

        assert!(!licence.is_held(), "it was answered after the end at 9 s: others may have taken over");
        assert!(lease.is_held() && lease.licence().is_held());
    }
}
