//! Discrepancies: one difference found by a run, and how it was settled.
//!
//! What each type means precisely is decided in [`crate::classification`]; what may be done about it is the table in
//! [`crate::remediation`].

pub mod fingerprint;
pub mod report;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    account::{AccountKey, AccountState},
    change::ACCOUNT_STATE,
    error::Error,
    fingerprint::Fingerprint,
    guard::Effect,
    ids::{ConnectorId, DiscrepancyId, IdentityId, RunId, SubjectId},
    names::names,
    remediation::Remedy,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiscrepancyType {
    /// The identity should have an account and has none, nor a candidate for one.
    Missing,
    /// The account belongs to nobody and resembles nobody.
    Orphan,
    /// One attribute of a linked account differs; or its state does.
    Mismatch,
    /// Accounts and identities resemble one another in more than one way: a person must pick.
    Collision,
    /// Exactly one account and one identity resemble each other and are not linked.
    Unlinked,
    /// A linked account is gone from the target.
    Deleted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResolutionStatus {
    Pending,
    Resolved,
    Ignored,
}

/// What can happen to a discrepancy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A remediation succeeded.
    Remediated,
    /// A later completed run found the same again; or the premise of its remediation was gone.
    Superseded,
    /// A later completed run examined it and did not find it.
    NoLongerPresent,
    /// IgnoreDiscrepancy.
    Ignored,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Discrepancy {
    pub id: DiscrepancyId,
    pub connector_id: ConnectorId,
    pub run_id: RunId,
    pub discrepancy_type: DiscrepancyType,
    pub object_class: String,
    pub intent: String,
    /// Absent for an orphan, and for a collision (see `candidates`).
    pub identity_id: Option<IdentityId>,
    pub external_uid: Option<String>,
    pub immutable_id: Option<String>,
    /// Only for a mismatch: the target attribute, or the reserved `account_state`.
    pub attribute_name: Option<String>,
    /// As [`crate::value::display`] shows it; `***` where the attribute is sensitive.
    pub expected_value: Option<String>,
    pub actual_value: Option<String>,
    /// The edges of a collision's component, the pair of an unlinked one, or an orphan's near matches.
    pub candidates: Vec<Candidate>,
    /// The connector revision that the run compared under.
    pub connector_revision: i32,
    pub fingerprint: Fingerprint,
    /// When a run first found it, kept over later runs.
    pub first_seen_at: DateTime<Utc>,
    pub suggested: Option<Remedy>,
    /// What the run's plan would do, or has done, about it.
    pub planned: Option<Remedy>,
    /// What the guard counts that as; none = it writes nothing to a target.
    pub planned_effect: Option<Effect>,
    pub resolution_status: ResolutionStatus,
    pub resolved_at: Option<DateTime<Utc>>,
    pub resolved_by: Option<SubjectId>,
    pub resolution_note: Option<String>,
    /// The later discrepancy that stands in its place.
    pub superseded_by_id: Option<DiscrepancyId>,
    pub created_at: DateTime<Utc>,
    /// Rises by one with every change of the row; the etag.
    pub version: i64,
}

/// An identity and an account that resemble each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    pub identity_id: IdentityId,
    pub account: AccountKey,
    /// The sum of the weights of the rules that match.
    pub score: i32,
    /// One line a matching rule: `mail equals "jane@example.org" (60)`.
    pub reasons: Vec<String>,
}

names!(DiscrepancyType {
    Missing "missing",
    Orphan "orphan",
    Mismatch "mismatch",
    Collision "collision",
    Unlinked "unlinked",
    Deleted "deleted",
});

names!(ResolutionStatus {
    Pending "pending",
    Resolved "resolved",
    Ignored "ignored",
});

names!(Event {
    Remediated "remediated",
    Superseded "superseded",
    NoLongerPresent "no_longer_present",
    Ignored "ignored",
});

impl ResolutionStatus {
    /// Nothing moves it any more.
    pub fn is_final(self) -> bool {
        match self {
            Self::Resolved | Self::Ignored => true,
            Self::Pending => false,
        }
    }

    /// Every legal move is a row of this table; anything else is refused.
    pub fn after(self, event: Event) -> Result<Self, Error> {
        match (self, event) {
            (Self::Pending, Event::Remediated | Event::Superseded | Event::NoLongerPresent) => {
                Ok(Self::Resolved)
            }
            (Self::Pending, Event::Ignored) => Ok(Self::Ignored),
            (from, event) => Err(Error::illegal_move("discrepancy", from, event)),
        }
    }
}

impl Discrepancy {
    /// The state that the account should be in, where that is what differs.
    pub fn expected_state(&self) -> Option<AccountState> {
        match self.attribute_name.as_deref() {
            Some(ACCOUNT_STATE) => AccountState::named(self.expected_value.as_deref()?),
            Some(_) | None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables;

    #[test]
    fn the_moves_of_a_discrepancy_are_exactly_those_documented() {
        let printed = tables::of_moves_by_event(
            &ResolutionStatus::ALL,
            &Event::ALL,
            ResolutionStatus::after,
            // The data model draws resolution by remediation, and ignoring.
            |from, event| {
                from == ResolutionStatus::Pending && matches!(event, Event::Remediated | Event::Ignored)
            },
        );
        tables::compare(&printed, include_str!("../../tables/discrepancy.md"));
    }
}
