//! The engine: finds pairs of tenant and connector with work, and executes their operations, lane by lane.
//!
//! Three steps, each short: [`claim`] (a transaction that writes lanes), [`execute`] (calls to the target, outside any
//! transaction), [`record`] (a transaction under the fence). Around them: [`take_over`] frees what dead workers held,
//! [`probe`] finds out when a target is back, [`health`] tells how targets do, [`housekeeping`] folds statistics and makes
//! partitions.
//!
//! Never here: deciding what should be done. That is the queue's content; the moves are core's.

mod busy;
mod claim;
mod execute;
mod guard;
mod health;
mod housekeeping;
mod lease;
mod outcome;
mod pair;
mod probe;
mod record;
mod staged;
mod take_over;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use tokio::{sync::Notify, task::JoinSet, time};
use tokio_util::sync::CancellationToken;
use xavyo_core::{error::Result, ids::WorkerId};
use xavyo_runtime::{Clock, Database, Tasks, lifecycle::with_sources};

use self::{busy::Busy, health::Sightings, lease::Lease, take_over::Looks};
use crate::{store::connector::work, targets::Targets};

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
    busy: Busy,
    looks: Looks,
}

impl Engine {
    /// `worker` names this process; its targets are paced in the same name.
    pub fn new(
        worker: WorkerId,
        database: Database,
        clock: Clock,
        targets: Targets,
        nudge: Nudge,
        limits: Limits,
    ) -> Self {
        let lease = Lease::new(worker);
        let sightings = Sightings::default();
        Self {
            database,
            clock,
            targets,
            lease,
            nudge,
            limits,
            sightings,
            busy: Busy::default(),
            looks: Looks::default(),
        }
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
        let each = i64::try_from(self.limits.pairs).unwrap_or(i64::MAX);
        let mut due = work::find_due(self.database.pool(), self.clock.now(), each).await?;
        let mut started = 0;
        while started < free {
            let Some(busy) = self.busy.begin_next(&mut due) else { break };
            let pair = busy.pair;
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
        self.busy.set_others_wait(!due.is_empty());
        Ok(started)
    }

    /// Replicas that poll in step would all hit the database at once.
    fn pause(&self) -> Duration {
        self.limits.poll.mul_f64(rand::random_range(0.5..1.0))
    }
}

fn log_panic(ended: std::result::Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "working on a pair ended badly");
    }
}
