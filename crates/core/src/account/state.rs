//! The state that an identity calls for: enabled, disabled, absent, or none in particular.

use crate::{account::AccountState, connector::Deprovision};

/// The state in which a *linked* account should be. None = no opinion: it is left as it is.
///
/// `is_due` counts for a staged deprovisioning only: the days between disabling and deleting have passed.
pub fn expected(should_have: bool, deprovision: Deprovision, is_due: bool) -> Option<AccountState> {
    match (should_have, deprovision) {
        (true, _) => Some(AccountState::Enabled),
        (false, Deprovision::Disable) => Some(AccountState::Disabled),
        (false, Deprovision::Staged { .. }) => {
            Some(if is_due { AccountState::Absent } else { AccountState::Disabled })
        }
        (false, Deprovision::Delete) => Some(AccountState::Absent),
        (false, Deprovision::Retain) => None,
    }
}

/// Whether policy may bring an account from one state to another by itself: what somebody else disabled in the target
/// stays disabled until a person says otherwise.
pub fn may_change_by_policy(actual: AccountState, expected: AccountState, disabled_by_us: bool) -> bool {
    match (actual, expected) {
        (AccountState::Disabled, AccountState::Enabled) => disabled_by_us,
        (AccountState::Enabled | AccountState::Disabled | AccountState::Absent, _) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expected_state_follows_scope_and_deprovisioning() {
        let staged = Deprovision::Staged { delete_after_days: 30 };
        for (should_have, deprovision, is_due, state) in [
            (true, Deprovision::Delete, false, Some(AccountState::Enabled)),
            (true, Deprovision::Retain, false, Some(AccountState::Enabled)),
            (true, staged, true, Some(AccountState::Enabled)),
            (false, Deprovision::Disable, false, Some(AccountState::Disabled)),
            (false, Deprovision::Delete, false, Some(AccountState::Absent)),
            (false, Deprovision::Retain, false, None),
            (false, staged, false, Some(AccountState::Disabled)),
            (false, staged, true, Some(AccountState::Absent)),
        ] {
            assert_eq!(
                expected(should_have, deprovision, is_due),
                state,
                "{should_have} {deprovision:?} {is_due}"
            );
        }
    }

    #[test]
    fn policy_enables_only_what_we_disabled() {
        assert!(!may_change_by_policy(AccountState::Disabled, AccountState::Enabled, false));
        assert!(may_change_by_policy(AccountState::Disabled, AccountState::Enabled, true));
        assert!(may_change_by_policy(AccountState::Enabled, AccountState::Disabled, false));
        assert!(may_change_by_policy(AccountState::Disabled, AccountState::Absent, false));
    }
}
