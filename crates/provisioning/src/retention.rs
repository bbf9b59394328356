//! Retention: what is older than what is kept goes. Whole weeks of history are dropped once no operation that is not
//! final was created in them; hours of statistics that nobody asks for by the hour are merged; events of links that are
//! long gone are forgotten, and before them the marks that need them. Never the audit log.
//!
//! Every replica does it; each piece is safe to do twice, and to leave for the next round.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::time;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use xavyo_core::{error::Result, ids::TenantId};
use xavyo_runtime::{Clock, Database, db, lifecycle::with_sources};

use crate::store::{
    account::mark,
    connector::work,
    link,
    operation::{self, statistics},
    partition,
};

const LOOK_EVERY: Duration = Duration::from_mins(15);

/// Statistics by the hour look back 24 hours.
const HOURS_KEPT: TimeDelta = TimeDelta::hours(48);

/// No delta run begins at an older mark: a full one is due at least once a year.
const MARKS_KEPT: TimeDelta = TimeDelta::days(400);

/// A mark goes so long before the events that it needs: more than any two clocks differ.
const MARGIN: TimeDelta = TimeDelta::days(1);

/// Events forgotten in one transaction.
const FORGOTTEN_AT_ONCE: i64 = 5_000;

/// How long things are kept; none = for ever.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// Final operations with their attempts and moves, since they were created.
    pub history: Option<TimeDelta>,
    /// Events of links that exist no more.
    pub link_events: Option<TimeDelta>,
}

#[derive(Clone, Debug)]
pub struct Retention {
    database: Database,
    clock: Clock,
    kept: Kept,
}

impl Retention {
    pub fn new(database: Database, clock: Clock, kept: Kept) -> Self {
        Self { database, clock, kept }
    }

    pub async fn run(self, stop: CancellationToken) -> Result<()> {
        while !stop.is_cancelled() {
            if let Err(error) = self.step().await {
                tracing::warn!(error = with_sources(&error), "retention waits for the next round");
            }
            stop.run_until_cancelled(time::sleep(LOOK_EVERY.mul_f64(rand::random_range(0.5..1.5)))).await;
        }
        Ok(())
    }

    /// One round. Returns how many weeks of history were dropped.
    pub async fn step(&self) -> Result<i32> {
        let tenants = work::tenants(&self.database).await?;
        let mut oldest = Uuid::max();
        for tenant in &tenants {
            let mut tx = self.database.begin(*tenant).await?;
            statistics::merge_hours(&mut tx, *tenant, self.clock.now() - HOURS_KEPT).await?;
            if let Some(id) = operation::oldest(&mut tx, *tenant).await? {
                oldest = oldest.min(id.0);
            }
            db::commit(tx).await?;
            self.forget_links(*tenant).await?;
        }
        let Some(kept) = self.kept.history else { return Ok(0) };
        let mut tx = self.database.begin_system().await?;
        let dropped = partition::drop_old(&mut tx, self.clock.now() - kept, oldest).await?;
        db::commit(tx).await?;
        if dropped > 0 {
            tracing::info!(weeks = dropped, "history was dropped");
        }
        Ok(dropped)
    }

    async fn forget_links(&self, tenant: TenantId) -> Result<()> {
        let kept = self.kept.link_events;
        let marks_kept = kept.map_or(MARKS_KEPT, |kept| (kept - MARGIN).min(MARKS_KEPT));
        let mut tx = self.database.begin(tenant).await?;
        mark::forget(&mut tx, tenant, self.clock.now() - marks_kept).await?;
        db::commit(tx).await?;
        let Some(kept) = kept else { return Ok(()) };
        loop {
            let mut tx = self.database.begin(tenant).await?;
            let before = self.clock.now() - kept;
            let forgotten = link::forget_events(&mut tx, tenant, before, FORGOTTEN_AT_ONCE).await?;
            db::commit(tx).await?;
            if forgotten < FORGOTTEN_AT_ONCE {
                return Ok(());
            }
        }
    }
}
