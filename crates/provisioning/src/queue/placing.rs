//! The places of new operations in their lanes, and what becomes of those that already stand there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use xavyo_core::{
    Error, Reason,
    arrival::{self, Arisen, Arrival, Arriving},
    conflict::{ConflictOutcome, ConflictRule, ConflictType},
    error::Result,
    ids::{ConflictId, ConnectorId, LaneId, OperationId, TenantId},
    leave::Fate,
    operation::{Operation, OperationStatus},
};
use xavyo_runtime::Clock;

use super::{
    NewOperation,
    naming::Lanes,
    settlement::{Cause, Settlement},
};
use crate::store::{
    conflict::{self, NewConflict},
    lane::{self, Filled, Lane, MAX_LENGTH, NewLane},
    operation::{self, Appended},
};

/// A step of priority counts as much as so many seconds of waiting; `lane::refresh` says the same in SQL.
const SECONDS_PER_PRIORITY: i64 = 6;

/// New operations with their places, and what that does to others.
pub(super) struct Placed {
    pub appended: Vec<Appended>,
    pub settlement: Settlement,
    /// How many operations a new one goes past, where it goes past any.
    pub passed: HashMap<OperationId, usize>,
    /// When they were appended: after the locks, so that whatever held those comes first.
    pub at: DateTime<Utc>,
    /// Lanes whose head is to be found anew: others stand there, or stood there until now.
    pub unsettled: BTreeSet<LaneId>,
}

/// A lane while operations come to it.
struct Place {
    /// Nobody stands there, so that what comes decides the head.
    is_empty: bool,
    first: i64,
    next: i64,
    /// What has not ended in it, in order. None where nothing else is there: one operation comes to an empty lane.
    company: Option<Vec<Operation>>,
}

struct Placing<'a> {
    clock: &'a Clock,
    now: DateTime<Utc>,
    rules: HashMap<ConnectorId, BTreeMap<ConflictType, ConflictRule>>,
    places: HashMap<LaneId, Place>,
    placed: Placed,
}

/// Locks the lanes that exist, makes the others, and gives each operation its place.
pub(super) async fn place(
    tx: &mut PgConnection,
    clock: &Clock,
    tenant: TenantId,
    operations: Vec<NewOperation>,
    Lanes { of: lanes, made }: Lanes,
) -> Result<Placed> {
    let new: HashSet<LaneId> = made.iter().map(|lane| lane.id).collect();
    let standing: BTreeSet<LaneId> = lanes.iter().copied().filter(|lane| !new.contains(lane)).collect();
    let locked = if standing.is_empty() {
        Vec::new()
    } else {
        lane::lock(tx, tenant, &Vec::from_iter(standing)).await?
    };
    let mut coming: HashMap<LaneId, usize> = HashMap::new();
    for lane in &lanes {
        *coming.entry(*lane).or_default() += 1;
    }
    let places = places(tx, tenant, &locked, &new, &coming).await?;
    let connectors: BTreeSet<ConnectorId> = operations.iter().map(|one| one.connector_id).collect();
    let rules = if places.values().any(|place| place.company.is_some()) {
        conflict::rules(tx, tenant, &connectors.into_iter().collect::<Vec<_>>()).await?
    } else {
        HashMap::new()
    };
    let now = clock.now();
    let placed = Placed {
        appended: Vec::with_capacity(operations.len()),
        settlement: Settlement::new(now),
        passed: HashMap::new(),
        at: now,
        unsettled: BTreeSet::new(),
    };
    let mut placing = Placing { clock, now, rules, places, placed };
    for (operation, lane) in operations.into_iter().zip(lanes) {
        placing.add(operation, lane)?;
    }
    placing.write(tx, tenant, made).await
}

async fn places(
    tx: &mut PgConnection,
    tenant: TenantId,
    locked: &[Lane],
    new: &HashSet<LaneId>,
    coming: &HashMap<LaneId, usize>,
) -> Result<HashMap<LaneId, Place>> {
    let place = |id: &LaneId, first: i64, is_empty: bool| {
        let alone = is_empty && coming.get(id) == Some(&1);
        (*id, Place { is_empty, first, next: first, company: (!alone).then(Vec::new) })
    };
    let mut places: HashMap<LaneId, Place> = locked
        .iter()
        .map(|lane| place(&lane.id, lane.next_sequence, lane.length == 0))
        .chain(new.iter().map(|id| place(id, 1, true)))
        .collect();
    let filled: Vec<LaneId> = locked.iter().filter(|lane| lane.length > 0).map(|lane| lane.id).collect();
    if !filled.is_empty() {
        for operation in operation::of_lanes(tx, tenant, &filled).await? {
            if let Some(company) = places.get_mut(&operation.lane_id).and_then(|place| place.company.as_mut())
            {
                company.push(operation);
            }
        }
    }
    Ok(places)
}

