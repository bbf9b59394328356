//! What a connector's policy does by itself about what a run found. The default is nothing: report only.
//!
//! Applied by a non-dry run, after the guard, never on a connector's first run. Policy never picks what only a person
//! can pick, and never does the opposite of what is suggested.

use super::{RemediationAction, RemediationDirection, Remedy, allowed};
use crate::{
    account::AccountState,
    account_state,
    change::{Change, Changes},
    discrepancy::{Discrepancy, DiscrepancyType},
    error::{Error, Reason},
    guard::{self, Effect},
    operation::OperationType,
};

/// Refuses, when a connector is stored, a policy that the table does not allow or that leaves a choice open.
pub fn check(discrepancy_type: DiscrepancyType, remedy: Remedy) -> Result<(), Error> {
    super::choose_for_type(discrepancy_type, remedy.action, Some(remedy.direction))?;
    if needs_a_choice(discrepancy_type, remedy.action) {
        return Err(Error::new(
            Reason::RemediationNotAllowed,
            format!("which accounts of {discrepancy_type} to {} is for a person to say", remedy.action),
        )
        .with("discrepancy_type", discrepancy_type.name())
        .with("action", remedy.action.name()));
    }
    Ok(())
}

/// What the policy for its type does about one discrepancy. `disabled_by_us` is the link's: what others disabled in the
/// target stays disabled.
pub fn planned(policy: Option<Remedy>, discrepancy: &Discrepancy, disabled_by_us: bool) -> Option<Remedy> {
    let remedy = policy?;
    let discrepancy_type = discrepancy.discrepancy_type;
    let expected_state = discrepancy.expected_state();
    let is_allowed = allowed(discrepancy_type, expected_state == Some(AccountState::Absent))
        .contains(&remedy)
        && !needs_a_choice(discrepancy_type, remedy.action);
    let must_be_suggested = match (discrepancy_type, remedy.action) {
        // By the attribute's authority; and nobody who left gets an account again.
        (DiscrepancyType::Mismatch, _) | (DiscrepancyType::Deleted, RemediationAction::Create) => true,
        (
            DiscrepancyType::Missing
            | DiscrepancyType::Orphan
            | DiscrepancyType::Collision
            | DiscrepancyType::Unlinked
            | DiscrepancyType::Deleted,
            _,
        ) => false,
    };
    let actual_state = discrepancy.actual_value.as_deref().and_then(AccountState::named);
    let may_change_state = expected_state.zip(actual_state).is_none_or(|(expected, actual)| {
        account_state::may_change_by_policy(actual, expected, disabled_by_us)
    });
    let is_suggested = discrepancy.suggested == Some(remedy);
    (is_allowed && may_change_state && (is_suggested || !must_be_suggested)).then_some(remedy)
}

/// What the guard counts a planned remedy as; none where it writes nothing to a target. `change` is the one that an update
/// of the discrepancy's attribute makes.
pub fn effect(remedy: Remedy, discrepancy: &Discrepancy, change: Option<&Change>) -> Option<Effect> {
    use RemediationAction::{Create, Delete, InactivateIdentity, Link, Unlink, Update};
    match (remedy.action, remedy.direction) {
        (Unlink, _) | (Create, RemediationDirection::TargetToXavyo) => None,
        // What follows from an identity's change is written, and counted, on other connectors.
        (Create | Link, _) | (Update, RemediationDirection::TargetToXavyo) => Some(Effect::Constructive),
        (Delete | InactivateIdentity, _) => Some(Effect::Destructive),
        (Update, RemediationDirection::XavyoToTarget) => Some(match discrepancy.expected_state() {
            Some(AccountState::Enabled) => Effect::Constructive,
            Some(AccountState::Disabled | AccountState::Absent) => Effect::Destructive,
            None => of_attribute(discrepancy, change),
        }),
    }
}

/// An orphan is disabled; of an attribute the change itself tells.
fn of_attribute(discrepancy: &Discrepancy, change: Option<&Change>) -> Effect {
    match (&discrepancy.attribute_name, change) {
        (None, _) => Effect::Destructive,
        (Some(_), None) => Effect::Constructive,
        (Some(name), Some(change)) => {
            guard::effect(OperationType::Update, &Changes::from([(name.clone(), change.clone())]))
        }
    }
}

