//! Whatever happens to a delta on its way, it starts from the same marks again and finds the same (R6). It acts as a full run
//! does.

use std::time::Duration;

use xavyo_sandbox::proxy::Rules;
use xavyo_wire::pb::common;

use super::*;
use pr::RunPhase as Phase;

/// Staff behind a slow network, with a changed account, a deleted one, a changed person, somebody new, and an account without
/// a person.
async fn drifted(world: World) -> Staff {
    let mut staff = Staff::in_world(world, &["ann", "bob", "cid", "dan"], |_| {}).await;
    staff.join("stray", "stray@x").await;
    staff.full().await;
    staff.retitle("ann", "chief").await;
    staff.delete("bob").await;
    staff.retitle_person("cid", "boss").await;
    staff.person("eve").await;
    staff.network.set(Rules::slow(Duration::from_millis(60)));
    staff
}

const FOUND: [&str; 5] =
    ["Deleted uid=bob", "Mismatch uid=ann title", "Mismatch uid=cid title", "Missing", "Orphan uid=stray"];

#[tokio::test]
async fn a_delta_paused_and_resumed_in_each_phase_finds_the_same_r6() {
    let staff = Box::pin(drifted(World::new().await)).await;
    let run = staff.world.admin.start_delta(&staff.connector, false).await.id;
    for phase in [Phase::Prepare, Phase::Read, Phase::Compare] {
        staff.world.admin.run_that(&run, |run| run.phase() >= phase && run.status() == Status::Running).await;
        assert_eq!(staff.world.admin.pause(&run).await.unwrap().status(), Status::Paused, "{phase:?}");
        staff.world.admin.resume(&run).await.unwrap();
    }
    let ended = staff.world.admin.run_ended(&run).await;

    was_delta(&ended, 4);
    assert_eq!(findings(&staff.world, &ended).await, FOUND);
    staff.network.heal();
    was_delta(&staff.delta().await, 1);
}

#[tokio::test]
async fn a_cancelled_delta_leaves_the_marks_where_they_are() {
    let staff = Box::pin(drifted(World::new().await)).await;
    let run = staff.world.admin.start_delta(&staff.connector, false).await.id;
    staff.world.admin.run_that(&run, |run| run.phase() >= Phase::Compare).await;
    staff.world.admin.cancel_run(&run).await.unwrap();
    assert_eq!(staff.world.admin.run_ended(&run).await.status(), Status::Cancelled);
    staff.network.heal();

    let delta = staff.delta().await;

    was_delta(&delta, 4);
    assert_eq!(findings(&staff.world, &delta).await, FOUND);
}

#[tokio::test]
async fn a_delta_whose_process_is_killed_is_taken_over_and_finds_the_same_r6() {
    for phase in [Phase::Read, Phase::Compare] {
        let staff = Box::pin(drifted(World::alone().await)).await;
        let url = staff.world.provisioning_url();
        let mut replica = staff.world.ground().start_reconciliation("2", &url, &[]).await.unwrap();
        let run = staff.world.through(&replica.url()).start_delta(&staff.connector, false).await.id;
        staff.world.admin.run_that(&run, |run| run.phase() >= phase).await;

        replica.kill().unwrap();

        let ended = staff.world.admin.run_ended(&run).await;
        was_delta(&ended, 4);
        assert_eq!(findings(&staff.world, &ended).await, FOUND, "{phase:?}");
    }
}

/// It differed in the index, and something was under way when it was asked again.
#[tokio::test]
async fn what_turned_out_to_be_in_flight_is_the_next_deltas_to_judge() {
    let staff = Staff::in_world(World::new().await, &["ann", "bob"], |_| {}).await;
    staff.retitle("ann", "chief").await;
    staff.network.set(Rules::slow(Duration::from_millis(150)));
    let run = staff.world.admin.start_full(&staff.connector).await.id;
    staff.world.admin.run_that(&run, |run| run.phase() == Phase::Read).await;
    let operation = staff.operation_later("ann").await;
    let full = staff.world.admin.run_ended(&run).await;
    let (_, report) = evidence(&staff.world, &full).await;
    assert_eq!((full.discrepancies_found, report.set_apart.unwrap().in_flight), (0, 1), "{full:?}");
    staff.network.heal();
    let cancel = pp::CancelOperationRequest { operation_id: operation, ..Default::default() };
    staff.world.admin.operations.clone().cancel_operation(cancel).await.unwrap();

    let delta = staff.delta().await;

    was_delta(&delta, 1);
    assert_eq!(findings(&staff.world, &delta).await, ["Mismatch uid=ann title"]);
}

#[tokio::test]
async fn policies_act_on_what_a_delta_finds() {
    let mut staff = Staff::in_world(World::new().await, &["ann"], |request| {
        let create = pp::RemediationPolicy {
            action: common::RemediationAction::Create.into(),
            direction: common::RemediationDirection::XavyoToTarget.into(),
        };
        request.policies.as_mut().unwrap().remediation.insert("missing".to_owned(), create);
    })
    .await;
    staff.full().await;
    staff.person("eve").await;

    let delta = staff.delta().await;

    was_delta(&delta, 0);
    assert_eq!(findings(&staff.world, &delta).await, ["Missing"]);
    staff.world.settled(&delta.id).await;
    let next = staff.delta().await;
    was_delta(&next, 1);
    assert!(findings(&staff.world, &next).await.is_empty(), "eve has her account");
}
