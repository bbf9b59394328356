//! The way into the queue: operations are appended to the lanes of their accounts, in the caller's transaction.
//!
//! Call [`enqueue`] last: it locks the connectors and then the lanes, and the order of locks is identity → connector →
//! lanes → operations → conflict, everywhere. [`naming`] finds the lanes, [`placing`] the places in them, and what becomes
//! of those that already stand there; [`settlement`] writes that. [`make_way`] does the same for what comes to stand still
//! later, ahead of a delete or disable.

mod naming;
mod placing;
pub mod settlement;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    cause::Cause,
    change::Changes,
    error::Result,
    ids::{ConnectorId, IdentityId, LaneId, OperationId, TenantId},
    leave,
    operation::{Operation, OperationStatus, OperationType, Precondition},
};
use xavyo_runtime::Clock;

use self::{placing::Placed, settlement::Settlement};
use crate::store::{
    connector,
    connector::work,
    lane,
    operation::log::{self, Level, Move},
    operation::statistics::{self, Deltas},
    operation::{self, Appended},
};

/// An operation to be accepted. What is asked for has been checked; its lane and place are found here.
#[derive(Clone, Debug)]
pub struct NewOperation {
    pub connector_id: ConnectorId,
    pub connector_name: String,
    pub connector_revision: i32,
    pub identity_id: Option<IdentityId>,
    pub operation_type: OperationType,
    pub object_class: String,
    pub intent: String,
    pub target_uid: Option<String>,
    /// The uid as the connector compares it; present exactly when `target_uid` is.
    pub uid_key: Option<String>,
    pub immutable_id: Option<String>,
    pub payload: Changes,
    pub precondition: Option<Precondition>,
    pub priority: i32,
    pub max_retries: i32,
    pub not_before: Option<DateTime<Utc>>,
    pub cause: Cause,
    pub request_id: Option<Uuid>,
}

/// What was appended, in the order given.
#[derive(Debug)]
pub struct Enqueued {
    /// As they were appended.
    pub operations: Vec<Operation>,
    /// Whether others stand in their lanes, so that some may not be any more what they were appended as.
    pub is_unsettled: bool,
}

/// Appends operations to their lanes, in the order given. All or nothing: the error of a full lane names the first
/// operation that has no place.
pub async fn enqueue(
    tx: &mut PgConnection,
    clock: &Clock,
    tenant: TenantId,
    operations: Vec<NewOperation>,
) -> Result<Enqueued> {
    if operations.is_empty() {
        return Ok(Enqueued { operations: Vec::new(), is_unsettled: false });
    }
    let connectors: BTreeSet<ConnectorId> = operations.iter().map(|one| one.connector_id).collect();
    let connectors: Vec<ConnectorId> = connectors.into_iter().collect();
    connector::lock_shared(tx, tenant, &connectors).await?;
    let lanes = naming::lanes_of(tx, clock, tenant, &operations).await?;
    let Placed { appended, settlement, passed, at: now, unsettled } =
        placing::place(tx, clock, tenant, operations, lanes).await?;
    operation::insert(tx, tenant, &appended, now).await?;
    let moves: Vec<Move> = appended.iter().map(|one| accepted(one, passed.get(&one.id), now)).collect();
    log::insert(tx, clock, tenant, &moves).await?;
    let mut deltas = Deltas::default();
    for one in &appended {
        deltas.accepted(one.connector_id);
    }
    statistics::insert(tx, clock, tenant, &deltas).await?;
    settlement.write(tx, clock, tenant).await?;
    lane::refresh(tx, tenant, &unsettled.iter().copied().collect::<Vec<_>>(), now).await?;
    work::set_due(tx, tenant, &connectors, now).await?;
    let operations = appended.into_iter().map(|one| placing::standing(one, now)).collect();
    Ok(Enqueued { operations, is_unsettled: !unsettled.is_empty() })
}

/// Lets deletes and disables go past what has come to stand still ahead of them, in lanes that the caller has locked and
/// refreshes afterwards: they wait for nobody but the guard.
pub async fn make_way(
    tx: &mut PgConnection,
    clock: &Clock,
    tenant: TenantId,
    lanes: &[LaneId],
    now: DateTime<Utc>,
) -> Result<()> {
    let mut standing: BTreeMap<LaneId, Vec<Operation>> = BTreeMap::new();
    for operation in operation::of_lanes_with_leaves(tx, tenant, lanes).await? {
        standing.entry(operation.lane_id).or_default().push(operation);
    }
    if standing.is_empty() {
        return Ok(());
    }
    let ids: Vec<LaneId> = standing.keys().copied().collect();
    let next: HashMap<LaneId, i64> =
        lane::lock(tx, tenant, &ids).await?.into_iter().map(|lane| (lane.id, lane.next_sequence)).collect();
    let mut settlement = Settlement::new(now);
    let mut taken = Vec::new();
    for (id, lane) in standing {
        let first = next.get(&id).copied().unwrap_or_default();
        let count = clear(&mut settlement, lane, first, now)?;
        taken.push((id, count));
    }
    lane::take_places(tx, tenant, &taken).await?;
    settlement.write(tx, clock, tenant).await
}

/// Clears the way in one lane. Returns how many places from `first` on it has taken.
fn clear(settlement: &mut Settlement, lane: Vec<Operation>, first: i64, now: DateTime<Utc>) -> Result<i64> {
    let ways = leave::make_way(&lane, now);
    let order: Vec<OperationId> = lane.iter().map(|operation| operation.id).collect();
    let order = leave::reordered(&order, &ways);
    let mut operations: HashMap<OperationId, Operation> =
        lane.into_iter().map(|operation| (operation.id, operation)).collect();
    for (id, way) in &ways {
        let actor = operations.get(&way.leave).map(|leave| leave.cause.requested_by);
        if let (Some(operation), Some(actor)) = (operations.get_mut(id), actor) {
            settlement.make_way(operation, way.fate, way.leave, actor)?;
        }
    }
    let mut taken = 0;
    for id in order {
        if let Some(operation) = operations.get_mut(&id) {
            settlement.place(operation, first + taken);
            taken += 1;
        }
    }
    Ok(taken)
}

fn accepted(operation: &Appended, passed: Option<&usize>, now: DateTime<Utc>) -> Move {
    let passes = passed.map(|count| format!("; it goes past {count} that stood still")).unwrap_or_default();
    Move {
        operation_id: operation.id,
        connector_id: operation.connector_id,
        at: now,
        event: None,
        from: None,
        to: OperationStatus::Pending,
        level: Level::Info,
        message: format!("{} accepted{passes}", operation.operation_type),
        actor: Some(operation.cause.requested_by),
        fence: None,
    }
}
