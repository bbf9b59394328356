//! Differences, changes and digests over whole accounts.

use chrono::DateTime;
use proptest::prelude::{Strategy, any, prop, proptest};
use uuid::Uuid;

use super::{changes_towards, differences, initial_attributes};
use crate::{
    change::Change,
    connector::{AttributeRule, Authority, CorrelationPolicy, MatchingRule, ObjectType, Ownership},
    digest,
    identity::Identity,
    ids::IdentityId,
    mapping::{Expected, Program, References},
    value::{Attributes, Value},
};

fn rule(name: &str, expression: &str) -> AttributeRule {
    AttributeRule {
        name: name.to_owned(),
        expression: expression.to_owned(),
        inverse: None,
        matching: MatchingRule::CaseInsensitive,
        multi_valued: false,
        ownership: Ownership::Yielded,
        on_create_only: false,
        write_only: false,
        sensitive: false,
        authority: Authority::Xavyo,
    }
}

fn groups(ownership: Ownership) -> AttributeRule {
    AttributeRule { multi_valued: true, ownership, ..rule("groups", "identity.groups") }
}

fn program(mapping: Vec<AttributeRule>) -> Program {
    Program::compile(&ObjectType {
        object_class: "account".to_owned(),
        intent: "default".to_owned(),
        scope: String::new(),
        naming: String::new(),
        mapping,
        correlation: CorrelationPolicy::default(),
        protected: String::new(),
    })
    .unwrap()
}

fn attributes(named: &[(&str, &[&str])]) -> Attributes {
    let values = |texts: &[&str]| texts.iter().copied().map(Value::from).collect();
    named.iter().map(|(name, texts)| ((*name).to_owned(), values(texts))).collect()
}

fn expected(program: &Program, attributes: Attributes) -> Expected {
    let identity = Identity {
        id: IdentityId(Uuid::from_u128(1)),
        source_key: None,
        active: true,
        attributes,
        version: 1,
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
    };
    program.expected(&identity, &References::default())
}

#[test]
fn only_what_differs_in_meaning_is_a_difference() {
    let program =
        program(vec![rule("mail", "identity.mail"), rule("title", "identity.title"), rule("room", "'7'")]);
    let expected = expected(&program, attributes(&[("mail", &["A@x.org"])]));
    let actual = attributes(&[("mail", &["a@X.org"]), ("title", &["Dr"]), ("other", &["x"])]);
    let found = differences(&program, &expected, &actual);
    let shown: Vec<_> =
        found.iter().map(|it| (it.attribute.as_str(), it.expected_text(), it.actual_text())).collect();
    assert_eq!(shown, [("title", None, Some("Dr".to_owned())), ("room", Some("7".to_owned()), None)]);
    let changes = changes_towards(&program, &expected, &actual);
    assert_eq!(changes["title"], Change::Clear);
    assert_eq!(changes["room"], Change::Set(vec![Value::from("7")]));
    assert_eq!(changes.len(), 2);
}

#[test]
fn what_cannot_or_must_not_be_compared_is_left_alone() {
    let program = program(vec![
        rule("unmanaged", "unmanaged()"),
        rule("failing", "identity.absent + 1"),
        AttributeRule { write_only: true, ..rule("password", "'secret'") },
        AttributeRule { on_create_only: true, ..rule("home", "'/home/x'") },
    ]);
    let expected = expected(&program, Attributes::new());
    let actual = attributes(&[("unmanaged", &["x"]), ("failing", &["x"]), ("home", &["/x"])]);
    assert_eq!(differences(&program, &expected, &actual), []);
    assert!(changes_towards(&program, &expected, &actual).is_empty());
    let initial = initial_attributes(&program, &expected);
    assert_eq!(initial, attributes(&[("password", &["secret"]), ("home", &["/home/x"])]));
}

#[test]
fn only_our_values_of_a_multi_valued_attribute_are_compared_and_removed() {
    let ours = Ownership::Matching("value.startsWith('app-')".to_owned());
    let modify = |add: &[&str], remove: &[&str]| {
        let list = |texts: &[&str]| texts.iter().copied().map(Value::from).collect();
        Some(Change::Modify { add: list(add), remove: list(remove) })
    };
    for (ownership, expected_change) in [
        (Ownership::Yielded, modify(&["app-a"], &[])),
        (ours, modify(&["app-a"], &["app-old"])),
        (Ownership::All, modify(&["app-a"], &["app-old", "foreign"])),
    ] {
        let program = program(vec![groups(ownership.clone())]);
        let expected = expected(&program, attributes(&[("groups", &["app-a", "x"])]));
        let actual = attributes(&[("groups", &["X", "app-old", "foreign"])]);
        let changes = changes_towards(&program, &expected, &actual);
        assert_eq!(changes.get("groups").cloned(), expected_change, "{ownership:?}");
    }
}

