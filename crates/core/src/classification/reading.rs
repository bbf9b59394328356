//! The target's accounts streaming past.

use std::collections::BTreeMap;

use super::{
    AccountRef, Findings, Hash, MAX_CANDIDATES, MAX_FAN_OUT, Observation, Proof, Standing, TargetRecord,
    conclude::conclude,
    findings::Counts,
    hash_of_uid,
    index::{SharedIndex, Table},
    matcher::{Links, Matcher, Person, Seen},
    roster::{self, Roster},
    union::Union,
};
use crate::{
    account::AccountState,
    correlation::{self, RuleSet},
    ids::IdentityId,
};

/// Matches accounts as they come, in any order.
#[derive(Debug)]
pub struct Reading {
    pub(super) matcher: Matcher,
    links: Links,
    keys: SharedIndex,
    pub(super) accounts: Vec<Stranger>,
    by_account: Table,
    /// Those that have operations under way.
    pub(super) busy: BTreeMap<Hash, roster::Entry>,
    pub(super) candidates: Vec<Candidate>,
    pub(super) roster: Roster,
    pub(super) renamed: Vec<(u32, roster::Entry)>,
    /// Nodes: the people, then the accounts.
    pub(super) union: Union,
    pub(super) counts: Counts,
}

/// An account that is not linked.
#[derive(Debug)]
pub(super) struct Stranger {
    hash: Hash,
    pub names: roster::Entry,
    /// Its candidates, the best first: from here, so many.
    pub first_candidate: u32,
    pub candidate_count: u32,
    /// At least one candidate reaches the threshold.
    pub correlates: bool,
    /// Not everybody who shares a key was looked at.
    pub is_open: bool,
}

/// A person that an account resembles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub person: u32,
    pub score: i32,
    pub rules: RuleSet,
}

impl Reading {
    pub(super) fn new(matcher: Matcher, links: Links, keys: SharedIndex) -> Self {
        let people = u32::try_from(matcher.people.len()).expect("fewer than 2^32 identities");
        Self {
            matcher,
            links,
            keys,
            accounts: Vec::new(),
            by_account: Table::default(),
            busy: BTreeMap::new(),
            candidates: Vec::new(),
            roster: Roster::default(),
            renamed: Vec::new(),
            union: Union::of(people),
            counts: Counts::default(),
        }
    }

    /// Takes note of one account.
    pub fn observe(&mut self, record: TargetRecord<'_>) -> Observation {
        match self.links.find(&self.matcher.people, record.account) {
            Some(person) => self.observe_linked(person, record),
            None => self.observe_unlinked(record),
        }
    }

    /// Takes note that the target, asked for this account alone, said that it does not exist. Whose linked account it is. A uid
    /// that nobody has any more says nothing of an account that is known by its immutable id, nor the reverse.
    pub fn observe_gone(&mut self, account: AccountRef<'_>) -> Option<IdentityId> {
        let position = self.links.find(&self.matcher.people, account)?;
        let person = &mut self.matcher.people[position as usize];
        let has_id = person.link.as_ref().is_some_and(|link| link.id.is_some());
        if has_id != account.immutable_id.is_some() {
            return None;
        }
        person.seen = Seen::Gone;
        Some(person.identity)
    }

    /// Whose linked account it is.
    pub fn owner(&self, account: AccountRef<'_>) -> Option<IdentityId> {
        let position = self.links.find(&self.matcher.people, account)?;
        Some(self.matcher.people[position as usize].identity)
    }

    /// The identities whom an unlinked account resembles, and of whose own account nothing is known yet.
    pub fn open_candidates(&self) -> impl Iterator<Item = IdentityId> {
        let people = self.matcher.people.iter();
        people.filter(|person| person.is_candidate && person.is_open()).map(|person| person.identity)
    }

    /// Ends a reading of everything. `proof` says from which side absence may be concluded.
    pub fn finish(mut self, proof: Proof) -> Findings {
        for person in &mut self.matcher.people {
            if person.is_open() {
                person.seen = Seen::Gone;
            }
        }
        conclude(self, proof)
    }

    /// Ends a reading of all unlinked accounts, and of those linked ones that may have changed: see [`super`].
    pub fn finish_changes(self) -> Findings {
        conclude(self, Proof { expected: true, target: true })
    }

