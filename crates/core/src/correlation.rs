//! Correlation: recognising the identity of an account that is not linked.
//!
//! A rule says which account attribute equals which key of the identity. Both sides are normalised and hashed, so that
//! a million identities are searched in memory; an empty key is no key and never matches.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use crate::{
    account::Account,
    comparison::{fold, phone, single_spaced},
    connector::{CorrelationPolicy, Normaliser},
    digest::Hasher,
    value::{Value, display},
};

/// The attribute name by which a rule means the account's uid.
pub const EXTERNAL_UID: &str = "external_uid";

/// One side of a match: equal keys of the same rule match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CorrelationKey {
    /// The rule's place in the policy, from 0.
    pub rule: u16,
    /// 128 bits over the rule and the normalised value.
    pub key: [u8; 16],
}

/// A set of rules, by their places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RuleSet(u16);

impl RuleSet {
    /// A policy has at most 16 rules ([`crate::mapping::MAX_CORRELATION_RULES`]); one beyond is never held.
    pub fn insert(&mut self, rule: u16) {
        self.0 |= 1u16.checked_shl(rule.into()).unwrap_or_default();
    }

    pub fn contains(self, rule: u16) -> bool {
        self.0 & 1u16.checked_shl(rule.into()).unwrap_or_default() != 0
    }
}

/// The sum of the weights of these rules.
pub fn score(policy: &CorrelationPolicy, rules: RuleSet) -> i32 {
    let matching = (0..).zip(&policy.rules).filter(|(number, _)| rules.contains(*number));
    matching.map(|(_, rule)| rule.weight).sum()
}

/// Adds the keys of a rule's values.
pub(crate) fn add_keys(keys: &mut Vec<CorrelationKey>, rule: u16, normaliser: Normaliser, values: &[Value]) {
    for value in values {
        let normal = normalise(normaliser, &value.to_text());
        if !normal.is_empty() {
            let mut hasher = Hasher::new("xavyo correlation 1");
            hasher.bytes(&rule.to_le_bytes());
            hasher.text(&normal);
            keys.push(CorrelationKey { rule, key: hasher.finish().0 });
        }
    }
}

/// The keys of values as people read them: normalised, none of them empty.
pub(crate) fn readable_keys(normaliser: Normaliser, values: &[Value]) -> Vec<String> {
    let normal = values.iter().map(|value| normalise(normaliser, &value.to_text()));
    normal.filter(|key| !key.is_empty()).collect()
}

/// The keys that an account shows.
pub fn keys_of_account(policy: &CorrelationPolicy, account: &Account) -> Vec<CorrelationKey> {
    let mut keys = Vec::new();
    for (number, rule) in (0..).zip(&policy.rules) {
        add_keys(&mut keys, number, rule.normaliser, &values(account, &rule.attribute));
    }
    keys
}

/// Why an account resembles an identity: one line for each rule that matches.
pub fn explain(policy: &CorrelationPolicy, rules: RuleSet, account: &Account) -> Vec<String> {
    let matching = (0..).zip(&policy.rules).filter(|(number, _)| rules.contains(*number));
    matching
        .map(|(_, rule)| {
            let shown = display(&values(account, &rule.attribute)).unwrap_or_default();
            format!("{} \"{shown}\" ({})", rule.attribute, rule.weight)
        })
        .collect()
}

fn values<'a>(account: &'a Account, attribute: &str) -> Cow<'a, [Value]> {
    match attribute {
        EXTERNAL_UID => vec![Value::from(account.external_uid.as_str())].into(),
        name => account.attributes.get(name).map_or(&[][..], Vec::as_slice).into(),
    }
}

fn normalise(normaliser: Normaliser, text: &str) -> String {
    match normaliser {
        Normaliser::Text => single_spaced(fold(text)),
        Normaliser::Exact => text.nfc().collect(),
        Normaliser::Phone => phone(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::CorrelationRule;

    fn policy(attribute: &str, normaliser: Normaliser) -> CorrelationPolicy {
        let expression = "identity.x".to_owned();
        let rule = CorrelationRule { expression, attribute: attribute.to_owned(), normaliser, weight: 60 };
        CorrelationPolicy { rules: vec![rule], threshold: 60 }
    }

    fn account(mail: &str) -> Account {
        Account {
            external_uid: "jane".to_owned(),
            immutable_id: None,
            version: None,
            enabled: None,
            attributes: [("mail".to_owned(), vec![Value::from(mail)])].into(),
        }
    }

    fn keys(normaliser: Normaliser, text: &str) -> Vec<CorrelationKey> {
        let mut keys = Vec::new();
        add_keys(&mut keys, 0, normaliser, &[Value::from(text)]);
        keys
    }

    #[test]
    fn case_unicode_form_and_spaces_do_not_count() {
        let policy = policy("mail", Normaliser::Text);
        for spelling in ["  Jane  DOE", "ｊane doe", "jane\u{a0}doe"] {
            assert_eq!(
                keys_of_account(&policy, &account(spelling)),
                keys(Normaliser::Text, "jane doe"),
                "{spelling}"
            );
        }
    }

    #[test]
    fn an_empty_key_is_no_key() {
        assert_eq!(keys_of_account(&policy("mail", Normaliser::Text), &account("   ")), []);
        assert_eq!(keys_of_account(&policy("phone", Normaliser::Text), &account("x")), []);
        assert_eq!(keys(Normaliser::Phone, "n/a"), []);
    }

    #[test]
    fn the_same_value_under_another_rule_is_another_key() {
        let mut second = Vec::new();
        add_keys(&mut second, 1, Normaliser::Text, &[Value::from("x")]);
        assert_ne!(second[0].key, keys(Normaliser::Text, "x")[0].key);
    }

    #[test]
    fn a_match_is_explained_by_its_attribute_value_and_weight() {
        let policy = policy("mail", Normaliser::Text);
        let mut rules = RuleSet::default();
        rules.insert(0);
        assert_eq!(
            explain(&policy, rules, &account("jane@example.org")),
            [r#"mail "jane@example.org" (60)"#]
        );
        assert_eq!(score(&policy, rules), 60);
        assert_eq!(score(&policy, RuleSet::default()), 0);
    }
}
