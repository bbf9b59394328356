//! The evidence, looked up by operation, lane and account; and each write attributed to the attempt that made it.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DurationRound, TimeDelta};
use uuid::Uuid;

use super::{Attempt, ClientCall, Connector, Evidence, Lane, Move, Operation, effects};
use crate::ledger::{Ledger, Tag, Write};

/// Of the clocks of targets that know no tags.
const RESOLUTION: TimeDelta = TimeDelta::seconds(1);

pub(super) struct Index<'a> {
    pub evidence: &'a Evidence,
    /// By id. More than one row is a violation, found by the rule of calls.
    pub operations: BTreeMap<Uuid, &'a Operation>,
    /// By sequence.
    pub lanes: BTreeMap<Uuid, Vec<&'a Operation>>,
    pub lane_rows: HashMap<Uuid, &'a Lane>,
    pub connectors: HashMap<Uuid, &'a Connector>,
    /// By number.
    attempts: HashMap<Uuid, Vec<&'a Attempt>>,
    moves: HashMap<Uuid, Vec<&'a Move>>,
    /// In the order of each target.
    pub writes: Vec<Attributed<'a>>,
    by_operation: HashMap<Uuid, Vec<usize>>,
    calls: HashMap<Uuid, Vec<&'a ClientCall>>,
}

/// A write and who made it.
#[derive(Clone, Copy)]
pub(super) struct Attributed<'a> {
    pub ledger: &'a Ledger,
    pub write: &'a Write,
    /// As the write says; or, where the target knows no tags, the attempt that was at that account then.
    pub tag: Option<Tag>,
}

impl<'a> Index<'a> {
    pub fn of(evidence: &'a Evidence) -> Self {
        let snapshot = &evidence.snapshot;
        let mut index = Self {
            evidence,
            operations: snapshot.operations.iter().map(|operation| (operation.id, operation)).collect(),
            lanes: BTreeMap::new(),
            lane_rows: snapshot.lanes.iter().map(|lane| (lane.id, lane)).collect(),
            connectors: snapshot.connectors.iter().map(|connector| (connector.id, connector)).collect(),
            attempts: HashMap::new(),
            moves: HashMap::new(),
            writes: Vec::new(),
            by_operation: HashMap::new(),
            calls: HashMap::new(),
        };
        for operation in index.operations.values().copied() {
            index.lanes.entry(operation.lane).or_default().push(operation);
        }
        index.lanes.values_mut().for_each(|lane| lane.sort_by_key(|operation| operation.sequence));
        for attempt in &snapshot.attempts {
            index.attempts.entry(attempt.operation).or_default().push(attempt);
        }
        index.attempts.values_mut().for_each(|attempts| attempts.sort_by_key(|attempt| attempt.number));
        for one in &snapshot.moves {
            index.moves.entry(one.operation).or_default().push(one);
        }
        for call in &evidence.history {
            for operation in call.concerned() {
                index.calls.entry(operation).or_default().push(call);
            }
        }
        for ledger in &evidence.ledgers {
            index.attribute(ledger);
        }
        index
    }

    pub fn attempts(&self, operation: Uuid) -> &[&'a Attempt] {
        self.attempts.get(&operation).map_or(&[], Vec::as_slice)
    }

