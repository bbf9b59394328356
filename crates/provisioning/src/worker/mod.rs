//! The engine: finds pairs of tenant and connector with work, and executes their operations, lane by lane.
//!
//! Three steps, each short: [`claim`] (a transaction that writes lanes), [`execute`] (calls to the target, outside any
//! transaction), [`record`] (a transaction under the fence). Around them: [`take_over`] frees what dead workers held,
//! [`probe`] finds out when a target is back, [`health`] tells how targets do, [`housekeeping`] folds statistics and makes
//! partitions.
//!
//! Never here: deciding what should be done. That is the queue's content; the moves are core's.

mod claim;
mod execute;
mod health;
mod housekeeping;
mod lease;
mod links;
mod outcome;
mod pair;
mod probe;
mod record;
mod take_over;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, task::JoinSet, time};
use tokio_util::sync::CancellationToken;
use xavyo_core::{error::Result, ids::WorkerId};
use xavyo_runtime::{Clock, Database, Tasks, lifecycle::with_sources};

use self::{health::Sightings, lease::Lease};
use crate::{
    store::connector::work::{self, Pair},
    targets::Targets,
};

/// Limits of one process.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Pairs worked on at once.
    pub pairs: usize,
    /// Lanes in one claim.
    pub lanes_per_claim: i64,
    /// The longest pause between two looks for work; nudges cut it short.
    pub poll: Duration,
}

/// A nudge carries no data: it only says that looking for work is worth while. Polling is the truth.
#[derive(Clone, Debug, Default)]
pub struct Nudge(Arc<Notify>);

impl Nudge {
    pub fn now(&self) {
        self.0.notify_one();
    }
}

/// Everything that a worker needs; cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    database: Database,
    clock: Clock,
    targets: Targets,
    lease: Lease,
    nudge: Nudge,
    limits: Limits,
    sightings: Sightings,
    /// Pairs that this process is working on: one task each.
    busy: Arc<Mutex<HashSet<Pair>>>,
}

impl Engine {
    pub fn new(database: Database, clock: Clock, targets: Targets, nudge: Nudge, limits: Limits) -> Self {
        let lease = Lease::new(WorkerId(clock.new_id()));
        let sightings = Sightings::default();
        Self { database, clock, targets, lease, nudge, limits, sightings, busy: Arc::default() }
    }

    /// Starts everything in the background.
    pub fn start(self, tasks: &mut Tasks) {
        let lease = self.lease.clone();
        let database = self.database.clone();
        tasks.spawn("lease", |_| lease.run(database));
        let engine = self.clone();
        tasks.spawn("probe", move |stop| engine.run_probes(stop));
        let engine = self.clone();
        tasks.spawn("health", move |stop| engine.run_health(stop));
        let engine = self.clone();
        tasks.spawn("housekeeping", move |stop| engine.run_housekeeping(stop));
        tasks.spawn("worker", move |stop| self.run(stop));
    }

    /// Works until stopped; then lets what is under way end, and gives up the lease.
    async fn run(self, stop: CancellationToken) -> Result<()> {
        let mut working = JoinSet::new();
        while !stop.is_cancelled() {
            if let Err(error) = self.step(&mut working, &stop).await {
                tracing::warn!(error = with_sources(&error), "looking for work failed");
            }
            tokio::select! {
                () = self.nudge.0.notified() => {}
                () = time::sleep(self.pause()) => {}
                Some(ended) = working.join_next(), if !working.is_empty() => log_panic(ended),
                () = stop.cancelled() => {}
            }
        }
        while let Some(ended) = working.join_next().await {
            log_panic(ended);
        }
        self.lease.give_up(&self.database).await
    }

    /// Starts a task for each pair that is due and not yet being worked on here. Returns how many.
    async fn step(&self, working: &mut JoinSet<()>, stop: &CancellationToken) -> Result<usize> {
        if !self.lease.is_held() {
            return Ok(0);
        }
        let free = self.limits.pairs.saturating_sub(working.len());
        let mut tx = self.database.begin_system().await?;
        let limit = i64::try_from(self.limits.pairs).unwrap_or(i64::MAX);
        let due = work::find_due(&mut tx, self.clock.now(), limit).await?;
        xavyo_runtime::db::commit(tx).await?;
        let mut started = 0;
        for pair in due {
            if started == free {
                break;
            }
            let Some(busy) = self.begin(pair) else { continue };
            let engine = self.clone();
            let stop = stop.clone();
            working.spawn(async move {
                if let Err(error) = engine.drain(pair, stop).await {
                    let error = with_sources(&error);
                    tracing::warn!(error, tenant = %pair.tenant, connector = %pair.connector, "a pair failed");
                    time::sleep(engine.limits.poll).await;
                }
                drop(busy);
                engine.nudge.now();
            });
            started += 1;
        }
        Ok(started)
    }

    /// None when this process works on the pair already.
    fn begin(&self, pair: Pair) -> Option<Busy> {
        let is_new = self.busy.lock().unwrap_or_else(PoisonError::into_inner).insert(pair);
        is_new.then(|| Busy { pair, all: Arc::clone(&self.busy) })
    }

    /// Replicas that poll in step would all hit the database at once.
    fn pause(&self) -> Duration {
        self.limits.poll.mul_f64(rand::random_range(0.5..1.0))
    }
}

/// Work on a pair, until it is dropped: also when it panics.
struct Busy {
    pair: Pair,
    all: Arc<Mutex<HashSet<Pair>>>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.pair);
    }
}

fn log_panic(ended: std::result::Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "working on a pair ended badly");
    }
}
