//! Against a real Postgres.

use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;
use xavyo_connectors::Options;
use xavyo_core::{
    Reason,
    connector::{Mode, RemoteSettings, Settings},
};

use super::*;
use crate::testing::{Ground, caller, connector, object_type};

fn remote(url: &str, token: &str) -> CreateConnector {
    let settings = RemoteSettings {
        url: url.to_owned(),
        ca_certificates: None,
        client_certificate: None,
        sentinels: Vec::new(),
    };
    CreateConnector {
        settings: Settings::Remote(settings),
        secrets: GivenSecrets::from([("bearer_token".to_owned(), SecretString::from(token))]),
        ..connector("remote", Mode::Observe, 0)
    }
}

fn no_change(connector_id: ConnectorId) -> UpdateConnector {
    UpdateConnector {
        connector_id,
        etag: None,
        name: None,
        mode: None,
        settings: None,
        object_types: None,
        policies: None,
        secrets: GivenSecrets::new(),
    }
}

fn fields(error: &Error) -> Vec<&str> {
    error.violations.iter().map(|violation| violation.field.as_str()).collect()
}

#[tokio::test]
async fn a_secret_is_stored_sealed_and_never_answered_s3() {
    let ground = Ground::lay().await;

    let made = ground.connectors.create(&ground.caller, remote("https://t", "canary")).await.unwrap();

    assert_eq!(made.stored_secrets, ["bearer_token"]);
    assert!(!format!("{made:?}").contains("canary"));
    assert_eq!(ground.count("connector_secret where position('canary'::bytea in sealed) > 0").await, 0);
    let mut tx = ground.database.begin(ground.caller.tenant).await.unwrap();
    let opened = ground.vault.open(&mut tx, ground.caller.tenant, made.connector.id).await.unwrap();
    assert_eq!(opened.get("bearer_token").unwrap().expose_secret(), "canary");
}

#[tokio::test]
async fn a_ciphertext_moved_to_another_connector_does_not_open_fault_14() {
    let ground = Ground::lay().await;
    let tenant = ground.caller.tenant;
    let one = ground.connectors.create(&ground.caller, remote("https://t", "one")).await.unwrap();
    let other = CreateConnector { name: "other".to_owned(), ..remote("https://t", "two") };
    let other = ground.connectors.create(&ground.caller, other).await.unwrap();
    let mut tx = ground.database.begin(tenant).await.unwrap();

    let stolen = secret::all(&mut tx, tenant, one.connector.id).await.unwrap();
    secret::put(&mut tx, tenant, other.connector.id, &stolen, ground.clock.now()).await.unwrap();

    assert!(ground.vault.open(&mut tx, tenant, other.connector.id).await.is_err());
}

#[tokio::test]
async fn every_field_at_fault_is_named() {
    let ground = Ground::lay_with(Options::default()).await;
    let mut bad = connector(" x", Mode::Observe, -1);
    bad.secrets.insert("password".to_owned(), SecretString::from("s"));
    let refused = ground.connectors.create(&ground.caller, bad).await.unwrap_err();
    assert_eq!(
        fields(&refused),
        ["settings.memory.store", "settings.memory.generate", "name", "secrets.password"],
        "memory is refused unless the process allows it"
    );
}

#[tokio::test]
async fn an_expression_that_does_not_compile_is_named_by_its_place() {
    let ground = Ground::lay().await;
    let mut bad = object_type();
    bad.scope = "identity.".to_owned();
    bad.mapping[1].expression = "nonsense(".to_owned();
    let bad = CreateConnector { object_types: vec![object_type(), bad], ..connector("x", Mode::Observe, 0) };
    let refused = ground.connectors.create(&ground.caller, bad).await.unwrap_err();
    assert_eq!(fields(&refused)[0], "object_types[1].intent", "the same kind twice");

    let mut second = object_type();
    second.intent = "admin".to_owned();
    second.scope = "identity.".to_owned();
    second.mapping[1].expression = "nonsense(".to_owned();
    let bad =
        CreateConnector { object_types: vec![object_type(), second], ..connector("x", Mode::Observe, 0) };
    let refused = ground.connectors.create(&ground.caller, bad).await.unwrap_err();
    assert_eq!(fields(&refused), ["object_types[1].scope", "object_types[1].mapping[1].expression"]);
}

#[tokio::test]
async fn enforcing_needs_a_first_run_or_the_word_of_somebody() {
    let ground = Ground::lay().await;
    let mut hasty = connector("x", Mode::Enforce, 0);
    hasty.policies.skip_first_run = false;
    let refused = ground.connectors.create(&ground.caller, hasty.clone()).await.unwrap_err();
    assert_eq!(refused.reason, Reason::ModeForbids);

    let made = CreateConnector { mode: Mode::Observe, ..hasty };
    let id = ground.connectors.create(&ground.caller, made).await.unwrap().connector.id;
    let enforce = UpdateConnector { mode: Some(Mode::Enforce), ..no_change(id) };
    let refused = ground.connectors.update(&ground.caller, enforce.clone()).await.unwrap_err();
    assert_eq!(refused.reason, Reason::ModeForbids);

    let run = crate::accounts::CompletedRun {
        connector_id: id,
        run_id: ground.clock.new_id().into(),
        revision: 1,
        completed_at: ground.clock.now(),
    };
    ground.accounts.record_completed_run(&ground.caller, run).await.unwrap();
    let enforcing = ground.connectors.update(&ground.caller, enforce).await.unwrap();
    assert_eq!(enforcing.connector.mode, Mode::Enforce);
}

