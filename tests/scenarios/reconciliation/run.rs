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
async fn a_watch_begins_with_the_run_ends_with_its_end_and_resumes_from_its_token() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    world.person("ann", "ann@x", "clerk").await;
    let run_id = world.full_run(&connector, false).await.id;
    let mut resume_token = String::new();
    for _ in 0..2 {
        let request = pr::WatchRunRequest { run_id: run_id.clone(), resume_token };
        let mut watched = world.admin.runs.clone().watch_run(request).await.unwrap().into_inner();
        let first = watched.message().await.unwrap().unwrap();
        let Some(pr::watch_run_response::Event::Run(run)) = first.event else { panic!("{first:?}") };
        assert_eq!((run.status(), run.discrepancies_found), (pr::ReconciliationRunStatus::Completed, 1));
        resume_token = first.resume_token;
    }
    let request = pr::WatchRunRequest { run_id, resume_token: "nonsense".to_owned() };
    assert_eq!(refused(world.admin.runs.clone().watch_run(request).await).code, Code::InvalidArgument);
}

#[tokio::test]
async fn a_repeated_start_answers_the_same_run() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let request = pr::StartRunRequest { request_id: Some(world.tenant.to_string()), ..full(&connector) };
    let mut runs = world.admin.runs.clone();
    let first = runs.start_run(request.clone()).await.unwrap().into_inner().run.unwrap();
    world.admin.run_ended(&first.id).await;
    let again = runs.start_run(request.clone()).await.unwrap().into_inner().run.unwrap();
    assert_eq!((again.status(), again.id), (pr::ReconciliationRunStatus::Completed, first.id));
    let other = pr::StartRunRequest { dry_run: true, ..request };
    assert_eq!(refused(runs.start_run(other).await).named(), (Code::AlreadyExists, "REQUEST_ID_REUSED"));
}

#[tokio::test]
async fn runs_are_listed_newest_first_by_connector_and_status() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let mut ids = vec![world.full_run(&connector, true).await.id, world.full_run(&connector, false).await.id];
    ids.reverse();
    let list = |status: Option<pr::ReconciliationRunStatus>| {
        let mut runs = world.admin.runs.clone();
        let request = pr::ListRunsRequest {
            connector_id: Some(connector.clone()),
            status: status.map(Into::into),
            ..pr::ListRunsRequest::default()
        };
        async move { runs.list_runs(request).await.unwrap().into_inner().runs }
    };
    let listed = list(None).await.into_iter().map(|run| run.id).collect::<Vec<_>>();
    assert_eq!(listed, ids);
    assert_eq!(list(Some(pr::ReconciliationRunStatus::Completed)).await.len(), 2);
    assert!(list(Some(pr::ReconciliationRunStatus::Failed)).await.is_empty());
}

async fn reported(world: &World, connector: &str) -> (pr::ReconciliationRun, pr::ReconciliationReport) {
    let run = world.full_run(connector, false).await;
    let request = pr::GetReportRequest { run_id: run.id.clone() };
    let report = world.admin.runs.clone().get_report(request).await.unwrap().into_inner().report.unwrap();
    (run, report)
}

#[tokio::test]
async fn findings_are_superseded_or_gone_and_the_report_says_how_many() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    world.stray(&connector, "stays", "stays@x", "ghost").await;
    let person = world.person("ann", "ann@x", "clerk").await;
    let (first, report) = reported(&world, &connector).await;
    assert!(report.trend.is_none(), "there is nothing to compare the first one with");
    world.account_of(&connector, &person).await;
    world.person("bob", "bob@x", "clerk").await;

    let (second, report) = reported(&world, &connector).await;

    let trend = report.trend.unwrap();
    assert_eq!((trend.new, trend.persisting, trend.gone), (1, 1, 1));
    let older = world.admin.discrepancies_of(&first.id).await;
    let notes: Vec<&str> = older.iter().map(pr::Discrepancy::resolution_notes).collect();
    assert!(notes.contains(&"superseded") && notes.contains(&"no longer present"), "{notes:?}");
    let superseded = older.iter().find(|row| row.superseded_by_id.is_some()).unwrap();
    let again = world.admin.discrepancies_of(&second.id).await;
    let again = again.iter().find(|row| row.id == superseded.superseded_by_id()).unwrap();
    assert_eq!((again.external_uid(), &again.first_seen_at), ("stays", &superseded.first_seen_at));
    assert!(report.evidence.unwrap().target.contains("at most"), "measured by the run before");
}

#[tokio::test]
async fn a_dry_run_supersedes_nothing_r4() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    world.person("ann", "ann@x", "clerk").await;
    let run = world.full_run(&connector, false).await;
    world.full_run(&connector, true).await;
    let found = world.admin.discrepancies_of(&run.id).await;
    assert_eq!(found[0].resolution_status(), pr::ResolutionStatus::Pending);
}
