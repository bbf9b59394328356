//! Freeing what dead workers held. Whether their calls arrived is unknown: each operation they had in hand goes back to
//! pending, to be read before it is written again. One that was claimed alone when its worker died counts the crash; the
//! third makes it a dead letter (fault 22).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use xavyo_core::{
    error::Result,
    ids::{LaneId, TenantId, WorkerId},
    operation::{Event, Operation, OperationStatus},
};
use xavyo_runtime::db;

use super::{Engine, record::Told};
use crate::{
    crash::{self, Point},
    queue,
    store::{
        connector::{
            self,
            work::{self, Pair},
        },
        lane::{self, ClaimedRange, Grace, Lane},
        operation::attempt::Attempt,
        operation::log::Level,
        operation::statistics::{self, Deltas},
        operation::{self, Kept},
        worker,
    },
    targets::OpenTarget,
};

/// Crashes of an operation claimed alone that make it a dead letter.
const MAX_CRASHES: i32 = 3;

/// Lanes in one transaction.
const AT_ONCE: i64 = 200;

/// Pairs that stand still, in one round.
const MOST_STANDING: i64 = 10_000;

const LEASE_LOST: &str = "LEASE_LOST";

/// The pause between two looks for a pair's lanes that dead workers hold, while there is always something to claim.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// When this process last looked for the lanes of dead workers, by pair and by whether it looked for its own too: while a
/// pair is busy there are only looks of the other kind, which may not stand in for them. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Looks(Arc<Mutex<HashMap<(Pair, bool), Instant>>>);

impl Looks {
    /// Whether it is time for another look; who is told so looks.
    pub fn is_due(&self, pair: Pair, has_none: bool) -> bool {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = looks.get(&(pair, has_none)).is_none_or(|at| at.elapsed() >= LOOK_EVERY);
        if is_due {
            looks.retain(|_, at| at.elapsed() < LOOK_EVERY);
            looks.insert((pair, has_none), Instant::now());
        }
        is_due
    }
}

impl Engine {
    /// Frees the lanes of a pair that dead workers hold; where this process `has_none` of them in hand, also those that it
    /// claimed without learning of it or could not record. Where a dead worker's late call could still do harm, only after
    /// the call's own time-out: unless every write in hand states a premise, which the target honours (Q8).
    pub(super) async fn take_over(&self, pair: Pair, target: &OpenTarget, has_none: bool) -> Result<usize> {
        let grace = Grace {
            seconds: f64::from(target.connector.policies.call_timeout.0),
            honours_premises: target.target.capabilities().versions,
        };
        self.free_abandoned(pair, grace, has_none.then_some(self.lease.worker)).await
    }

    /// The same for pairs that nobody drains: paused, only observed, or with a target that is down. Freeing calls no
    /// target: what the lanes hold is pending then, and can be cancelled, superseded or explained; it is read back when
    /// it is next claimed. Only while somebody has died of late; else this costs one look.
    pub(super) async fn take_over_standing(&self) -> Result<usize> {
        let mut tx = self.database.begin_system().await?;
        let pairs = if worker::has_died_of_late(&mut tx).await? {
            work::find_standing(&mut tx, MOST_STANDING).await?
        } else {
            Vec::new()
        };
        db::commit(tx).await?;
        let mut total = 0;
        for pair in pairs {
            let Some(_turn) = self.busy.begin(pair) else { continue };
            let mut tx = self.database.begin(pair.tenant).await?;
            let found = connector::find(&mut tx, pair.tenant, pair.connector).await?;
            db::commit(tx).await?;
            // One that is deleted may have lanes in hand, too.
            let timeout = found.map(|connector| connector.policies.call_timeout).unwrap_or_default();
            let grace = Grace { seconds: f64::from(timeout.0), honours_premises: false };
            total += self.free_abandoned(pair, grace, Some(self.lease.worker)).await?;
        }
        Ok(total)
    }

