//! Every remedy of the table makes a plan while the finding holds, and none when it does not.

use std::sync::Arc;

use chrono::DateTime;
use uuid::Uuid;
use xavyo_core::{
    connector::{
        AttributeRule, CorrelationPolicy, Inverse, MatchingRule, Mode, ObjectType, Ownership, Policies,
    },
    digest::Digest,
    discrepancy::{Candidate, ResolutionStatus},
    fingerprint::Fingerprint,
    ids::{ConnectorId, DiscrepancyId, LinkId, RunId},
    mapping::{Expected, ExpectedValue, Program},
    operation::OperationType,
};

use super::{
    Account, AccountKey, AccountState, Attributes, Authority, Discrepancy, DiscrepancyType, Facts,
    IdentityId, Pair, PairLink, Plan, Reason, RemediationAction, RemediationDirection, Remedy, Result, Value,
    plan,
};
use crate::{
    provisioning::{account::Kind, connector::ConnectorView},
    remediation::{facts::Subject, record::Choice},
};

const JANE: IdentityId = IdentityId(Uuid::from_u128(7));
const CONNECTOR: ConnectorId = ConnectorId(Uuid::from_u128(1));

fn program() -> Program {
    let mail = AttributeRule {
        name: "mail".to_owned(),
        expression: "identity.mail".to_owned(),
        inverse: Some(Inverse {
            identity_attribute: "mail".to_owned(),
            expression: "account.mail".to_owned(),
        }),
        matching: MatchingRule::Exact,
        multi_valued: false,
        ownership: Ownership::Yielded,
        on_create_only: false,
        write_only: false,
        sensitive: false,
        authority: Authority::Xavyo,
    };
    Program::compile(&ObjectType {
        object_class: "account".to_owned(),
        intent: "default".to_owned(),
        scope: String::new(),
        naming: String::new(),
        mapping: vec![mail],
        correlation: CorrelationPolicy::default(),
        protected: String::new(),
    })
    .unwrap()
}

fn key() -> AccountKey {
    AccountKey { external_uid: "jane".to_owned(), immutable_id: Some("42".to_owned()) }
}

fn account() -> Account {
    Account {
        external_uid: "jane".to_owned(),
        immutable_id: Some("42".to_owned()),
        version: None,
        enabled: Some(true),
        attributes: Attributes::from([("mail".to_owned(), vec![Value::from("old@example.org")])]),
    }
}

fn pair() -> Pair {
    let mail = ExpectedValue::Values(vec![Value::from("new@example.org")]);
    let expected =
        Expected { attributes: [("mail".to_owned(), mail)].into_iter().collect(), failures: Vec::new() };
    Pair {
        identity_id: Some(JANE),
        should_have: Some(true),
        expected_state: Some(AccountState::Enabled),
        expected,
        live: None,
        live_digest: None,
        live_keys: Vec::new(),
        link: None,
        in_flight: false,
        is_protected: false,
    }
}

fn link() -> PairLink {
    PairLink {
        id: LinkId(Uuid::from_u128(9)),
        etag: "1".to_owned(),
        identity_id: JANE,
        account: key(),
        disabled_by_us: false,
    }
}

fn facts(identity: Option<Pair>, account: Option<Pair>) -> Facts {
    let program = program();
    Facts {
        connector: Arc::new(ConnectorView {
            id: CONNECTOR,
            name: "crm".to_owned(),
            revision: 1,
            mode: Mode::Manual,
            is_paused: false,
            policies: Policies::default(),
            programs: vec![program.clone()],
        }),
        kind: Kind::of(CONNECTOR, program.object_type()),
        program,
        subject: Subject {
            identity_id: identity.as_ref().map(|_| JANE),
            account: account.as_ref().map(|_| key()),
        },
        identity,
        account,
    }
}

