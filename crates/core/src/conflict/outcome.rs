//! What is done about a conflict: the default of each kind, and what else is possible.

use serde::{Deserialize, Serialize};

use super::{ConflictOutcome, ConflictType};
use crate::{
    connector::Authority,
    error::{Error, Reason},
    names::names,
};

/// A conflict with what its outcome depends on. `a_stands`: A cannot be taken back any more, because a worker has it in
/// hand or it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clash {
    ConcurrentUpdate {
        a_stands: bool,
    },
    DuplicateCreate,
    UpdateThenDelete {
        a_stands: bool,
    },
    DeleteThenUpdate {
        a_stands: bool,
    },
    /// `authority` is the strictest of the attributes that both sides changed; none where they share no attribute.
    ExternalChange {
        authority: Option<Authority>,
    },
    MissingTarget,
    AccountExists,
}

/// What a connector does about a type of conflict, in place of the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictRule {
    /// A person decides; what nobody has claimed is held until then.
    Person,
    Applied,
    Superseded,
    Merged,
    Rejected,
}

names!(ConflictRule {
    Person "person",
    Applied "applied",
    Superseded "superseded",
    Merged "merged",
    Rejected "rejected",
});

impl ConflictRule {
    /// None = a person decides.
    pub fn outcome(self) -> Option<ConflictOutcome> {
        match self {
            Self::Person => None,
            Self::Applied => Some(ConflictOutcome::Applied),
            Self::Superseded => Some(ConflictOutcome::Superseded),
            Self::Merged => Some(ConflictOutcome::Merged),
            Self::Rejected => Some(ConflictOutcome::Rejected),
        }
    }

    /// Whether some conflict of the type can be decided so.
    pub fn suits(self, conflict_type: ConflictType) -> bool {
        let suits = |outcome| {
            Clash::ALL.iter().any(|(_, clash)| {
                clash.conflict_type() == conflict_type && clash.possible().contains(&outcome)
            })
        };
        self.outcome().is_none_or(suits)
    }
}

impl Clash {
    /// Every kind, as the documented table of outcomes names it.
    pub const ALL: [(&'static str, Self); 13] = [
        ("concurrent_update", Self::ConcurrentUpdate { a_stands: false }),
        ("concurrent_update, A stands", Self::ConcurrentUpdate { a_stands: true }),
        ("duplicate_create", Self::DuplicateCreate),
        ("delete_update: update then delete", Self::UpdateThenDelete { a_stands: false }),
        ("delete_update: update then delete, A stands", Self::UpdateThenDelete { a_stands: true }),
        ("delete_update: delete then update", Self::DeleteThenUpdate { a_stands: false }),
        ("delete_update: delete then update, A stands", Self::DeleteThenUpdate { a_stands: true }),
        ("external_change, no common attribute", Self::ExternalChange { authority: None }),
        ("external_change, authority xavyo", Self::ExternalChange { authority: Some(Authority::Xavyo) }),
        ("external_change, authority target", Self::ExternalChange { authority: Some(Authority::Target) }),
        ("external_change, authority none", Self::ExternalChange { authority: Some(Authority::None) }),
        ("missing_target", Self::MissingTarget),
        ("account_exists", Self::AccountExists),
    ];

    /// What happens by a connector's rule, or by default where the rule cannot be carried out; none = a person decides.
    pub fn outcome(self, rule: Option<ConflictRule>) -> Option<ConflictOutcome> {
        match rule.map(ConflictRule::outcome) {
            Some(None) => None,
            Some(Some(outcome)) if self.possible().contains(&outcome) => Some(outcome),
            Some(Some(_)) | None => self.default_outcome(),
        }
    }

    pub fn conflict_type(self) -> ConflictType {
        match self {
            Self::ConcurrentUpdate { .. } => ConflictType::ConcurrentUpdate,
            Self::DuplicateCreate => ConflictType::DuplicateCreate,
            Self::UpdateThenDelete { .. } | Self::DeleteThenUpdate { .. } => ConflictType::DeleteUpdate,
            Self::ExternalChange { .. } => ConflictType::ExternalChange,
            Self::MissingTarget => ConflictType::MissingTarget,
            Self::AccountExists => ConflictType::AccountExists,
        }
    }

    /// What happens unless the connector's policy says otherwise; none = a person decides.
    pub fn default_outcome(self) -> Option<ConflictOutcome> {
        match self {
            Self::ConcurrentUpdate { a_stands: false } | Self::ExternalChange { authority: None } => {
                Some(ConflictOutcome::Merged)
            }
            // What a worker holds cannot be taken back: the newer one follows it.
            Self::ConcurrentUpdate { a_stands: true }
            | Self::UpdateThenDelete { a_stands: true }
            | Self::ExternalChange { authority: Some(Authority::Xavyo) }
            | Self::MissingTarget => Some(ConflictOutcome::Applied),
            Self::UpdateThenDelete { a_stands: false }
            | Self::ExternalChange { authority: Some(Authority::Target) } => {
                Some(ConflictOutcome::Superseded)
            }
            Self::DuplicateCreate | Self::DeleteThenUpdate { .. } => Some(ConflictOutcome::Rejected),
            Self::ExternalChange { authority: Some(Authority::None) } | Self::AccountExists => None,
        }
    }

    /// The outcomes that can be carried out.
    pub fn possible(self) -> &'static [ConflictOutcome] {
        use ConflictOutcome::{Applied, Merged, Rejected, Superseded};
        match self {
            Self::ConcurrentUpdate { a_stands: false } => &[Merged, Applied, Superseded, Rejected],
            Self::ConcurrentUpdate { a_stands: true }
            | Self::UpdateThenDelete { a_stands: true }
            | Self::DuplicateCreate => &[Applied, Rejected],
            // Applied: the account is made again if its identity should have it.
            Self::DeleteThenUpdate { a_stands: true } => &[Rejected, Applied],
            Self::UpdateThenDelete { a_stands: false } => &[Superseded, Applied, Rejected],
            Self::DeleteThenUpdate { a_stands: false } => &[Rejected, Superseded],
            Self::ExternalChange { .. } => &[Applied, Superseded, Merged, Rejected],
            // Applied: the account is made again, or adopted as ours.
            Self::MissingTarget | Self::AccountExists => &[Applied, Superseded, Rejected],
        }
    }
}