    pub fn attempt(&self, tag: Tag) -> Option<&'a Attempt> {
        self.attempts(tag.operation).iter().copied().find(|attempt| attempt.number == tag.attempt)
    }

    pub fn moves(&self, operation: Uuid) -> &[&'a Move] {
        self.moves.get(&operation).map_or(&[], Vec::as_slice)
    }

    pub fn calls(&self, operation: Uuid) -> &[&'a ClientCall] {
        self.calls.get(&operation).map_or(&[], Vec::as_slice)
    }

    /// The writes of an operation, in the target's order.
    pub fn writes_of(&self, operation: Uuid) -> impl Iterator<Item = Attributed<'a>> {
        let positions = self.by_operation.get(&operation).map_or(&[][..], Vec::as_slice);
        positions.iter().map(|position| self.writes[*position])
    }

    /// The operation is in progress as of the snapshot: its attempt has no row yet.
    pub fn is_claimed(&self, operation: &Operation) -> bool {
        let lane = self.lane_rows.get(&operation.lane);
        lane.and_then(|lane| lane.claimed)
            .is_some_and(|(from, through)| (from..=through).contains(&operation.sequence))
    }

    fn attribute(&mut self, ledger: &'a Ledger) {
        let mut accounts = if ledger.tagged { HashMap::new() } else { self.accounts_of(ledger.connector) };
        for write in &ledger.writes {
            let tag = if ledger.tagged {
                write.tag
            } else {
                accounts.get_mut(&account_key(&write.external_uid)).and_then(|visits| visits.writer(write))
            };
            if let Some(tag) = tag {
                self.by_operation.entry(tag.operation).or_default().push(self.writes.len());
            }
            self.writes.push(Attributed { ledger, write, tag });
        }
    }

    /// The attempts at each account of a connector.
    fn accounts_of(&self, connector: Uuid) -> HashMap<String, Visits<'a>> {
        let mut accounts: HashMap<String, Visits<'_>> = HashMap::new();
        for lane in self.lanes.values() {
            let uids: HashSet<String> = lane
                .iter()
                .filter(|operation| operation.connector == connector)
                .filter_map(|operation| Some(account_key(operation.target_uid.as_ref()?)))
                .collect();
            let visits = lane.iter().flat_map(|operation| {
                self.attempts(operation.id).iter().map(move |attempt| (*operation, *attempt))
            });
            let visits: Vec<_> = visits.collect();
            for uid in uids {
                accounts.entry(uid).or_default().attempts.extend(visits.iter().copied());
            }
        }
        for visits in accounts.values_mut() {
            visits.attempts.sort_by_key(|(operation, attempt)| (attempt.started_at, operation.sequence));
        }
        accounts
    }
}

/// The attempts at one account, in order, and how far its writes have come.
#[derive(Default)]
struct Visits<'a> {
    attempts: Vec<(&'a Operation, &'a Attempt)>,
    next: usize,
    used: HashSet<Tag>,
}

impl Visits<'_> {
    /// The attempt that made a write: the next one that was there then and could have; else any that could have; else any
    /// that was there.
    fn writer(&mut self, write: &Write) -> Option<Tag> {
        let at = write.at?;
        let was_there = |attempt: &Attempt| {
            attempt.started_at.duration_trunc(RESOLUTION).unwrap_or(attempt.started_at) <= at
                && at <= attempt.completed_at
        };
        let there: Vec<usize> =
            (0..self.attempts.len()).filter(|position| was_there(self.attempts[*position].1)).collect();
        let could = |position: &&usize| {
            let (operation, attempt) = self.attempts[**position];
            !self.used.contains(&tag_of(attempt)) && effects::could_have_written(operation, write)
        };
        let in_order = there.iter().filter(|position| **position >= self.next).find(could);
        let position = *in_order.or_else(|| there.iter().find(could)).or(there.first())?;
        let tag = tag_of(self.attempts[position].1);
        self.next = self.next.max(position + 1);
        self.used.insert(tag);
        Some(tag)
    }
}

fn tag_of(attempt: &Attempt) -> Tag {
    Tag { operation: attempt.operation, attempt: attempt.number, fence: attempt.fence }
}

impl ClientCall {
    /// The operations that it asked about, or that it was answered.
    fn concerned(&self) -> Vec<Uuid> {
        use super::{Asked, Outcome};
        match (&self.asked, &self.outcome) {
            (Asked::Cancel(id) | Asked::Retry(id) | Asked::Resolve(id), _) => vec![*id],
            (Asked::Enqueue { .. }, Outcome::Ok(ids)) => ids.clone(),
            (Asked::Enqueue { .. }, Outcome::Failed(_) | Outcome::Unknown(_)) => Vec::new(),
        }
    }
}

/// A uid as accounts are compared by it: the names of entries know no case.
pub(super) fn account_key(uid: &str) -> String {
    uid.to_lowercase()
}
