//! When the target changed between a read of an account and the write that followed.

use std::collections::BTreeSet;

use super::Clash;
use crate::{
    account::Account,
    change::{ACCOUNT_STATE, Changes},
    comparison,
    connector::{Authority, MatchingRule, ObjectType},
};

/// What somebody else has changed on an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    pub clash: Clash,
    /// The attributes that were to be written, too; where there are none, all that changed.
    pub affected_attributes: Vec<String>,
}

/// Compares an account as it was read with what it is now. None = nothing changed that is looked at.
pub fn external(
    object_type: &ObjectType,
    writes: &Changes,
    before: &Account,
    now: &Account,
) -> Option<External> {
    let names: BTreeSet<&String> = before.attributes.keys().chain(now.attributes.keys()).collect();
    let rule = |name: &str| object_type.mapping.iter().find(|rule| rule.name == name);
    let differs = |name: &str| {
        let matching = rule(name).map_or_else(MatchingRule::default, |rule| rule.matching);
        let of = |account: &Account| account.attributes.get(name).cloned().unwrap_or_default();
        !comparison::equal(matching, &of(before), &of(now))
    };
    let mut changed: Vec<String> = names.into_iter().filter(|name| differs(name)).cloned().collect();
    if before.state() != now.state() {
        changed.push(ACCOUNT_STATE.to_owned());
    }
    if changed.is_empty() {
        return None;
    }
    let common: Vec<String> = changed.iter().filter(|name| writes.contains_key(*name)).cloned().collect();
    let authority = |name: &String| rule(name).map_or_else(Authority::default, |rule| rule.authority);
    let strictest = common.iter().map(authority).max_by_key(|authority| match authority {
        Authority::Xavyo => 0,
        Authority::Target => 1,
        Authority::None => 2,
    });
    let affected_attributes = if common.is_empty() { changed } else { common };
    Some(External { clash: Clash::ExternalChange { authority: strictest }, affected_attributes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        change::Change,
        value::{Attributes, Value},
    };

    fn account(mail: &str, title: &str, enabled: bool) -> Account {
        let values = |text: &str| vec![Value::from(text)];
        Account {
            external_uid: "ann".to_owned(),
            immutable_id: None,
            version: None,
            enabled: Some(enabled),
            attributes: Attributes::from([("mail".into(), values(mail)), ("title".into(), values(title))]),
        }
    }

    fn object_type() -> ObjectType {
        let rule = |name: &str, authority: &str| {
            serde_json::json!({
                "name": name, "expression": "", "inverse": null, "matching": "case_insensitive",
                "multi_valued": false, "ownership": "yielded", "on_create_only": false, "write_only": false,
                "sensitive": false, "authority": authority
            })
        };
        serde_json::from_value(serde_json::json!({
            "object_class": "account", "intent": "default", "scope": "", "naming": "",
            "mapping": [rule("mail", "target"), rule("title", "xavyo")],
            "correlation": { "rules": [], "threshold": 1 }, "protected": ""
        }))
        .unwrap()
    }

    fn writes(names: &[&str]) -> Changes {
        names.iter().map(|name| ((*name).to_owned(), Change::Clear)).collect()
    }

    fn found(names: &[&str], now: &Account) -> Option<(Option<Authority>, Vec<String>)> {
        let before = account("a@x", "clerk", true);
        let found = external(&object_type(), &writes(names), &before, now)?;
        let Clash::ExternalChange { authority } = found.clash else { panic!("{found:?}") };
        Some((authority, found.affected_attributes))
    }

    #[test]
    fn what_means_the_same_has_not_changed() {
        assert_eq!(found(&["mail"], &account("A@X", "clerk", true)), None);
    }

    #[test]
    fn the_strictest_authority_of_what_both_write_decides() {
        let both = account("b@x", "boss", true);
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(found(&["title"], &both), Some((Some(Authority::Xavyo), named(&["title"]))));
        let all = named(&["mail", "title"]);
        assert_eq!(found(&["mail", "title"], &both), Some((Some(Authority::Target), all.clone())));
        assert_eq!(found(&["phone"], &both), Some((None, all)), "nothing in common");
        let disabled = account("a@x", "clerk", false);
        let state = named(&[ACCOUNT_STATE]);
        assert_eq!(found(&[ACCOUNT_STATE], &disabled), Some((Some(Authority::Xavyo), state)));
    }
}
