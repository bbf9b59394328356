//! Proof of completeness (R1): whatever a target leaves out, with an error or without one, nobody is reported missing who
//! may only not have been shown.

use tonic::Code;
use xavyo_sandbox::{
    postgres::Postgres,
    slapd::{Options, PEOPLE, Slapd},
};
use xavyo_tests::{World, refused};
use xavyo_wire::pb::{provisioning as pp, reconciliation as pr};

use crate::provisioning::target::{directory, table};
use pr::ReconciliationRunStatus as Status;

const OBJECT_CLASS: &str = "inetOrgPerson";

/// A directory of twenty people, each with an account of theirs, in step.
async fn twenty(world: &World, slapd: &Slapd) -> String {
    let mut request = directory(slapd, slapd.password());
    request.object_types[0].mapping.push(pp::AttributeRule {
        name: "cn".to_owned(),
        expression: "identity.login".to_owned(),
        ..pp::AttributeRule::default()
    });
    request.object_types[0].mapping.push(pp::AttributeRule {
        name: "sn".to_owned(),
        expression: "identity.login".to_owned(),
        ..pp::AttributeRule::default()
    });
    let made = world.admin.connectors.clone().create_connector(request).await.unwrap().into_inner();
    let connector = made.connector.unwrap().id;
    let mut operations = Vec::new();
    for number in 0..20 {
        let login = format!("p{number}");
        let person = world.person(&login, &format!("{login}@x"), "clerk").await;
        let create = pp::CreateOperationRequest {
            connector_id: connector.clone(),
            operation_type: pp::OperationType::Create.into(),
            object_class: OBJECT_CLASS.to_owned(),
            user_id: Some(person),
            ..pp::CreateOperationRequest::default()
        };
        operations.push(world.admin.accept(create).await);
    }
    for operation in operations {
        world.admin.ended(&operation).await;
    }
    let run = world.full_run(&connector, false).await;
    assert_eq!((run.status(), run.accounts_processed, run.discrepancies_found), (Status::Completed, 20, 0));
    connector
}

/// Hides so many of the people: searches succeed without them.
fn hiding(count: usize) -> Options {
    Options {
        hidden: (0..count).map(|number| format!("uid=p{number},{PEOPLE}")).collect(),
        ..Options::default()
    }
}

async fn evidence(world: &World, run: &str) -> pr::Evidence {
    let request = pr::GetReportRequest { run_id: run.to_owned() };
    let report = world.admin.runs.clone().get_report(request).await.unwrap().into_inner().report.unwrap();
    report.evidence.unwrap()
}

/// The run failed for want of proof, and nothing was found.
async fn proves_nothing(world: &World, run: &pr::ReconciliationRun) {
    assert_eq!((run.status(), run.error_code()), (Status::Failed, "INCOMPLETE_READ"), "{run:?}");
    assert!(world.admin.discrepancies_of(&run.id).await.is_empty());
}

#[tokio::test]
async fn a_directory_that_hides_a_subtree_with_success_makes_nobody_missing_r1_fault_2() {
    let world = World::new().await;
    let mut slapd = Slapd::start(&Options::default()).await.unwrap();
    let connector = twenty(&world, &slapd).await;
    slapd.restart(&Options { hidden: vec![PEOPLE.to_owned()], ..Options::default() }).await.unwrap();
    let nobody = world.full_run(&connector, false).await;
    proves_nothing(&world, &nobody).await;

    slapd.restart(&hiding(4)).await.unwrap();
    let fewer = world.full_run(&connector, false).await;

    proves_nothing(&world, &fewer).await;
    let told = evidence(&world, &fewer.id).await.target;
    assert!(told.contains("16 accounts: more than 3 fewer than the 20"), "{told}");
    slapd.restart(&Options::default()).await.unwrap();
    let whole = world.full_run(&connector, false).await;
    assert_eq!((whole.status(), whole.discrepancies_found), (Status::Completed, 0));
}

