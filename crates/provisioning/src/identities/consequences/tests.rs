use uuid::Uuid;
use xavyo_core::{
    account::AccountKey,
    connector::{Authority, CorrelationPolicy, DEFAULT_INTENT, MatchingRule},
    ids::{ConnectorId, IdentityId, LaneId, LinkId},
};

use super::*;

fn rule(name: &str) -> AttributeRule {
    AttributeRule {
        name: name.to_owned(),
        expression: String::new(),
        inverse: None,
        matching: MatchingRule::Exact,
        multi_valued: false,
        ownership: Ownership::Yielded,
        on_create_only: false,
        write_only: false,
        sensitive: false,
        authority: Authority::Xavyo,
    }
}

/// `mail` and `phone` are single; `groups` is shared with others; `home` and `password` only a create writes.
fn object_type() -> ObjectType {
    ObjectType {
        object_class: "account".to_owned(),
        intent: DEFAULT_INTENT.to_owned(),
        scope: String::new(),
        naming: String::new(),
        mapping: vec![
            rule("mail"),
            rule("phone"),
            AttributeRule { multi_valued: true, ..rule("groups") },
            AttributeRule { on_create_only: true, ..rule("home") },
            AttributeRule { write_only: true, ..rule("password") },
        ],
        correlation: CorrelationPolicy::default(),
        protected: String::new(),
    }
}

fn link() -> Link {
    Link {
        id: LinkId(Uuid::from_u128(1)),
        connector_id: ConnectorId(Uuid::from_u128(2)),
        object_class: "account".to_owned(),
        intent: DEFAULT_INTENT.to_owned(),
        identity_id: IdentityId(Uuid::from_u128(3)),
        lane_id: LaneId(Uuid::from_u128(4)),
        account: AccountKey { external_uid: "jane".to_owned(), immutable_id: None },
        disabled_by_us: false,
        deprovision_due_at: None,
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
    }
}

fn values(values: &[&str]) -> ExpectedValue {
    ExpectedValue::Values(values.iter().map(|value| Value::from(*value)).collect())
}

fn expects(attributes: &[(&str, ExpectedValue)]) -> Standing {
    let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Standing::In(Expectation { attributes, naming_failure: None })
}

fn jane() -> Standing {
    expects(&[
        ("mail", values(&["jane@x"])),
        ("groups", values(&["staff", "dev"])),
        ("home", values(&["/h"])),
    ])
}

fn follows(
    deprovision: Deprovision,
    before: &Standing,
    after: &Standing,
    situation: Situation,
) -> Result<Consequence, String> {
    let allowed = AllowedActions { delete: true, ..AllowedActions::default() };
    let rules = Rules { object_type: &object_type(), deprovision, allowed };
    follow(rules, before, after, situation, DateTime::UNIX_EPOCH)
}

fn written(before: &Standing, after: &Standing, situation: Situation) -> Option<(OperationType, Changes)> {
    let consequence = follows(Deprovision::Disable, before, after, situation).unwrap();
    consequence.write.map(|write| (write.operation_type, write.payload))
}

fn update(changes: &[(&str, Change)]) -> (OperationType, Changes) {
    let changes = changes.iter().map(|(name, change)| ((*name).to_owned(), change.clone())).collect();
    (OperationType::Update, changes)
}

fn set(value: &str) -> Change {
    Change::Set(vec![Value::from(value)])
}

fn modify(add: &[&str], remove: &[&str]) -> Change {
    let values = |values: &[&str]| values.iter().map(|value| Value::from(*value)).collect();
    Change::Modify { add: values(add), remove: values(remove) }
}

#[test]
fn who_comes_into_scope_without_an_account_gets_one_computed_when_claimed() {
    for before in [Standing::Out, jane(), Standing::Unknown("?".to_owned())] {
        let create = Some((OperationType::Create, Changes::new()));
        assert_eq!(written(&before, &jane(), Situation::default()), create, "{before:?}");
    }
}

#[test]
fn an_unchanged_expectation_calls_for_nothing() {
    let link = link();
    let situation = Situation { link: Some(&link), ..Situation::default() };
    assert_eq!(follows(Deprovision::Disable, &jane(), &jane(), situation), Ok(Consequence::default()));
}

#[test]
fn only_attributes_whose_expected_value_changed_are_written() {
    let link = link();
    let situation = Situation { link: Some(&link), ..Situation::default() };
    let after = expects(&[
        ("mail", values(&["jane@y"])),
        ("phone", ExpectedValue::Unmanaged),
        ("groups", values(&["dev", "ops"])),
        ("home", values(&["/elsewhere"])),
        ("password", values(&["new"])),
    ]);
    let expected = update(&[("mail", set("jane@y")), ("groups", modify(&["ops"], &["staff"]))]);
    assert_eq!(written(&jane(), &after, situation), Some(expected));
}

#[test]
fn a_value_that_must_be_absent_now_is_cleared_or_removed_where_it_is_ours() {
    let link = link();
    let situation = Situation { link: Some(&link), ..Situation::default() };
    let after = expects(&[("mail", ExpectedValue::Absent), ("groups", ExpectedValue::Absent)]);
    let expected = update(&[("mail", Change::Clear), ("groups", modify(&[], &["staff", "dev"]))]);
    assert_eq!(written(&jane(), &after, situation), Some(expected));
}

