//! Against a real Postgres, with memory connectors in mode `enforce`.

use std::collections::BTreeMap;

use xavyo_core::{
    Reason,
    change::Change,
    connector::Mode,
    ids::ConnectorId,
    value::{Attributes, Value},
};

use super::*;
use crate::{
    accounts::{Kind, LinkAccount},
    connectors::UpdateConnector,
    testing::{Ground, caller, connector, person},
};

mod import;

fn set(name: &str, value: &str) -> Edit {
    Edit::Set(name.to_owned(), vec![Value::from(value)])
}

fn update(identity: &Identity, edits: Vec<Edit>) -> UpdateIdentity {
    UpdateIdentity { identity_id: identity.id, etag: None, edits, validate_only: false }
}

fn activity(identity: &Identity, active: bool) -> ChangeActivity {
    ChangeActivity { identity_id: identity.id, etag: None, active, reason: None, validate_only: false }
}

impl Ground {
    /// Links the identity's account, and lets the connector follow identities from then on.
    async fn link_and_enforce(&self, connector_id: ConnectorId, identity: &Identity, uid: &str) {
        let kind = Kind { connector_id, object_class: "account".to_owned(), intent: "default".to_owned() };
        let link = LinkAccount {
            kind,
            identity_id: identity.id,
            external_uid: uid.to_owned(),
            immutable_id: None,
            reason: None,
            cause: (CauseKind::Api, None),
            request_id: None,
        };
        self.accounts.link(&self.caller, link).await.unwrap();
        let enforce = UpdateConnector {
            connector_id,
            etag: None,
            name: None,
            mode: Some(Mode::Enforce),
            settings: None,
            object_types: None,
            policies: None,
            secrets: BTreeMap::new(),
        };
        self.connectors.update(&self.caller, enforce).await.unwrap();
    }
}

/// What follows, one word an operation.
fn words(planned: &[Planned]) -> Vec<String> {
    planned
        .iter()
        .map(|one| {
            format!("{} {}", one.operation_type, one.payload.keys().cloned().collect::<Vec<_>>().join("+"))
        })
        .collect()
}

#[tokio::test]
async fn who_is_in_scope_gets_an_account_on_enforcing_connectors_only() {
    let ground = Ground::lay().await;
    let enforcing = ground.connector("enforcing", Mode::Enforce, 0).await;
    ground.connector("manual", Mode::Manual, 0).await;
    ground.connector("observing", Mode::Observe, 0).await;
    let command = |department: &str| {
        let mut attributes = person("jane");
        attributes.insert("department".to_owned(), vec![Value::from(department)]);
        CreateIdentity { source_key: None, active: true, attributes, request_id: None }
    };

    let made = ground.identities.create(&ground.caller, command("Sales")).await.unwrap();
    let external = ground.identities.create(&ground.caller, command("External")).await.unwrap();

    assert_eq!(words(&made.operations), ["create "]);
    assert_eq!(made.operations[0].connector_id, enforcing);
    assert!(made.operations[0].operation_id.is_some());
    assert_eq!(external.operations, []);
    assert_eq!(ground.count("operation").await, 1);
}

#[tokio::test]
async fn an_update_enqueues_what_changed_with_sensitive_values_hidden() {
    let ground = Ground::lay().await;
    ground.connector("hr", Mode::Enforce, 0).await;
    let jane = ground.identity("jane").await;

    let edits = vec![set("mail", "j@x"), set("department", "Legal"), set("shoe_size", "38")];
    let changed = ground.identities.update(&ground.caller, update(&jane, edits)).await.unwrap();

    assert_eq!(words(&changed.operations), ["update department+mail"]);
    assert_eq!(changed.operations[0].payload["department"], Change::Set(vec![Value::from("***")]));
    assert_eq!(ground.count("operation where payload ->> 'department' = 'Legal'").await, 1);
    assert_eq!(changed.identity.version, 2);
}

