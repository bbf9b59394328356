//! The conclusions that a finished reading allows.
//!
//! Begin with [`conclude`]: components first, because their members get no other row, then people, then accounts that
//! resemble nobody.

use super::{
    Differing, Findings, Proof, Standing,
    matcher::{Person, Seen},
    reading::{Reading, state_differs},
};

/// Draws the conclusions that the proof allows.
pub(super) fn conclude(mut reading: Reading, proof: Proof) -> Findings {
    let components = reading.components();
    reading.counts.renamed = i64::try_from(reading.renamed.len()).unwrap_or(i64::MAX);
    let mut findings = Findings {
        reading,
        missing: Vec::new(),
        deleted: Vec::new(),
        orphans: Vec::new(),
        unlinked: Vec::new(),
        collisions: Vec::new(),
        differing: Vec::new(),
    };
    let mut collided = vec![false; findings.reading.matcher.people.len()];
    for members in components {
        findings.conclude_component(members, proof, &mut collided);
    }
    findings.conclude_people(proof, &collided);
    findings.conclude_strangers(proof);
    findings
}

impl Findings {
    fn conclude_component(&mut self, members: Vec<u32>, proof: Proof, collided: &mut [bool]) {
        let (people, accounts) = self.reading.split(&members);
        if people.iter().any(|at| self.person(*at).in_flight) {
            self.reading.counts.in_flight += i64::try_from(accounts.len()).unwrap_or(i64::MAX);
            mark(collided, &people);
            return;
        }
        // Without knowing whether its own account lives, nobody can say what the component is.
        if people.iter().any(|at| self.person(*at).is_open()) {
            self.reading.counts.suppressed += 1;
            mark(collided, &people);
            return;
        }
        match (people.as_slice(), accounts.as_slice()) {
            (&[person], &[account]) if !self.person(person).has_live_link() => {
                if proof.expected && proof.target {
                    self.unlinked.push((person, account));
                } else {
                    self.reading.counts.suppressed += 1;
                }
            }
            // An account that seems unlinked may be linked to somebody who was not read.
            _ if !proof.expected => self.reading.counts.suppressed += 1,
            _ => {
                mark(collided, &people);
                self.collisions.push(members);
            }
        }
    }

    fn conclude_people(&mut self, proof: Proof, collided: &[bool]) {
        for (position, has_collided) in (0..).zip(collided) {
            let person = self.person(position);
            let is_known = person.standing != Standing::Unknown && person.keys_are_known;
            let (in_flight, unevaluable) = (person.in_flight, !is_known);
            let absent = match (person.seen, person.link.is_some(), person.standing) {
                (Seen::Gone, true, _) => Some(Absence::Deleted),
                (Seen::No, false, Standing::ShouldHave) => Some(Absence::Missing),
                (Seen::No | Seen::Gone | Seen::Passed | Seen::As { .. }, ..) => None,
            };
            let absent = absent.filter(|_| is_known && !in_flight && !person.is_candidate);
            let differs = !has_collided && person.differing().is_some();
            self.reading.counts.in_flight += i64::from(in_flight);
            self.reading.counts.unevaluable += i64::from(unevaluable && !in_flight);
            match absent {
                Some(_) if !(proof.expected && proof.target) => self.reading.counts.suppressed += 1,
                Some(Absence::Missing) => self.missing.push(position),
                Some(Absence::Deleted) => self.deleted.push(position),
                None if differs => self.differing.push(position),
                None => {}
            }
        }
    }

    fn conclude_strangers(&mut self, proof: Proof) {
        // Somebody whose keys are unknown may be anybody's owner.
        let keys_are_known = self.reading.matcher.people.iter().all(|person| person.keys_are_known);
        let is_proven = proof.expected && proof.target && keys_are_known;
        let strangers = (0..).zip(&self.reading.accounts).filter(|(_, account)| !account.correlates);
        let (orphans, open): (Vec<_>, Vec<_>) =
            strangers.partition(|(_, account)| is_proven && !account.is_open);
        self.orphans = orphans.into_iter().map(|(position, _)| position).collect();
        self.reading.counts.suppressed += i64::try_from(open.len()).unwrap_or(i64::MAX);
    }
}

enum Absence {
    Missing,
    Deleted,
}

fn mark(collided: &mut [bool], people: &[u32]) {
    for person in people {
        collided[*person as usize] = true;
    }
}

impl Person {
    pub(super) fn differing(&self) -> Option<Differing> {
        let Seen::As { state, digest_differs } = self.seen else { return None };
        let attributes = digest_differs && self.standing == Standing::ShouldHave;
        let expected = self.link.as_ref().and_then(|link| link.state);
        let state = expected.filter(|_| state_differs(self, state)).map(|expected| (expected, state));
        (attributes || state.is_some()).then_some(Differing { identity: self.identity, attributes, state })
    }

    /// Its link's account was seen: that one is its account, whatever else resembles it.
    fn has_live_link(&self) -> bool {
        matches!(self.seen, Seen::Passed | Seen::As { .. })
    }

    /// It has a link, of whose account nothing is known.
    pub(super) fn is_open(&self) -> bool {
        self.link.is_some() && self.seen == Seen::No
    }
}

impl Reading {
    /// The people and the accounts among the nodes of a component.
    pub(super) fn split(&self, nodes: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let first_account = u32::try_from(self.matcher.people.len()).expect("fewer than 2^32 identities");
        let (people, accounts): (Vec<u32>, Vec<u32>) = nodes.iter().partition(|node| **node < first_account);
        (people, accounts.into_iter().map(|node| node - first_account).collect())
    }

    /// The nodes of each component that has an edge.
    fn components(&mut self) -> Vec<Vec<u32>> {
        let people =
            (0..).zip(&self.matcher.people).filter(|(_, person)| person.is_candidate).map(|(at, _)| at);
        let first_account = u32::try_from(self.matcher.people.len()).expect("fewer than 2^32 identities");
        let accounts =
            (first_account..).zip(&self.accounts).filter(|(_, it)| it.correlates).map(|(at, _)| at);
        let nodes: Vec<u32> = people.chain(accounts).collect();
        let mut rooted: Vec<(u32, u32)> =
            nodes.into_iter().map(|node| (self.union.root(node), node)).collect();
        rooted.sort_unstable();
        let components = rooted.chunk_by(|one, other| one.0 == other.0);
        components.map(|nodes| nodes.iter().map(|(_, node)| *node).collect()).collect()
    }
}
