//! The lane of an operation: found by any name of its account, or made.

use std::collections::HashMap;

use sqlx::PgConnection;
use xavyo_core::{
    error::Result,
    ids::{LaneId, TenantId},
};
use xavyo_runtime::Clock;

use super::NewOperation;
use crate::store::{
    lane::alias::{self, Alias},
    lane::{self, NewLane},
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

/// The lane of each operation, found by any of its names or made; every name then leads to it.
pub(super) async fn lanes_of(
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
