//! What runs do by themselves: policies, the guard, and the plan that waits for its approval.

use tonic::Code;
use xavyo_sandbox::keys::Claims;
use xavyo_tests::{Clients, World, refused};
use xavyo_wire::pb::{common, provisioning as pp, reconciliation as pr};

use common::{DiscrepancyType as Type, RemediationAction as Action, RemediationDirection as Direction};
use pr::{PauseReason, ReconciliationRunStatus as Status, ResolutionStatus as Resolution};

fn at_most(count: i64) -> pp::GuardLimit {
    let limit = pp::guard_limit::Limit::AtMost(pp::AtMost { percent: 100.0, count, floor: count });
    pp::GuardLimit { limit: Some(limit) }
}

/// A connector that makes missing accounts and disables orphans by itself, so many a day.
async fn acting(world: &World, most: i64, four_eyes: bool) -> String {
    let policy = |action: Action| pp::RemediationPolicy {
        action: action.into(),
        direction: Direction::XavyoToTarget.into(),
    };
    let connector = world
        .connector(|request| {
            let policies = request.policies.as_mut().unwrap();
            policies.guard = Some(pp::GuardPolicy {
                destructive: Some(at_most(most)),
                constructive: Some(at_most(most)),
                four_eyes,
            });
            policies.remediation.insert("missing".to_owned(), policy(Action::Create));
            policies.remediation.insert("orphan".to_owned(), policy(Action::Update));
        })
        .await;
    world.full_run(&connector, false).await;
    connector
}

async fn people(world: &World, logins: &[&str]) {
    for login in logins {
        world.person(login, &format!("{login}@x"), "clerk").await;
    }
}

/// A run that the guard holds: three accounts are to be made, two may be.
async fn held(world: &World, four_eyes: bool) -> (String, pr::ReconciliationRun) {
    let connector = acting(world, 2, four_eyes).await;
    people(world, &["ann", "bob", "cid"]).await;
    let run = world.admin.start_full(&connector).await.id;
    let paused = world.admin.run_is(&run, Status::Paused).await;
    assert_eq!((paused.pause_reason(), paused.phase()), (PauseReason::Guard, pr::RunPhase::Guard));
    (connector, paused)
}

async fn report(world: &World, run: &str) -> pr::ReconciliationReport {
    let request = pr::GetReportRequest { run_id: run.to_owned() };
    world.admin.runs.clone().get_report(request).await.unwrap().into_inner().report.unwrap()
}

fn another_approver(world: &World) -> Clients {
    let claims = Claims { sub: "somebody else".to_owned(), ..Claims::of(world.tenant, &["approver"]) };
    world.with_token(&world.token(&claims))
}