#[tokio::test]
async fn a_smaller_target_is_complete_where_somebody_said_so_and_why() {
    let world = World::new().await;
    let slapd = Slapd::start(&Options::default()).await.unwrap();
    let connector = twenty(&world, &slapd).await;
    let mut administrator = slapd.administrator().await.unwrap();
    for number in 0..5 {
        administrator.delete(&format!("uid=p{number},{PEOPLE}")).await.unwrap().success().unwrap();
    }
    let request = |least: i64, reason: Option<&str>| pr::StartRunRequest {
        connector_id: connector.clone(),
        mode: pr::ReconciliationMode::Full.into(),
        accept_count_at_least: Some(least),
        reason: reason.map(str::to_owned),
        ..pr::StartRunRequest::default()
    };
    let mut runs = world.admin.runs.clone();
    let unexplained = refused(runs.start_run(request(15, None)).await);
    assert_eq!((unexplained.code, unexplained.fields), (Code::InvalidArgument, vec!["reason".to_owned()]));
    let less = runs.start_run(request(16, Some("five left"))).await.unwrap().into_inner().run.unwrap();
    proves_nothing(&world, &world.admin.run_ended(&less.id).await).await;

    let run = runs.start_run(request(15, Some("five left"))).await.unwrap().into_inner().run.unwrap();
    let run = world.admin.run_ended(&run.id).await;

    assert_eq!((run.status(), run.discrepancies_found), (Status::Completed, 5));
    assert!(evidence(&world, &run.id).await.target.contains("accepted in advance"));
}

#[tokio::test]
async fn a_read_cut_off_by_a_limit_of_the_server_proves_nothing_fault_1() {
    let world = World::new().await;
    let mut slapd = Slapd::start(&Options::default()).await.unwrap();
    let connector = twenty(&world, &slapd).await;
    slapd.restart(&Options { size_limit: Some(18), ..Options::default() }).await.unwrap();
    proves_nothing(&world, &world.full_run(&connector, false).await).await;
}

#[tokio::test]
async fn an_empty_answer_is_never_complete_where_there_were_accounts_r1() {
    let world = World::new().await;
    let database = Postgres::shared().await.unwrap().target().await.unwrap();
    let (pool, settings) = table(&database).await;
    let connector = world.connector(|request| request.settings = Some(settings)).await;
    let person = world.person("ann", "ann@x", "clerk").await;
    world.account_of(&connector, &person).await;
    world.full_run(&connector, false).await;
    sqlx::raw_sql("delete from account").execute(&pool).await.unwrap();

    let run = world.full_run(&connector, false).await;

    proves_nothing(&world, &run).await;
    let run = world.full_run(&connector, true).await;
    proves_nothing(&world, &run).await;
}

#[tokio::test]
async fn no_account_is_an_orphan_because_the_source_of_identities_is_empty_fault_6() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let person = world.person("ann", "ann@x", "clerk").await;
    world.stray(&connector, "stray", "ann@x", "clerk").await;
    world.full_run(&connector, false).await;
    let delete = pp::DeleteIdentityRequest { identity_id: person, ..Default::default() };
    world.admin.identities.clone().delete_identity(delete).await.unwrap();

    let run = world.full_run(&connector, false).await;

    proves_nothing(&world, &run).await;
    assert!(run.error_message().contains("expected side"), "{run:?}");
}

#[tokio::test]
async fn a_sentinel_that_is_not_seen_leaves_the_read_unproven() {
    let world = World::new().await;
    let database = Postgres::shared().await.unwrap().target().await.unwrap();
    let (pool, mut settings) = table(&database).await;
    if let Some(pp::connector_settings::Kind::Sql(sql)) = settings.kind.as_mut() {
        sql.sentinels = vec!["watchman".to_owned()];
    }
    let connector = world.connector(|request| request.settings = Some(settings)).await;
    world.person("ann", "ann@x", "clerk").await;
    proves_nothing(&world, &world.full_run(&connector, false).await).await;

    sqlx::raw_sql("insert into account (login) values ('watchman')").execute(&pool).await.unwrap();
    let run = world.full_run(&connector, false).await;

    assert_eq!((run.status(), run.discrepancies_found), (Status::Completed, 2));
}

#[tokio::test]
async fn a_rule_that_fails_for_more_than_one_in_a_hundred_fails_the_run() {
    let world = World::new().await;
    let connector =
        world.connector(|request| request.object_types[0].scope = "int(identity.title) > 0".to_owned()).await;
    world.person("ann", "ann@x", "7").await;
    assert_eq!(world.full_run(&connector, false).await.discrepancies_found, 1);
    world.person("bob", "bob@x", "clerk").await;

    let run = world.full_run(&connector, false).await;

    assert_eq!((run.status(), run.error_code()), (Status::Failed, "EXPRESSION_FAILED"));
}
