//! Which account is whose, to the letter: renames, given-away names, leavers, pairs that a person rejected, protected
//! accounts, accounts under way, values that are not ours.

use xavyo_sandbox::postgres::{Postgres, TargetDatabase};
use xavyo_tests::{World, set, update_of};
use xavyo_wire::pb::{common, provisioning as pp, reconciliation as pr};

use super::discrepancy::of_type;
use crate::provisioning::target::table;
use common::{DiscrepancyType as Type, RemediationAction as Action};

/// A table of accounts, and a connector to it.
struct Table {
    pool: sqlx::PgPool,
    connector: String,
    _database: TargetDatabase,
}

impl Table {
    async fn new(world: &World, change: impl FnOnce(&mut pp::CreateConnectorRequest)) -> Self {
        let database = Postgres::shared().await.unwrap().target().await.unwrap();
        let (pool, settings) = table(&database).await;
        let connector = world
            .connector(|request| {
                request.settings = Some(settings);
                change(request);
            })
            .await;
        Self { pool, connector, _database: database }
    }

    /// A person with an account in step.
    async fn person(&self, world: &World, login: &str) -> String {
        let person = world.person(login, &format!("{login}@x"), "clerk").await;
        world.account_of(&self.connector, &person).await;
        person
    }

    async fn sql(&self, statement: &'static str) {
        sqlx::raw_sql(statement).execute(&self.pool).await.unwrap();
    }
}

async fn found(world: &World, connector: &str) -> Vec<pr::Discrepancy> {
    let run = world.full_run(connector, false).await;
    assert_eq!(run.status(), pr::ReconciliationRunStatus::Completed, "{run:?}");
    world.admin.discrepancies_of(&run.id).await
}

async fn set_apart(world: &World, connector: &str) -> (pr::ReconciliationRun, pr::SetApart) {
    let run = world.full_run(connector, false).await;
    let request = pr::GetReportRequest { run_id: run.id.clone() };
    let report = world.admin.runs.clone().get_report(request).await.unwrap().into_inner().report.unwrap();
    (run, report.set_apart.unwrap())
}

async fn remediate(world: &World, discrepancy: &pr::Discrepancy, action: Action) -> pr::RemediationResult {
    let request = pr::RemediateDiscrepancyRequest {
        discrepancy_id: discrepancy.id.clone(),
        action: action.into(),
        ..pr::RemediateDiscrepancyRequest::default()
    };
    let answer = world.admin.discrepancies.clone().remediate_discrepancy(request).await.unwrap();
    answer.into_inner().result.unwrap()
}

async fn inactivate(world: &World, person: &str) {
    let request = pp::InactivateIdentityRequest { identity_id: person.to_owned(), ..Default::default() };
    world.admin.identities.clone().inactivate_identity(request).await.unwrap();
}

#[tokio::test]
async fn an_account_that_was_renamed_is_no_finding_and_its_link_follows() {
    let world = World::new().await;
    let table = Table::new(&world, |_| {}).await;
    let person = table.person(&world, "ann").await;
    table.sql("update account set login = 'ann.married' where login = 'ann'").await;

    let (run, set_apart) = set_apart(&world, &table.connector).await;

    assert_eq!((run.discrepancies_found, set_apart.renamed), (0, 1));
    let request = pp::ListLinksRequest { identity_id: Some(person), ..Default::default() };
    let links = world.admin.accounts.clone().list_links(request).await.unwrap().into_inner().links;
    assert_eq!(links[0].external_uid, "ann.married");
}

#[tokio::test]
async fn a_name_that_was_given_to_another_account_is_not_the_linked_one_fault_4() {
    let world = World::new().await;
    let table = Table::new(&world, |_| {}).await;
    table.person(&world, "ann").await;
    table.sql("delete from account where login = 'ann'").await;
    table.sql("insert into account (login, mail) values ('ann', 'another.ann@x')").await;

    let found = found(&world, &table.connector).await;

    assert_eq!(found.len(), 2, "{found:#?}");
    let deleted = of_type(&found, Type::Deleted);
    assert_ne!(deleted.immutable_id, of_type(&found, Type::Orphan).immutable_id);
    let result = remediate(&world, deleted, Action::Unlink).await;
    assert!(result.success, "{result:?}");
}

#[tokio::test]
async fn a_leaver_whose_account_is_enabled_differs_in_its_state_and_in_nothing_else() {
    let world = World::new().await;
    let table = Table::new(&world, |_| {}).await;
    let leaver = table.person(&world, "ann").await;
    let out_of_scope = table.person(&world, "bob").await;
    inactivate(&world, &leaver).await;
    inactivate(&world, &out_of_scope).await;
    table.sql("update account set mail = 'other@x' where login = 'ann'").await;
    table.sql("update account set enabled = false where login = 'bob'").await;

    let found = found(&world, &table.connector).await;

    let state = of_type(&found, Type::Mismatch);
    assert_eq!(
        (state.attribute_name(), state.expected_value(), state.actual_value()),
        ("account_state", "disabled", "enabled")
    );
    let result = remediate(&world, state, Action::Update).await;
    assert!(result.success, "{result:?}");
    assert_eq!(world.full_run(&table.connector, false).await.discrepancies_found, 0, "R11");
}

