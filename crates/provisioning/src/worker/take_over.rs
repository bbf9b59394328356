//! Freeing what dead workers held. Whether their calls arrived is unknown: each operation they had in hand goes back to
//! pending, to be read before it is written again. One that was claimed alone when its worker died counts the crash; the
//! third makes it a dead letter (fault 22).

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use xavyo_core::{
    error::Result,
    ids::{LaneId, TenantId, WorkerId},
    operation::{Event, Operation, OperationStatus},
};
use xavyo_runtime::db;

use super::Engine;
use crate::{
    crash::{self, Point},
    queue,
    store::{
        connector::work::{self, Pair},
        lane::{self, ClaimedRange, Lane},
        operation::log::{self, Attempt, Level, Move},
        operation::statistics::{self, Deltas},
        operation::{self, Kept},
    },
    targets::OpenTarget,
};

/// Crashes of an operation claimed alone that make it a dead letter.
const MAX_CRASHES: i32 = 3;

/// Lanes in one transaction.
const AT_ONCE: i64 = 200;

const LEASE_LOST: &str = "LEASE_LOST";

impl Engine {
    /// Frees the lanes of a pair that dead workers hold, and those that this process claimed without learning of it or
    /// could not record: called before the first claim of a drain, when it has none in hand. Where a dead worker's late
    /// call could still do harm, only after the call's own time-out.
    pub(super) async fn take_over(&self, pair: Pair, target: &OpenTarget) -> Result<usize> {
        let guarded = target.target.capabilities().versions;
        let grace = if guarded { 0 } else { target.connector.policies.call_timeout.0 };
        let mut total = 0;
        loop {
            let mut tx = self.database.begin(pair.tenant).await?;
            let lanes = lane::lock_abandoned(
                &mut tx,
                pair.tenant,
                pair.connector,
                self.lease.worker,
                f64::from(grace),
                AT_ONCE,
            )
            .await?;
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
                written.lost(operation, lane, claimed, now)?;
            }
        }
        let ids: Vec<LaneId> = lanes.iter().map(|lane| lane.id).collect();
        lane::take_over(tx, tenant, &ids).await?;
        operation::save(tx, tenant, &written.kept, now).await?;
        log::insert_attempts(tx, tenant, &written.attempts).await?;
        log::insert(tx, &self.clock, tenant, &written.moves).await?;
        statistics::insert(tx, &self.clock, tenant, &written.deltas).await?;
        queue::make_way(tx, &self.clock, tenant, &ids, now).await?;
        lane::refresh(tx, tenant, &ids, now).await
    }
}

#[derive(Default)]
struct Written {
    kept: Vec<Kept>,
    attempts: Vec<Attempt>,
    moves: Vec<Move>,
    deltas: Deltas,
}

impl Written {
    fn lost(
        &mut self,
        operation: &Operation,
        lane: &Lane,
        claimed: ClaimedRange,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let alone = claimed.from == claimed.through;
        let crash_count = operation.crash_count + i32::from(alone);
        let events: &[Event] =
            if crash_count >= MAX_CRASHES { &[Event::Failed, Event::GaveUp] } else { &[Event::LeaseLost] };
        let status = self.log(operation, lane.fence, claimed, events, now)?;
        let error = Some((LEASE_LOST.to_owned(), "its worker died; the outcome is unknown".to_owned()));
        self.attempts.push(attempt(operation, lane.fence, claimed.worker, claimed.at, now, error.clone()));
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

    fn log(
        &mut self,
        operation: &Operation,
        fence: i64,
        claimed: ClaimedRange,
        events: &[Event],
        now: DateTime<Utc>,
    ) -> Result<OperationStatus> {
        let mut from = OperationStatus::Pending;
        for (event, at) in
            std::iter::once((Event::Claimed, claimed.at)).chain(events.iter().map(|event| (*event, now)))
        {
            let to = from.after(event)?;
            self.moves.push(Move {
                operation_id: operation.id,
                connector_id: operation.connector_id,
                at,
                event: Some(event),
                from: Some(from),
                to,
                level: if event == Event::Claimed { Level::Info } else { Level::Warn },
                message: match event {
                    Event::Claimed => format!("attempt {}", operation.attempts + 1),
                    _ => "its worker died; the outcome is unknown".to_owned(),
                },
                actor: None,
                fence: Some(fence),
            });
            from = to;
        }
        Ok(from)
    }
}

fn attempt(
    operation: &Operation,
    fence: i64,
    worker: WorkerId,
    started_at: DateTime<Utc>,
    now: DateTime<Utc>,
    error: Option<(String, String)>,
) -> Attempt {
    Attempt {
        operation_id: operation.id,
        number: operation.attempts + 1,
        fence,
        worker,
        started_at,
        completed_at: now,
        error,
        outcome_unknown: true,
    }
}
