//! Why an operation does not run now: everything that it waits for, the nearest first.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use xavyo_core::{
    error::Result,
    ids::{ConflictId, ConnectorId, LaneId, OperationId, TenantId},
    operation::{HoldReason, Operation, OperationStatus},
};

use super::Listed;
use crate::store::operation::state::{self, ConnectorState};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitKind {
    BlockedBy(OperationId),
    EarlierOperation(OperationId),
    Conflict(Option<ConflictId>),
    Guard,
    Breaker,
    Pause,
    NotBefore,
    RetryAt,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    pub kind: WaitKind,
    /// When it ends, where that is known.
    pub until: Option<DateTime<Utc>>,
    pub message: String,
}

/// Adds what each operation waits for: two statements for the whole page.
pub async fn explain(
    tx: &mut PgConnection,
    tenant: TenantId,
    operations: Vec<Operation>,
    now: DateTime<Utc>,
) -> Result<Vec<Listed>> {
    let waiting = || operations.iter().filter(|operation| may_wait(operation));
    let connectors: BTreeSet<ConnectorId> = waiting().map(|operation| operation.connector_id).collect();
    let lanes: BTreeSet<LaneId> = waiting().map(|operation| operation.lane_id).collect();
    let connectors: Vec<ConnectorId> = connectors.into_iter().collect();
    let lanes: Vec<LaneId> = lanes.into_iter().collect();
    let (states, heads) = if lanes.is_empty() {
        (HashMap::new(), HashMap::new())
    } else {
        let states = state::of_connectors(tx, tenant, &connectors).await?;
        let states: HashMap<_, _> =
            states.into_iter().map(|state| (ConnectorId(state.connector_id), state)).collect();
        let heads = state::heads_of_lanes(tx, tenant, &lanes).await?;
        (states, heads.into_iter().collect::<HashMap<LaneId, OperationId>>())
    };
    Ok(operations
        .into_iter()
        .map(|operation| {
            let state = states.get(&operation.connector_id);
            let head = heads.get(&operation.lane_id).copied();
            let waits = if may_wait(&operation) { reasons(&operation, state, head, now) } else { Vec::new() };
            Listed { operation, waits }
        })
        .collect())
}

fn may_wait(operation: &Operation) -> bool {
    match operation.status {
        OperationStatus::Pending | OperationStatus::Failed | OperationStatus::AwaitingSystem => true,
        OperationStatus::InProgress
        | OperationStatus::Completed
        | OperationStatus::DeadLetter
        | OperationStatus::Resolved
        | OperationStatus::Cancelled => false,
    }
}

fn reasons(
    operation: &Operation,
    connector: Option<&ConnectorState>,
    head: Option<OperationId>,
    now: DateTime<Utc>,
) -> Vec<Wait> {
    let wait = |kind, until, message: &str| Some(Wait { kind, until, message: message.to_owned() });
    let hold = operation.hold_reason.and_then(|reason| match reason {
        HoldReason::Guard => wait(WaitKind::Guard, None, "the connector's guard holds it"),
        HoldReason::Conflict => {
            wait(WaitKind::Conflict(operation.conflict_id), None, "a person decides its conflict")
        }
    });
    let blocked = operation
        .blocked_by
        .and_then(|id| wait(WaitKind::BlockedBy(id), None, "a dead letter holds the account"));
    let earlier = head
        .filter(|head| *head != operation.id)
        .and_then(|id| wait(WaitKind::EarlierOperation(id), None, "an earlier operation of the account"));
    let later = |at: Option<DateTime<Utc>>| at.filter(|at| *at > now);
    let not_before = later(operation.not_before)
        .and_then(|at| wait(WaitKind::NotBefore, Some(at), "it was asked for no earlier"));
    let retry = later(operation.next_attempt_at)
        .and_then(|at| wait(WaitKind::RetryAt, Some(at), "the pause after a failed attempt"));
    let paused = connector.filter(|state| state.paused).and_then(|state| {
        let reason = state.pause_reason.as_deref().unwrap_or("the connector is paused");
        wait(WaitKind::Pause, state.paused_until, reason)
    });
    let breaker = connector
        .and_then(|state| state.probe_at)
        .and_then(|at| wait(WaitKind::Breaker, Some(at), "the target is down; it is asked again"));
    [hold, blocked, earlier, not_before, retry, paused, breaker].into_iter().flatten().collect()
}