/// Refuses what cannot be carried out, naming what can.
pub fn allowed(clash: Clash, outcome: ConflictOutcome) -> Result<(), Error> {
    if clash.possible().contains(&outcome) {
        return Ok(());
    }
    let possible = clash.possible().iter().map(|outcome| outcome.name()).collect::<Vec<_>>().join(", ");
    let conflict_type = clash.conflict_type();
    Err(Error::new(
        Reason::OutcomeImpossible,
        format!("a {conflict_type} conflict cannot be {outcome} now; possible: {possible}"),
    )
    .with("conflict_type", conflict_type.name())
    .with("outcome", outcome.name())
    .with("possible", possible))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables;

    #[test]
    fn the_outcomes_are_exactly_those_documented() {
        let header = ["conflict", "default", "possible"].map(str::to_owned).to_vec();
        let rows = Clash::ALL.into_iter().map(|(name, clash)| {
            let default = clash.default_outcome();
            assert!(default.is_none_or(|outcome| allowed(clash, outcome).is_ok()), "{name}");
            let possible = clash.possible().iter().map(|outcome| outcome.name()).collect::<Vec<_>>();
            let default = default.map_or("a person", ConflictOutcome::name);
            vec![name.to_owned(), default.to_owned(), possible.join(", ")]
        });
        let table = tables::markdown(header, rows);
        tables::compare(&table, include_str!("../../tables/conflict-outcome.md"));
    }

    #[test]
    fn a_rule_is_followed_where_it_can_be_carried_out() {
        let update = |a_stands| Clash::ConcurrentUpdate { a_stands };
        assert_eq!(update(false).outcome(Some(ConflictRule::Superseded)), Some(ConflictOutcome::Superseded));
        assert_eq!(update(true).outcome(Some(ConflictRule::Superseded)), Some(ConflictOutcome::Applied));
        assert_eq!(update(false).outcome(Some(ConflictRule::Person)), None);
        assert_eq!(update(false).outcome(None), update(false).default_outcome());
        assert!(!ConflictRule::Merged.suits(ConflictType::MissingTarget));
        assert!(ConflictRule::Person.suits(ConflictType::AccountExists));
    }

    #[test]
    fn an_impossible_outcome_is_refused_with_the_possible_ones() {
        let error = allowed(Clash::DuplicateCreate, ConflictOutcome::Merged).unwrap_err();
        assert_eq!(error.reason, Reason::OutcomeImpossible);
        assert_eq!(
            error.message,
            "a duplicate_create conflict cannot be merged now; possible: applied, rejected"
        );
    }
}