impl Placing<'_> {
    fn add(&mut self, operation: NewOperation, lane: LaneId) -> Result<()> {
        let Some(place) = self.places.get_mut(&lane) else {
            return Err(Error::internal(format!("lane {lane} is gone")));
        };
        let sequence = place.take();
        let Some(company) = place.company.take() else {
            self.placed.appended.push(placed(operation, OperationId(self.clock.new_id()), lane, sequence));
            return Ok(());
        };
        if i32::try_from(company.len()).is_ok_and(|length| length >= MAX_LENGTH) {
            return Err(full(&operation));
        }
        let mut new = placed(operation, OperationId(self.clock.new_id()), lane, sequence);
        let rules = self.rules.get(&new.connector_id);
        let none = BTreeMap::new();
        let arrival = arrival::arrive(arriving(&new), &company, rules.unwrap_or(&none), self.now);
        if let Some(payload) = &arrival.payload {
            new.payload.clone_from(payload);
        }
        if arrival.conflict.is_some() || arrival.folded.is_some() || !arrival.fates.is_empty() {
            self.placed.unsettled.insert(lane);
        }
        let company = self.settle(&arrival, standing(new.clone(), self.now), company)?;
        if let Some(place) = self.places.get_mut(&lane) {
            place.company = Some(company);
        }
        self.placed.appended.push(new);
        Ok(())
    }

    /// Writes the lanes: what stood empty with its new head, the rest with the places taken.
    async fn write(self, tx: &mut PgConnection, tenant: TenantId, made: Vec<NewLane>) -> Result<Placed> {
        let Self { places, mut placed, now, .. } = self;
        let mut filled: HashMap<LaneId, Filled> = HashMap::new();
        for new in &placed.appended {
            let next_sequence = places.get(&new.lane_id).map_or(new.sequence + 1, |place| place.next);
            let filled = filled
                .entry(new.lane_id)
                .or_insert_with(|| Filled { next_sequence, ..Filled::empty(new.lane_id) });
            come(filled, new, now);
        }
        let standing = places.iter().filter(|(_, place)| !place.is_empty).map(|(lane, _)| *lane);
        placed.unsettled.extend(standing);
        let taken: Vec<(LaneId, i64)> = places
            .iter()
            .filter(|(_, place)| !place.is_empty)
            .map(|(lane, place)| (*lane, place.next - place.first))
            .collect();
        if !taken.is_empty() {
            lane::take_places(tx, tenant, &taken).await?;
        }
        let made = made.into_iter().filter_map(|lane| {
            let filled = filled.remove(&lane.id)?;
            Some((lane, filled))
        });
        let made: Vec<(NewLane, Filled)> = made.collect();
        lane::insert(tx, tenant, &made).await?;
        filled.retain(|lane, _| places.get(lane).is_some_and(|place| place.is_empty));
        lane::fill(tx, tenant, filled.into_values().collect()).await?;
        Ok(placed)
    }

    /// Does what the arrival says; the lane as it stands then.
    fn settle(
        &mut self,
        arrival: &Arrival,
        mut new: Operation,
        company: Vec<Operation>,
    ) -> Result<Vec<Operation>> {
        let actor = new.cause.requested_by;
        let conflict = arrival.conflict.as_ref().map(|arisen| (ConflictId(self.clock.new_id()), arisen));
        let settlement = &mut self.placed.settlement;
        let (mut stand, mut passed) = (Vec::with_capacity(company.len() + 1), Vec::new());
        for mut one in company {
            if let Some((id, arisen)) = conflict.filter(|(_, arisen)| arisen.with == one.id) {
                settlement.conflict(recorded(id, arisen, &new, self.now));
                settlement.meet(&mut one, id, arisen.holds_other);
            }
            if arrival.folded == Some(one.id) {
                let note = format!("folded into {}", new.id);
                settlement.cancel(&one, Cause { note, merged_into: Some(new.id), actor })?;
                continue;
            }
            let fate = arrival.fates.get(&one.id).copied();
            if let Some(fate) = fate {
                settlement.make_way(&mut one, fate, new.id, actor)?;
            }
            match fate {
                Some(Fate::Superseded) => {}
                Some(Fate::Passed) => passed.push(one),
                Some(Fate::Overtaken | Fate::ReadBack) | None => stand.push(one),
            }
        }
        if let Some((id, arisen)) = conflict {
            settlement.meet(&mut new, id, arisen.outcome.is_none());
            if arisen.outcome == Some(ConflictOutcome::Rejected) {
                let note = format!("rejected: {} with {}", arisen.conflict_type, arisen.with);
                settlement.cancel(&new, Cause { note, merged_into: None, actor })?;
                return Ok(stand);
            }
        }
        self.append(new, &mut stand, passed);
        Ok(stand)
    }

    fn append(&mut self, new: Operation, stand: &mut Vec<Operation>, passed: Vec<Operation>) {
        let (id, lane) = (new.id, new.lane_id);
        stand.push(new);
        if passed.is_empty() {
            return;
        }
        self.placed.passed.insert(id, passed.len());
        let Some(place) = self.places.get_mut(&lane) else { return };
        for mut one in passed {
            self.placed.settlement.place(&mut one, place.take());
            stand.push(one);
        }
    }
}

