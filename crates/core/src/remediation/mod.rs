//! Remediation: what resolves a discrepancy, in which direction, and what is suggested.
//!
//! Begin with [`allowed`]: the closed table of what goes together. Anything else is refused, whoever asks. [`policy`] says
//! what a run does by itself.

pub mod policy;

use serde::{Deserialize, Serialize};

use crate::{
    account::AccountState,
    connector::Authority,
    discrepancy::{Discrepancy, DiscrepancyType},
    error::{Error, Reason},
    ids::DiscrepancyId,
    names::names,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemediationAction {
    Create,
    Update,
    Delete,
    Link,
    Unlink,
    InactivateIdentity,
}

/// Which side is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemediationDirection {
    XavyoToTarget,
    TargetToXavyo,
}

/// An action in a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Remedy {
    pub action: RemediationAction,
    pub direction: RemediationDirection,
}

/// What became of one remediation.
#[derive(Clone, Debug, PartialEq)]
pub struct RemediationResult {
    pub discrepancy_id: DiscrepancyId,
    pub remedy: Remedy,
    pub success: bool,
    pub error: Option<String>,
    /// What was, or would be, changed: by side and attribute.
    pub changes: Option<serde_json::Value>,
}

/// A finding with what its suggestion depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Situation {
    Missing,
    Orphan {
        near_match: bool,
    },
    Mismatch {
        authority: Authority,
    },
    /// A mismatch of the reserved attribute `account_state`.
    AccountState {
        expected: AccountState,
    },
    Collision,
    Unlinked,
    Deleted {
        should_have: bool,
    },
}

names!(RemediationAction {
    Create "create",
    Update "update",
    Delete "delete",
    Link "link",
    Unlink "unlink",
    InactivateIdentity "inactivate_identity",
});

names!(RemediationDirection {
    XavyoToTarget "xavyo_to_target",
    TargetToXavyo "target_to_xavyo",
});

const fn to_target(action: RemediationAction) -> Remedy {
    Remedy { action, direction: RemediationDirection::XavyoToTarget }
}

const fn to_xavyo(action: RemediationAction) -> Remedy {
    Remedy { action, direction: RemediationDirection::TargetToXavyo }
}

/// What may be done about a discrepancy of this type. `expects_absence` is true for a mismatch of `account_state`
/// whose account should not exist.
pub const fn allowed(discrepancy_type: DiscrepancyType, expects_absence: bool) -> &'static [Remedy] {
    use RemediationAction::{Create, Delete, InactivateIdentity, Link, Unlink, Update};
    match (discrepancy_type, expects_absence) {
        (DiscrepancyType::Missing, _) => const { &[to_target(Create), to_xavyo(InactivateIdentity)] },
        // Link to an identity that the caller names; update disables; create makes an inactive identity.
        (DiscrepancyType::Orphan, _) => {
            const { &[to_target(Link), to_target(Update), to_target(Delete), to_xavyo(Create)] }
        }
        (DiscrepancyType::Mismatch, false) => const { &[to_target(Update), to_xavyo(Update)] },
        (DiscrepancyType::Mismatch, true) => {
            const { &[to_target(Update), to_xavyo(Update), to_target(Delete)] }
        }
        // Each of a pair, or an account, that the caller names out of the candidates.
        (DiscrepancyType::Collision, _) => const { &[to_target(Link), to_target(Unlink), to_target(Delete)] },
        (DiscrepancyType::Unlinked, _) => const { &[to_target(Link)] },
        (DiscrepancyType::Deleted, _) => {
            const { &[to_target(Create), to_target(Unlink), to_xavyo(InactivateIdentity)] }
        }
    }
}

/// The remedy that a caller asks for. An unspecified direction is the first that the table lists for the action.
pub fn choose(
    discrepancy: &Discrepancy,
    action: RemediationAction,
    direction: Option<RemediationDirection>,
) -> Result<Remedy, Error> {
    let expects_absence = discrepancy.expected_state() == Some(AccountState::Absent);
    find(discrepancy.discrepancy_type, expects_absence, action, direction)
}

/// The same for a connector's policy, which speaks of a type and not of a row. What only an expected absence allows
/// is allowed here; rows where it does not apply stay as they are.
pub fn choose_for_type(
    discrepancy_type: DiscrepancyType,
    action: RemediationAction,
    direction: Option<RemediationDirection>,
) -> Result<Remedy, Error> {
    find(discrepancy_type, true, action, direction)
}

fn find(
    discrepancy_type: DiscrepancyType,
    expects_absence: bool,
    action: RemediationAction,
    direction: Option<RemediationDirection>,
) -> Result<Remedy, Error> {
    let fits =
        |remedy: &&Remedy| remedy.action == action && direction.is_none_or(|it| it == remedy.direction);
    allowed(discrepancy_type, expects_absence).iter().find(fits).copied().ok_or_else(|| {
        let towards = direction.map_or_else(String::new, |direction| format!(" {direction}"));
        Error::new(
            Reason::RemediationNotAllowed,
            format!("a discrepancy of type {discrepancy_type} takes no {action}{towards}"),
        )
        .with("discrepancy_type", discrepancy_type.name())
        .with("action", action.name())
        .with("direction", direction.map_or("", RemediationDirection::name))
    })
}