#[tokio::test]
async fn what_changes_nothing_is_no_change() {
    let ground = Ground::lay().await;
    ground.connector("hr", Mode::Enforce, 0).await;
    let jane = ground.identity("jane").await;

    let same =
        ground.identities.update(&ground.caller, update(&jane, vec![set("login", "jane")])).await.unwrap();
    let active = ground.identities.change_activity(&ground.caller, activity(&jane, true)).await.unwrap();

    assert_eq!((same.identity, same.operations), (jane.clone(), vec![]));
    assert_eq!((active.identity, active.operations), (jane, vec![]));
    assert_eq!(ground.count("audit_event where resource_type = 'identity'").await, 1, "the create's alone");
}

#[tokio::test]
async fn validate_only_says_what_would_follow_and_writes_nothing_r4() {
    let ground = Ground::lay().await;
    ground.connector("hr", Mode::Enforce, 0).await;
    let jane = ground.identity("jane").await;
    let (operations, rows) = (ground.count("operation").await, ground.count("audit_event").await);

    let leaving = ChangeActivity { validate_only: true, ..activity(&jane, false) };
    let foreseen = ground.identities.change_activity(&ground.caller, leaving).await.unwrap();

    assert_eq!(words(&foreseen.operations), ["update account_state"]);
    assert!(foreseen.operations[0].is_destructive && foreseen.operations[0].operation_id.is_none());
    assert!(ground.identities.get(&ground.caller, Key::Id(jane.id)).await.unwrap().active);
    assert_eq!((ground.count("operation").await, ground.count("audit_event").await), (operations, rows));
}

#[tokio::test]
async fn a_refused_action_is_named_and_not_enqueued() {
    let ground = Ground::lay().await;
    let mut strict = connector("hr", Mode::Enforce, 0);
    strict.policies.allowed_actions.create = false;
    ground.connectors.create(&ground.caller, strict).await.unwrap();
    let command =
        CreateIdentity { source_key: None, active: true, attributes: person("jane"), request_id: None };
    let made = ground.identities.create(&ground.caller, command).await.unwrap();
    assert_eq!(made.operations[0].refused, Some(Reason::ActionNotAllowed));
    assert_eq!(ground.count("operation").await, 0);
}

#[tokio::test]
async fn an_expression_that_fails_enqueues_nothing() {
    let ground = Ground::lay().await;
    ground.connector("hr", Mode::Enforce, 0).await;
    let command =
        CreateIdentity { source_key: None, active: true, attributes: Attributes::new(), request_id: None };
    let made = ground.identities.create(&ground.caller, command).await.unwrap();
    assert_eq!(made.operations, [], "without a login there is no name");
}

#[tokio::test]
async fn who_is_deleted_is_deprovisioned_and_answers_not_found() {
    let ground = Ground::lay().await;
    ground.connector("hr", Mode::Enforce, 0).await;
    let jane = ground.identity("jane").await;
    let command = DeleteIdentity { identity_id: jane.id, etag: Some(1), reason: None };

    let operations = ground.identities.delete(&ground.caller, command).await.unwrap();

    assert_eq!(words(&operations), ["update account_state"]);
    let gone = ground.identities.get(&ground.caller, Key::Source("jane".to_owned())).await.unwrap_err();
    assert_eq!(gone.reason, Reason::NotFound);
    assert_ne!(ground.identity("jane").await.id, jane.id, "the source key is free again");
}

#[tokio::test]
async fn another_tenants_identity_is_like_none_s1() {
    let ground = Ground::lay().await;
    let jane = ground.identity("jane").await;
    let stranger = caller(9);

    let foreign = ground.identities.get(&stranger, Key::Id(jane.id)).await.unwrap_err();
    let random = ground.identities.get(&stranger, Key::Id(IdentityId(Uuid::from_u128(5)))).await.unwrap_err();

    assert_eq!(format!("{foreign:?}"), format!("{random:?}"));
    let refused = ground.identities.change_activity(&stranger, activity(&jane, false)).await.unwrap_err();
    assert_eq!(refused.reason, Reason::NotFound);
    assert!(ground.identities.get(&ground.caller, Key::Id(jane.id)).await.unwrap().active);
}

