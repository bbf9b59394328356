//! The third of the three steps: one transaction records the outcomes of many lanes, each under its fence. A lane that
//! somebody took over meanwhile is left alone, with everything that was to be said about it (Q4).

use std::{collections::HashSet, mem};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use xavyo_core::{
    connector::{FailureKind, RetryPolicy},
    error::Result,
    ids::{ConflictId, LaneId, OperationId, TenantId, WorkerId},
    operation::{Event, HoldReason, Operation, OperationStatus},
};
use xavyo_runtime::{Clock, Database, db};

use super::{
    claim::Claim,
    links::{self, LinkChange},
    outcome::{Met, Outcome, Settled, Tried, settle},
    probe,
};
use crate::{
    crash::{self, Point},
    queue,
    store::{
        conflict::{self, NewConflict},
        connector::work::{self, Pair},
        lane::{self, Held, Release},
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
    /// Of what ends, the conflicts that it met on its way.
    parties: Vec<(OperationId, ConflictId)>,
    deltas: Deltas,
    releases: Vec<Release>,
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
        let held = still_ours(&mut tx, pair.tenant, worker, executed).await?;
        let foreign = links::foreign(&mut tx, pair.tenant, target, &held).await?;
        let mut batch = Batch::default();
        for one in &held {
            batch.gather(clock, worker, target, one, &foreign, now)?;
        }
        let is_down = batch.is_down;
        let (stopped, releases) = (mem::take(&mut batch.stopped), mem::take(&mut batch.releases));
        write(&mut tx, clock, pair.tenant, target, batch, now).await?;
        if !stopped.is_empty() {
            queue::make_way(&mut tx, clock, pair.tenant, &stopped, now).await?;
        }
        let remaining = lane::release(&mut tx, pair.tenant, releases).await?;
        if !remaining.is_empty() {
            lane::refresh(&mut tx, pair.tenant, &remaining, now).await?;
            work::set_due(&mut tx, pair.tenant, &[pair.connector], now).await?;
        }
        if is_down {
            // In the commit that makes them wait: nobody else would ever release them.
            work::open_breaker(&mut tx, pair, now + probe::after(0)).await?;
        }
        crash::point(Point::RecordWritten);
        db::commit(tx).await?;
        crash::point(Point::RecordCommitted);
        Ok(held.len())
    })
    .await
}

/// Those of the claims that nobody has taken over; their lanes are locked from here on.
async fn still_ours<'a>(
    tx: &mut PgConnection,
    tenant: TenantId,
    worker: WorkerId,
    executed: &'a [Executed],
) -> Result<Vec<&'a Executed>> {
    let held = executed.iter().map(|one| Held { lane: one.claim.lane, fence: one.claim.fence }).collect();
    let ours: HashSet<LaneId> = lane::lock_held(tx, tenant, worker, held).await?.into_iter().collect();
    Ok(executed.iter().filter(|one| ours.contains(&one.claim.lane)).collect())
}

/// After an unknown outcome the lane runs one by one, until one succeeds.
fn runs_singly(executed: &Executed) -> bool {
    match executed.tries.last().map(|tried| &tried.outcome) {
        Some(Outcome::Completed(_)) => false,
        Some(Outcome::Failed(_)) => true,
        Some(Outcome::PremiseGone(_) | Outcome::Conflict { .. }) | None => executed.claim.runs_singly,
    }
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
        let ended_before = self.ended.len();
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
        // What was not begun was claimed all the same: the guard has counted it, and does not count it twice.
        let not_begun = claim.operations.iter().skip(executed.tries.len());
        self.kept
            .extend(not_begun.map(|one| Kept { first_claimed_at: Some(claim.claimed_at), ..Kept::of(one) }));
        self.releases.push(Release {
            lane: claim.lane,
            ended: i32::try_from(self.ended.len() - ended_before).unwrap_or(i32::MAX),
            runs_singly: runs_singly(executed),
        });
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

    /// The conflict with the target that the attempt met, if any. Resolved as it arises, unless a person decides.
    fn conflict(
        &mut self,
        clock: &Clock,
        operation: &Operation,
        outcome: &Outcome,
        now: DateTime<Utc>,
    ) -> Option<ConflictId> {
        let met = match outcome {
            Outcome::Conflict { met, .. } => Some(met),
            Outcome::Completed(completed) => completed.met.as_ref(),
            Outcome::Failed(_) | Outcome::PremiseGone(_) => None,
        }?;
        let id = ConflictId(clock.new_id());
        self.conflicts.push(with_target(id, operation, met, now));
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
            self.parties.extend(conflict.map(|conflict| (operation.id, conflict)));
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

fn with_target(id: ConflictId, operation: &Operation, met: &Met, now: DateTime<Utc>) -> NewConflict {
    NewConflict {
        id,
        connector_id: operation.connector_id,
        lane_id: operation.lane_id,
        operation_a: operation.id,
        operation_b: operation.id,
        conflict_type: met.conflict_type,
        affected: met.affected.clone(),
        outcome: met.outcome,
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
    if !batch.parties.is_empty() {
        operation::note_conflicts(tx, tenant, &batch.parties).await?;
    }
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
