//! The lane of an operation: found by any name of its account, or made.

use std::collections::{BTreeMap, HashMap, HashSet, hash_map::Entry};

use sqlx::PgConnection;
use xavyo_core::{
    error::Result,
    ids::{LaneId, TenantId},
};
use xavyo_runtime::Clock;

use super::NewOperation;
use crate::store::lane::{
    NewLane,
    alias::{self, Alias},
};

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

/// The lane of each operation, and those of them that are yet to be inserted.
pub(super) struct Lanes {
    pub of: Vec<LaneId>,
    pub made: Vec<NewLane>,
}

/// The lane of each operation, found by any of its names or made; every name then leads to it.
pub(super) async fn lanes_of(
    tx: &mut PgConnection,
    clock: &Clock,
    tenant: TenantId,
    operations: &[NewOperation],
) -> Result<Lanes> {
    let all: Vec<Alias> = operations.iter().flat_map(NewOperation::aliases).collect();
    let mut known = alias::find_all(tx, tenant, &all).await?;
    let mut made: Vec<NewLane> = Vec::new();
    let mut named: BTreeMap<Alias, LaneId> = BTreeMap::new();
    let mut of = Vec::with_capacity(operations.len());
    for operation in operations {
        let aliases = operation.aliases();
        let lane = aliases.iter().find_map(|alias| known.get(alias)).copied().unwrap_or_else(|| {
            let id = LaneId(clock.new_id());
            made.push(operation.new_lane(id));
            id
        });
        for alias in aliases {
            if let Entry::Vacant(free) = known.entry(alias) {
                named.insert(free.key().clone(), lane);
                free.insert(lane);
            }
        }
        of.push(lane);
    }
    // Names are taken in one order by everybody, so that two transactions cannot wait for each other.
    let named: Vec<(Alias, LaneId)> = named.into_iter().collect();
    if alias::insert(tx, tenant, &named).await? < named.len() {
        yield_to_winners(tx, tenant, named, &mut of, &mut made).await?;
    }
    Ok(Lanes { of, made })
}

/// Another transaction has just given some of the names away: the lane that it made for an account is taken instead.
async fn yield_to_winners(
    tx: &mut PgConnection,
    tenant: TenantId,
    named: Vec<(Alias, LaneId)>,
    of: &mut [LaneId],
    made: &mut Vec<NewLane>,
) -> Result<()> {
    let aliases: Vec<Alias> = named.iter().map(|(alias, _)| alias.clone()).collect();
    let winners = alias::find_all(tx, tenant, &aliases).await?;
    let ours: HashSet<LaneId> = made.iter().map(|lane| lane.id).collect();
    let replaced: HashMap<LaneId, LaneId> = named
        .iter()
        .filter(|(_, lane)| ours.contains(lane))
        .filter_map(|(alias, lane)| Some((*lane, *winners.get(alias).filter(|winner| *winner != lane)?)))
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
    made.retain(|lane| !replaced.contains_key(&lane.id));
    for lane in of {
        if let Some(winner) = replaced.get(lane) {
            *lane = *winner;
        }
    }
    Ok(())
}