/// The remedy needs an identity or a pair that only a person can name.
fn needs_a_choice(discrepancy_type: DiscrepancyType, action: RemediationAction) -> bool {
    match discrepancy_type {
        DiscrepancyType::Collision => true,
        DiscrepancyType::Orphan => action == RemediationAction::Link,
        DiscrepancyType::Missing
        | DiscrepancyType::Mismatch
        | DiscrepancyType::Unlinked
        | DiscrepancyType::Deleted => false,
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::{
        digest::Digest,
        discrepancy::ResolutionStatus,
        fingerprint::Fingerprint,
        ids::{ConnectorId, DiscrepancyId, RunId},
        remediation::{to_target, to_xavyo},
    };

    const UPDATE: Remedy = to_target(RemediationAction::Update);

    fn discrepancy(discrepancy_type: DiscrepancyType, suggested: Option<Remedy>) -> Discrepancy {
        Discrepancy {
            id: DiscrepancyId(Uuid::nil()),
            connector_id: ConnectorId(Uuid::nil()),
            run_id: RunId(Uuid::nil()),
            discrepancy_type,
            object_class: "account".to_owned(),
            intent: "default".to_owned(),
            identity_id: None,
            external_uid: None,
            immutable_id: None,
            attribute_name: None,
            expected_value: None,
            actual_value: None,
            candidates: Vec::new(),
            connector_revision: 1,
            fingerprint: Fingerprint(Digest([0; 16])),
            first_seen_at: DateTime::UNIX_EPOCH,
            suggested,
            planned: None,
            planned_effect: None,
            resolution_status: ResolutionStatus::Pending,
            resolved_at: None,
            resolved_by: None,
            resolution_note: None,
            superseded_by_id: None,
            created_at: DateTime::UNIX_EPOCH,
            version: 1,
        }
    }

    fn state(expected: &str, actual: &str, suggested: Remedy) -> Discrepancy {
        Discrepancy {
            attribute_name: Some("account_state".to_owned()),
            expected_value: Some(expected.to_owned()),
            actual_value: Some(actual.to_owned()),
            ..discrepancy(DiscrepancyType::Mismatch, Some(suggested))
        }
    }

    #[test]
    fn without_a_policy_nothing_is_done() {
        assert_eq!(planned(None, &discrepancy(DiscrepancyType::Missing, None), true), None);
    }

    #[test]
    fn a_mismatch_follows_the_attributes_authority() {
        let target_wins = discrepancy(DiscrepancyType::Mismatch, Some(to_xavyo(RemediationAction::Update)));
        let nobody_wins = discrepancy(DiscrepancyType::Mismatch, None);
        let we_win = discrepancy(DiscrepancyType::Mismatch, Some(UPDATE));
        assert_eq!(
            [&target_wins, &nobody_wins, &we_win].map(|it| planned(Some(UPDATE), it, true)),
            [None, None, Some(UPDATE)]
        );
    }

    #[test]
    fn what_others_disabled_is_never_enabled_by_policy() {
        let disabled = state("enabled", "disabled", UPDATE);
        assert_eq!(planned(Some(UPDATE), &disabled, false), None);
        assert_eq!(planned(Some(UPDATE), &disabled, true), Some(UPDATE));
        assert_eq!(planned(Some(UPDATE), &state("disabled", "enabled", UPDATE), false), Some(UPDATE));
    }

    #[test]
    fn accounts_are_deleted_by_policy_only_where_they_should_be_absent() {
        let delete = to_target(RemediationAction::Delete);
        assert_eq!(planned(Some(delete), &state("absent", "enabled", delete), false), Some(delete));
        assert_eq!(planned(Some(delete), &state("disabled", "enabled", UPDATE), false), None);
    }

    #[test]
    fn nobody_who_left_gets_an_account_again() {
        let create = to_target(RemediationAction::Create);
        let leaver = discrepancy(DiscrepancyType::Deleted, Some(to_target(RemediationAction::Unlink)));
        assert_eq!(planned(Some(create), &leaver, false), None);
        assert_eq!(
            planned(Some(create), &discrepancy(DiscrepancyType::Deleted, Some(create)), false),
            Some(create)
        );
    }

    #[test]
    fn policy_picks_nothing_that_only_a_person_can_pick() {
        let link = to_target(RemediationAction::Link);
        assert_eq!(planned(Some(link), &discrepancy(DiscrepancyType::Orphan, Some(link)), false), None);
        assert!(check(DiscrepancyType::Orphan, link).is_err());
        assert!(check(DiscrepancyType::Collision, to_target(RemediationAction::Delete)).is_err());
        assert!(check(DiscrepancyType::Unlinked, to_xavyo(RemediationAction::Link)).is_err());
        assert!(check(DiscrepancyType::Unlinked, link).is_ok());
        assert!(check(DiscrepancyType::Orphan, to_target(RemediationAction::Delete)).is_ok());
    }

    #[test]
    fn the_guard_counts_what_a_plan_takes_away_as_destructive() {
        let create = to_target(RemediationAction::Create);
        let orphan = discrepancy(DiscrepancyType::Orphan, None);
        let missing = discrepancy(DiscrepancyType::Missing, Some(create));
        let mail = Discrepancy {
            attribute_name: Some("mail".to_owned()),
            ..discrepancy(DiscrepancyType::Mismatch, Some(UPDATE))
        };
        let set = Change::Set(vec!["x".into()]);
        for (remedy, row, change, expected) in [
            (create, &missing, None, Some(Effect::Constructive)),
            (to_xavyo(RemediationAction::InactivateIdentity), &missing, None, Some(Effect::Destructive)),
            (UPDATE, &orphan, None, Some(Effect::Destructive)),
            (to_target(RemediationAction::Delete), &orphan, None, Some(Effect::Destructive)),
            (to_xavyo(RemediationAction::Create), &orphan, None, None),
            (to_target(RemediationAction::Unlink), &missing, None, None),
            (UPDATE, &state("disabled", "enabled", UPDATE), None, Some(Effect::Destructive)),
            (UPDATE, &state("enabled", "disabled", UPDATE), None, Some(Effect::Constructive)),
            (UPDATE, &mail, Some(&set), Some(Effect::Constructive)),
            (UPDATE, &mail, Some(&Change::Clear), Some(Effect::Destructive)),
        ] {
            assert_eq!(effect(remedy, row, change), expected, "{remedy:?} {}", row.discrepancy_type);
        }
    }
}