#[test]
fn sensitive_values_are_never_shown() {
    let program = program(vec![AttributeRule { sensitive: true, ..rule("pin", "'1234'") }]);
    let found =
        differences(&program, &expected(&program, Attributes::new()), &attributes(&[("pin", &["9"])]));
    assert_eq!(found[0].expected_text().as_deref(), Some("***"));
    assert_eq!(found[0].actual_text().as_deref(), Some("***"));
}

#[test]
fn an_account_with_unmanaged_or_failing_attributes_has_no_expected_digest() {
    for expression in ["unmanaged()", "identity.absent + 1"] {
        let program = program(vec![rule("a", "'x'"), rule("b", expression)]);
        assert_eq!(digest::expected(&program, &expected(&program, Attributes::new())), None);
    }
}

#[test]
fn a_digest_covers_owned_values_where_a_predicate_tells_them() {
    let program = program(vec![groups(Ownership::Matching("value.startsWith('app-')".to_owned()))]);
    let ours = expected(&program, attributes(&[("groups", &["app-a"])]));
    let shown = attributes(&[("groups", &["foreign", "app-a", "app-b"])]);
    assert_ne!(digest::expected(&program, &ours), Some(digest::actual(&program, &shown)));
    let shown = attributes(&[("groups", &["foreign", "app-a"])]);
    assert_eq!(digest::expected(&program, &ours), Some(digest::actual(&program, &shown)));
    let foreign = expected(&program, attributes(&[("groups", &["foreign"])]));
    assert_eq!(digest::expected(&program, &foreign), None);
}

fn some_attributes() -> impl Strategy<Value = Attributes> {
    let values = prop::collection::vec(prop::sample::select(vec!["a", "A", "b", "c", ""]), 0..4);
    prop::collection::btree_map(prop::sample::select(vec!["mail", "groups", "title"]), values, 0..4).prop_map(
        |named| {
            let values = |texts: Vec<&str>| texts.into_iter().map(Value::from).collect();
            named.into_iter().map(|(name, texts)| (name.to_owned(), values(texts))).collect()
        },
    )
}

fn applied(mut attributes: Attributes, changes: crate::change::Changes) -> Attributes {
    for (name, change) in changes {
        let values = attributes.entry(name).or_default();
        match change {
            Change::Set(new) => *values = new,
            Change::Clear => values.clear(),
            Change::Modify { add, remove } => {
                values.retain(|value| !remove.contains(value));
                values.extend(add);
            }
        }
    }
    attributes
}

proptest! {
    #[test]
    fn equal_digests_mean_no_difference(ours in some_attributes(), shown in some_attributes(), all in any::<bool>()) {
        let ownership = if all { Ownership::All } else { Ownership::Yielded };
        let program = program(vec![rule("mail", "first(identity.mail)"), groups(ownership)]);
        let expected = expected(&program, ours);
        let digests_are_equal = digest::expected(&program, &expected) == Some(digest::actual(&program, &shown));
        let nothing_differs = differences(&program, &expected, &shown).is_empty();
        proptest::prop_assert!(!digests_are_equal || nothing_differs);
        proptest::prop_assert!(!all || digests_are_equal == nothing_differs);
    }

    #[test]
    fn after_the_changes_nothing_differs(ours in some_attributes(), shown in some_attributes(), all in any::<bool>()) {
        let ownership = if all { Ownership::All } else { Ownership::Yielded };
        let program = program(vec![rule("mail", "first(identity.mail)"), groups(ownership)]);
        let expected = expected(&program, ours);
        let changes = changes_towards(&program, &expected, &shown);
        proptest::prop_assert_eq!(changes.is_empty(), differences(&program, &expected, &shown).is_empty());
        let after = applied(shown, changes);
        proptest::prop_assert_eq!(differences(&program, &expected, &after), []);
    }
}
