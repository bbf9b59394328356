//! The third of the three steps: one transaction records the outcomes of many lanes, each under its fence. A lane that
//! somebody took over meanwhile is left alone, with everything that was to be said about it (Q4).

mod links;
mod told;

use std::{collections::HashSet, mem};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use xavyo_core::{
    connector::{FailureKind, RetryPolicy},
    error::Result,
    ids::{ConflictId, LaneId, OperationId, TenantId, WorkerId},
    operation::{Event, HoldReason, Operation, OperationStatus},
    sealed,
};
use xavyo_runtime::{Clock, Database, db};

use self::links::LinkChange;
pub(super) use self::told::Told;
use super::{
    claim::Claim,
    outcome::{Met, Outcome, Settled, Tried, settle},
    probe,
};
use crate::{
    crash::{self, Point},
    queue,
    store::{
        conflict::{self, NewConflict},
        connector::work::{self, Pair},
        lane::{self, Release},
        operation::attempt::Attempt,
        operation::history::{self, Ended},
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
struct Batch<'a> {
    told: Told,
    kept: Vec<Kept>,
    ended: Vec<Ended>,
    links: Vec<LinkChange<'a>>,
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
        db::plan_for(&mut tx, executed.iter().map(|one| one.tries.len()).sum()).await?;
        let foreign = links::foreign(&mut tx, pair.tenant, target, executed).await?;
        let under = Circumstances { clock, worker, target, foreign: &foreign, now };
        let mut batch = Batch::of(executed.iter(), &under)?;
        let released = lane::release(&mut tx, pair.tenant, worker, mem::take(&mut batch.releases)).await?;
        if released.len() < executed.len() {
            let ours: HashSet<LaneId> = released.iter().map(|one| one.lane).collect();
            batch = Batch::of(executed.iter().filter(|one| ours.contains(&one.claim.lane)), &under)?;
        }
        if released.is_empty() {
            return Ok(0);
        }
        let (is_down, stopped) = (batch.is_down, mem::take(&mut batch.stopped));
        write(&mut tx, clock, pair.tenant, target, batch, now).await?;
        if !stopped.is_empty() {
            queue::make_way(&mut tx, clock, pair.tenant, &stopped, now).await?;
        }
        let left: Vec<LaneId> = released.iter().filter(|one| one.has_more).map(|one| one.lane).collect();
        if !left.is_empty() {
            lane::refresh(&mut tx, pair.tenant, &left, now).await?;
            work::set_due(&mut tx, pair.tenant, &[pair.connector], now).await?;
        }
        if is_down {
            // In the commit that makes them wait: nobody else would ever release them.
            work::open_breaker(&mut tx, pair, now + probe::after(0)).await?;
        }
        crash::point(Point::RecordWritten);
        db::commit(tx).await?;
        crash::point(Point::RecordCommitted);
        Ok(released.len())
    })
    .await
}

/// After an unknown outcome the lane runs one by one, until one succeeds.
fn runs_singly(executed: &Executed) -> bool {
    match executed.tries.last().map(|tried| &tried.outcome) {
        Some(Outcome::Completed(_)) => false,
        Some(Outcome::Failed(_)) => true,
        Some(Outcome::PremiseGone(_) | Outcome::Conflict { .. }) | None => executed.claim.runs_singly,
    }
}

/// What a batch is gathered under.
struct Circumstances<'a> {
    clock: &'a Clock,
    worker: WorkerId,
    target: &'a OpenTarget,
    /// Operations that would link an account which is another identity's already.
    foreign: &'a HashSet<OperationId>,
    now: DateTime<Utc>,
}

impl<'a> Batch<'a> {
    fn of(executed: impl Iterator<Item = &'a Executed>, under: &Circumstances<'_>) -> Result<Self> {
        let mut batch = Self::default();
        for one in executed {
            batch.gather(one, under)?;
        }
        Ok(batch)
    }

    fn gather(&mut self, executed: &'a Executed, under: &Circumstances<'_>) -> Result<()> {
        let &Circumstances { clock, worker, target, foreign, now } = under;
        let claim = &executed.claim;
        let policy = target.connector.policies.retry;
        let ended_before = self.ended.len();
        for (operation, made) in claim.operations.iter().zip(&executed.tries) {
            let is_foreign = foreign.contains(&operation.id);
            let tried = if is_foreign { &links::anothers(made) } else { made };
            let settled = decide(operation, tried, &policy, now);
            self.is_down |= settled.status == OperationStatus::AwaitingSystem;
            if !settled.status.is_final() && settled.status != OperationStatus::AwaitingSystem {
                self.stopped.push(claim.lane);
            }
            self.told.add(settled.events, |event, to| {
                attempt(claim, worker, operation, tried, &settled, (event, to))
            })?;
            match &made.outcome {
                Outcome::Completed(completed) if !is_foreign => {
                    self.links.extend(links::change(claim, operation, completed));
                    let first = operation.first_claimed_at.unwrap_or(claim.claimed_at);
                    let seconds = (now - first).as_seconds_f64();
                    self.deltas.completed(operation.connector_id, now, seconds);
                }
                _ => {
                    let from = OperationStatus::Pending;
                    self.deltas.moved(operation.connector_id, from, settled.status, now);
                }
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
            fence: claim.fence,
            ended: i32::try_from(self.ended.len() - ended_before).unwrap_or(i32::MAX),
            runs_singly: runs_singly(executed),
        });
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
                may_hold_sealed: sealed::in_changes(&operation.payload),
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
    (event, to): (Event, OperationStatus),
) -> Attempt {
    Attempt {
        operation_id: operation.id,
        connector_id: operation.connector_id,
        number: operation.attempts + 1,
        fence: claim.fence,
        worker,
        claimed_at: claim.claimed_at,
        started_at: tried.started_at,
        completed_at: tried.completed_at,
        event,
        to,
        level: settled.level,
        message: settled.message.clone(),
        error: settled.error.clone(),
        outcome_unknown: tried.outcome.is(FailureKind::Unknown),
    }
}

async fn write(
    tx: &mut PgConnection,
    clock: &Clock,
    tenant: TenantId,
    target: &OpenTarget,
    batch: Batch<'_>,
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
    batch.told.write(tx, clock, tenant).await?;
    if !batch.conflicts.is_empty() {
        conflict::insert(tx, tenant, &batch.conflicts).await?;
    }
    links::write(tx, clock, tenant, target, batch.links).await?;
    statistics::insert(tx, clock, tenant, &batch.deltas).await
}