#[tokio::test]
async fn where_leavers_are_to_have_no_account_it_is_deleted() {
    let world = World::new().await;
    let table = Table::new(&world, |request| {
        let kind = pp::DeprovisionKind::Delete.into();
        request.policies.as_mut().unwrap().deprovision =
            Some(pp::Deprovision { kind, ..pp::Deprovision::default() });
    })
    .await;
    let leaver = table.person(&world, "ann").await;
    inactivate(&world, &leaver).await;

    let found = found(&world, &table.connector).await;

    let state = of_type(&found, Type::Mismatch);
    assert_eq!((state.expected_value(), state.actual_value()), ("absent", "enabled"));
    assert_eq!(state.suggested_action(), Action::Delete);
    let result = remediate(&world, state, Action::Delete).await;
    assert!(result.success, "{result:?}");
    assert_eq!(world.full_run(&table.connector, false).await.discrepancies_found, 0, "R11");
}

#[tokio::test]
async fn an_account_of_somebody_inactive_is_recognised_as_theirs() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let leaver = world.person("ann", "ann@x", "clerk").await;
    inactivate(&world, &leaver).await;
    world.stray(&connector, "old.ann", "ANN@x", "clerk").await;

    let found = found(&world, &connector).await;

    let unlinked = of_type(&found, Type::Unlinked);
    assert_eq!((unlinked.identity_id(), unlinked.external_uid()), (leaver.as_str(), "old.ann"), "fault 7");
}

#[tokio::test]
async fn two_that_resemble_one_are_a_collision_whatever_their_spelling_fault_7() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let person = world.person("ann", "änn@x", "clerk").await;
    world.stray(&connector, "composed", "ÄNN@x ", "clerk").await;
    world.stray(&connector, "decomposed", "a\u{308}nn@x", "clerk").await;
    let all = found(&world, &connector).await;
    let collision = of_type(&all, Type::Collision);
    assert_eq!((all.len(), collision.candidates.len(), collision.suggested_action), (1, 2, None));

    let request = pr::RemediateDiscrepancyRequest {
        discrepancy_id: collision.id.clone(),
        action: Action::Unlink.into(),
        identity_id: Some(person.clone()),
        external_uid: Some("decomposed".to_owned()),
        ..pr::RemediateDiscrepancyRequest::default()
    };
    world.admin.discrepancies.clone().remediate_discrepancy(request).await.unwrap();

    let left = found(&world, &connector).await;
    assert_eq!(of_type(&left, Type::Unlinked).external_uid(), "composed", "a rejected pair never correlates");
    assert_eq!(of_type(&left, Type::Orphan).external_uid(), "decomposed");
}

#[tokio::test]
async fn protected_accounts_are_counted_and_nothing_else() {
    let world = World::new().await;
    let connector = world
        .connector(|request| {
            request.object_types[0].protected = "account.title == 'root'".to_owned();
        })
        .await;
    let table = world.connector(|_| {}).await;
    assert_ne!(table, connector);
    let back_door = same_target(&world, &connector).await;
    world.stray(&back_door, "root", "root@x", "root").await;
    let (run, set_apart) = set_apart(&world, &connector).await;
    assert_eq!((run.accounts_processed, run.discrepancies_found, set_apart.protected), (1, 0, 1));
}

/// Another connector over the same accounts.
async fn same_target(world: &World, connector: &str) -> String {
    let request = pp::GetConnectorRequest { connector_id: connector.to_owned() };
    let real = world.admin.connectors.clone().get_connector(request).await.unwrap().into_inner();
    world.connector(|request| request.settings = real.connector.unwrap().settings).await
}

#[tokio::test]
async fn what_is_under_way_is_counted_in_flight_and_never_reported_fault_27() {
    let world = World::new().await;
    let connector = world.failing_connector(&[("create", "refused", 1)]).await;
    let person = world.person("ann", "ann@x", "clerk").await;
    let request = pp::CreateOperationRequest {
        connector_id: connector.clone(),
        operation_type: pp::OperationType::Create.into(),
        object_class: "account".to_owned(),
        user_id: Some(person),
        ..pp::CreateOperationRequest::default()
    };
    let refused = world.admin.accept(request).await;
    world.admin.reaches(&refused, pp::OperationStatus::DeadLetter).await;

    let (run, set_apart) = set_apart(&world, &connector).await;

    assert_eq!((run.discrepancies_found, set_apart.in_flight), (0, 1), "a dead letter holds the account");
}

