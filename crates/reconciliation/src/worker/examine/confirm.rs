//! Whether what the index concludes still holds of the pairs as they are read live, one by one. Pure.
//!
//! Between the two reads and now the systems go on: what has been linked, is under way or has changed meanwhile is counted
//! in flight, and never written.

use xavyo_core::{
    account::{Account, AccountKey},
    classification::{AccountRef, Collision, Deleted, Differing, Near, Orphan, Unlinked},
    comparison::{self, Difference},
    discrepancy::Discrepancy,
    ids::IdentityId,
};

use super::row::Author;
use crate::provisioning::account::{Pair, Selector};

/// What the live pairs say of a finding.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// It holds: these are its rows. None where the attributes turned out to be equal.
    Holds(Vec<Discrepancy>),
    /// Something is under way, or has changed since the run began.
    InFlight,
}

/// Something that the index concludes, to be confirmed.
pub(super) trait Conclusion {
    /// The pairs that must be read.
    fn selectors(&self) -> Vec<Selector>;

    /// The verdict on those pairs, in the order of the selectors.
    fn confirm(&self, author: &Author<'_>, pairs: &[Pair]) -> Verdict;

    /// The linked identity that it is about, which no later delta would look at for itself.
    fn linked_identity(&self) -> Option<IdentityId> {
        None
    }
}

impl Conclusion for IdentityId {
    fn selectors(&self) -> Vec<Selector> {
        vec![Selector::identity(*self)]
    }

    /// Missing: it should have an account, and has no link.
    fn confirm(&self, author: &Author<'_>, pairs: &[Pair]) -> Verdict {
        match pairs {
            [pair] if !pair.in_flight && pair.link.is_none() && pair.should_have == Some(true) => {
                Verdict::Holds(vec![author.missing(*self)])
            }
            _ => Verdict::InFlight,
        }
    }
}

impl Conclusion for Deleted {
    fn selectors(&self) -> Vec<Selector> {
        vec![Selector::identity(self.identity)]
    }

    /// Deleted: the target itself says that the link's account does not exist.
    fn confirm(&self, author: &Author<'_>, pairs: &[Pair]) -> Verdict {
        match pairs {
            [
                Pair {
                    in_flight: false, live: None, link: Some(link), should_have: Some(should_have), ..
                },
            ] => Verdict::Holds(vec![author.deleted(self.identity, &link.account, *should_have)]),
            _ => Verdict::InFlight,
        }
    }

    fn linked_identity(&self) -> Option<IdentityId> {
        Some(self.identity)
    }
}

impl Conclusion for Orphan<'_> {
    fn selectors(&self) -> Vec<Selector> {
        vec![Selector::account(self.account.into())]
    }

    fn confirm(&self, author: &Author<'_>, pairs: &[Pair]) -> Verdict {
        match pairs {
            [pair] => match unowned(pair) {
                Some(account) => Verdict::Holds(vec![author.orphan(account, &self.near)]),
                None => Verdict::InFlight,
            },
            _ => Verdict::InFlight,
        }
    }
}

impl Conclusion for Unlinked<'_> {
    fn selectors(&self) -> Vec<Selector> {
        vec![Selector::account(self.account.into()), Selector::identity(self.near.identity)]
    }

    fn confirm(&self, author: &Author<'_>, pairs: &[Pair]) -> Verdict {
        match pairs {
            [account, identity] if has_no_account(identity) => match unowned(account) {
                Some(account) => Verdict::Holds(vec![author.unlinked(account, &self.near)]),
                None => Verdict::InFlight,
            },
            _ => Verdict::InFlight,
        }
    }
}

impl Conclusion for Collision<'_> {
    fn selectors(&self) -> Vec<Selector> {
        let accounts = self.accounts.iter().map(|account| Selector::account((*account).into()));
        let identities = self.identities.iter().map(|identity| Selector::identity(*identity));
        accounts.chain(identities).collect()
    }

    /// A member that has changed makes it another component: the next run sees it.
    fn confirm(&self, author: &Author<'_>, pairs: &[Pair]) -> Verdict {
        let Some((accounts, identities)) = pairs.split_at_checked(self.accounts.len()) else {
            return Verdict::InFlight;
        };
        let Some(accounts) = accounts.iter().map(unowned).collect::<Option<Vec<&Account>>>() else {
            return Verdict::InFlight;
        };
        if identities.iter().any(|pair| pair.in_flight) {
            return Verdict::InFlight;
        }
        let live = |wanted: &AccountRef<'_>| {
            let position = self.accounts.iter().position(|account| account == wanted)?;
            accounts.get(position).copied()
        };
        let edges: Option<Vec<(&Account, Near)>> =
            self.edges.iter().map(|(account, near)| Some((live(account)?, *near))).collect();
        edges.map_or(Verdict::InFlight, |edges| Verdict::Holds(vec![author.collision(&edges)]))
    }
}

impl Conclusion for Differing {
    fn selectors(&self) -> Vec<Selector> {
        vec![Selector::identity(self.identity)]
    }

    /// One row for the state and one for each attribute that differs, of both sides as they are now.
    fn confirm(&self, author: &Author<'_>, pairs: &[Pair]) -> Verdict {
        let [pair @ Pair { in_flight: false, is_protected: false, live: Some(live), link: Some(link), .. }] =
            pairs
        else {
            return Verdict::InFlight;
        };
        let account: AccountKey = live.key();
        let mut rows = Vec::new();
        if let Some(expected) = pair.expected_state.filter(|expected| *expected != live.state()) {
            rows.push(author.state(link, expected, live));
        }
        if self.attributes && pair.should_have == Some(true) {
            let differences = comparison::differences(author.program, &pair.expected, &live.attributes);
            let changes = comparison::changes_towards(author.program, &pair.expected, &live.attributes);
            let row = |difference: &Difference| {
                author.difference(self.identity, &account, difference, changes.get(&difference.attribute))
            };
            rows.extend(differences.iter().map(row));
        }
        Verdict::Holds(rows)
    }

    fn linked_identity(&self) -> Option<IdentityId> {
        Some(self.identity)
    }
}

/// The account, if it lives, belongs to nobody and may be touched.
fn unowned(pair: &Pair) -> Option<&Account> {
    let is_free = !pair.in_flight && pair.link.is_none() && !pair.is_protected;
    pair.live.as_ref().filter(|_| is_free)
}

/// It has no link, or one whose account the target says is gone.
fn has_no_account(pair: &Pair) -> bool {
    !pair.in_flight && (pair.link.is_none() || pair.live.is_none())
}
