//! Steering runs: paused, resumed and cancelled in any phase, held up by their connector, taken over; and everything that
//! is refused. Whatever happens on the way, what is found is the same (R6).

use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tonic::Code;
use xavyo_sandbox::slapd::{HOST, Options, Slapd};
use xavyo_tests::{World, refused};
use xavyo_wire::pb::{common, provisioning as pp, reconciliation as pr};

use crate::provisioning::target::directory;
use pr::{PauseReason, ReconciliationRunStatus as Status, RunPhase as Phase};

/// What a run found, whatever its rows are called.
async fn findings(world: &World, run: &str) -> Vec<String> {
    let found = world.admin.discrepancies_of(run).await;
    let text = |one: &pr::Discrepancy| {
        format!("{:?} {} {}", one.discrepancy_type(), one.identity_id(), one.external_uid())
    };
    let mut found: Vec<String> = found.iter().map(text).collect();
    found.sort_unstable();
    found
}

/// Two people without an account and an account without a person, on a connector that takes its time.
async fn three_findings(world: &World) -> String {
    let connector = world.slow_connector(400).await;
    world.person("ann", "ann@x", "clerk").await;
    world.person("bob", "bob@x", "clerk").await;
    world.stray(&connector, "stray", "stray@x", "ghost").await;
    connector
}

#[tokio::test]
async fn a_run_paused_and_resumed_in_each_phase_finds_the_same_r6() {
    let world = World::new().await;
    let connector = three_findings(&world).await;
    let undisturbed = world.full_run(&connector, true).await;
    let expected = findings(&world, &undisturbed.id).await;
    assert_eq!(expected.len(), 3);

    let run = world.admin.start_full(&connector).await.id;
    for phase in [Phase::Prepare, Phase::Read, Phase::Compare] {
        world.admin.run_that(&run, |run| run.phase() >= phase && run.status() == Status::Running).await;
        let paused = world.admin.pause(&run).await.unwrap();
        assert_eq!(
            (paused.status(), paused.pause_reason()),
            (Status::Paused, PauseReason::User),
            "{phase:?}"
        );
        assert_eq!(refused(world.admin.pause(&run).await).reason, "ILLEGAL_MOVE");
        let resumed = world.admin.resume(&run).await.unwrap();
        assert_eq!((resumed.status(), resumed.pause_reason), (Status::Running, None));
    }
    let ended = world.admin.run_ended(&run).await;

    assert_eq!((ended.status(), ended.discrepancies_found), (Status::Completed, 3));
    assert_eq!(findings(&world, &run).await, expected);
}

#[tokio::test]
async fn a_paused_run_keeps_its_connector_and_can_be_cancelled_r5() {
    let world = World::new().await;
    let connector = three_findings(&world).await;
    let run = world.admin.start_full(&connector).await.id;
    world.admin.pause(&run).await.unwrap();
    let second = pr::StartRunRequest {
        connector_id: connector,
        mode: pr::ReconciliationMode::Full.into(),
        ..pr::StartRunRequest::default()
    };
    let refusal = refused(world.admin.runs.clone().start_run(second).await);
    assert_eq!(refusal.named(), (Code::AlreadyExists, "RUN_ACTIVE"));

    let cancelled = world.admin.cancel_run(&run).await.unwrap();

    assert_eq!((cancelled.status(), cancelled.pause_reason), (Status::Cancelled, None));
    assert_eq!(refused(world.admin.resume(&run).await).reason, "ILLEGAL_MOVE");
    assert_eq!(refused(world.admin.pause(&run).await).reason, "ILLEGAL_MOVE");
}

#[tokio::test]
async fn a_run_that_is_not_paused_is_not_resumed() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let run = world.full_run(&connector, false).await.id;
    let refusal = refused(world.admin.resume(&run).await);
    assert_eq!(refusal.named(), (Code::FailedPrecondition, "ILLEGAL_MOVE"));
    assert_eq!(refused(world.admin.resume("x").await).fields, ["run_id"]);
    let stranger = world.another_tenant().await;
    assert_eq!(refused(stranger.admin.resume(&run).await).code, Code::NotFound);
    assert_eq!(refused(stranger.admin.pause(&run).await).code, Code::NotFound);
}

#[tokio::test]
async fn what_an_approval_says_must_fit_together() {
    let world = World::new().await;
    let run_id = world.tenant.to_string();
    for (request, field) in [
        (pr::ResumeRunRequest { approve: true, ..Default::default() }, "plan_digest"),
        (pr::ResumeRunRequest { plan_digest: Some("x".to_owned()), ..Default::default() }, "plan_digest"),
        (pr::ResumeRunRequest { exclude: vec![run_id.clone()], ..Default::default() }, "exclude"),
    ] {
        let refusal = refused(
            world.admin.resume_with(pr::ResumeRunRequest { run_id: run_id.clone(), ..request }).await,
        );
        assert_eq!((refusal.code, refusal.fields), (Code::InvalidArgument, vec![field.to_owned()]));
    }
}

#[tokio::test]
async fn a_target_that_is_down_pauses_the_run_until_it_is_back() {
    let world = World::new().await;
    let connector = world.failing_connector(&[("read", "down", 1)]).await;
    world.person("ann", "ann@x", "clerk").await;
    let run = world.admin.start_full(&connector).await.id;
    let paused = world.admin.run_is(&run, Status::Paused).await;
    assert_eq!(paused.pause_reason(), PauseReason::Connector);
    let ended = world.admin.run_ended(&run).await;
    assert_eq!((ended.status(), ended.discrepancies_found), (Status::Completed, 1));
}

