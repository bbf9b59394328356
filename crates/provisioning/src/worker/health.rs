//! What workers see of targets, told to the database once a second: the work itself never waits for it. A process that
//! dies takes the last second along.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::time;
use tokio_util::sync::CancellationToken;
use xavyo_core::{
    connector::{FailureKind, TargetFailure},
    error::Result,
};
use xavyo_runtime::{db, lifecycle::with_sources};

use super::{
    Engine,
    outcome::{Outcome, storable},
    record::Executed,
};
use crate::store::connector::{
    health::{self, Failure, Sighting},
    work::Pair,
};

const TELL_EVERY: Duration = Duration::from_secs(1);

/// What this process has seen of each pair's target since it last told. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Sightings(Arc<Mutex<HashMap<Pair, Sighting>>>);

impl Sightings {
    /// What a batch of calls showed.
    pub fn of_batch(&self, pair: Pair, batch: &[Executed]) {
        for tried in batch.iter().flat_map(|executed| &executed.tries) {
            match &tried.outcome {
                Outcome::Completed(_) => self.answered(pair, tried.completed_at),
                Outcome::Failed(failure) => self.failed(pair, failure, tried.completed_at),
                // The target did as it was asked: it was not asked for enough.
                Outcome::PremiseGone(_) | Outcome::Conflict { .. } => {}
            }
        }
    }

    pub fn answered(&self, pair: Pair, at: DateTime<Utc>) {
        self.see(pair, |seen| {
            seen.success_at = seen.success_at.max(Some(at));
            seen.is_down = false;
        });
    }

    pub fn failed(&self, pair: Pair, failure: &TargetFailure, at: DateTime<Utc>) {
        self.see(pair, |seen| {
            let (code, message) = (storable(&failure.code), storable(&failure.message));
            seen.failure = Some(Failure { at, code, message });
            seen.is_down |= matches!(failure.kind, FailureKind::Down | FailureKind::BadCredentials);
        });
    }

    fn see(&self, pair: Pair, change: impl FnOnce(&mut Sighting)) {
        change(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(pair).or_default());
    }

    fn take(&self) -> HashMap<Pair, Sighting> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Engine {
    /// Tells until stopped, and once more then.
    pub(super) async fn run_health(self, stop: CancellationToken) -> Result<()> {
        while !stop.is_cancelled() {
            tokio::select! {
                () = time::sleep(TELL_EVERY) => {}
                () = stop.cancelled() => {}
            }
            if let Err(error) = self.health_step().await {
                tracing::warn!(error = with_sources(&error), "the health of connectors was not told");
            }
        }
        Ok(())
    }

    pub(super) async fn health_step(&self) -> Result<()> {
        for (pair, seen) in self.sightings.take() {
            let mut tx = self.database.begin(pair.tenant).await?;
            health::record(&mut tx, pair.tenant, pair.connector, &seen).await?;
            db::commit(tx).await?;
        }
        Ok(())
    }
}
