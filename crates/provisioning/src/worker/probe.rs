//! Outages, and pauses that end by themselves. While a target is down its pair is not claimed: a probe asks it now and then, by a real call, and when it
//! answers, claims try it out with a few real calls, and the operations that waited for it go back to pending as fast as
//! the ramp lets it be called. No retry is used, however long it took.

use std::time::Duration;

use chrono::TimeDelta;
use futures::future;
use tokio::time;
use tokio_util::sync::CancellationToken;
use xavyo_core::{
    connector::{Connector, FailureKind, Mode, TargetFailure},
    error::Result,
    operation::{Event, Operation, OperationStatus},
};
use xavyo_runtime::{db, lifecycle::with_sources};

use super::Engine;
use crate::{
    crash::{self, Point},
    store::{
        connector,
        connector::work::{self, Pair},
        lane,
        operation::log::{self, Level, Move},
        operation::statistics::{self, Deltas},
        operation::{self, Kept},
    },
};

const LOOK: Duration = Duration::from_millis(250);

/// The first probe comes so soon, when what was granted to other processes before the outage has ended; each failed one
/// doubles it, to a minute at most.
const FIRST_PROBE: f64 = 2.0;
const LONGEST_PROBE: f64 = 60.0;

/// A probe that takes longer is another process's to repeat.
const PROBE_LEASE_SECONDS: i64 = 30;

/// Pauses ended in one round.
const RESUMED_AT_ONCE: i64 = 100;

/// Operations released in one transaction.
const RELEASED_AT_ONCE: i64 = 500;

impl Engine {
    /// Probes what is due until stopped.
    pub(super) async fn run_probes(self, stop: CancellationToken) -> Result<()> {
        while !stop.is_cancelled() {
            if let Err(error) = self.probe_step().await {
                tracing::warn!(error = with_sources(&error), "probing failed");
            }
            if let Err(error) = self.resume_step().await {
                tracing::warn!(error = with_sources(&error), "resuming failed");
            }
            tokio::select! {
                () = time::sleep(LOOK) => {}
                () = stop.cancelled() => {}
            }
        }
        Ok(())
    }

    /// One round of probes. Returns how many targets were asked.
    pub(super) async fn probe_step(&self) -> Result<usize> {
        let now = self.clock.now();
        let mut tx = self.database.begin_system().await?;
        let lease_until = now + TimeDelta::seconds(PROBE_LEASE_SECONDS);
        let due = work::claim_probes(&mut tx, now, lease_until, 16).await?;
        db::commit(tx).await?;
        // Side by side: one target that keeps its caller waiting delays no other.
        let probes = due.iter().map(|(pair, failed_probes)| self.probe(*pair, *failed_probes));
        future::join_all(probes).await.into_iter().collect::<Result<()>>()?;
        Ok(due.len())
    }

    /// Resumes connectors whose pause has come to its end. Returns how many were looked at.
    pub(super) async fn resume_step(&self) -> Result<usize> {
        let now = self.clock.now();
        let mut tx = self.database.begin_system().await?;
        let ended = work::find_ended_pauses(&mut tx, now, RESUMED_AT_ONCE).await?;
        db::commit(tx).await?;
        for pair in &ended {
            let mut tx = self.database.begin(pair.tenant).await?;
            let connector = connector::lock(&mut tx, pair.tenant, pair.connector).await?;
            // Somebody may have resumed it, and paused it again.
            if work::pause_end(&mut tx, *pair).await?.is_some_and(|until| until <= now) {
                tracing::info!(connector = %pair.connector, "the pause is over");
                let resumed = Connector { paused: false, pause_reason: None, updated_at: now, ..connector };
                connector::save(&mut tx, pair.tenant, &resumed).await?;
                work::set_due(&mut tx, pair.tenant, &[pair.connector], now).await?;
                db::commit(tx).await?;
                self.nudge.now();
            }
        }
        Ok(ended.len())
    }

    async fn probe(&self, pair: Pair, failed_probes: i32) -> Result<()> {
        let asked = self.ask(pair).await;
        match &asked {
            Ok(()) => self.sightings.answered(pair, self.clock.now()),
            Err(failure) => self.sightings.failed(pair, failure, self.clock.now()),
        }
        match asked {
            Ok(()) => self.target_is_back(pair).await,
            Err(failure) if failure.kind == FailureKind::BadCredentials => self.stop_connector(pair).await,
            Err(failure) => {
                tracing::info!(connector = %pair.connector, %failure, "the target is still down");
                let mut tx = self.database.begin(pair.tenant).await?;
                let next = self.clock.now() + after(failed_probes.saturating_add(1));
                work::probe_failed(&mut tx, pair, next).await?;
                db::commit(tx).await
            }
        }
    }

