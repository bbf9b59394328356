//! The worker: carries runs on, phase by phase, and follows remediations whose callers have gone.
//!
//! It finds work in `run_work`, takes it under a fence, and saves as it goes: a process that dies leaves nothing but rows,
//! from which another one carries on. A run that was reading or comparing reads anew, and comes to the same findings; one
//! that was further goes on where it was.
//!
//! Begin with [`conduct`] (the life of a claimed run), then [`examine`] (prepare, read, compare), [`weigh`] (the guard) and
//! [`act`] (remediate).

mod act;
mod busy;
mod complete;
mod conduct;
mod examine;
pub mod lease;
mod let_go;
#[cfg(test)]
mod tests;
mod wake;
mod weigh;

use std::time::Duration;

use tokio::{
    task::{JoinError, JoinSet},
    time,
};
use tokio_util::sync::CancellationToken;
use xavyo_core::error::Result;
use xavyo_runtime::{Clock, Database, Tasks, db};

pub use self::busy::{Busy, Held};
use self::lease::Lease;
use crate::{
    nudge::Nudges,
    provisioning::Provisioning,
    remediation::Remediations,
    secret_values::SecretValues,
    store::run_work::{self, Work, WorkKind},
};

/// Limits of one process.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Runs carried on at once: each holds an index of its connector in memory.
    pub runs: usize,
    /// Left remediations followed at once.
    pub remediations: usize,
    /// The longest pause between two looks for work; nudges cut it short.
    pub poll: Duration,
}

/// Everything that the worker needs; cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    pub database: Database,
    pub clock: Clock,
    pub provisioning: Provisioning,
    pub nudges: Nudges,
    pub lease: Lease,
    pub busy: Busy,
    pub secret_values: SecretValues,
    pub remediations: Remediations,
    pub limits: Limits,
}

impl Engine {
    /// Starts everything in the background.
    pub fn start(self, tasks: &mut Tasks) {
        let lease = self.lease.clone();
        let database = self.database.clone();
        tasks.spawn("lease", |_| lease.run(database));
        tasks.spawn("worker", move |stop| self.run(stop));
    }

    /// Works until stopped; then lets go what is under way, and gives up the lease.
    async fn run(self, stop: CancellationToken) -> Result<()> {
        let mut working = JoinSet::new();
        while !stop.is_cancelled() {
            if let Err(error) = self.step(&mut working, &stop).await {
                tracing::warn!(%error, "looking for work failed");
            }
            tokio::select! {
                () = self.nudges.worked() => {}
                () = time::sleep(self.pause()) => {}
                Some(ended) = working.join_next(), if !working.is_empty() => log_panic(ended),
                () = stop.cancelled() => {}
            }
        }
        while let Some(ended) = working.join_next().await {
            log_panic(ended);
        }
        self.remediations.tasks.close();
        self.remediations.tasks.wait().await;
        self.lease.give_up(&self.database).await
    }

    /// Starts a task for each thing that is due and not yet in hand here, within the limits. Returns how many.
    async fn step(&self, working: &mut JoinSet<()>, stop: &CancellationToken) -> Result<usize> {
        if !self.lease.is_held() {
            return Ok(0);
        }
        let mut started = 0;
        for (kind, limit) in
            [(WorkKind::Run, self.limits.runs), (WorkKind::Remediation, self.limits.remediations)]
        {
            for work in self.due(kind, limit).await? {
                if self.busy.count(kind) >= limit {
                    break;
                }
                if let Some(held) = self.busy.begin(work) {
                    working.spawn(self.clone().carry(held, stop.clone()));
                    started += 1;
                }
            }
        }
        Ok(started)
    }

    async fn due(&self, kind: WorkKind, limit: usize) -> Result<Vec<Work>> {
        let mut tx = self.database.begin_system().await?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let due = run_work::find_due(&mut tx, kind, self.lease.worker, self.clock.now(), limit).await?;
        db::commit(tx).await?;
        Ok(due)
    }

    async fn carry(self, held: Held, stop: CancellationToken) {
        let work = held.work;
        let outcome = match work.kind {
            WorkKind::Run => self.conduct(work, &stop).await,
            WorkKind::Remediation => Box::pin(self.remediations.carry_on(work, &stop)).await,
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, tenant = %work.tenant, id = %work.id, "work was interrupted");
            stop.run_until_cancelled(time::sleep(self.limits.poll)).await;
        }
        drop(held);
        self.nudges.work();
    }

    /// Replicas that poll in step would all hit the database at once.
    fn pause(&self) -> Duration {
        self.limits.poll.mul_f64(rand::random_range(0.5..1.0))
    }
}

fn log_panic(ended: std::result::Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "work ended badly");
    }
}