/// A directory that nobody serves, or that takes a call and never says a word.
#[tokio::test]
async fn a_directory_out_of_reach_pauses_the_run_within_the_time_of_a_call() {
    let world = World::new().await;
    let slapd = Slapd::start(&Options::default()).await.unwrap();
    let silent = TcpListener::bind((HOST, 0)).await.unwrap();
    let closed = TcpListener::bind((HOST, 0)).await.unwrap().local_addr().unwrap().port();
    for port in [closed, silent.local_addr().unwrap().port()] {
        let mut request = directory(&slapd, slapd.password());
        request.policies.get_or_insert_default().call_timeout_seconds = 2;
        if let Some(pp::connector_settings::Kind::Ldap(ldap)) =
            request.settings.as_mut().unwrap().kind.as_mut()
        {
            ldap.port = port.into();
        }
        let made = world.admin.connectors.clone().create_connector(request).await.unwrap().into_inner();
        let run = world.admin.start_full(&made.connector.unwrap().id).await.id;
        let began = Instant::now();

        let paused = world.admin.run_is(&run, Status::Paused).await;

        assert_eq!(paused.pause_reason(), PauseReason::Connector);
        assert!(began.elapsed() < Duration::from_secs(15), "{port}: {:?}", began.elapsed());
        world.admin.cancel_run(&run).await.unwrap();
        assert_eq!(world.admin.run_ended(&run).await.status(), Status::Cancelled);
    }
}

#[tokio::test]
async fn a_connector_paused_under_a_run_pauses_it_until_it_is_resumed() {
    let world = World::new().await;
    let connector = three_findings(&world).await;
    let run = world.admin.start_full(&connector).await.id;
    world.admin.run_that(&run, |run| run.phase() == Phase::Read).await;
    let pause = pp::PauseConnectorRequest { connector_id: connector.clone(), ..Default::default() };
    world.admin.connectors.clone().pause_connector(pause).await.unwrap();

    let paused = world.admin.run_is(&run, Status::Paused).await;
    assert_eq!(paused.pause_reason(), PauseReason::Connector);
    assert_eq!(refused(world.admin.resume(&run).await).reason, "CONNECTOR_PAUSED");
    let resume = pp::ResumeConnectorRequest { connector_id: connector };
    world.admin.connectors.clone().resume_connector(resume).await.unwrap();

    let ended = world.admin.run_ended(&run).await;
    assert_eq!((ended.status(), ended.discrepancies_found), (Status::Completed, 3));
}

#[tokio::test]
async fn a_run_whose_process_is_killed_is_taken_over_and_finds_the_same_r6() {
    let world = World::alone().await;
    let connector = three_findings(&world).await;
    let expected = findings(&world, &world.full_run(&connector, true).await.id).await;
    for phase in [Phase::Read, Phase::Compare] {
        let url = world.provisioning_url();
        let mut replica = world.ground().start_reconciliation("2", &url, &[]).await.unwrap();
        let run = world.through(&replica.url()).start_full(&connector).await.id;
        world.admin.run_that(&run, |run| run.phase() >= phase).await;

        replica.kill().unwrap();

        let ended = world.admin.run_ended(&run).await;
        assert_eq!((ended.status(), ended.discrepancies_found), (Status::Completed, 3), "{phase:?}");
        assert_eq!(findings(&world, &run).await, expected, "{phase:?}");
    }
}

/// Killed in the middle of doing what was approved: everything is done, and once (R10).
#[tokio::test]
async fn a_plan_whose_process_is_killed_is_carried_out_once_by_another_r6() {
    let world = World::alone().await;
    let connector = acting_slowly(&world).await;
    let logins: Vec<String> = (0..60).map(|number| format!("p{number}")).collect();
    for login in &logins {
        world.person(login, &format!("{login}@x"), "clerk").await;
    }
    let url = world.provisioning_url();
    let mut replica = world.ground().start_reconciliation("2", &url, &[]).await.unwrap();
    let run = world.through(&replica.url()).start_full(&connector).await.id;
    world.admin.run_that(&run, |run| run.phase() == Phase::Remediate).await;

    replica.kill().unwrap();

    let ended = world.admin.run_ended(&run).await;
    assert_eq!((ended.status(), ended.discrepancies_found), (Status::Completed, 60));
    world.settled(&run).await;
    let mut written = world.writes(&connector).await;
    written.sort_unstable();
    let mut expected: Vec<String> = logins.iter().map(|login| format!("create {login}")).collect();
    expected.sort_unstable();
    assert_eq!(written, expected);
}

/// A connector that makes missing accounts by itself, and takes its time.
async fn acting_slowly(world: &World) -> String {
    let connector = world
        .connector(|request| {
            let create = pp::RemediationPolicy {
                action: common::RemediationAction::Create.into(),
                direction: common::RemediationDirection::XavyoToTarget.into(),
            };
            request.policies.as_mut().unwrap().remediation.insert("missing".to_owned(), create);
            if let Some(pp::connector_settings::Kind::Memory(memory)) =
                request.settings.as_mut().and_then(|settings| settings.kind.as_mut())
            {
                memory.latency_ms = 100;
            }
        })
        .await;
    world.full_run(&connector, false).await;
    connector
}
