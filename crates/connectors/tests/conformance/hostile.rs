//! Values that mean something to a parser: they come back as they were, or are refused by name.

use xavyo_core::{
    account::AccountKey,
    connector::{FailureKind, Settings},
    value::Value,
};

use crate::target::{Target, set, texts};

const HOSTILE: [&str; 22] = [
    "*)(uid=*",
    "*",
    "(&(a=b))",
    "'; drop table people; --",
    "\"quoted\"",
    "back\\slash",
    "\\2a\\00",
    "#hash",
    " leading",
    "trailing ",
    "  ",
    "a,ou=admins",
    "a+b=c;d",
    "<script>",
    "../../etc/passwd",
    "$1",
    "{1,2}",
    "null",
    "Ünïcödé \u{1f600} e\u{301}",
    "::ffff:127.0.0.1",
    "line\nbreak\ttab",
    "nul\0byte",
];

pub async fn hostile_values_come_back_literally_or_are_refused(target: &Target) {
    let made = target.create("ada").await;
    for value in HOSTILE {
        for attribute in [target.text, target.many] {
            match target.update(&made.key(), set(attribute, &[value])).await {
                Ok(_) => {
                    let now = target.get(&made.key()).await.unwrap();
                    assert_eq!(texts(&now.attributes, attribute), [value], "{attribute}");
                }
                Err(failure) => {
                    assert_eq!(failure.kind, FailureKind::Refused, "{value:?}: {failure}");
                    assert!(value.contains('\0'), "only NUL is refused, not {value:?}: {failure}");
                }
            }
        }
    }
    let long = "x".repeat(100_000);
    target.update(&made.key(), set(target.many, &[&long])).await.unwrap();
    assert_eq!(texts(&target.get(&made.key()).await.unwrap().attributes, target.many), [long]);
}

pub async fn hostile_names_come_back_literally_or_are_refused(target: &Target) {
    let mut made = Vec::new();
    for name in HOSTILE {
        let account = match target.connector.create(&target.new_account(name)).await {
            Ok(account) => account,
            Err(failure) => {
                assert_eq!(failure.kind, FailureKind::Refused, "{name:?}: {failure}");
                continue;
            }
        };
        let named = AccountKey { immutable_id: None, ..account.key() };
        assert_eq!(target.get(&named).await.unwrap().key(), account.key(), "{name:?}");
        if let Settings::Ldap(_) = target.settings {
            let shown = target.get(&account.key()).await.unwrap();
            assert_eq!(texts(&shown.attributes, "uid"), [name], "the naming attribute holds the name itself");
        } else {
            assert_eq!(account.external_uid, name);
        }
        made.push(account.key());
    }
    assert!(made.len() >= HOSTILE.len() - 2, "only {} of {} were made", made.len(), HOSTILE.len());
    let (accounts, proof) = target.read().await;
    assert!(proof.complete && accounts.len() == made.len());
    for key in made {
        let named = AccountKey { immutable_id: None, ..key };
        target.connector.delete(target.object_class, &named, None, "t").await.unwrap();
    }
    assert_eq!(target.read().await.1.count, 0);
}

pub async fn hostile_values_find_only_themselves(target: &Target) {
    target.connector.create(&target.new_account_with("ada", target.text, &["plain"])).await.unwrap();
    for value in HOSTILE {
        let found = target.connector.find(target.object_class, target.text, &Value::from(value)).await;
        match found {
            Ok(found) => assert!(found.is_empty(), "{value:?} found {found:?}"),
            Err(failure) => assert_eq!(failure.kind, FailureKind::Refused, "{value:?}: {failure}"),
        }
    }
    for name in ["no such attribute", "a=b)(c", "\"; --", ""] {
        match target.connector.find(target.object_class, name, &Value::from("plain")).await {
            Ok(found) => assert!(found.is_empty(), "{name:?} found {found:?}"),
            Err(failure) => assert_eq!(failure.kind, FailureKind::Refused, "{name:?}: {failure}"),
        }
    }
}

/// S3: messages go to logs, reports and dead letters.
pub async fn a_refusal_never_repeats_a_written_value(target: &Target) {
    let made = target.create("ada").await;
    let secret = "canary-5e3a1c";
    let wrong = match &target.settings {
        // A text is no boolean; a second value of a single-valued attribute; syntaxes of their own.
        Settings::Sql(_) => vec![set("blocked", &[secret]), set(target.text, &[secret, "second"])],
        Settings::Ldap(_) => vec![
            set("displayName", &[secret, "second"]),
            set("manager", &[secret]),
            set("objectClass", &[secret]),
            set("no-such-attribute", &[secret]),
        ],
        Settings::Memory(_) | Settings::Scim(_) | Settings::Remote(_) => Vec::new(),
    };
    for changes in wrong {
        let failure = target.update(&made.key(), changes.clone()).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Refused, "{changes:?}: {failure}");
        assert!(!failure.message.contains(secret), "{failure}");
    }
}
