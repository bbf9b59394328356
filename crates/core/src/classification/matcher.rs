//! The expected side, loaded.

use std::collections::HashSet;

use super::{
    AccountRef, Expectation, Hash, Standing,
    index::{SharedIndex, Table},
    reading::Reading,
};
use crate::{account::AccountState, connector::CorrelationPolicy, digest::Digest, ids::IdentityId};

/// Collects expectations; [`Matcher::ready`] turns it into the reading that accounts are matched by.
#[derive(Debug)]
pub struct Matcher {
    pub(super) policy: CorrelationPolicy,
    pub(super) people: Vec<Person>,
    pub(super) keys: Vec<(Hash, u32)>,
    /// Persons and accounts that never correlate.
    pub(super) rejected: HashSet<(u32, Hash)>,
    /// Accounts without owner that have live operations.
    pub(super) busy: HashSet<Hash>,
}

/// What is kept of an expectation.
#[derive(Debug)]
pub(super) struct Person {
    pub identity: IdentityId,
    pub link: Option<KeptLink>,
    pub standing: Standing,
    pub in_flight: bool,
    pub keys_are_known: bool,
    pub seen: Seen,
    /// Some unlinked account correlates with the identity.
    pub is_candidate: bool,
}

#[derive(Debug)]
pub(super) struct KeptLink {
    pub uid: Hash,
    pub id: Option<Hash>,
    pub digest: Option<Digest>,
    pub state: Option<AccountState>,
}

/// What the target has shown of a linked account so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing is known of it: not in a reading of everything, once it has ended.
    No,
    /// It does not exist: everything was shown, and not it; or the target said so when it was asked for it alone.
    Gone,
    /// It is protected, or its identity in flight or unevaluable: not looked into.
    Passed,
    As {
        state: AccountState,
        digest_differs: bool,
    },
}

impl Matcher {
    /// For the accounts of one object type, which correlate by this policy.
    pub fn new(policy: &CorrelationPolicy) -> Self {
        Self {
            policy: policy.clone(),
            people: Vec::new(),
            keys: Vec::new(),
            rejected: HashSet::new(),
            busy: HashSet::new(),
        }
    }

    /// Makes room for so many identities at once: less memory than growing there.
    pub fn reserve(&mut self, identities: usize) {
        self.people.reserve_exact(identities);
        self.keys.reserve_exact(identities * self.policy.rules.len());
    }

    /// Loads one identity, once, in any order. A process holds fewer than 2^32 of them.
    pub fn expect(&mut self, expectation: Expectation<'_>) {
        let position = u32::try_from(self.people.len()).expect("fewer than 2^32 identities");
        self.people.push(Person {
            identity: expectation.identity,
            link: expectation.link.map(|link| KeptLink {
                uid: super::hash_of_uid(link.account.external_uid),
                id: link.account.immutable_id.map(super::hash_of_id),
                digest: link.digest,
                state: link.state,
            }),
            standing: expectation.standing,
            in_flight: expectation.in_flight,
            keys_are_known: expectation.keys.is_some(),
            seen: Seen::No,
            is_candidate: false,
        });
        self.keys.extend(expectation.keys.unwrap_or_default().iter().map(|key| (key.key, position)));
        for account in expectation.rejected {
            self.rejected.insert((position, account.key_hash()));
        }
    }

    /// An account without owner that has live operations.
    pub fn expect_busy_account(&mut self, account: AccountRef<'_>) {
        self.busy.insert(account.key_hash());
    }

    /// Builds the indexes: the target's accounts may come.
    pub fn ready(mut self) -> Reading {
        self.people.shrink_to_fit();
        let links = Links::of(&self.people);
        let keys = SharedIndex::of(std::mem::take(&mut self.keys));
        Reading::new(self, links, keys)
    }
}

/// Whose link an account belongs to.
#[derive(Debug)]
pub(super) struct Links {
    by_id: Table,
    /// Links that know no immutable id, and links that do.
    by_uid: Table,
    identified_by_uid: Table,
}

impl Links {
    fn of(people: &[Person]) -> Self {
        let links = || people.iter().filter_map(|person| person.link.as_ref());
        let identified = links().filter(|link| link.id.is_some()).count();
        let mut index = Self {
            by_id: Table::with_capacity(identified),
            by_uid: Table::with_capacity(links().count() - identified),
            identified_by_uid: Table::with_capacity(identified),
        };
        for (position, person) in (0..).zip(people) {
            match &person.link {
                None => {}
                Some(KeptLink { id: None, .. }) => index.by_uid.insert(position, |at| uid_at(people, at)),
                Some(KeptLink { id: Some(_), .. }) => {
                    index.by_id.insert(position, |at| id_at(people, at));
                    index.identified_by_uid.insert(position, |at| uid_at(people, at));
                }
            }
        }
        index
    }

    /// By immutable id where both sides know one; by uid only where one of them does not: the same uid with another
    /// immutable id is another account.
    pub fn find(&self, people: &[Person], account: AccountRef<'_>) -> Option<u32> {
        let by_uid =
            |table: &Table| table.find(&super::hash_of_uid(account.external_uid), |at| uid_at(people, at));
        match account.immutable_id {
            Some(id) => {
                let by_id = self.by_id.find(&super::hash_of_id(id), |at| id_at(people, at));
                by_id.or_else(|| by_uid(&self.by_uid))
            }
            None => by_uid(&self.by_uid).or_else(|| by_uid(&self.identified_by_uid)),
        }
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.by_id.bytes() + self.by_uid.bytes() + self.identified_by_uid.bytes()
    }
}

fn uid_at(people: &[Person], position: u32) -> Hash {
    people[position as usize].link.as_ref().map_or([0; 16], |link| link.uid)
}

fn id_at(people: &[Person], position: u32) -> Hash {
    people[position as usize].link.as_ref().and_then(|link| link.id).unwrap_or([0; 16])
}