#[tokio::test]
async fn concurrent_updates_lose_nothing() {
    let ground = Ground::lay().await;
    ground.connector("hr", Mode::Enforce, 0).await;
    let jane = ground.identity("jane").await;
    let edit =
        |name: &'static str| ground.identities.update(&ground.caller, update(&jane, vec![set(name, "new")]));
    let (one, other) = tokio::join!(edit("mail"), edit("department"));
    one.unwrap();
    other.unwrap();
    let after = ground.identities.get(&ground.caller, Key::Id(jane.id)).await.unwrap();
    assert_eq!(
        (after.version, &after.attributes["mail"], &after.attributes["department"]),
        (3, &vec![Value::from("new")], &vec![Value::from("new")])
    );
}

#[tokio::test]
async fn a_taken_source_key_is_refused_and_a_stale_etag_too() {
    let ground = Ground::lay().await;
    let jane = ground.identity("jane").await;
    let command = CreateIdentity {
        source_key: Some("jane".to_owned()),
        active: true,
        attributes: Attributes::new(),
        request_id: None,
    };
    let taken = ground.identities.create(&ground.caller, command).await.unwrap_err();
    assert_eq!(taken.reason, Reason::AlreadyExists);
    let stale = UpdateIdentity { etag: Some(7), ..update(&jane, vec![set("a", "b")]) };
    assert_eq!(
        ground.identities.update(&ground.caller, stale).await.unwrap_err().reason,
        Reason::EtagMismatch
    );
}

#[tokio::test]
async fn a_person_who_left_and_returned_is_disabled_no_more() {
    let ground = Ground::lay().await;
    let id = ground.connector("hr", Mode::Manual, 1).await;
    let jane = ground.identity("user000000").await;
    ground.link_and_enforce(id, &jane, "user000000").await;

    let left = ground.identities.change_activity(&ground.caller, activity(&jane, false)).await.unwrap();
    let back = ground.identities.change_activity(&ground.caller, activity(&jane, true)).await.unwrap();

    assert_eq!(words(&left.operations), ["update account_state"]);
    assert_eq!(words(&back.operations), ["update account_state+department+mail"]);
    let merged = back.operations[0].operation_id.unwrap();
    let folded =
        ground.count("operation_history where status = 'cancelled' and merged_into_operation_id is not null");
    assert_eq!((folded.await, ground.count("operation").await), (1, 1), "newest wins: {merged}");
}

#[tokio::test]
async fn who_left_before_the_account_was_made_gets_none() {
    let ground = Ground::lay().await;
    ground.connector("hr", Mode::Enforce, 0).await;
    let jane = ground.identity("jane").await;
    ground.identities.change_activity(&ground.caller, activity(&jane, false)).await.unwrap();
    assert_eq!(ground.count("operation where operation_type = 'create'").await, 0);
}

#[tokio::test]
async fn pending_automatic_updates_of_an_account_are_one() {
    let ground = Ground::lay().await;
    ground.connector("hr", Mode::Enforce, 0).await;
    let jane = ground.identity("jane").await;
    for (name, value) in [("mail", "1@x"), ("department", "Legal"), ("mail", "2@x")] {
        let edits = vec![set(name, value)];
        ground.identities.update(&ground.caller, update(&jane, edits)).await.unwrap();
    }
    let last = "operation where operation_type = 'update' and payload ->> 'mail' = '2@x'
                and payload ->> 'department' = 'Legal'";
    assert_eq!(ground.count(last).await, 1);
    assert_eq!(ground.count("operation").await, 2, "the create, and one update");
    assert_eq!(ground.count("conflict").await, 0);
}