impl Place {
    fn take(&mut self) -> i64 {
        self.next += 1;
        self.next - 1
    }
}

/// The first to come is the head; the most urgent of all decides the rank.
fn come(filled: &mut Filled, new: &Appended, now: DateTime<Utc>) {
    let rank = now - TimeDelta::seconds(i64::from(new.priority) * SECONDS_PER_PRIORITY);
    if filled.length == 0 {
        filled.wake_at = new.not_before.filter(|at| *at > now);
        filled.ready_rank = filled.wake_at.is_none().then_some(rank);
    } else {
        filled.ready_rank = filled.ready_rank.map(|least| least.min(rank));
    }
    filled.length += 1;
}

fn arriving(new: &Appended) -> Arriving<'_> {
    Arriving {
        id: new.id,
        identity_id: new.identity_id,
        operation_type: new.operation_type,
        payload: &new.payload,
        has_premise: new.precondition.is_some(),
        not_before: new.not_before,
        is_explicit: !new.cause.kind.is_automatic(),
    }
}

fn recorded(id: ConflictId, arisen: &Arisen, new: &Operation, at: DateTime<Utc>) -> NewConflict {
    NewConflict {
        id,
        connector_id: new.connector_id,
        lane_id: new.lane_id,
        operation_a: arisen.with,
        operation_b: new.id,
        conflict_type: arisen.conflict_type,
        affected: arisen.affected_attributes.clone(),
        outcome: arisen.outcome,
        at,
    }
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

/// A new operation as those that come after it in the same transaction meet it, and as it is answered.
pub(super) fn standing(new: Appended, now: DateTime<Utc>) -> Operation {
    Operation {
        id: new.id,
        connector_id: new.connector_id,
        connector_name: new.connector_name,
        connector_revision: new.connector_revision,
        identity_id: new.identity_id,
        operation_type: new.operation_type,
        object_class: new.object_class,
        intent: new.intent,
        target_uid: new.target_uid,
        status: OperationStatus::Pending,
        priority: new.priority,
        retry_count: 0,
        max_retries: new.max_retries,
        failure: None,
        payload: new.payload,
        precondition: new.precondition,
        lane_id: new.lane_id,
        sequence: new.sequence,
        not_before: new.not_before,
        next_attempt_at: None,
        blocked_by: None,
        conflict_id: None,
        decided: None,
        hold_reason: None,
        crash_count: 0,
        attempts: 0,
        outcome_unknown: false,
        merged_into: None,
        overtaken: false,
        first_claimed_at: None,
        cause: new.cause,
        request_id: new.request_id,
        resolution_notes: None,
        resolved_by: None,
        resolved_at: None,
        created_at: now,
        updated_at: now,
        completed_at: None,
        version: 1,
    }
}

fn full(operation: &NewOperation) -> Error {
    let account = operation.target_uid.clone().or_else(|| operation.identity_id.map(|id| id.to_string()));
    Error::new(Reason::LimitExceeded, format!("an account has at most {MAX_LENGTH} live operations"))
        .with("limit", MAX_LENGTH.to_string())
        .with("account", account.unwrap_or_default())
}