    /// Asks the target by a real call. A connector that is gone or only observed counts as back: its pair finds nothing
    /// to do.
    async fn ask(&self, pair: Pair) -> std::result::Result<(), TargetFailure> {
        let opened = async {
            let mut tx = self.database.begin(pair.tenant).await?;
            let found = connector::find(&mut tx, pair.tenant, pair.connector).await?;
            db::commit(tx).await?;
            match found {
                Some(connector) if connector.mode != Mode::Observe => {
                    self.targets.open(pair.tenant, &connector).await.map(Some)
                }
                Some(_) | None => Ok(None),
            }
        };
        match opened.await {
            Ok(Some(target)) => match target.target.check().await?.into_iter().find(|step| !step.ok) {
                Some(step) => Err(TargetFailure::new(FailureKind::Down, step.name, step.detail)),
                None => Ok(()),
            },
            Ok(None) => Ok(()),
            Err(error) => Err(TargetFailure::new(FailureKind::Down, error.reason.name(), error.to_string())),
        }
    }

    /// Claims try the target out, and release what waited for it as fast as it may be called.
    async fn target_is_back(&self, pair: Pair) -> Result<()> {
        crash::point(Point::ProbeAnswered);
        tracing::info!(tenant = %pair.tenant, connector = %pair.connector, "the target is back");
        let mut tx = self.database.begin(pair.tenant).await?;
        work::half_open_breaker(&mut tx, pair, self.clock.now()).await?;
        db::commit(tx).await?;
        self.nudge.now();
        Ok(())
    }

    /// Releases what waited for the target, the oldest first, at most `most` operations. Returns how many.
    pub(super) async fn release(&self, pair: Pair, most: u32) -> Result<usize> {
        let most = i64::from(most).min(RELEASED_AT_ONCE);
        db::retry(|| self.release_some(pair, most)).await
    }

    async fn release_some(&self, pair: Pair, most: i64) -> Result<usize> {
        let now = self.clock.now();
        let mut tx = self.database.begin(pair.tenant).await?;
        let mut lanes: Vec<_> = operation::awaiting(&mut tx, pair.tenant, pair.connector, most)
            .await?
            .into_iter()
            .map(|operation| operation.lane_id)
            .collect();
        if lanes.is_empty() {
            return Ok(0);
        }
        lanes.sort();
        lanes.dedup();
        // Under the lanes' lock they are read again: a cancel may have come first.
        lane::lock(&mut tx, pair.tenant, &lanes).await?;
        // A call beside this one has just met a target that is down: what waits for it now waits on.
        if work::breaker_is_open(&mut tx, pair.tenant, pair.connector).await? {
            return Ok(0);
        }
        let waiting = operation::awaiting(&mut tx, pair.tenant, pair.connector, most).await?;
        let released: Vec<&Operation> =
            waiting.iter().filter(|operation| lanes.binary_search(&operation.lane_id).is_ok()).collect();
        let mut kept = Vec::new();
        let mut moves = Vec::new();
        let mut deltas = Deltas::default();
        for operation in &released {
            let to = operation.status.after(Event::TargetBack)?;
            kept.push(Kept { status: to, ..Kept::of(operation) });
            moves.push(back(operation, to, now));
            deltas.moved(operation.connector_id, operation.status, to, now);
        }
        operation::save(&mut tx, pair.tenant, &kept, now).await?;
        log::insert(&mut tx, &self.clock, pair.tenant, &moves).await?;
        statistics::insert(&mut tx, &self.clock, pair.tenant, &deltas).await?;
        lane::refresh(&mut tx, pair.tenant, &lanes, now).await?;
        crash::point(Point::ReleaseWritten);
        db::commit(tx).await?;
        Ok(released.len())
    }
}

fn back(operation: &Operation, to: OperationStatus, at: chrono::DateTime<chrono::Utc>) -> Move {
    Move {
        operation_id: operation.id,
        connector_id: operation.connector_id,
        at,
        event: Some(Event::TargetBack),
        from: Some(operation.status),
        to,
        level: Level::Info,
        message: "the target answers again".to_owned(),
        actor: None,
        fence: None,
    }
}

/// The pause before the next probe, after so many that failed: doubling, ± 25 %.
pub(super) fn after(failed_probes: i32) -> TimeDelta {
    let seconds = (FIRST_PROBE * 2_f64.powi(failed_probes.min(10))).min(LONGEST_PROBE);
    let jittered = Duration::from_secs_f64(seconds * rand::random_range(0.75..1.25));
    TimeDelta::from_std(jittered).unwrap_or(TimeDelta::MAX)
}