impl Situation {
    pub fn discrepancy_type(self) -> DiscrepancyType {
        match self {
            Self::Missing => DiscrepancyType::Missing,
            Self::Orphan { .. } => DiscrepancyType::Orphan,
            Self::Mismatch { .. } | Self::AccountState { .. } => DiscrepancyType::Mismatch,
            Self::Collision => DiscrepancyType::Collision,
            Self::Unlinked => DiscrepancyType::Unlinked,
            Self::Deleted { .. } => DiscrepancyType::Deleted,
        }
    }

    /// What a careful operator would do; none where only a person can tell.
    pub fn suggestion(self) -> Option<Remedy> {
        match self {
            Self::Missing | Self::Deleted { should_have: true } => Some(to_target(RemediationAction::Create)),
            Self::Deleted { should_have: false } => Some(to_target(RemediationAction::Unlink)),
            Self::Orphan { near_match: true } | Self::Unlinked => Some(to_target(RemediationAction::Link)),
            Self::AccountState { expected: AccountState::Absent } => {
                Some(to_target(RemediationAction::Delete))
            }
            Self::AccountState { expected: AccountState::Enabled | AccountState::Disabled }
            | Self::Mismatch { authority: Authority::Xavyo } => Some(to_target(RemediationAction::Update)),
            Self::Mismatch { authority: Authority::Target } => Some(to_xavyo(RemediationAction::Update)),
            Self::Mismatch { authority: Authority::None }
            | Self::Orphan { near_match: false }
            | Self::Collision => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables;

    fn printed(remedy: Remedy) -> String {
        let arrow = match remedy.direction {
            RemediationDirection::XavyoToTarget => "→",
            RemediationDirection::TargetToXavyo => "←",
        };
        format!("{} {arrow}", remedy.action)
    }

    #[test]
    fn what_is_allowed_and_suggested_is_exactly_what_is_documented() {
        let situations = [
            ("missing", Situation::Missing),
            ("orphan", Situation::Orphan { near_match: false }),
            ("orphan with a near match", Situation::Orphan { near_match: true }),
            ("mismatch, authority xavyo", Situation::Mismatch { authority: Authority::Xavyo }),
            ("mismatch, authority target", Situation::Mismatch { authority: Authority::Target }),
            ("mismatch, authority none", Situation::Mismatch { authority: Authority::None }),
            (
                "mismatch of account_state: enabled",
                Situation::AccountState { expected: AccountState::Enabled },
            ),
            (
                "mismatch of account_state: disabled",
                Situation::AccountState { expected: AccountState::Disabled },
            ),
            ("mismatch of account_state: absent", Situation::AccountState { expected: AccountState::Absent }),
            ("collision", Situation::Collision),
            ("unlinked", Situation::Unlinked),
            ("deleted, should have one", Situation::Deleted { should_have: true }),
            ("deleted, should have none", Situation::Deleted { should_have: false }),
        ];
        let header = ["finding", "allowed", "suggested"].map(str::to_owned).to_vec();
        let rows = situations.into_iter().map(|(name, situation)| {
            let absence = situation == Situation::AccountState { expected: AccountState::Absent };
            let allowed = allowed(situation.discrepancy_type(), absence);
            let suggested = situation.suggestion();
            assert!(suggested.is_none_or(|remedy| allowed.contains(&remedy)), "{name}");
            vec![
                name.to_owned(),
                allowed.iter().copied().map(printed).collect::<Vec<_>>().join(", "),
                suggested.map_or_else(|| "–".to_owned(), printed),
            ]
        });
        let table = tables::markdown(header, rows);
        tables::compare(&table, include_str!("../../tables/remediation.md"));
    }

    #[test]
    fn an_unspecified_direction_is_the_first_listed() {
        let chosen = choose_for_type(DiscrepancyType::Mismatch, RemediationAction::Update, None).unwrap();
        assert_eq!(chosen.direction, RemediationDirection::XavyoToTarget);
        let only = choose_for_type(DiscrepancyType::Orphan, RemediationAction::Create, None).unwrap();
        assert_eq!(only.direction, RemediationDirection::TargetToXavyo);
    }

    #[test]
    fn a_triple_outside_the_table_is_refused_by_name() {
        let error = choose_for_type(
            DiscrepancyType::Unlinked,
            RemediationAction::Link,
            Some(RemediationDirection::TargetToXavyo),
        )
        .unwrap_err();
        assert_eq!(error.reason, Reason::RemediationNotAllowed);
        assert_eq!(error.message, "a discrepancy of type unlinked takes no link target_to_xavyo");
    }
}