    async fn free_abandoned(&self, pair: Pair, grace: Grace, own: Option<WorkerId>) -> Result<usize> {
        let mut total = 0;
        loop {
            let mut tx = self.database.begin(pair.tenant).await?;
            let lanes =
                lane::lock_abandoned(&mut tx, pair.tenant, pair.connector, own, grace, AT_ONCE).await?;
            if lanes.is_empty() {
                return Ok(total);
            }
            total += lanes.len();
            self.free(&mut tx, pair.tenant, &lanes).await?;
            work::set_due(&mut tx, pair.tenant, &[pair.connector], self.clock.now()).await?;
            crash::point(Point::TakeOverWritten);
            db::commit(tx).await?;
            tracing::warn!(lanes = total, connector = %pair.connector, "took over the lanes of a dead worker");
        }
    }

    async fn free(&self, tx: &mut PgConnection, tenant: TenantId, lanes: &[Lane]) -> Result<()> {
        let now = self.clock.now();
        let ranges: Vec<(LaneId, i64, i64)> = lanes
            .iter()
            .filter_map(|lane| lane.claimed.map(|claimed| (lane.id, claimed.from, claimed.through)))
            .collect();
        let operations = operation::in_range(tx, tenant, &ranges).await?;
        let mut written = Written::default();
        for operation in &operations {
            let lane = lanes.iter().find(|lane| lane.id == operation.lane_id);
            if let Some((lane, claimed)) = lane.and_then(|lane| Some((lane, lane.claimed?))) {
                written.lost(operation, lane, claimed, claimed.worker == self.lease.worker, now)?;
            }
        }
        let ids: Vec<LaneId> = lanes.iter().map(|lane| lane.id).collect();
        lane::take_over(tx, tenant, &ids).await?;
        operation::save(tx, tenant, &written.kept, now).await?;
        written.told.write(tx, &self.clock, tenant).await?;
        statistics::insert(tx, &self.clock, tenant, &written.deltas).await?;
        queue::make_way(tx, &self.clock, tenant, &ids, now).await?;
        lane::refresh(tx, tenant, &ids, now).await
    }
}

#[derive(Default)]
struct Written {
    kept: Vec<Kept>,
    told: Told,
    deltas: Deltas,
}

impl Written {
    fn lost(
        &mut self,
        operation: &Operation,
        lane: &Lane,
        claimed: ClaimedRange,
        is_our_own: bool,
        now: DateTime<Utc>,
    ) -> Result<()> {
        // What this very process could not record, for want of the database, has killed nobody.
        let is_suspect = claimed.from == claimed.through && !is_our_own;
        let crash_count = operation.crash_count + i32::from(is_suspect);
        let events: &[Event] =
            if crash_count >= MAX_CRASHES { &[Event::Failed, Event::GaveUp] } else { &[Event::LeaseLost] };
        let message = "its worker died; the outcome is unknown".to_owned();
        let error = Some((LEASE_LOST.to_owned(), message.clone()));
        let status = self.told.add(events, |event, to| Attempt {
            operation_id: operation.id,
            connector_id: operation.connector_id,
            number: operation.attempts + 1,
            fence: lane.fence,
            worker: claimed.worker,
            claimed_at: claimed.at,
            started_at: claimed.at,
            completed_at: now,
            event,
            to,
            level: Level::Warn,
            message,
            error: error.clone(),
            outcome_unknown: true,
        })?;
        self.deltas.moved(operation.connector_id, OperationStatus::Pending, status, now);
        self.kept.push(Kept {
            status,
            attempts: operation.attempts + 1,
            crash_count,
            error,
            outcome_unknown: true,
            first_claimed_at: Some(claimed.at),
            ..Kept::of(operation)
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;
    use xavyo_core::ids::ConnectorId;

    use super::*;

    /// While a pair is busy nobody looks for our own lanes there; the first look between two turns must.
    #[test]
    fn a_look_for_the_lanes_of_others_is_none_for_our_own() {
        let pair = Pair { tenant: TenantId(Uuid::nil()), connector: ConnectorId(Uuid::nil()) };
        let looks = Looks::default();

        assert!(looks.is_due(pair, false));
        assert!(!looks.is_due(pair, false));
        assert!(looks.is_due(pair, true));
        assert!(!looks.is_due(pair, true));
    }
}
