//! Moves that a person makes: cancel, retry, resolve. Under the lane's lock, so that a claim comes before or after,
//! never in between (Q9).

use chrono::{DateTime, Utc};
use serde_json::json;
use xavyo_core::{
    Error, Reason,
    error::Result,
    operation::{Event, Operation, OperationStatus},
};
use xavyo_runtime::{auth::Caller, db, db::Transaction};

use super::{ChangeOperation, Operations, seal};
use crate::store::{
    audit::{self, Entry},
    conflict,
    connector::{self, work},
    lane,
    operation::history::{self, Ended},
    operation::log::{self, Level, Move},
    operation::statistics::{self, Deltas},
    operation::{self, Kept},
};

impl Operations {
    /// An ok means that the operation is never sent from now on.
    pub async fn cancel(&self, caller: &Caller, command: &ChangeOperation) -> Result<Operation> {
        self.change(caller, command, "CancelOperation", Event::Cancelled).await
    }

    /// A failed one runs at once; a dead letter starts anew, with all its retries.
    pub async fn retry(&self, caller: &Caller, command: &ChangeOperation) -> Result<Operation> {
        let operation = self.change(caller, command, "RetryOperation", Event::Retried).await?;
        self.nudge.now();
        Ok(operation)
    }

    /// A dead letter was dealt with otherwise; its lane goes on.
    pub async fn resolve(&self, caller: &Caller, command: &ChangeOperation) -> Result<Operation> {
        let operation = self.change(caller, command, "ResolveOperation", Event::ResolvedByPerson).await?;
        self.nudge.now();
        Ok(operation)
    }

    async fn change(
        &self,
        caller: &Caller,
        command: &ChangeOperation,
        method: &'static str,
        event: Event,
    ) -> Result<Operation> {
        db::retry(|| self.try_change(caller, command, method, event)).await
    }

    async fn try_change(
        &self,
        caller: &Caller,
        command: &ChangeOperation,
        method: &'static str,
        event: Event,
    ) -> Result<Operation> {
        let mut tx = self.database.begin(caller.tenant).await?;
        let before = locked(&mut tx, caller, command).await?;
        // After the lock: whatever held it comes first, in the log's times too.
        let now = self.clock.now();
        let to = before.status.after(event)?;
        if event == Event::Retried && before.overtaken {
            return Err(Error::new(
                Reason::Overtaken,
                "a later delete of the account overtook this operation",
            ));
        }
        save(&mut tx, caller, command, &before, to, now).await?;
        log::insert(&mut tx, &self.clock, caller.tenant, &[moved(caller, command, &before, event, to, now)])
            .await?;
        let mut deltas = Deltas::default();
        deltas.moved(before.connector_id, before.status, to, now);
        statistics::insert(&mut tx, &self.clock, caller.tenant, &deltas).await?;
        lane::refresh(&mut tx, caller.tenant, &[before.lane_id], now).await?;
        work::set_due(&mut tx, caller.tenant, &[before.connector_id], now).await?;
        audit::insert(&mut tx, &self.clock, caller, entry(method, command, &before, to)).await?;
        let after = operation::find(&mut tx, caller.tenant, before.id).await?;
        let after = seal::hidden(&mut tx, caller.tenant, after.into_iter().collect()).await?;
        db::commit(tx).await?;
        after.into_iter().next().ok_or_else(|| Error::not_found("operation"))
    }
}

/// The operation under its lane's lock. One in the history needs none: it is final.
async fn locked(tx: &mut Transaction, caller: &Caller, command: &ChangeOperation) -> Result<Operation> {
    let found = lane::find_of_operation(tx, caller.tenant, command.operation_id).await?;
    if let Some((connector, lane)) = found {
        connector::hold(tx, caller.tenant, connector).await?;
        lane::lock(tx, caller.tenant, &[lane]).await?;
    }
    let operation = operation::find(tx, caller.tenant, command.operation_id)
        .await?
        .ok_or_else(|| Error::not_found("operation"))?;
    if command.etag.is_some_and(|etag| etag != operation.version) {
        return Err(Error::new(Reason::EtagMismatch, "the operation has changed since it was read"));
    }
    Ok(operation)
}

async fn save(
    tx: &mut Transaction,
    caller: &Caller,
    command: &ChangeOperation,
    before: &Operation,
    to: OperationStatus,
    now: DateTime<Utc>,
) -> Result<()> {
    if !to.is_final() {
        return operation::save(tx, caller.tenant, &[going_on(before, to)], now).await;
    }
    let notes = command.notes.clone();
    let ended = Ended {
        id: before.id,
        status: to,
        attempts: before.attempts,
        retry_count: before.retry_count,
        may_hold_sealed: true,
        target_uid: None,
        error: before.failure.clone().map(|failure| (failure.code, failure.message)),
        merged_into: None,
        resolved_by: (to == OperationStatus::Resolved).then_some(caller.subject),
        notes,
    };
    history::archive(tx, caller.tenant, &[ended], now).await?;
    let note = format!("its operation was {to}");
    conflict::resolve_moot(tx, caller.tenant, &[before.id], now, &note).await
}

/// An operation that goes on in another state. A dead letter starts anew, with all its retries.
pub(super) fn going_on(before: &Operation, to: OperationStatus) -> Kept {
    let anew = before.status == OperationStatus::DeadLetter;
    let left = |count: i32| if anew { 0 } else { count };
    Kept {
        status: to,
        retry_count: left(before.retry_count),
        crash_count: left(before.crash_count),
        next_attempt_at: None,
        ..Kept::of(before)
    }
}

fn moved(
    caller: &Caller,
    command: &ChangeOperation,
    before: &Operation,
    event: Event,
    to: OperationStatus,
    at: DateTime<Utc>,
) -> Move {
    Move {
        operation_id: before.id,
        connector_id: before.connector_id,
        at,
        event: Some(event),
        from: Some(before.status),
        to,
        level: Level::Info,
        message: command.notes.clone().unwrap_or_else(|| event.name().replace('_', " ")),
        actor: Some(caller.subject),
        fence: None,
    }
}

fn entry(method: &'static str, command: &ChangeOperation, before: &Operation, to: OperationStatus) -> Entry {
    Entry {
        method,
        resource_type: "operation",
        resource_id: Some(before.id.0),
        connector_id: Some(before.connector_id),
        details: json!({ "from": before.status, "to": to }),
        reason: command.notes.clone(),
    }
}