#[test]
fn a_change_behind_a_create_under_way_is_written_after_it() {
    let situation = Situation { has_live_create: true, ..Situation::default() };
    let after = expects(&[("mail", values(&["jane@y"])), ("groups", values(&["staff", "dev"]))]);
    assert_eq!(written(&jane(), &after, situation), Some(update(&[("mail", set("jane@y"))])));
}

#[test]
fn who_leaves_is_deprovisioned_as_the_policy_says() {
    let link = link();
    let situation = Situation { link: Some(&link), ..Situation::default() };
    let leaves = |deprovision| follows(deprovision, &jane(), &Standing::Out, situation).unwrap();
    let disable = Changes::from([(ACCOUNT_STATE.to_owned(), set("disabled"))]);

    let disabled = leaves(Deprovision::Disable).write.unwrap();
    assert_eq!((disabled.operation_type, &disabled.payload), (OperationType::Update, &disable));
    assert!(disabled.is_destructive());

    let deleted = leaves(Deprovision::Delete).write.unwrap();
    assert_eq!(deleted.operation_type, OperationType::Delete);
    assert!(deleted.is_destructive());

    assert_eq!(leaves(Deprovision::Retain), Consequence::default());

    let staged = leaves(Deprovision::Staged { delete_after_days: 30 });
    assert_eq!(staged.write.unwrap().payload, disable);
    assert_eq!(staged.staged_delete, StagedDelete::Due(DateTime::UNIX_EPOCH + TimeDelta::days(30)));
}

#[test]
fn who_leaves_while_the_create_waits_takes_it_along() {
    let situation = Situation { has_live_create: true, ..Situation::default() };
    assert!(written(&jane(), &Standing::Out, situation).is_some());
}

#[test]
fn who_never_had_an_account_leaves_nothing_behind() {
    assert_eq!(written(&jane(), &Standing::Out, Situation::default()), None);
    assert_eq!(written(&Standing::Out, &Standing::Out, Situation::default()), None);
}

#[test]
fn who_returns_is_enabled_in_every_attribute_and_the_staged_delete_is_dropped() {
    let link = Link { disabled_by_us: true, deprovision_due_at: Some(DateTime::UNIX_EPOCH), ..link() };
    let situation = Situation { link: Some(&link), ..Situation::default() };

    let consequence = follows(Deprovision::Disable, &Standing::Out, &jane(), situation).unwrap();

    let all = update(&[
        ("mail", set("jane@x")),
        ("groups", modify(&["staff", "dev"], &[])),
        (ACCOUNT_STATE, set("enabled")),
    ]);
    assert_eq!(consequence.write.map(|write| (write.operation_type, write.payload)), Some(all));
    assert_eq!(consequence.staged_delete, StagedDelete::Dropped);
}

#[test]
fn who_returns_before_the_disable_has_run_is_enabled_behind_it() {
    let link = link();
    let situation = Situation { link: Some(&link), has_live_leave: true, ..Situation::default() };
    let (_, payload) = written(&Standing::Out, &jane(), situation).unwrap();
    assert_eq!(payload.get(ACCOUNT_STATE), Some(&set("enabled")));
}

#[test]
fn an_account_that_somebody_else_disabled_stays_disabled() {
    let link = link();
    let situation = Situation { link: Some(&link), ..Situation::default() };
    let (_, payload) = written(&Standing::Out, &jane(), situation).unwrap();
    assert!(!payload.contains_key(ACCOUNT_STATE));
}

#[test]
fn a_failing_expression_is_neither_in_nor_out_of_scope() {
    let link = link();
    let situation = Situation { link: Some(&link), ..Situation::default() };
    let unknown = Standing::Unknown("no such key: dept".to_owned());
    for before in [jane(), Standing::Out] {
        let outcome = follows(Deprovision::Delete, &before, &unknown, situation);
        assert_eq!(outcome, Err("no such key: dept".to_owned()));
    }
}

#[test]
fn a_name_that_fails_stops_a_create_and_nothing_else() {
    let Standing::In(expected) = jane() else { unreachable!("jane is in scope") };
    let nameless = Standing::In(Expectation { naming_failure: Some("no name".to_owned()), ..expected });
    let link = link();
    let linked = Situation { link: Some(&link), ..Situation::default() };

    let created = follows(Deprovision::Disable, &Standing::Out, &nameless, Situation::default());
    assert_eq!(created, Err("no name".to_owned()));
    assert!(follows(Deprovision::Disable, &Standing::Out, &nameless, linked).is_ok());
}

#[test]
fn what_the_connector_does_not_allow_is_named_and_not_enqueued() {
    let link = link();
    let situation = Situation { link: Some(&link), ..Situation::default() };
    let rules = Rules {
        object_type: &object_type(),
        deprovision: Deprovision::Delete,
        allowed: AllowedActions::default(),
    };
    let consequence = follow(rules, &jane(), &Standing::Out, situation, DateTime::UNIX_EPOCH).unwrap();
    assert_eq!(consequence.write.unwrap().refused, Some(Reason::ActionNotAllowed));
}
