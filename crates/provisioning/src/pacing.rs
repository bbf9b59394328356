//! The calls of all processes to one target, kept within the connector's concurrency, rate and ramp (Q11).
//!
//! Each process has one [`Pacer`] a connector, whoever calls. It leases a share of the connector's one row for a second;
//! [`Pacing::run`] renews what is in use and gives back what is not, so that a call seldom waits for the database. No call
//! begins without a share, nor on one of a process whose own lease has ended: another may have taken over its lanes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;
use xavyo_connectors::wrappers::{Grant, Moments, Need, Pace, Pacer, Rate, Source};
use xavyo_core::{
    connector::Policies,
    error::Result,
    ids::WorkerId,
    pace::{self, Granted, Limits, Wish},
};
use xavyo_runtime::{
    db::{self, Database},
    lifecycle::with_sources,
};

use crate::store::connector::{pace as row, work::Pair};

/// How often what is in use is renewed: well within a lease.
const RENEW_EVERY: Duration = Duration::from_millis(400);

/// A share that was not used for so long is given back.
const KEPT_IDLE: Duration = Duration::from_secs(10);

/// Gives each connector its pacer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pacing(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    /// This process has all targets to itself.
    Alone,
    Shared {
        database: Database,
        worker: WorkerId,
        open: Mutex<HashMap<Pair, Paced>>,
    },
}

/// A connector's pacer in this process, and where it leases.
#[derive(Clone, Debug)]
struct Paced {
    pacer: Arc<Pacer>,
    share: Arc<Share>,
}

impl Pacing {
    /// For a process that has all targets to itself: every connector at its own full pace.
    pub fn alone() -> Self {
        Self(Arc::new(Kind::Alone))
    }

    /// Shared with the other processes on the database, in the name of one whose worker is alive.
    pub fn shared(database: &Database, worker: WorkerId) -> Self {
        Self(Arc::new(Kind::Shared { database: database.clone(), worker, open: Mutex::default() }))
    }

    /// The connector's pacer; from now on within these policies.
    pub fn pacer(&self, pair: Pair, policies: &Policies) -> Arc<Pacer> {
        match self.0.as_ref() {
            Kind::Alone => Arc::new(Pacer::fixed(alone(policies))),
            Kind::Shared { database, worker, open } => {
                let mut open = lock(open);
                let paced = open.entry(pair).or_insert_with(|| {
                    let limits = Mutex::new(limits(policies));
                    let share = Arc::new(Share { database: database.clone(), worker: *worker, pair, limits });
                    let source: Arc<dyn Source> = share.clone();
                    Paced { pacer: Arc::new(Pacer::new(source)), share }
                });
                *lock(&paced.share.limits) = limits(policies);
                Arc::clone(&paced.pacer)
            }
        }
    }

    /// Renews and gives back, until stopped.
    pub async fn run(self, stop: CancellationToken) -> Result<()> {
        while !stop.is_cancelled() {
            self.step(KEPT_IDLE).await;
            tokio::select! {
                () = time::sleep(RENEW_EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
        Ok(())
    }

    /// Renews what was used of late, and gives back what was not for so long.
    pub async fn step(&self, kept_idle: Duration) {
        let Kind::Shared { open, .. } = self.0.as_ref() else { return };
        let all: Vec<(Pair, Paced)> = lock(open).iter().map(|(pair, paced)| (*pair, paced.clone())).collect();
        for (pair, Paced { pacer, .. }) in all {
            if pacer.idle_for() >= kept_idle {
                if pacer.let_go().await {
                    // Nobody but this list and this round has it.
                    lock(open).retain(|known, paced| *known != pair || Arc::strong_count(&paced.pacer) > 2);
                }
            } else {
                pacer.renew().await;
            }
        }
    }
}

/// Leases one process's share of one connector.
#[derive(Debug)]
struct Share {
    database: Database,
    worker: WorkerId,
    pair: Pair,
    limits: Mutex<Limits>,
}

#[tonic::async_trait]
impl Source for Share {
    async fn grant(&self, need: Need) -> Option<Grant> {
        // The lease is counted from before the statement was sent, moments from after the answer: never too long, never early.
        let sent = Instant::now();
        match db::retry(|| self.lease(need)).await {
            Ok(leased) => leased.map(|leased| leased.by_our_clock(sent)),
            Err(error) => {
                tracing::warn!(error = with_sources(&error), connector = %self.pair.connector, "no share of its calls");
                None
            }
        }
    }

    async fn leave(&self) {
        let left = async {
            let mut tx = self.database.begin(self.pair.tenant).await?;
            let mut row = row::lock(&mut tx, self.pair).await?;
            row.shares.leave(self.worker);
            row::save(&mut tx, self.pair, &row.shares).await?;
            db::commit(tx).await
        };
        // A share that cannot be given back ends by itself.
        if let Err(error) = left.await {
            tracing::warn!(error = with_sources(&error), connector = %self.pair.connector, "a share is kept");
        }
    }
}

impl Share {
    /// None while this process counts as dead.
    async fn lease(&self, need: Need) -> Result<Option<Leased>> {
        let limits = *lock(&self.limits);
        let mut tx = self.database.begin(self.pair.tenant).await?;
        let mut row = row::lock(&mut tx, self.pair).await?;
        let limits = Limits { per_second: pace::slower(limits.per_second, row.ramp()), ..limits };
        let known = row.shares.workers().chain([self.worker]).collect::<Vec<_>>();
        let alive = row::alive(&mut tx, known).await?;
        let Some(ends) = alive.get(&self.worker) else { return Ok(None) };
        row.shares.forget_dead(|worker| alive.contains_key(&worker));
        let wish =
            Wish { under_way: need.under_way, waiting: need.waiting, needs_moments: need.lacks_moments };
        let granted = row.shares.lease(self.worker, wish, limits, row.now);
        row::save(&mut tx, self.pair, &row.shares).await?;
        db::commit(tx).await?;
        let granted = Granted { until: granted.until.min(*ends), ..granted };
        Ok(Some(Leased { granted, per_second: limits.per_second, now: row.now }))
    }
}

/// A share by the database's clock.
struct Leased {
    granted: Granted,
    per_second: Option<f64>,
    now: DateTime<Utc>,
}

impl Leased {
    fn by_our_clock(self, sent: Instant) -> Grant {
        let received = Instant::now();
        let after = |start: Instant, at: DateTime<Utc>| start + (at - self.now).to_std().unwrap_or_default();
        let moments = self.granted.moments.map(|moments| Moments {
            first: after(received, moments.first),
            count: moments.count,
            interval: moments.interval.to_std().unwrap_or_default(),
        });
        let rate = self.per_second.map(|per_second| Rate { per_second, moments });
        Grant { places: self.granted.places, until: after(sent, self.granted.until), rate }
    }
}

fn limits(policies: &Policies) -> Limits {
    Limits {
        at_once: u32::try_from(policies.max_concurrency.0).unwrap_or(1).max(1),
        per_second: policies.max_calls_per_second.map(f64::from),
        call_timeout: TimeDelta::seconds(policies.call_timeout.0.into()),
    }
}

fn alone(policies: &Policies) -> Pace {
    Pace {
        at_once: u32::try_from(policies.max_concurrency.0).unwrap_or(1),
        per_second: policies.max_calls_per_second.and_then(|rate| u32::try_from(rate).ok()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
