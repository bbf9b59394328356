//! The third of the three steps: one transaction records the outcomes of many lanes, each under its fence. A lane that
//! somebody took over meanwhile is left alone, with everything that was to be said about it (Q4).

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use xavyo_core::{
    conflict::ConflictType,
    connector::{FailureKind, RetryPolicy},
    error::Result,
    ids::{ConflictId, LaneId, OperationId, TenantId, WorkerId},
    operation::{Event, HoldReason, Operation, OperationStatus},
};
use xavyo_runtime::{Clock, Database, db};

use super::{
    claim::Claim,
    links::{self, LinkChange},
    outcome::{Outcome, Settled, Tried, settle},
    probe,
};
use crate::{
    crash::{self, Point},
    queue,
    store::{
        conflict::{self, NewConflict},
        connector::work::{self, Pair},
        lane::{self, Release},
        operation::history::{self, Ended},
        operation::log::{self, Attempt, Level, Move},
        operation::statistics::{self, Deltas},
        operation::{self, Kept},
    },
    targets::OpenTarget,
};

/// A claim and what came of its operations: one try each, for a prefix of them. The rest was not begun.
#[derive(Debug)]
pub struct Executed {
    pub claim: Claim,
    pub tries: Vec<Tried>,
}

/// Everything that a batch of executed claims writes, gathered before it is written table by table.
#[derive(Default)]
struct Batch {
    attempts: Vec<Attempt>,
    moves: Vec<Move>,
    kept: Vec<Kept>,
    ended: Vec<Ended>,
    links: Vec<LinkChange>,
    conflicts: Vec<NewConflict>,
    deltas: Deltas,
    /// Lanes whose first operation has come to stand still: what takes an account away goes past it.
    stopped: Vec<LaneId>,
    /// Something waits for the target now.
    is_down: bool,
}

/// Records a batch. Returns how many claims were still ours.
pub async fn record(
    database: &Database,
    clock: &Clock,
    worker: WorkerId,
    pair: Pair,
    target: &OpenTarget,
    executed: &[Executed],
) -> Result<usize> {
    crash::point(Point::RecordBefore);
    db::retry(|| async {
        let now = clock.now();
        let mut tx = database.begin(pair.tenant).await?;
        let releases: Vec<Release> = executed.iter().map(release).collect();
        let ours: HashSet<LaneId> =
            lane::release(&mut tx, pair.tenant, worker, &releases).await?.into_iter().collect();
        let held: Vec<&Executed> = executed.iter().filter(|one| ours.contains(&one.claim.lane)).collect();
        let foreign = links::foreign(&mut tx, pair.tenant, target, &held).await?;
        let mut batch = Batch::default();
        for one in &held {
            batch.gather(clock, worker, target, one, &foreign, now)?;
        }
        let is_down = batch.is_down;
        let stopped = std::mem::take(&mut batch.stopped);
        write(&mut tx, clock, pair.tenant, target, batch, now).await?;
        let lanes: Vec<LaneId> = held.iter().map(|one| one.claim.lane).collect();
        if !stopped.is_empty() {
            queue::make_way(&mut tx, clock, pair.tenant, &stopped, now).await?;
        }
        lane::refresh(&mut tx, pair.tenant, &lanes, now).await?;
        work::set_due(&mut tx, pair.tenant, &[pair.connector], now).await?;
        if is_down {
            // In the commit that makes them wait: nobody else would ever release them.
            work::open_breaker(&mut tx, pair, now + probe::after(0)).await?;
        }
        crash::point(Point::RecordWritten);
        db::commit(tx).await?;
        crash::point(Point::RecordCommitted);
        Ok(lanes.len())
    })
    .await
}

/// After an unknown outcome the lane runs one by one, until one succeeds.
fn release(executed: &Executed) -> Release {
    let runs_singly = match executed.tries.last().map(|tried| &tried.outcome) {
        Some(Outcome::Completed(_)) => false,
        Some(Outcome::Failed(_)) => true,
        Some(Outcome::PremiseGone(_) | Outcome::Conflict { .. }) | None => executed.claim.runs_singly,
    };
    Release { lane: executed.claim.lane, fence: executed.claim.fence, runs_singly }
}

impl Batch {
    fn gather(
        &mut self,
        clock: &Clock,
        worker: WorkerId,
        target: &OpenTarget,
        executed: &Executed,
        foreign: &HashSet<OperationId>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let claim = &executed.claim;
        let policy = target.connector.policies.retry;
        for (operation, tried) in claim.operations.iter().zip(&executed.tries) {
            let is_foreign = foreign.contains(&operation.id);
            let tried = if is_foreign { &links::anothers(tried) } else { tried };
            let settled = decide(operation, tried, &policy, now);
            self.is_down |= settled.status == OperationStatus::AwaitingSystem;
            if !settled.status.is_final() && settled.status != OperationStatus::AwaitingSystem {
                self.stopped.push(claim.lane);
            }
            self.attempts.push(attempt(claim, worker, operation, tried, &settled));
            self.log(claim, operation, tried, &settled)?;
            if let Outcome::Completed(completed) = &tried.outcome {
                self.links.extend(links::change(claim, operation, completed));
                let first = operation.first_claimed_at.unwrap_or(claim.claimed_at);
                let seconds = (now - first).as_seconds_f64();
                self.deltas.completed(operation.connector_id, now, seconds);
            } else {
                self.deltas.moved(operation.connector_id, OperationStatus::Pending, settled.status, now);
            }
            let conflict = self.conflict(clock, operation, &tried.outcome, now);
            self.place(claim, operation, tried, settled, conflict);
        }
        Ok(())
    }

