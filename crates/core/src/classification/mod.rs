//! Classification: what a run finds, out of what should be and what the target shows.
//!
//! Begin with [`Matcher`]: the expected side is loaded into it, [`Matcher::ready`] builds the indexes, the target's
//! accounts stream past [`Reading::observe`] once, and [`Reading::finish`] yields the [`Findings`].
//!
//! Each account is matched in this order. (1) By its link: by immutable id wherever both sides know one, else by uid; the
//! same uid with another immutable id is *not* the linked account. (2) By correlation, over all identities, inactive
//! and out-of-scope ones too, without rejected pairs. Unlinked accounts and the identities that they correlate with
//! form a graph. A component of it that is one account and one identity without a live link is *unlinked*, any other
//! is one *collision*; its members get no other row.
//!
//! Absence is concluded only from reads that are proven complete (R1): without proof `missing`, `deleted`, `orphan` and
//! `unlinked` are counted as suppressed. What has operations under way is counted and never reported. What cannot be
//! evaluated proves nothing.
//!
//! A reading of changes ([`Reading::finish_changes`]) need not see every account: those that are linked, and that nothing was
//! written of on either side, may be left out. Every unlinked account must pass by all the same, so must each account that was
//! told to have changed, and the own account of whoever an unlinked one resembles ([`Reading::open_candidates`]). Then what is
//! found of unlinked accounts, and of identities without a link, is exactly what a reading of everything would find. Of
//! linked ones it is what was seen: one that was not is neither equal nor deleted; deleted is only what the target, asked for
//! it alone, does not have ([`Reading::observe_gone`]).
//!
//! Never here: attributes. Digests say which accounts need them; the differences are [`crate::comparison`]'s. Memory
//! stays at a few words an expectation; names are kept only of accounts that are unlinked or renamed.

mod conclude;
mod findings;
mod index;
mod matcher;
mod reading;
#[cfg(test)]
mod reference;
mod roster;
#[cfg(test)]
mod tests;
mod union;

pub use findings::{Collision, Counts, Deleted, Differing, Findings, Near, Orphan, Renamed, Unlinked};
pub use matcher::Matcher;
pub use reading::Reading;

use crate::{
    account::{AccountKey, AccountState},
    correlation::CorrelationKey,
    digest::{Digest, Hasher},
    ids::IdentityId,
};

/// The most candidates that are kept for one account; all of them count for the component.
pub const MAX_CANDIDATES: usize = 20;

/// The most identities that one key of an account is followed to. A key that more share (a department) tells nobody apart;
/// it still counts for whom another key names. An account with such a key and no match is never called an orphan.
pub const MAX_FAN_OUT: usize = 200;

/// An account by its names, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountRef<'a> {
    pub external_uid: &'a str,
    pub immutable_id: Option<&'a str>,
}

/// Should the identity have an account?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Active and in scope.
    ShouldHave,
    ShouldNotHave,
    /// The scope expression failed: neither.
    Unknown,
}

/// What the expected side knows about one identity.
#[derive(Clone, Copy, Debug)]
pub struct Expectation<'a> {
    pub identity: IdentityId,
    pub standing: Standing,
    pub link: Option<ExpectedLink<'a>>,
    /// None = a correlation expression failed: nothing is concluded from the identity's not matching.
    pub keys: Option<&'a [CorrelationKey]>,
    /// Accounts that a person unlinked from the identity: they never correlate with it again.
    pub rejected: &'a [AccountRef<'a>],
    /// Live operations, or a dead letter, hold the identity's lane.
    pub in_flight: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct ExpectedLink<'a> {
    pub account: AccountRef<'a>,
    /// None = no opinion.
    pub state: Option<AccountState>,
    /// None = only a comparison of the attributes tells.
    pub digest: Option<Digest>,
}

/// One account as the target shows it.
#[derive(Clone, Copy, Debug)]
pub struct TargetRecord<'a> {
    pub account: AccountRef<'a>,
    pub state: AccountState,
    /// None = only a comparison of the attributes tells.
    pub digest: Option<Digest>,
    pub keys: &'a [CorrelationKey],
    /// It matches the connector's protected-accounts expression.
    pub protected: bool,
}

/// What an account turned out to be when it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// Linked, and nothing to look into.
    Same,
    /// Linked; its attributes or its state need a closer look.
    Differs,
    Unlinked,
    Protected,
    InFlight,
    /// It was seen before: the target moved it while it was read.
    Repeated,
}

/// Which reads are proven complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    pub expected: bool,
    pub target: bool,
}

impl<'a> From<&'a AccountKey> for AccountRef<'a> {
    fn from(key: &'a AccountKey) -> Self {
        Self { external_uid: &key.external_uid, immutable_id: key.immutable_id.as_deref() }
    }
}

impl From<AccountRef<'_>> for AccountKey {
    fn from(account: AccountRef<'_>) -> Self {
        Self {
            external_uid: account.external_uid.to_owned(),
            immutable_id: account.immutable_id.map(str::to_owned),
        }
    }
}

/// 128 bits in a name's place, never kept: most fit one block of the hash function.
type Hash = [u8; 16];

fn hash_of_uid(uid: &str) -> Hash {
    hash("uid", uid)
}

fn hash_of_id(id: &str) -> Hash {
    hash("id", id)
}

fn hash(kind: &'static str, name: &str) -> Hash {
    let mut hasher = Hasher::new(kind);
    hasher.text(name);
    hasher.finish().0
}

impl AccountRef<'_> {
    /// By the immutable id where there is one, else by the uid.
    fn key_hash(&self) -> Hash {
        self.immutable_id.map_or_else(|| hash_of_uid(self.external_uid), hash_of_id)
    }
}
