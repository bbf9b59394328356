//! How uids are told apart: the form in which each kind of target compares the names of its accounts.

use xavyo_core::{
    comparison,
    connector::{MatchingRule, Settings},
    value::Value,
};

/// The uid without the differences of spelling that the target ignores: two uids are of one account exactly when their
/// keys are equal.
pub fn uid_key(settings: &Settings, uid: &str) -> String {
    comparison::normalise(matching(settings), &Value::from(uid)).into_owned()
}

fn matching(settings: &Settings) -> MatchingRule {
    match settings {
        Settings::Ldap(_) => MatchingRule::Dn,
        Settings::Scim(_) => MatchingRule::CaseInsensitive,
        Settings::Sql(_) | Settings::Remote(_) | Settings::Memory(_) => MatchingRule::Exact,
    }
}

#[cfg(test)]
mod tests {
    use xavyo_core::connector::MemorySettings;

    use super::*;

    #[test]
    fn a_table_tells_case_apart() {
        let settings = Settings::Memory(MemorySettings::default());
        assert_ne!(uid_key(&settings, "Jane"), uid_key(&settings, "jane"));
    }
}
