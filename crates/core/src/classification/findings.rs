//! What a reading amounts to.

use super::{
    AccountRef, Standing,
    matcher::{Person, Seen},
    reading::{Candidate, Reading, Stranger},
};
use crate::{account::AccountState, correlation::RuleSet, ids::IdentityId};

/// Everything that a run found, still in compact form: each method walks over one kind.
///
/// Absences are to be confirmed before they are written: against links and queue, and the deleted by a point read.
#[derive(Debug)]
pub struct Findings {
    pub(super) reading: Reading,
    pub(super) missing: Vec<u32>,
    pub(super) deleted: Vec<u32>,
    pub(super) orphans: Vec<u32>,
    /// Person and account.
    pub(super) unlinked: Vec<(u32, u32)>,
    /// Members of one collision stand together, people before accounts.
    pub(super) collisions: Vec<Vec<u32>>,
    pub(super) differing: Vec<u32>,
}

/// What was seen and what was set apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Distinct accounts seen.
    pub accounts: i64,
    pub protected: i64,
    /// Identities and unlinked accounts with operations under way, and accounts that resemble such an identity.
    pub in_flight: i64,
    /// Identities whose scope or correlation expression failed.
    pub unevaluable: i64,
    /// Absences that were not concluded for want of proof.
    pub suppressed: i64,
    pub renamed: i64,
}

/// A linked account that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deleted {
    pub identity: IdentityId,
    pub should_have: bool,
}

/// A linked account that needs a closer look, or whose state is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Differing {
    pub identity: IdentityId,
    /// Its attributes must be compared; they may turn out to be equal.
    pub attributes: bool,
    /// The state expected and the state seen, where they differ.
    pub state: Option<(AccountState, AccountState)>,
}

/// An account that belongs to nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan<'a> {
    pub account: AccountRef<'a>,
    /// Whom it resembles below the threshold, the best first.
    pub near: Vec<Near>,
}

/// How much an account resembles an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Near {
    pub identity: IdentityId,
    pub score: i32,
    /// The correlation rules that match.
    pub rules: RuleSet,
}

/// Exactly one account and one identity that resemble each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unlinked<'a> {
    pub account: AccountRef<'a>,
    pub near: Near,
    /// The identity has a link whose account is gone: to be confirmed by a point read, and replaced.
    pub has_dead_link: bool,
}

/// A component that only a person can resolve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collision<'a> {
    pub identities: Vec<IdentityId>,
    pub accounts: Vec<AccountRef<'a>>,
    /// Which account resembles which identity; at most [`super::MAX_CANDIDATES`] of one account.
    pub edges: Vec<(AccountRef<'a>, Near)>,
}

/// A linked account whose uid changed, or whose immutable id became known: its link follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renamed<'a> {
    pub identity: IdentityId,
    pub account: AccountRef<'a>,
}

impl Findings {
    pub fn counts(&self) -> Counts {
        self.reading.counts
    }

    /// Identities that should have an account and resemble none.
    pub fn missing(&self) -> impl ExactSizeIterator<Item = IdentityId> {
        self.missing.iter().map(|at| self.person(*at).identity)
    }

    pub fn deleted(&self) -> impl ExactSizeIterator<Item = Deleted> {
        self.deleted.iter().map(|at| {
            let person = self.person(*at);
            Deleted { identity: person.identity, should_have: person.standing == Standing::ShouldHave }
        })
    }

    pub fn orphans(&self) -> impl ExactSizeIterator<Item = Orphan<'_>> {
        self.orphans.iter().map(|at| Orphan {
            account: self.account(*at),
            near: self.candidates(*at).iter().map(|candidate| self.near(candidate)).collect(),
        })
    }

    pub fn unlinked(&self) -> impl ExactSizeIterator<Item = Unlinked<'_>> {
        self.unlinked.iter().map(|&(person, account)| Unlinked {
            account: self.account(account),
            near: self.near(&self.candidates(account)[0]),
            has_dead_link: self.person(person).link.is_some(),
        })
    }

    pub fn collisions(&self) -> impl ExactSizeIterator<Item = Collision<'_>> {
        self.collisions.iter().map(move |members| {
            let (people, accounts) = self.reading.split(members);
            let threshold = self.reading.matcher.policy.threshold;
            let edges = accounts.iter().flat_map(|&account| {
                let candidates = self.candidates(account).iter().filter(move |it| it.score >= threshold);
                candidates.map(move |candidate| (self.account(account), self.near(candidate)))
            });
            Collision {
                identities: people.iter().map(|at| self.person(*at).identity).collect(),
                accounts: accounts.iter().map(|at| self.account(*at)).collect(),
                edges: edges.collect(),
            }
        })
    }

    pub fn differing(&self) -> impl ExactSizeIterator<Item = Differing> {
        self.differing
            .iter()
            .map(|at| self.person(*at).differing().expect("only differing people are listed"))
    }

    pub fn renamed(&self) -> impl ExactSizeIterator<Item = Renamed<'_>> {
        let reading = &self.reading;
        reading.renamed.iter().map(|&(person, names)| Renamed {
            identity: self.person(person).identity,
            account: reading.roster.get(names),
        })
    }

    /// Every unlinked account that was seen, but for protected ones.
    pub fn strangers(&self) -> impl Iterator<Item = AccountRef<'_>> {
        let reading = &self.reading;
        let names =
            reading.accounts.iter().map(|account| account.names).chain(reading.busy.values().copied());
        names.map(|names| reading.roster.get(names))
    }

    /// Linked identities that may have to be judged otherwise although neither they nor their accounts change: those in
    /// flight, and those whom an unlinked account resembles, once that is settled.
    pub fn passed_over(&self) -> impl Iterator<Item = IdentityId> {
        let people = self.reading.matcher.people.iter().filter(|person| person.link.is_some());
        people
            .filter(|person| person.is_candidate || (person.in_flight && person.seen != Seen::No))
            .map(|person| person.identity)
    }

    /// Linked identities of whose accounts nothing is known: nothing is concluded of them.
    pub fn unjudged(&self) -> impl Iterator<Item = IdentityId> {
        self.reading.matcher.people.iter().filter(|person| person.is_open()).map(|person| person.identity)
    }

    pub(super) fn person(&self, position: u32) -> &Person {
        &self.reading.matcher.people[position as usize]
    }

    fn account(&self, position: u32) -> AccountRef<'_> {
        self.reading.roster.get(self.reading.accounts[position as usize].names)
    }

    fn candidates(&self, account: u32) -> &[Candidate] {
        let Stranger { first_candidate, candidate_count, .. } = self.reading.accounts[account as usize];
        &self.reading.candidates[first_candidate as usize..][..candidate_count as usize]
    }

    fn near(&self, candidate: &Candidate) -> Near {
        Near {
            identity: self.person(candidate.person).identity,
            score: candidate.score,
            rules: candidate.rules,
        }
    }
}