    /// pending → in_progress with the claim's time, then what came of it.
    fn log(&mut self, claim: &Claim, operation: &Operation, tried: &Tried, settled: &Settled) -> Result<()> {
        let claimed = OperationStatus::Pending.after(Event::Claimed)?;
        let mut from = OperationStatus::Pending;
        let start = Move {
            operation_id: operation.id,
            connector_id: operation.connector_id,
            at: claim.claimed_at,
            event: Some(Event::Claimed),
            from: Some(from),
            to: claimed,
            level: Level::Info,
            message: format!("attempt {}", operation.attempts + 1),
            actor: None,
            fence: Some(claim.fence),
        };
        from = start.to;
        self.moves.push(start.clone());
        for (event, _) in &settled.moves {
            let to = from.after(*event)?;
            self.moves.push(Move {
                at: tried.completed_at,
                event: Some(*event),
                from: Some(from),
                to,
                level: settled.level,
                message: settled.message.clone(),
                ..start.clone()
            });
            from = to;
        }
        Ok(())
    }

    fn conflict(
        &mut self,
        clock: &Clock,
        operation: &Operation,
        outcome: &Outcome,
        now: DateTime<Utc>,
    ) -> Option<ConflictId> {
        let Outcome::Conflict { conflict_type, affected, .. } = outcome else { return None };
        let id = ConflictId(clock.new_id());
        self.conflicts.push(with_target(id, operation, *conflict_type, affected.clone(), now));
        Some(id)
    }

    fn place(
        &mut self,
        claim: &Claim,
        operation: &Operation,
        tried: &Tried,
        settled: Settled,
        conflict: Option<ConflictId>,
    ) {
        let attempts = operation.attempts + 1;
        if settled.status.is_final() {
            self.ended.push(Ended {
                id: operation.id,
                status: settled.status,
                attempts,
                retry_count: settled.retry_count,
                target_uid: links::uid_after(&tried.outcome),
                error: settled.error,
                merged_into: None,
                resolved_by: None,
                notes: None,
            });
        } else {
            self.kept.push(Kept {
                status: settled.status,
                retry_count: settled.retry_count,
                attempts,
                next_attempt_at: settled.next_attempt_at,
                error: settled.error,
                outcome_unknown: settled.outcome_unknown,
                conflict_id: conflict.or(operation.conflict_id),
                hold_reason: conflict.map(|_| HoldReason::Conflict),
                first_claimed_at: Some(claim.claimed_at),
                ..Kept::of(operation)
            });
        }
    }
}

fn decide(operation: &Operation, tried: &Tried, policy: &RetryPolicy, now: DateTime<Utc>) -> Settled {
    settle(operation, &tried.outcome, policy, now, rand::random_range(-1.0..=1.0))
}

fn with_target(
    id: ConflictId,
    operation: &Operation,
    conflict_type: ConflictType,
    affected: Vec<String>,
    now: DateTime<Utc>,
) -> NewConflict {
    NewConflict {
        id,
        connector_id: operation.connector_id,
        lane_id: operation.lane_id,
        operation_a: operation.id,
        operation_b: operation.id,
        conflict_type,
        affected,
        outcome: None,
        at: now,
    }
}

fn attempt(
    claim: &Claim,
    worker: WorkerId,
    operation: &Operation,
    tried: &Tried,
    settled: &Settled,
) -> Attempt {
    Attempt {
        operation_id: operation.id,
        number: operation.attempts + 1,
        fence: claim.fence,
        worker,
        started_at: tried.started_at,
        completed_at: tried.completed_at,
        error: settled.error.clone(),
        outcome_unknown: tried.outcome.is(FailureKind::Unknown),
    }
}

async fn write(
    tx: &mut PgConnection,
    clock: &Clock,
    tenant: TenantId,
    target: &OpenTarget,
    batch: Batch,
    now: DateTime<Utc>,
) -> Result<()> {
    if !batch.ended.is_empty() {
        history::archive(tx, tenant, &batch.ended, now).await?;
    }
    if !batch.kept.is_empty() {
        operation::save(tx, tenant, &batch.kept, now).await?;
    }
    log::insert_attempts(tx, tenant, &batch.attempts).await?;
    log::insert(tx, clock, tenant, &batch.moves).await?;
    if !batch.conflicts.is_empty() {
        conflict::insert(tx, tenant, &batch.conflicts).await?;
    }
    links::write(tx, clock, tenant, target, batch.links).await?;
    statistics::insert(tx, clock, tenant, &batch.deltas).await
}
