//! The way into the queue: operations are appended to the lanes of their accounts, in the caller's transaction.
//!
//! Call [`enqueue`] last: it locks the connectors and then the lanes, and the order of locks is identity → connector →
//! lanes → operations, everywhere.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    Error, Reason,
    cause::Cause,
    change::Changes,
    error::Result,
    ids::{ConnectorId, IdentityId, LaneId, OperationId, TenantId},
    operation::{OperationStatus, OperationType, Precondition},
};
use xavyo_runtime::Clock;

use crate::store::{
    connector,
    connector::work,
    lane::alias::{self, Alias},
    lane::{self, MAX_LENGTH, NewLane},
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

impl NewOperation {
    fn new_lane(&self, id: LaneId) -> NewLane {
        NewLane {
            id,
            connector_id: self.connector_id,
            object_class: self.object_class.clone(),
            intent: self.intent.clone(),
        }
    }

    /// The names by which its account's lane is found, the surest first.
    fn aliases(&self) -> Vec<Alias> {
        let mut aliases = Vec::with_capacity(3);
        if let Some(immutable_id) = &self.immutable_id {
            aliases.push(Alias::immutable(self.connector_id, immutable_id));
        }
        if let Some(identity) = self.identity_id {
            aliases.push(Alias::identity(self.connector_id, &self.object_class, &self.intent, identity));
        }
        if let Some(uid_key) = &self.uid_key {
            aliases.push(Alias::uid(self.connector_id, &self.object_class, uid_key));
        }
        aliases
    }
}

/// Appends operations to their lanes, in the order given, and returns their ids in that order. All or nothing: the
/// error of a full lane names the first operation that has no place.
pub async fn enqueue(
    tx: &mut PgConnection,
    clock: &Clock,
    tenant: TenantId,
    operations: Vec<NewOperation>,
) -> Result<Vec<OperationId>> {
    if operations.is_empty() {
        return Ok(Vec::new());
    }
    let now = clock.now();
    let connectors: BTreeSet<ConnectorId> = operations.iter().map(|one| one.connector_id).collect();
    let connectors: Vec<ConnectorId> = connectors.into_iter().collect();
    connector::lock_shared(tx, tenant, &connectors).await?;
    let lanes = lanes_of(tx, clock, tenant, &operations).await?;
    let appended = places(tx, clock, tenant, operations, &lanes).await?;
    let ids: Vec<OperationId> = appended.iter().map(|one| one.id).collect();
    operation::insert(tx, tenant, &appended, now).await?;
    log::insert(tx, clock, tenant, &appended.iter().map(|one| accepted(one, now)).collect::<Vec<_>>())
        .await?;
    let mut deltas = Deltas::default();
    for one in &appended {
        deltas.accepted(one.connector_id);
    }
    statistics::insert(tx, clock, tenant, &deltas).await?;
    let touched: BTreeSet<LaneId> = lanes.into_iter().collect();
    lane::refresh(tx, tenant, &touched.into_iter().collect::<Vec<_>>(), now).await?;
    work::set_due(tx, tenant, &connectors, now).await?;
    Ok(ids)
}

fn accepted(operation: &Appended, now: DateTime<Utc>) -> Move {
    Move {
        operation_id: operation.id,
        connector_id: operation.connector_id,
        at: now,
        event: None,
        from: None,
        to: OperationStatus::Pending,
        level: Level::Info,
        message: format!("{} accepted", operation.operation_type),
        actor: Some(operation.cause.requested_by),
        fence: None,
    }
}

/// The lane of each operation, found by any of its names or made; every name then leads to it.
async fn lanes_of(
    tx: &mut PgConnection,
    clock: &Clock,
    tenant: TenantId,
    operations: &[NewOperation],
) -> Result<Vec<LaneId>> {
    let all: Vec<Alias> = operations.iter().flat_map(NewOperation::aliases).collect();
    let mut known = alias::find_all(tx, tenant, &all).await?;
    let mut made: Vec<(NewLane, Vec<Alias>)> = Vec::new();
    let mut lanes = Vec::with_capacity(operations.len());
    for operation in operations {
        let aliases = operation.aliases();
        let lane = aliases.iter().find_map(|alias| known.get(alias)).copied().unwrap_or_else(|| {
            let id = LaneId(clock.new_id());
            made.push((operation.new_lane(id), aliases.clone()));
            id
        });
        for alias in aliases {
            known.entry(alias).or_insert(lane);
        }
        lanes.push(lane);
    }
    make(tx, tenant, made, &mut lanes).await?;
    let mut named: Vec<(Alias, LaneId)> = operations
        .iter()
        .zip(&lanes)
        .flat_map(|(operation, lane)| operation.aliases().into_iter().map(|alias| (alias, *lane)))
        .collect();
    named.sort();
    alias::insert(tx, tenant, &named).await?;
    Ok(lanes)
}

/// Makes lanes. Where another transaction has just made one for the same name, that one is taken instead.
async fn make(
    tx: &mut PgConnection,
    tenant: TenantId,
    mut made: Vec<(NewLane, Vec<Alias>)>,
    lanes: &mut [LaneId],
) -> Result<()> {
    if made.is_empty() {
        return Ok(());
    }
    // Names are taken in one order by everybody, so that two transactions cannot wait for each other.
    made.sort_by(|one, other| one.1.cmp(&other.1));
    let rows: Vec<NewLane> = made.iter().map(|(lane, _)| lane.clone()).collect();
    lane::insert(tx, tenant, &rows).await?;
    let mut named: Vec<(Alias, LaneId)> = made
        .iter()
        .flat_map(|(lane, aliases)| aliases.iter().map(|alias| (alias.clone(), lane.id)))
        .collect();
    named.sort();
    alias::insert(tx, tenant, &named).await?;
    let aliases: Vec<Alias> = named.iter().map(|(alias, _)| alias.clone()).collect();
    let winners = alias::find_all(tx, tenant, &aliases).await?;
    let replaced: HashMap<LaneId, LaneId> = made
        .iter()
        .filter_map(|(lane, aliases)| {
            let mut found = aliases.iter().filter_map(|alias| winners.get(alias));
            Some((lane.id, *found.find(|winner| **winner != lane.id)?))
        })
        .collect();
    // No name may stay with a lane that has lost: the account would have two.
    let moved: Vec<(Alias, LaneId)> = named
        .into_iter()
        .filter(|(alias, lane)| winners.get(alias) == Some(lane))
        .filter_map(|(alias, lane)| Some((alias, *replaced.get(&lane)?)))
        .collect();
    if !moved.is_empty() {
        alias::reassign(tx, tenant, &moved).await?;
    }
    for lane in lanes {
        if let Some(winner) = replaced.get(lane) {
            *lane = *winner;
        }
    }
    Ok(())
}

/// Locks the lanes and gives each operation its place there.
async fn places(
    tx: &mut PgConnection,
    clock: &Clock,
    tenant: TenantId,
    operations: Vec<NewOperation>,
    lanes: &[LaneId],
) -> Result<Vec<Appended>> {
    let distinct: Vec<LaneId> = lanes.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let locked = lane::lock(tx, tenant, &distinct).await?;
    let mut next: HashMap<LaneId, i64> = locked.iter().map(|lane| (lane.id, lane.next_sequence)).collect();
    let mut length: HashMap<LaneId, i32> = locked.iter().map(|lane| (lane.id, lane.length)).collect();
    let mut counts: BTreeMap<LaneId, i32> = BTreeMap::new();
    let mut appended = Vec::with_capacity(operations.len());
    for (operation, lane) in operations.into_iter().zip(lanes) {
        let (Some(sequence), Some(length)) = (next.get_mut(lane), length.get_mut(lane)) else {
            return Err(Error::internal(format!("lane {lane} is gone")));
        };
        if *length >= MAX_LENGTH {
            return Err(full(&operation));
        }
        appended.push(placed(operation, OperationId(clock.new_id()), *lane, *sequence));
        *sequence += 1;
        *length += 1;
        *counts.entry(*lane).or_default() += 1;
    }
    lane::append(tx, tenant, &counts.into_iter().collect::<Vec<_>>()).await?;
    Ok(appended)
}

fn placed(operation: NewOperation, id: OperationId, lane_id: LaneId, sequence: i64) -> Appended {
    Appended {
        id,
        lane_id,
        sequence,
        connector_id: operation.connector_id,
        connector_name: operation.connector_name,
        connector_revision: operation.connector_revision,
        identity_id: operation.identity_id,
        operation_type: operation.operation_type,
        object_class: operation.object_class,
        intent: operation.intent,
        target_uid: operation.target_uid,
        priority: operation.priority,
        max_retries: operation.max_retries,
        payload: operation.payload,
        precondition: operation.precondition,
        not_before: operation.not_before,
        cause: operation.cause,
        request_id: operation.request_id,
    }
}

fn full(operation: &NewOperation) -> Error {
    let account = operation.target_uid.clone().or_else(|| operation.identity_id.map(|id| id.to_string()));
    Error::new(Reason::LimitExceeded, format!("an account has at most {MAX_LENGTH} live operations"))
        .with("limit", MAX_LENGTH.to_string())
        .with("account", account.unwrap_or_default())
}
