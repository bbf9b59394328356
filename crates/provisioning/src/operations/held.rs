//! What the guard holds: shown in groups by cause, and decided as a whole by somebody who saw exactly that (R3).

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use xavyo_core::{
    Error, Reason,
    connector::Connector,
    error::Result,
    guard::ApprovedItem,
    ids::{ConnectorId, LaneId, OperationId, RunId, SubjectId},
    operation::{Event, Operation, OperationStatus},
};
use xavyo_runtime::{auth::Caller, db, db::Transaction};

use super::{Operations, seal};
use crate::{
    paging::{self, Listed, MOST_COUNTED},
    store::{
        audit::{self, Entry},
        conflict,
        connector::{self, work},
        guard::{
            approval::{self, Approval},
            held::{self, Group, GroupKey, Place},
        },
        lane,
        operation::history::{self, Ended},
        operation::log::{self, Level, Move},
        operation::statistics::{self, Deltas},
    },
};

/// Operations of a group that are shown.
const EXAMPLES: i64 = 20;

/// For how long the items of an approved plan pass the guard.
const APPROVED_FOR: TimeDelta = TimeDelta::hours(24);

/// Which groups to list.
#[derive(Clone, Debug)]
pub struct ListHeld {
    pub connector_id: Option<ConnectorId>,
    pub after: Option<Place>,
    pub page_size: i64,
    pub count_total: bool,
}

/// A group and its first operations.
#[derive(Clone, Debug)]
pub struct HeldGroup {
    pub group: Group,
    pub examples: Vec<Operation>,
}

/// A decision about a group: the digest is of what was seen.
#[derive(Clone, Debug)]
pub struct DecideHeld {
    pub key: GroupKey,
    pub digest: String,
    pub reason: Option<String>,
}

/// A plan, or a part of one, that a person has approved.
#[derive(Clone, Debug)]
pub struct RegisterPlan {
    pub connector_id: ConnectorId,
    pub run_id: RunId,
    pub plan_digest: String,
    pub approved_by: SubjectId,
    pub items: Vec<ApprovedItem>,
}

/// How many items of the plan are known now, and until when they pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    pub items: i64,
    pub expires_at: DateTime<Utc>,
}

/// A group under the locks of its lanes, as it was seen.
struct Locked {
    connector: Connector,
    lanes: Vec<LaneId>,
    operations: Vec<Operation>,
}

impl Operations {
    pub async fn held(&self, caller: &Caller, command: ListHeld) -> Result<Listed<HeldGroup>> {
        let tenant = caller.tenant;
        let ListHeld { connector_id, after, page_size, count_total } = command;
        let mut tx = self.database.begin(tenant).await?;
        let groups = held::page(&mut tx, tenant, connector_id, after, paging::rows(page_size)).await?;
        let counted = held::count(&mut tx, tenant, connector_id, MOST_COUNTED + 1);
        let total = paging::total(count_total, counted).await?;
        let Listed { items, has_more, total } = Listed::of(groups, page_size, total);
        let mut shown = Vec::with_capacity(items.len());
        for group in items {
            let examples = held::examples(&mut tx, tenant, &group.key, EXAMPLES).await?;
            let examples = seal::hidden(&mut tx, tenant, examples).await?;
            shown.push(HeldGroup { group, examples });
        }
        Ok(Listed { items: shown, has_more, total })
    }

    /// Lets exactly the operations of the group pass the guard, once. Returns how many.
    pub async fn release_held(&self, caller: &Caller, command: &DecideHeld) -> Result<i64> {
        let released = db::retry(|| self.try_release(caller, command)).await?;
        self.nudge.now();
        Ok(released)
    }

    async fn try_release(&self, caller: &Caller, command: &DecideHeld) -> Result<i64> {
        let tenant = caller.tenant;
        let mut tx = self.database.begin(tenant).await?;
        let Locked { connector, lanes, operations } = locked(&mut tx, caller, command).await?;
        // After the locks: whatever held them comes first, in the log's times too.
        let now = self.clock.now();
        if connector.policies.guard.four_eyes
            && operations.iter().any(|operation| operation.cause.requested_by == caller.subject)
        {
            return Err(Error::new(
                Reason::RoleForbids,
                "somebody else than who asked for them has to approve",
            ));
        }
        let ids: Vec<OperationId> = operations.iter().map(|operation| operation.id).collect();
        approval::release(&mut tx, tenant, &ids, caller.subject, now).await?;
        held::let_go(&mut tx, tenant, &ids, now).await?;
        lane::refresh(&mut tx, tenant, &lanes, now).await?;
        work::set_due(&mut tx, tenant, &[connector.id], now).await?;
        audit::insert(&mut tx, &self.clock, caller, entry("ReleaseHeldOperations", command, &ids)).await?;
        db::commit(tx).await?;
        Ok(i64::try_from(ids.len()).unwrap_or(i64::MAX))
    }

    /// Cancels exactly the operations of the group. Returns how many.
    pub async fn cancel_held(&self, caller: &Caller, command: &DecideHeld) -> Result<i64> {
        let cancelled = db::retry(|| self.try_cancel(caller, command)).await?;
        self.nudge.now();
        Ok(cancelled)
    }

