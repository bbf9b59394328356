//! The evidence, looked up by operation, lane and account; and each write attributed to the attempt that made it.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::{Attempt, ClientCall, Connector, Evidence, Lane, Move, Operation, effects};
use crate::ledger::{Ledger, Tag, Write};

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
        let accounts = if ledger.tagged { HashMap::new() } else { self.accounts_of(ledger.connector) };
        let mut used = HashSet::new();
        for write in &ledger.writes {
            let tag = if ledger.tagged {
                write.tag
            } else {
                let candidates = accounts.get(&account_key(&write.external_uid));
                self.writer(write, candidates.map_or(&[], Vec::as_slice), &used)
            };
            used.extend(tag);
            if let Some(tag) = tag {
                self.by_operation.entry(tag.operation).or_default().push(self.writes.len());
            }
            self.writes.push(Attributed { ledger, write, tag });
        }
    }

    /// The operations of each account of a connector, by sequence.
    fn accounts_of(&self, connector: Uuid) -> HashMap<String, Vec<&'a Operation>> {
        let mut accounts: HashMap<String, Vec<&Operation>> = HashMap::new();
        for lane in self.lanes.values() {
            let uids: HashSet<String> = lane
                .iter()
                .filter(|operation| operation.connector == connector)
                .filter_map(|operation| Some(account_key(operation.target_uid.as_ref()?)))
                .collect();
            for uid in uids {
                accounts.entry(uid).or_default().extend(lane);
            }
        }
        accounts
    }

    /// The attempt that was at the account when the write happened; of several under one claim, the first that it fits.
    fn writer(&self, write: &Write, candidates: &[&'a Operation], used: &HashSet<Tag>) -> Option<Tag> {
        let at = write.at?;
        let mut fitting = candidates.iter().flat_map(|operation| {
            let at_work = self
                .attempts(operation.id)
                .iter()
                .filter(move |attempt| attempt.started_at <= at && at <= attempt.completed_at);
            at_work.map(move |attempt| (*operation, *attempt))
        });
        let tag = |attempt: &Attempt| Tag {
            operation: attempt.operation,
            attempt: attempt.number,
            fence: attempt.fence,
        };
        let all: Vec<_> = fitting.by_ref().collect();
        let fits = all.iter().find(|(operation, attempt)| {
            !used.contains(&tag(attempt)) && effects::could_have_written(operation, write)
        });
        fits.or(all.first()).map(|(_, attempt)| tag(attempt))
    }
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