    fn observe_linked(&mut self, position: u32, record: TargetRecord<'_>) -> Observation {
        let person = &mut self.matcher.people[position as usize];
        if person.seen != Seen::No {
            return Observation::Repeated;
        }
        self.counts.accounts += 1;
        let Some(link) = &person.link else { return Observation::Unlinked };
        let is_renamed = link.uid != hash_of_uid(record.account.external_uid);
        if is_renamed || (link.id.is_none() && record.account.immutable_id.is_some()) {
            self.renamed.push((position, self.roster.add(record.account)));
        }
        let digest_differs = link.digest.is_none() || link.digest != record.digest;
        let differs = match person.standing {
            Standing::ShouldHave => digest_differs || state_differs(person, record.state),
            Standing::ShouldNotHave => state_differs(person, record.state),
            Standing::Unknown => false,
        };
        let observation = match (record.protected, person.in_flight, differs) {
            (true, ..) => Observation::Protected,
            (false, true, _) => Observation::InFlight,
            (false, false, true) => Observation::Differs,
            (false, false, false) => Observation::Same,
        };
        self.counts.protected += i64::from(record.protected);
        person.seen = match (observation, person.standing) {
            (Observation::Protected | Observation::InFlight, _) | (_, Standing::Unknown) => Seen::Passed,
            (_, Standing::ShouldHave | Standing::ShouldNotHave) => {
                Seen::As { state: record.state, digest_differs }
            }
        };
        observation
    }

    fn observe_unlinked(&mut self, record: TargetRecord<'_>) -> Observation {
        let hash = record.account.key_hash();
        if self.by_account.find(&hash, |at| self.accounts[at as usize].hash).is_some() {
            return Observation::Repeated;
        }
        self.counts.accounts += 1;
        if record.protected {
            self.counts.protected += 1;
            return Observation::Protected;
        }
        if self.matcher.busy.contains(&hash)
            || self.matcher.busy.contains(&hash_of_uid(record.account.external_uid))
        {
            if self.busy.contains_key(&hash) {
                return Observation::Repeated;
            }
            self.busy.insert(hash, self.roster.add(record.account));
            self.counts.in_flight += 1;
            return Observation::InFlight;
        }
        let (candidates, is_open) = self.candidates_of(record);
        let edges = candidates
            .iter()
            .take_while(|candidate| candidate.score >= self.matcher.policy.threshold)
            .count();
        let node = self.union.add();
        for candidate in &candidates[..edges] {
            self.union.connect(node, candidate.person);
            self.matcher.people[candidate.person as usize].is_candidate = true;
        }
        let position = u32::try_from(self.accounts.len()).expect("fewer than 2^32 accounts");
        let kept = &candidates[..candidates.len().min(MAX_CANDIDATES)];
        self.accounts.push(Stranger {
            hash,
            names: self.roster.add(record.account),
            first_candidate: u32::try_from(self.candidates.len()).expect("fewer than 2^32 candidates"),
            candidate_count: u32::try_from(kept.len()).expect("a few candidates"),
            correlates: edges > 0,
            is_open,
        });
        self.candidates.extend_from_slice(kept);
        self.by_account.insert(position, |at| self.accounts[at as usize].hash);
        Observation::Unlinked
    }

    /// Everybody whom the account resembles, the best first, then by position; and whether a key was not followed to all.
    fn candidates_of(&self, record: TargetRecord<'_>) -> (Vec<Candidate>, bool) {
        let shared = || record.keys.iter().map(|key| (key.rule, self.keys.all(&key.key)));
        let near = shared()
            .flat_map(|(rule, people)| people.iter().take(MAX_FAN_OUT).map(move |(_, at)| (*at, rule)));
        let mut matches: Vec<(u32, u16)> = near.collect();
        let crowds: Vec<(u16, &[(Hash, u32)])> =
            shared().filter_map(|(rule, people)| Some((rule, people.get(MAX_FAN_OUT..)?))).collect();
        for followed in 0..matches.len() {
            let person = matches[followed].0;
            let also =
                crowds.iter().filter(|(_, crowd)| crowd.binary_search_by_key(&person, |(_, at)| *at).is_ok());
            matches.extend(also.map(|(rule, _)| (person, *rule)));
        }
        matches.retain(|(person, _)| !self.is_rejected(*person, record.account));
        matches.sort_unstable();
        let mut candidates: Vec<Candidate> = matches
            .chunk_by(|one, other| one.0 == other.0)
            .map(|matches| {
                let mut rules = RuleSet::default();
                for (_, rule) in matches {
                    rules.insert(*rule);
                }
                Candidate {
                    person: matches[0].0,
                    score: correlation::score(&self.matcher.policy, rules),
                    rules,
                }
            })
            .collect();
        candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.score));
        (candidates, crowds.iter().any(|(_, crowd)| !crowd.is_empty()))
    }

    fn is_rejected(&self, person: u32, account: AccountRef<'_>) -> bool {
        let rejected = &self.matcher.rejected;
        !rejected.is_empty()
            && (rejected.contains(&(person, account.key_hash()))
                || rejected.contains(&(person, hash_of_uid(account.external_uid))))
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.matcher.people.capacity() * size_of::<Person>()
            + self.links.bytes()
            + self.keys.bytes()
            + self.accounts.capacity() * size_of::<Stranger>()
            + self.by_account.bytes()
            + self.candidates.capacity() * size_of::<Candidate>()
            + self.roster.bytes()
            + self.union.bytes()
    }
}

pub(super) fn state_differs(person: &Person, actual: AccountState) -> bool {
    person.link.as_ref().and_then(|link| link.state).is_some_and(|expected| expected != actual)
}
