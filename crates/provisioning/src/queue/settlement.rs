//! What becomes of operations that nobody has claimed when something comes behind them, or somebody decides: gathered
//! move by move, then written table by table.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use xavyo_core::{
    error::Result,
    ids::{ConflictId, OperationId, SubjectId, TenantId},
    leave::Fate,
    operation::{Event, HoldReason, Operation, OperationStatus},
};
use xavyo_runtime::Clock;

use crate::store::{
    conflict::{self, NewConflict},
    operation::history::{self, Ended},
    operation::log::{self, Level, Move},
    operation::statistics::{self, Deltas},
    operation::{self, Changed},
};

/// For operations of lanes that the caller has locked. Every method asks core's table of moves first.
#[derive(Debug)]
pub struct Settlement {
    now: DateTime<Utc>,
    changed: BTreeMap<OperationId, Changed>,
    ended: Vec<Ended>,
    /// Of those that end, the ones that have met a conflict.
    parties: Vec<OperationId>,
    moves: Vec<Move>,
    conflicts: Vec<NewConflict>,
    deltas: Deltas,
}

/// Why an operation is cancelled, and for whom.
#[derive(Clone, Debug)]
pub struct Cause {
    pub note: String,
    /// The operation that took in what this one would have written.
    pub merged_into: Option<OperationId>,
    pub actor: SubjectId,
}

impl Settlement {
    pub fn new(now: DateTime<Utc>) -> Self {
        Self {
            now,
            changed: BTreeMap::new(),
            ended: Vec::new(),
            parties: Vec::new(),
            moves: Vec::new(),
            conflicts: Vec::new(),
            deltas: Deltas::default(),
        }
    }

    /// It is never sent from now on.
    pub fn cancel(&mut self, operation: &Operation, cause: Cause) -> Result<()> {
        self.move_by(operation, Event::Cancelled, &cause.note, cause.actor)?;
        if operation.conflict_id.is_some() {
            self.parties.push(operation.id);
        }
        self.ended.push(Ended {
            id: operation.id,
            status: OperationStatus::Cancelled,
            attempts: operation.attempts,
            retry_count: operation.retry_count,
            may_hold_sealed: true,
            target_uid: None,
            error: operation.failure.clone().map(|failure| (failure.code, failure.message)),
            merged_into: cause.merged_into,
            resolved_by: None,
            notes: Some(cause.note),
        });
        Ok(())
    }

    /// What a leave does about an operation ahead of it, which is then as it stands now. Those that it passes have yet to
    /// be placed.
    pub fn make_way(
        &mut self,
        operation: &mut Operation,
        fate: Fate,
        leave: OperationId,
        actor: SubjectId,
    ) -> Result<()> {
        match fate {
            Fate::Superseded => {
                let note = format!("superseded by {leave}");
                self.cancel(operation, Cause { note, merged_into: None, actor })
            }
            Fate::Overtaken => {
                operation.overtaken = true;
                self.change(operation);
                Ok(())
            }
            Fate::ReadBack => self.read_back(operation, leave, actor),
            Fate::Passed => Ok(()),
        }
    }

    /// A create whose outcome is unknown finds out at once what became of it; a dead letter is revived for that alone.
    fn read_back(&mut self, operation: &mut Operation, leave: OperationId, actor: SubjectId) -> Result<()> {
        if operation.status == OperationStatus::DeadLetter {
            (operation.retry_count, operation.crash_count) = (0, 0);
        }
        if matches!(operation.status, OperationStatus::Failed | OperationStatus::DeadLetter) {
            let note = format!("read back for {leave}, and sent no more");
            operation.status = self.move_by(operation, Event::Retried, &note, actor)?;
        }
        operation.overtaken = true;
        operation.next_attempt_at = None;
        operation.hold_reason = None;
        self.change(operation);
        Ok(())
    }

    /// It has a part in a conflict, and waits for a person where `is_held`. What another conflict holds stays with that.
    pub fn meet(&mut self, operation: &mut Operation, conflict: ConflictId, is_held: bool) {
        let is_free = operation.hold_reason != Some(HoldReason::Conflict);
        if operation.status != OperationStatus::InProgress && is_free {
            operation.conflict_id = Some(conflict);
            if is_held {
                operation.hold_reason = Some(HoldReason::Conflict);
            }
            self.change(operation);
        }
    }

    pub fn place(&mut self, operation: &mut Operation, sequence: i64) {
        operation.sequence = sequence;
        self.change(operation);
    }

    /// Saves the operation as it stands now.
    pub fn change(&mut self, operation: &Operation) {
        self.changed.insert(operation.id, Changed::of(operation));
    }

    pub fn conflict(&mut self, conflict: NewConflict) {
        self.conflicts.push(conflict);
    }

    /// What ends is changed first, too: the history keeps which conflict it had a part in.
    pub async fn write(self, tx: &mut PgConnection, clock: &Clock, tenant: TenantId) -> Result<()> {
        let changed: Vec<Changed> = self.changed.into_values().collect();
        operation::save_changed(tx, tenant, &changed, self.now).await?;
        if !self.ended.is_empty() {
            history::archive(tx, tenant, &self.ended, self.now).await?;
        }
        conflict::insert(tx, tenant, &self.conflicts).await?;
        if !self.parties.is_empty() {
            conflict::resolve_moot(tx, tenant, &self.parties, self.now, "its operation was cancelled")
                .await?;
        }
        if !self.moves.is_empty() {
            log::insert(tx, clock, tenant, &self.moves).await?;
        }
        statistics::insert(tx, clock, tenant, &self.deltas).await
    }

    fn move_by(
        &mut self,
        operation: &Operation,
        event: Event,
        note: &str,
        actor: SubjectId,
    ) -> Result<OperationStatus> {
        let to = operation.status.after(event)?;
        self.deltas.moved(operation.connector_id, operation.status, to, self.now);
        self.moves.push(Move {
            operation_id: operation.id,
            connector_id: operation.connector_id,
            at: self.now,
            event: Some(event),
            from: Some(operation.status),
            to,
            level: Level::Info,
            message: note.to_owned(),
            actor: Some(actor),
            fence: None,
        });
        Ok(to)
    }
}