#[tokio::test]
async fn policies_do_nothing_on_a_first_run_and_what_they_may_on_the_next() {
    let world = World::new().await;
    let policy =
        pp::RemediationPolicy { action: Action::Create.into(), direction: Direction::XavyoToTarget.into() };
    let connector = world
        .connector(|request| {
            request.policies.as_mut().unwrap().remediation.insert("missing".to_owned(), policy);
        })
        .await;
    people(&world, &["ann"]).await;
    let first = world.full_run(&connector, false).await;
    assert_eq!(first.discrepancies_found, 1);
    assert!(world.writes(&connector).await.is_empty());

    let second = world.full_run(&connector, false).await;

    assert_eq!(world.writes(&connector).await, ["create ann"]);
    let found = world.admin.discrepancies_of(&second.id).await;
    assert_eq!(
        (found[0].planned_action(), found[0].resolution_status()),
        (Action::Create, Resolution::Resolved)
    );
    assert!(found[0].remediation.as_ref().unwrap().success);
    assert_eq!(report(&world, &second.id).await.action_summary.unwrap().by_action["create"], 1);
    assert_eq!(world.full_run(&connector, false).await.discrepancies_found, 0, "R11");
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_does_none_of_it_r4() {
    let world = World::new().await;
    let connector = acting(&world, 1, false).await;
    people(&world, &["ann", "bob"]).await;
    world.stray(&connector, "stray", "stray@x", "ghost").await;
    let written = world.writes(&connector).await;

    let run = world.full_run(&connector, true).await;

    assert_eq!(run.status(), Status::Completed, "the guard holds only what would be written");
    let done = report(&world, &run.id).await.action_summary.unwrap();
    assert_eq!((done.total, done.by_action["create"], done.by_action["update"]), (3, 2, 1));
    assert_eq!(world.writes(&connector).await, written);
    let found = world.admin.discrepancies_of(&run.id).await;
    assert!(found.iter().all(|row| row.resolution_status() == Resolution::Pending), "{found:#?}");
}

#[tokio::test]
async fn a_plan_above_the_limit_waits_before_its_first_effect_and_one_at_the_limit_does_not_r3_fault_3() {
    let world = World::new().await;
    let (connector, paused) = held(&world, false).await;
    assert!(world.writes(&connector).await.is_empty());
    assert_eq!(paused.plan_digest().len(), 32);
    let planned = report(&world, &paused.id).await.action_summary.unwrap();
    assert_eq!(planned.by_action["create"], 3, "what waits is shown");
    world.admin.cancel_run(&paused.id).await.unwrap();
    assert!(world.writes(&connector).await.is_empty());

    let other = acting(&world, 3, false).await;
    let run = world.full_run(&other, false).await;
    assert_eq!(run.status(), Status::Completed);
    assert_eq!(world.writes(&other).await.len(), 3);
}

#[tokio::test]
async fn an_approval_is_of_exactly_the_plan_that_waits_by_whom_it_may_be() {
    let world = World::new().await;
    let (connector, paused) = held(&world, false).await;
    let digest = paused.plan_digest();
    let without = refused(world.admin.resume(&paused.id).await);
    assert_eq!(without.named(), (Code::FailedPrecondition, "APPROVAL_REQUIRED"));
    assert_eq!(without.facts["plan_digest"], digest);
    let of_another = refused(world.admin.approve(&paused.id, &"0".repeat(32)).await);
    assert_eq!(of_another.reason, "APPROVAL_REQUIRED");
    let by_operator = refused(world.as_role("operator").approve(&paused.id, digest).await);
    assert_eq!(by_operator.named(), (Code::PermissionDenied, "ROLE_FORBIDS"));
    assert!(world.writes(&connector).await.is_empty());

    world.as_role("approver").approve(&paused.id, digest).await.unwrap();

    let ended = world.admin.run_ended(&paused.id).await;
    assert_eq!((ended.status(), ended.plan_digest()), (Status::Completed, digest));
    assert!(ended.approved_by.is_some());
    assert_eq!(world.writes(&connector).await.len(), 3);
}

#[tokio::test]
async fn what_the_approver_leaves_out_is_not_done() {
    let world = World::new().await;
    let (connector, paused) = held(&world, false).await;
    let found = world.admin.discrepancies_of(&paused.id).await;
    let request = pr::ResumeRunRequest {
        run_id: paused.id.clone(),
        approve: true,
        plan_digest: paused.plan_digest.clone(),
        exclude: vec![found[0].id.clone()],
        ..Default::default()
    };
    let stranger = pr::ResumeRunRequest { exclude: vec![paused.id.clone()], ..request.clone() };
    assert_eq!(refused(world.admin.resume_with(stranger).await).fields, ["exclude[0]"]);

    world.admin.resume_with(request).await.unwrap();

    world.admin.run_ended(&paused.id).await;
    assert_eq!(world.writes(&connector).await.len(), 2);
    let left = world.admin.discrepancies_of(&paused.id).await;
    let open: Vec<&str> = left
        .iter()
        .filter(|row| row.resolution_status() == Resolution::Pending)
        .map(|row| row.id.as_str())
        .collect();
    assert_eq!(open, [found[0].id.as_str()]);
}

#[tokio::test]
async fn where_four_eyes_are_asked_for_the_starter_does_not_approve_fault_3() {
    let world = World::new().await;
    let (connector, paused) = held(&world, true).await;
    let own = refused(world.admin.approve(&paused.id, paused.plan_digest()).await);
    assert_eq!(own.reason, "APPROVAL_REQUIRED");
    assert!(world.writes(&connector).await.is_empty());

    another_approver(&world).approve(&paused.id, paused.plan_digest()).await.unwrap();

    assert_eq!(world.admin.run_ended(&paused.id).await.status(), Status::Completed);
    assert_eq!(world.writes(&connector).await.len(), 3);
}

#[tokio::test]
async fn an_item_of_an_approved_plan_whose_premise_is_gone_is_left_alone_fault_5() {
    let world = World::new().await;
    let (connector, paused) = held(&world, false).await;
    let found = world.admin.discrepancies_of(&paused.id).await;
    let gone = found[1].identity_id();
    let inactivate = pp::InactivateIdentityRequest { identity_id: gone.to_owned(), ..Default::default() };
    world.admin.identities.clone().inactivate_identity(inactivate).await.unwrap();

    world.admin.approve(&paused.id, paused.plan_digest()).await.unwrap();

    assert_eq!(world.admin.run_ended(&paused.id).await.status(), Status::Completed);
    assert_eq!(world.writes(&connector).await.len(), 2);
    let row =
        world.admin.discrepancies_of(&paused.id).await.into_iter().find(|row| row.identity_id() == gone);
    let row = row.unwrap();
    assert_eq!(
        (row.discrepancy_type(), row.resolution_notes().contains("no longer holds")),
        (Type::Missing, true)
    );
}

#[tokio::test]
async fn a_run_of_a_connector_that_only_observes_plans_nothing() {
    let world = World::new().await;
    let connector = acting(&world, 9, false).await;
    people(&world, &["ann"]).await;
    let request = pp::GetConnectorRequest { connector_id: connector.clone() };
    let mut seen =
        world.admin.connectors.clone().get_connector(request).await.unwrap().into_inner().connector.unwrap();
    seen.mode = pp::ConnectorMode::Observe.into();
    let update_mask = Some(xavyo_wire::pb::google::FieldMask { paths: vec!["mode".to_owned()] });
    let update = pp::UpdateConnectorRequest { connector: Some(seen), update_mask, ..Default::default() };
    world.admin.connectors.clone().update_connector(update).await.unwrap();

    let run = world.full_run(&connector, false).await;

    assert_eq!((run.status(), run.discrepancies_found), (Status::Completed, 1));
    let found = world.admin.discrepancies_of(&run.id).await;
    assert_eq!((found[0].planned_action, found[0].resolution_status()), (None, Resolution::Pending));
}