#[tokio::test]
async fn a_name_is_taken_until_its_connector_is_deleted() {
    let ground = Ground::lay().await;
    let id = ground.connector("hr", Mode::Observe, 0).await;
    let again = || ground.connectors.create(&ground.caller, connector("hr", Mode::Observe, 0));
    assert_eq!(again().await.unwrap_err().reason, Reason::AlreadyExists);

    let command = DeleteConnector { connector_id: id, etag: None };
    ground.connectors.delete(&ground.caller, command.clone()).await.unwrap();

    assert_eq!(ground.connectors.get(&ground.caller, id).await.unwrap_err().reason, Reason::NotFound);
    let repeated = ground.connectors.delete(&ground.caller, command).await.unwrap_err();
    assert_eq!(repeated.reason, Reason::NotFound);
    again().await.unwrap();
}

#[tokio::test]
async fn a_connector_with_live_operations_is_in_use() {
    let ground = Ground::lay().await;
    let id = ground.connector("hr", Mode::Enforce, 0).await;
    ground.identity("jane").await;

    let command = DeleteConnector { connector_id: id, etag: None };
    let refused = ground.connectors.delete(&ground.caller, command).await.unwrap_err();

    assert_eq!(refused.reason, Reason::InUse);
    assert_eq!(ground.count("operation where operation_type = 'create'").await, 1);
}

#[tokio::test]
async fn the_revision_rises_with_the_rules_and_with_nothing_else() {
    let ground = Ground::lay().await;
    let id = ground.connector("hr", Mode::Observe, 0).await;
    let update = |command| ground.connectors.update(&ground.caller, command);

    let renamed = update(UpdateConnector { name: Some("crm".to_owned()), ..no_change(id) }).await.unwrap();
    assert_eq!((renamed.connector.revision, renamed.connector.version), (1, 2));

    let mut rules = object_type();
    rules.scope = "true".to_owned();
    let revision = UpdateConnector { object_types: Some(vec![rules]), ..no_change(id) };
    let revised = update(revision.clone()).await.unwrap();
    assert_eq!((revised.connector.revision, revised.connector.version), (2, 3));
    assert_eq!(ground.count("connector_revision").await, 2);

    let same = update(revision).await.unwrap();
    assert_eq!(same.connector.version, 3, "what changes nothing is no change");
}

#[tokio::test]
async fn a_stale_etag_changes_nothing() {
    let ground = Ground::lay().await;
    let id = ground.connector("hr", Mode::Observe, 0).await;
    let rename = |etag| UpdateConnector { etag: Some(etag), name: Some("crm".to_owned()), ..no_change(id) };
    ground.connectors.update(&ground.caller, rename(1)).await.unwrap();
    let stale = ground.connectors.update(&ground.caller, rename(1)).await.unwrap_err();
    assert_eq!(stale.reason, Reason::EtagMismatch);
}

#[tokio::test]
async fn a_kind_never_changes_and_an_address_takes_no_secret_along_fault_12() {
    let ground = Ground::lay().await;
    let id = ground.connectors.create(&ground.caller, remote("https://a", "s")).await.unwrap().connector.id;
    let update = |command| ground.connectors.update(&ground.caller, command);

    let other_kind =
        UpdateConnector { settings: Some(connector("x", Mode::Observe, 0).settings), ..no_change(id) };
    assert_eq!(fields(&update(other_kind).await.unwrap_err()), ["connector.settings"]);

    let moved = UpdateConnector { settings: Some(remote("https://b", "").settings), ..no_change(id) };
    assert_eq!(fields(&update(moved.clone()).await.unwrap_err()), ["secrets.bearer_token"]);
    let moved = UpdateConnector { secrets: remote("", "again").secrets, ..moved };
    assert_eq!(update(moved).await.unwrap().connector.version, 2);
}

#[tokio::test]
async fn another_tenants_connector_is_like_none_s1() {
    let ground = Ground::lay().await;
    let id = ground.connector("hr", Mode::Observe, 0).await;
    let stranger = caller(9);

    let foreign = ground.connectors.get(&stranger, id).await.unwrap_err();
    let random = ground.connectors.get(&stranger, ConnectorId(Uuid::from_u128(5))).await.unwrap_err();

    assert_eq!(format!("{foreign:?}"), format!("{random:?}"));
    let delete = DeleteConnector { connector_id: id, etag: None };
    assert_eq!(ground.connectors.delete(&stranger, delete).await.unwrap_err().reason, Reason::NotFound);
    let update = UpdateConnector { name: Some("mine".to_owned()), ..no_change(id) };
    assert_eq!(ground.connectors.update(&stranger, update).await.unwrap_err().reason, Reason::NotFound);
    assert_eq!(ground.connectors.check(&stranger, id).await.unwrap_err().reason, Reason::NotFound);
    assert_eq!(ground.connectors.get(&ground.caller, id).await.unwrap().connector.name, "hr");
}