#[tokio::test]
async fn values_that_are_not_ours_are_neither_compared_nor_removed() {
    let world = World::new().await;
    let connector = world
        .connector(|request| {
            request.object_types[0].mapping.push(pp::AttributeRule {
                name: "groups".to_owned(),
                expression: "[identity.title]".to_owned(),
                multi_valued: true,
                ..pp::AttributeRule::default()
            });
        })
        .await;
    let person = world.person("ann", "ann@x", "clerks").await;
    world.account_of(&connector, &person).await;
    let mut foreign = update_of(&connector, "ann", "ann@x");
    let groups = xavyo_wire::pb::google::ListValue {
        values: ["clerks", "chess club"]
            .map(|text| xavyo_wire::pb::google::value::Kind::StringValue(text.to_owned()).into())
            .to_vec(),
    };
    let mut payload = set(&[]);
    payload.fields.insert("groups".to_owned(), xavyo_wire::pb::google::value::Kind::ListValue(groups).into());
    foreign.payload = Some(payload);
    let written = world.admin.accept(foreign).await;
    world.admin.ended(&written).await;

    assert!(found(&world, &connector).await.is_empty(), "the club is nobody's business");
}

#[tokio::test]
async fn an_orphan_is_disabled_and_stays_one() {
    let world = World::new().await;
    let table = Table::new(&world, |_| {}).await;
    table.sql("insert into account (login, mail) values ('stray', 'stray@x')").await;
    let all = found(&world, &table.connector).await;
    let result = remediate(&world, of_type(&all, Type::Orphan), Action::Update).await;
    assert!(result.success, "{result:?}");
    let enabled: bool =
        sqlx::query_scalar("select enabled from account").fetch_one(&table.pool).await.unwrap();
    assert!(!enabled);
    assert_eq!(of_type(&found(&world, &table.connector).await, Type::Orphan).external_uid(), "stray");
}

#[tokio::test]
async fn one_pair_of_a_collision_is_linked_and_what_differs_is_pushed() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let person = world.person("ann", "ann@x", "clerk").await;
    world.stray(&connector, "one", "ann@x", "ghost").await;
    world.stray(&connector, "other", "ann@x", "clerk").await;
    let all = found(&world, &connector).await;
    let request = pr::RemediateDiscrepancyRequest {
        discrepancy_id: of_type(&all, Type::Collision).id.clone(),
        action: Action::Link.into(),
        identity_id: Some(person.clone()),
        external_uid: Some("one".to_owned()),
        ..pr::RemediateDiscrepancyRequest::default()
    };
    let answer = world.admin.discrepancies.clone().remediate_discrepancy(request).await.unwrap();
    assert!(answer.into_inner().result.unwrap().success);

    let left = found(&world, &connector).await;

    let collision = of_type(&left, Type::Collision);
    assert_eq!((left.len(), collision.candidates.len()), (1, 1), "one resembles her who has hers: {left:#?}");
    assert_eq!(collision.candidates[0].external_uid, "other");
}

#[tokio::test]
async fn who_has_lost_an_account_is_inactivated_instead() {
    let world = World::new().await;
    let table = Table::new(&world, |_| {}).await;
    let person = table.person(&world, "ann").await;
    table.sql("delete from account").await;
    table.sql("insert into account (login, mail) values ('another', 'another@x')").await;
    let all = found(&world, &table.connector).await;
    let deleted = of_type(&all, Type::Deleted);
    assert_eq!((deleted.identity_id(), deleted.suggested_action()), (person.as_str(), Action::Create));

    let result = remediate(&world, deleted, Action::InactivateIdentity).await;

    assert!(result.success, "{result:?}");
    let left = found(&world, &table.connector).await;
    let deleted = of_type(&left, Type::Deleted);
    assert_eq!(deleted.suggested_action(), Action::Unlink, "nobody who left gets an account again");
}

#[tokio::test]
async fn a_policy_enables_only_what_we_disabled() {
    let world = World::new().await;
    let table = Table::new(&world, |request| {
        let update = pp::RemediationPolicy {
            action: Action::Update.into(),
            direction: common::RemediationDirection::XavyoToTarget.into(),
        };
        request.policies.as_mut().unwrap().remediation.insert("mismatch".to_owned(), update);
    })
    .await;
    table.person(&world, "ann").await;
    found(&world, &table.connector).await;
    table.sql("update account set enabled = false").await;

    let all = found(&world, &table.connector).await;

    let state = of_type(&all, Type::Mismatch);
    assert_eq!((state.attribute_name(), state.planned_action), ("account_state", None));
    let result = remediate(&world, state, Action::Update).await;
    assert!(result.success, "a person may: {result:?}");
}
