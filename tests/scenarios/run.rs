//! Runs: started, watched, cancelled; and everything that is refused.

use tonic::Code;
use xavyo_tests::{World, refused};
use xavyo_wire::pb::{provisioning as pp, reconciliation as pr};

fn full(connector: &str) -> pr::StartRunRequest {
    pr::StartRunRequest {
        connector_id: connector.to_owned(),
        mode: pr::ReconciliationMode::Full.into(),
        ..pr::StartRunRequest::default()
    }
}

#[tokio::test]
async fn a_run_is_reported_in_the_numbers_of_its_rows_r7() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    world.person("ann", "ann@x", "clerk").await;
    world.stray(&connector, "stray", "stray@x", "ghost").await;
    let run = world.full_run(&connector, false).await;
    assert_eq!(run.status(), pr::ReconciliationRunStatus::Completed);
    let request = pr::GetReportRequest { run_id: run.id.clone() };
    let report = world.admin.runs.clone().get_report(request).await.unwrap().into_inner().report.unwrap();
    let summary = report.discrepancy_summary.unwrap();
    assert_eq!((summary.total, summary.by_type["missing"], summary.by_type["orphan"]), (2, 1, 1));
    assert_eq!(summary.by_type.len(), 6, "every key, zeros included");
    assert_eq!(world.admin.discrepancies_of(&run.id).await.len(), 2);
}

#[tokio::test]
async fn one_run_at_a_time_and_the_refusal_names_it_r5() {
    let world = World::new().await;
    let connector = world
        .connector(|request| {
            if let Some(pp::connector_settings::Kind::Memory(memory)) =
                request.settings.as_mut().and_then(|settings| settings.kind.as_mut())
            {
                memory.latency_ms = 500;
            }
        })
        .await;
    let mut runs = world.admin.runs.clone();
    let first = runs.start_run(full(&connector)).await.unwrap().into_inner().run.unwrap();
    let refusal = refused(runs.start_run(full(&connector)).await);
    assert_eq!(refusal.named(), (Code::AlreadyExists, "RUN_ACTIVE"));
    assert!(refusal.facts.values().any(|fact| *fact == first.id), "{refusal:?}");
    let cancel = pr::CancelRunRequest { run_id: first.id.clone(), ..Default::default() };
    runs.cancel_run(cancel.clone()).await.unwrap();
    assert_eq!(world.admin.run_ended(&first.id).await.status(), pr::ReconciliationRunStatus::Cancelled);
    assert_eq!(refused(runs.cancel_run(cancel).await).reason, "ILLEGAL_MOVE");
}

#[tokio::test]
async fn a_run_needs_a_connector_that_can_be_read() {
    let world = World::new().await;
    let mut runs = world.admin.runs.clone();
    let unknown = refused(runs.start_run(full(&world.tenant.to_string())).await);
    assert_eq!(unknown.named(), (Code::NotFound, "NOT_FOUND"));
    assert_eq!(refused(runs.start_run(full("x")).await).fields, ["connector_id"]);
    let connector = world.connector(|_| {}).await;
    let unspecified = pr::StartRunRequest { mode: 0, ..full(&connector) };
    assert_eq!(refused(runs.start_run(unspecified).await).fields, ["mode"]);
    let pause = pp::PauseConnectorRequest { connector_id: connector.clone(), ..Default::default() };
    world.admin.connectors.clone().pause_connector(pause).await.unwrap();
    let paused = refused(runs.start_run(full(&connector)).await);
    assert_eq!(paused.named(), (Code::FailedPrecondition, "CONNECTOR_PAUSED"));
}

#[tokio::test]
async fn a_read_that_breaks_off_reports_nothing_missing_r1_fault_2() {
    let world = World::new().await;
    let connector = world.failing_connector(&[("read", "truncate", 9)]).await;
    let person = world.person("ann", "ann@x", "clerk").await;
    world.account_of(&connector, &person).await;
    world.person("bob", "bob@x", "clerk").await;
    let run = world.full_run(&connector, false).await;
    let found = world.admin.discrepancies_of(&run.id).await;
    assert!(found.is_empty(), "absence was not proven: {found:?}");
}

#[tokio::test]
async fn a_target_that_is_down_fails_the_run_with_the_reason() {
    let world = World::new().await;
    let connector = world.failing_connector(&[("read", "down", 99)]).await;
    let run = world.full_run(&connector, false).await;
    assert_eq!(run.status(), pr::ReconciliationRunStatus::Failed);
    assert!(world.admin.discrepancies_of(&run.id).await.is_empty());
}
