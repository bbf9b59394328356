//! What keeps the tables small and the readings cheap: folding statistics, partitions made ahead, old request ids,
//! approvals and dead workers forgotten; and what dead workers left where nobody looks. Every replica does it; each piece is safe to do twice.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::time;
use tokio_util::sync::CancellationToken;
use xavyo_core::{error::Result, ids::TenantId};
use xavyo_runtime::{db, lifecycle::with_sources};

use super::Engine;
use crate::{
    crash::{self, Point},
    store::{connector::work, guard::approval, operation::statistics, partition, request, worker},
};

const FOLD_EVERY: Duration = Duration::from_secs(2);

/// Rounds of folding between two of the slow duties.
const SLOW_EVERY: u32 = 300;

/// Deltas in one transaction.
const FOLDED_AT_ONCE: i64 = 5_000;

/// How far ahead partitions are made.
const AHEAD_DAYS: i64 = 28;

impl Engine {
    pub(super) async fn run_housekeeping(self, stop: CancellationToken) -> Result<()> {
        let mut round = 0;
        while !stop.is_cancelled() {
            if let Err(error) = self.housekeeping_step(round % SLOW_EVERY == 0).await {
                tracing::warn!(error = with_sources(&error), "housekeeping failed");
            }
            round = round.wrapping_add(1);
            tokio::select! {
                () = time::sleep(FOLD_EVERY.mul_f64(rand::random_range(0.5..1.5))) => {}
                () = stop.cancelled() => {}
            }
        }
        Ok(())
    }

    async fn housekeeping_step(&self, with_slow_duties: bool) -> Result<()> {
        if with_slow_duties {
            let now = self.clock.now();
            let mut tx = self.database.begin_system().await?;
            partition::ensure(&mut tx, now, now + TimeDelta::days(AHEAD_DAYS)).await?;
            worker::delete_dead(&mut tx).await?;
            db::commit(tx).await?;
        }
        self.take_over_standing().await?;
        for tenant in work::tenants(&self.database).await? {
            self.fold(tenant).await?;
            if with_slow_duties {
                let mut tx = self.database.begin(tenant).await?;
                request::forget(&mut tx, &self.clock, tenant).await?;
                approval::forget(&mut tx, tenant, self.clock.now()).await?;
                db::commit(tx).await?;
                self.finish_departures(tenant).await?;
            }
        }
        Ok(())
    }

    async fn fold(&self, tenant: TenantId) -> Result<()> {
        loop {
            let mut tx = self.database.begin(tenant).await?;
            let folded = statistics::fold(&mut tx, tenant, FOLDED_AT_ONCE).await?;
            crash::point(Point::FoldWritten);
            db::commit(tx).await?;
            if folded < FOLDED_AT_ONCE {
                return Ok(());
            }
        }
    }
}