fn found(discrepancy_type: DiscrepancyType) -> Discrepancy {
    Discrepancy {
        id: DiscrepancyId(Uuid::from_u128(2)),
        connector_id: CONNECTOR,
        run_id: RunId(Uuid::from_u128(3)),
        discrepancy_type,
        object_class: "account".to_owned(),
        intent: "default".to_owned(),
        identity_id: Some(JANE),
        external_uid: Some("jane".to_owned()),
        immutable_id: Some("42".to_owned()),
        attribute_name: (discrepancy_type == DiscrepancyType::Mismatch).then(|| "mail".to_owned()),
        expected_value: None,
        actual_value: None,
        candidates: vec![Candidate { identity_id: JANE, account: key(), score: 60, reasons: Vec::new() }],
        connector_revision: 1,
        fingerprint: Fingerprint(Digest([0; 16])),
        first_seen_at: DateTime::UNIX_EPOCH,
        suggested: None,
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

/// The present in which a finding of the type holds.
fn present(discrepancy_type: DiscrepancyType) -> Facts {
    let unowned = Pair { live: Some(account()), identity_id: None, ..pair() };
    match discrepancy_type {
        DiscrepancyType::Missing => facts(Some(pair()), None),
        DiscrepancyType::Deleted => facts(Some(Pair { link: Some(link()), ..pair() }), None),
        DiscrepancyType::Mismatch => {
            facts(Some(Pair { link: Some(link()), live: Some(account()), ..pair() }), None)
        }
        DiscrepancyType::Orphan | DiscrepancyType::Collision | DiscrepancyType::Unlinked => {
            facts(Some(pair()), Some(unowned))
        }
    }
}

fn planned(discrepancy_type: DiscrepancyType, remedy: Remedy, facts: &Facts) -> Result<Plan> {
    plan(&found(discrepancy_type), remedy, facts, |_, _| true)
}

fn remedy(action: RemediationAction, direction: RemediationDirection) -> Remedy {
    Remedy { action, direction }
}

/// What a plan does, in a word.
fn word(plan: &Plan) -> &'static str {
    match plan {
        Plan::Operate(draft) => match draft.operation_type {
            OperationType::Create => "create",
            OperationType::Update => "update",
            OperationType::Delete => "delete",
        },
        Plan::Link { .. } => "link",
        Plan::Unlink(_) => "unlink",
        Plan::Reject { .. } => "reject",
        Plan::SetIdentity { .. } => "set identity",
        Plan::Inactivate(_) => "inactivate",
        Plan::Adopt { .. } => "adopt",
    }
}

#[test]
fn every_remedy_of_the_table_makes_its_plan() {
    let mut rows = Vec::new();
    for kind in DiscrepancyType::ALL {
        for remedy in xavyo_core::remediation::allowed(kind, true) {
            let plan = planned(kind, *remedy, &present(kind)).unwrap();
            rows.push(format!("{kind} {} {}: {}", remedy.action, remedy.direction, word(&plan)));
        }
    }
    let expected = "missing create xavyo_to_target: create
missing inactivate_identity target_to_xavyo: inactivate
orphan link xavyo_to_target: link
orphan update xavyo_to_target: update
orphan delete xavyo_to_target: delete
orphan create target_to_xavyo: adopt
mismatch update xavyo_to_target: update
mismatch update target_to_xavyo: set identity
mismatch delete xavyo_to_target: delete
collision link xavyo_to_target: link
collision unlink xavyo_to_target: reject
collision delete xavyo_to_target: delete
unlinked link xavyo_to_target: link
deleted create xavyo_to_target: create
deleted unlink xavyo_to_target: unlink
deleted inactivate_identity target_to_xavyo: inactivate";
    assert_eq!(rows.join("\n"), expected);
}

#[test]
fn nothing_is_planned_for_a_finding_that_no_longer_holds() {
    let linked = Pair { link: Some(link()), live: Some(account()), ..pair() };
    let of_another = PairLink { identity_id: IdentityId(Uuid::from_u128(8)), ..link() };
    let owned = Pair { link: Some(of_another), live: Some(account()), ..pair() };
    let gone = || facts(Some(pair()), Some(Pair { live: None, ..pair() }));
    for (kind, now) in [
        (DiscrepancyType::Missing, facts(Some(linked.clone()), None)),
        (DiscrepancyType::Missing, facts(Some(Pair { should_have: Some(false), ..pair() }), None)),
        (DiscrepancyType::Deleted, facts(Some(linked), None)),
        (DiscrepancyType::Deleted, facts(Some(pair()), None)),
        (DiscrepancyType::Mismatch, facts(Some(pair()), None)),
        (DiscrepancyType::Unlinked, facts(Some(pair()), Some(owned.clone()))),
        (DiscrepancyType::Orphan, facts(Some(pair()), Some(owned.clone()))),
        (DiscrepancyType::Collision, facts(Some(pair()), Some(owned))),
        (DiscrepancyType::Unlinked, gone()),
        (DiscrepancyType::Orphan, gone()),
        (DiscrepancyType::Collision, gone()),
    ] {
        for remedy in xavyo_core::remediation::allowed(kind, true) {
            let refused = planned(kind, *remedy, &now).unwrap_err();
            assert_eq!(refused.reason, Reason::Superseded, "{kind} {remedy:?}");
        }
    }
}

#[test]
fn a_difference_that_is_not_the_one_that_was_found_is_not_touched() {
    let update = remedy(RemediationAction::Update, RemediationDirection::XavyoToTarget);
    let found = found(DiscrepancyType::Mismatch);
    let refused = plan(&found, update, &present(DiscrepancyType::Mismatch), |_, _| false).unwrap_err();
    assert_eq!(refused.reason, Reason::Superseded);
}

#[test]
fn a_mismatch_writes_its_attribute_alone_and_states_what_was_seen() {
    let update = remedy(RemediationAction::Update, RemediationDirection::XavyoToTarget);
    let Plan::Operate(draft) =
        planned(DiscrepancyType::Mismatch, update, &present(DiscrepancyType::Mismatch)).unwrap()
    else {
        panic!("an operation was expected")
    };
    assert_eq!(draft.payload.keys().collect::<Vec<_>>(), ["mail"]);
    assert_eq!(draft.precondition.immutable_id.as_deref(), Some("42"));
    assert_eq!(draft.precondition.linked, Some(true));
    assert!(draft.precondition.attributes_digest.is_some());
}

#[test]
fn a_link_pushes_what_differs_and_replaces_a_dead_one() {
    let elsewhere = AccountKey { external_uid: "jane.old".to_owned(), immutable_id: None };
    let dead = PairLink { account: elsewhere, ..link() };
    let now = facts(
        Some(Pair { link: Some(dead.clone()), ..pair() }),
        Some(Pair { live: Some(account()), ..pair() }),
    );
    let link = remedy(RemediationAction::Link, RemediationDirection::XavyoToTarget);
    let Plan::Link { dead_link, push, .. } = planned(DiscrepancyType::Unlinked, link, &now).unwrap() else {
        panic!("a link was expected")
    };
    assert_eq!(dead_link, Some(dead));
    assert_eq!(push.keys().collect::<Vec<_>>(), ["mail"]);
}

#[test]
fn a_protected_account_is_left_alone() {
    let protected = Pair { live: Some(account()), is_protected: true, ..pair() };
    let delete = remedy(RemediationAction::Delete, RemediationDirection::XavyoToTarget);
    let refused = planned(DiscrepancyType::Orphan, delete, &facts(None, Some(protected))).unwrap_err();
    assert_eq!(refused.reason, Reason::ProtectedAccount);
}

#[test]
fn what_is_picked_must_be_part_of_the_collision() {
    let link = remedy(RemediationAction::Link, RemediationDirection::XavyoToTarget);
    let collision = found(DiscrepancyType::Collision);
    let pick = |identity: u128, uid: &str| Choice {
        identity_id: Some(IdentityId(Uuid::from_u128(identity))),
        external_uid: Some(uid.to_owned()),
    };
    assert_eq!(Subject::of(&collision, link, &pick(7, "jane")).unwrap().account, Some(key()));
    for (choice, field) in [
        (Choice::default(), "external_uid"),
        (pick(7, "joe"), "external_uid"),
        (pick(8, "jane"), "identity_id"),
        (Choice { identity_id: None, ..pick(7, "jane") }, "identity_id"),
    ] {
        let refused = Subject::of(&collision, link, &choice).unwrap_err();
        assert_eq!(refused.violations[0].field, field, "{choice:?}");
    }
}