    async fn try_cancel(&self, caller: &Caller, command: &DecideHeld) -> Result<i64> {
        let tenant = caller.tenant;
        let mut tx = self.database.begin(tenant).await?;
        let Locked { connector, lanes, operations } = locked(&mut tx, caller, command).await?;
        // After the locks: whatever held them comes first, in the log's times too.
        let now = self.clock.now();
        let mut ended = Vec::with_capacity(operations.len());
        let mut moves = Vec::with_capacity(operations.len());
        let mut deltas = Deltas::default();
        for operation in &operations {
            let to = operation.status.after(Event::Cancelled)?;
            deltas.moved(operation.connector_id, operation.status, to, now);
            moves.push(cancelled(caller, command, operation, to, now));
            ended.push(end(command, operation, to));
        }
        let ids: Vec<OperationId> = operations.iter().map(|operation| operation.id).collect();
        history::archive(&mut tx, tenant, &ended, now).await?;
        conflict::resolve_moot(&mut tx, tenant, &ids, now, "its operation was cancelled").await?;
        log::insert(&mut tx, &self.clock, tenant, &moves).await?;
        statistics::insert(&mut tx, &self.clock, tenant, &deltas).await?;
        lane::refresh(&mut tx, tenant, &lanes, now).await?;
        work::set_due(&mut tx, tenant, &[connector.id], now).await?;
        audit::insert(&mut tx, &self.clock, caller, entry("CancelHeldOperations", command, &ids)).await?;
        db::commit(tx).await?;
        Ok(i64::try_from(ids.len()).unwrap_or(i64::MAX))
    }

    /// Lets the items of an approved plan pass the guard, each once. Told again, it changes nothing.
    pub async fn register_plan(&self, caller: &Caller, command: RegisterPlan) -> Result<Registered> {
        let tenant = caller.tenant;
        let now = self.clock.now();
        let mut tx = self.database.begin(tenant).await?;
        connector::get(&mut tx, tenant, command.connector_id).await?;
        let approval = Approval {
            connector_id: command.connector_id,
            run_id: command.run_id,
            plan_digest: command.plan_digest,
            approved_by: command.approved_by,
            approved_at: now,
            expires_at: now + APPROVED_FOR,
        };
        let (items, expires_at) = approval::register(&mut tx, tenant, &approval, &command.items).await?;
        let entry = Entry {
            method: "RegisterApprovedPlan",
            resource_type: "run",
            resource_id: Some(approval.run_id.0),
            connector_id: Some(approval.connector_id),
            details: json!({
                "plan_digest": approval.plan_digest, "approved_by": approval.approved_by,
                "items": command.items.len(),
            }),
            reason: None,
        };
        audit::insert(&mut tx, &self.clock, caller, entry).await?;
        db::commit(tx).await?;
        Ok(Registered { items, expires_at })
    }
}

/// ABORTED where the group is not what was seen.
async fn locked(tx: &mut Transaction, caller: &Caller, command: &DecideHeld) -> Result<Locked> {
    let tenant = caller.tenant;
    let connector = connector::get(tx, tenant, command.key.connector_id).await?;
    connector::hold(tx, tenant, connector.id).await?;
    let lanes = held::lanes(tx, tenant, &command.key).await?;
    lane::lock(tx, tenant, &lanes).await?;
    let (operations, digest) = held::members(tx, tenant, &command.key, &lanes).await?;
    if operations.is_empty() || digest != command.digest {
        return Err(Error::new(Reason::EtagMismatch, "the group has changed since it was read"));
    }
    Ok(Locked { connector, lanes, operations })
}

fn entry(method: &'static str, command: &DecideHeld, operations: &[OperationId]) -> Entry {
    Entry {
        method,
        resource_type: "operation",
        resource_id: None,
        connector_id: Some(command.key.connector_id),
        details: json!({
            "cause_kind": command.key.cause_kind, "cause_id": command.key.cause_id,
            "digest": command.digest, "operations": operations,
        }),
        reason: command.reason.clone(),
    }
}

fn cancelled(
    caller: &Caller,
    command: &DecideHeld,
    operation: &Operation,
    to: OperationStatus,
    at: DateTime<Utc>,
) -> Move {
    Move {
        operation_id: operation.id,
        connector_id: operation.connector_id,
        at,
        event: Some(Event::Cancelled),
        from: Some(operation.status),
        to,
        level: Level::Info,
        message: command.reason.clone().unwrap_or_else(|| "cancelled out of the guard's hold".to_owned()),
        actor: Some(caller.subject),
        fence: None,
    }
}

fn end(command: &DecideHeld, operation: &Operation, status: OperationStatus) -> Ended {
    Ended {
        id: operation.id,
        status,
        attempts: operation.attempts,
        retry_count: operation.retry_count,
        may_hold_sealed: true,
        target_uid: None,
        error: operation.failure.clone().map(|failure| (failure.code, failure.message)),
        merged_into: None,
        resolved_by: None,
        notes: command.reason.clone(),
    }
}
