//! What is done about a conflict: the default of each kind, and what else is possible.

use super::{ConflictOutcome, ConflictType};
use crate::{
    connector::Authority,
    error::{Error, Reason},
};

/// A conflict with what its outcome depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clash {
    ConcurrentUpdate {
        a_is_claimed: bool,
    },
    DuplicateCreate,
    UpdateThenDelete {
        a_is_claimed: bool,
    },
    DeleteThenUpdate,
    /// `authority` is the strictest of the attributes that both sides changed; none where they share no attribute.
    ExternalChange {
        authority: Option<Authority>,
    },
    MissingTarget,
    AccountExists,
}

impl Clash {
    pub fn conflict_type(self) -> ConflictType {
        match self {
            Self::ConcurrentUpdate { .. } => ConflictType::ConcurrentUpdate,
            Self::DuplicateCreate => ConflictType::DuplicateCreate,
            Self::UpdateThenDelete { .. } | Self::DeleteThenUpdate => ConflictType::DeleteUpdate,
            Self::ExternalChange { .. } => ConflictType::ExternalChange,
            Self::MissingTarget => ConflictType::MissingTarget,
            Self::AccountExists => ConflictType::AccountExists,
        }
    }

    /// What happens unless the connector's policy says otherwise; none = a person decides.
    pub fn default_outcome(self) -> Option<ConflictOutcome> {
        match self {
            Self::ConcurrentUpdate { a_is_claimed: false } | Self::ExternalChange { authority: None } => {
                Some(ConflictOutcome::Merged)
            }
            // What a worker holds cannot be taken back: the newer one follows it.
            Self::ConcurrentUpdate { a_is_claimed: true }
            | Self::UpdateThenDelete { a_is_claimed: true }
            | Self::ExternalChange { authority: Some(Authority::Xavyo) }
            | Self::MissingTarget => Some(ConflictOutcome::Applied),
            Self::UpdateThenDelete { a_is_claimed: false }
            | Self::ExternalChange { authority: Some(Authority::Target) } => {
                Some(ConflictOutcome::Superseded)
            }
            Self::DuplicateCreate | Self::DeleteThenUpdate => Some(ConflictOutcome::Rejected),
            Self::ExternalChange { authority: Some(Authority::None) } | Self::AccountExists => None,
        }
    }

    /// The outcomes that can be carried out.
    pub fn possible(self) -> &'static [ConflictOutcome] {
        use ConflictOutcome::{Applied, Merged, Rejected, Superseded};
        match self {
            Self::ConcurrentUpdate { a_is_claimed: false } => &[Merged, Applied, Superseded, Rejected],
            Self::ConcurrentUpdate { a_is_claimed: true }
            | Self::UpdateThenDelete { a_is_claimed: true }
            // Updating what was just deleted makes no sense, unless it is made again: that is a create's work.
            | Self::DuplicateCreate => &[Applied, Rejected],
            Self::UpdateThenDelete { a_is_claimed: false } => &[Superseded, Applied, Rejected],
            Self::DeleteThenUpdate => &[Rejected, Superseded],
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

    const CLASHES: [(&str, Clash); 12] = [
        ("concurrent_update", Clash::ConcurrentUpdate { a_is_claimed: false }),
        ("concurrent_update, A claimed", Clash::ConcurrentUpdate { a_is_claimed: true }),
        ("duplicate_create", Clash::DuplicateCreate),
        ("delete_update: update then delete", Clash::UpdateThenDelete { a_is_claimed: false }),
        ("delete_update: update then delete, A claimed", Clash::UpdateThenDelete { a_is_claimed: true }),
        ("delete_update: delete then update", Clash::DeleteThenUpdate),
        ("external_change, no common attribute", Clash::ExternalChange { authority: None }),
        ("external_change, authority xavyo", Clash::ExternalChange { authority: Some(Authority::Xavyo) }),
        ("external_change, authority target", Clash::ExternalChange { authority: Some(Authority::Target) }),
        ("external_change, authority none", Clash::ExternalChange { authority: Some(Authority::None) }),
        ("missing_target", Clash::MissingTarget),
        ("account_exists", Clash::AccountExists),
    ];

    #[test]
    fn the_outcomes_are_exactly_those_documented() {
        let header = ["conflict", "default", "possible"].map(str::to_owned).to_vec();
        let rows = CLASHES.into_iter().map(|(name, clash)| {
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
    fn an_impossible_outcome_is_refused_with_the_possible_ones() {
        let error = allowed(Clash::DuplicateCreate, ConflictOutcome::Merged).unwrap_err();
        assert_eq!(error.reason, Reason::OutcomeImpossible);
        assert_eq!(
            error.message,
            "a duplicate_create conflict cannot be merged now; possible: applied, rejected"
        );
    }
}