#[tokio::test]
async fn a_repeated_request_id_makes_one_connector_fault_21() {
    let ground = Ground::lay().await;
    let command =
        CreateConnector { request_id: Some(Uuid::from_u128(7)), ..connector("hr", Mode::Observe, 0) };
    let create = |command| ground.connectors.create(&ground.caller, command);

    let (first, second) = tokio::join!(create(command.clone()), create(command.clone()));
    assert_eq!(first.unwrap(), second.unwrap(), "at once");

    let third = create(command.clone()).await.unwrap();
    assert_eq!(ground.count("connector").await, 1);
    let other_body = CreateConnector { name: "crm".to_owned(), ..command.clone() };
    assert_eq!(create(other_body).await.unwrap_err().reason, Reason::RequestIdReused);
    let stranger = ground.connectors.create(&caller(9), command).await.unwrap();
    assert_ne!(stranger.connector.id, third.connector.id, "another tenant's ids are its own");
}

#[tokio::test]
async fn a_request_id_is_forgotten_after_a_day() {
    let ground = Ground::lay().await;
    let request_id = Some(Uuid::from_u128(7));
    let create = |name| {
        let command = CreateConnector { request_id, ..connector(name, Mode::Observe, 0) };
        ground.connectors.create(&ground.caller, command)
    };
    let first = create("hr").await.unwrap();
    ground.clock.advance(chrono::TimeDelta::hours(25));
    assert_ne!(create("crm").await.unwrap().connector.id, first.connector.id);
}

#[tokio::test]
async fn every_change_has_one_audit_row_and_a_refused_one_has_none_s4() {
    let ground = Ground::lay().await;
    let id = ground.connector("hr", Mode::Observe, 0).await;
    let pause = PauseConnector { connector_id: id, reason: Some("maintenance".to_owned()), until: None };
    ground.connectors.pause(&ground.caller, pause.clone()).await.unwrap();
    ground.connectors.pause(&ground.caller, pause).await.unwrap();
    ground.connectors.resume(&ground.caller, id).await.unwrap();
    ground.connectors.create(&ground.caller, connector("hr", Mode::Observe, 0)).await.unwrap_err();
    ground.connectors.delete(&ground.caller, DeleteConnector { connector_id: id, etag: None }).await.unwrap();
    assert_eq!(ground.count("audit_event").await, 4, "create, pause, resume, delete");
}

#[tokio::test]
async fn a_paused_connector_is_passed_over_by_workers_and_can_still_be_checked() {
    let ground = Ground::lay().await;
    let id = ground.connector("hr", Mode::Observe, 3).await;
    let command = PauseConnector { connector_id: id, reason: None, until: None };
    let paused = ground.connectors.pause(&ground.caller, command).await.unwrap();
    assert!(paused.connector.paused);
    assert_eq!(ground.count("connector_work where paused").await, 1);
    assert!(ground.connectors.check(&ground.caller, id).await.unwrap().is_ok());
}

#[tokio::test]
async fn new_credentials_resume_a_connector_that_the_target_refused() {
    let ground = Ground::lay().await;
    let id = ground.connectors.create(&ground.caller, remote("https://t", "old")).await.unwrap().connector.id;
    let pause =
        |reason: &str| PauseConnector { connector_id: id, reason: Some(reason.to_owned()), until: None };
    let replace = UpdateConnector { secrets: remote("", "new").secrets, ..no_change(id) };

    ground.connectors.pause(&ground.caller, pause(BAD_CREDENTIALS)).await.unwrap();
    let resumed = ground.connectors.update(&ground.caller, replace.clone()).await.unwrap();
    assert!(!resumed.connector.paused);
    assert_eq!(ground.count("connector_work where not paused and due_at is not null").await, 1);

    ground.connectors.pause(&ground.caller, pause("maintenance")).await.unwrap();
    let still = ground.connectors.update(&ground.caller, replace).await.unwrap();
    assert!(still.connector.paused, "who paused it for another reason resumes it");
}

#[tokio::test]
async fn a_list_is_newest_first_page_by_page() {
    let ground = Ground::lay().await;
    for name in ["a", "b", "c"] {
        ground.connector(name, Mode::Observe, 0).await;
    }
    let page = |after| ListConnectors {
        filter: connector::Filter { kind: Some("memory"), mode: None },
        after,
        page_size: 2,
        count_total: true,
    };
    let names = |listed: &Listed<Shown>| -> Vec<String> {
        listed.items.iter().map(|shown| shown.connector.name.clone()).collect()
    };
    let first = ground.connectors.list(&ground.caller, page(None)).await.unwrap();
    assert_eq!((names(&first), first.total.unwrap().size), (vec!["c".to_owned(), "b".to_owned()], 3));
    let next = first.last().map(|shown| shown.connector.id);
    let second = ground.connectors.list(&ground.caller, page(next)).await.unwrap();
    assert_eq!((names(&second), second.has_more), (vec!["a".to_owned()], false));
}
