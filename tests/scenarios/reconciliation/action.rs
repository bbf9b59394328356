//! The audit log of reconciliation: found by any of its filters, and verified.

use std::time::Duration;

use tonic::Code;
use xavyo_tests::{World, refused};
use xavyo_wire::pb::{google::Timestamp, reconciliation as pr};

async fn list(world: &World, request: pr::ListActionsRequest) -> Vec<pr::ReconciliationAction> {
    let listed = world.admin.actions.clone().list_actions(request).await.unwrap();
    listed.into_inner().actions
}

async fn verify(world: &World, request: pr::VerifyActionsRequest) -> pr::VerifyActionsResponse {
    world.admin.actions.clone().verify_actions(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn the_log_is_sealed_soon_and_verifies() {
    let world = World::new().await;
    assert!(verify(&world, pr::VerifyActionsRequest::default()).await.intact, "an empty log");
    let connector = world.connector(|_| {}).await;
    for dry_run in [true, false] {
        world.full_run(&connector, dry_run).await;
    }
    let sealed = async {
        loop {
            let verdict = verify(&world, pr::VerifyActionsRequest::default()).await;
            if verdict.unsealed == 0 {
                return verdict;
            }
            tokio::task::yield_now().await;
        }
    };
    let verdict = tokio::time::timeout(Duration::from_secs(20), sealed).await.unwrap();
    assert_eq!((verdict.intact, verdict.verified, verdict.first_broken_id), (true, 2, None));

    let actions = list(&world, pr::ListActionsRequest::default()).await;
    let [newer, older] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(newer.previous_hash, older.hash);
    assert_eq!(older.previous_hash, Some(vec![0; 32]));
    let only_newer = pr::VerifyActionsRequest { from: newer.performed_at, until: None };
    assert_eq!(verify(&world, only_newer).await.verified, 1);
}

#[tokio::test]
async fn every_filter_narrows_the_list() {
    let world = World::new().await;
    let [one, other] = [world.connector(|_| {}).await, world.connector(|_| {}).await];
    let run = world.full_run(&one, true).await;
    let later = world.full_run(&other, false).await;
    let all = list(&world, pr::ListActionsRequest::default()).await;
    let base = pr::ListActionsRequest::default;
    for (request, expected) in [
        (base(), 2),
        (pr::ListActionsRequest { connector_id: Some(one), ..base() }, 1),
        (pr::ListActionsRequest { run_id: Some(run.id.clone()), ..base() }, 1),
        (pr::ListActionsRequest { run_id: Some(world.tenant.to_string()), ..base() }, 0),
        (pr::ListActionsRequest { performed_by: Some(run.created_by), ..base() }, 2),
        (pr::ListActionsRequest { performed_by: Some(world.tenant.to_string()), ..base() }, 0),
        (pr::ListActionsRequest { action_type: Some("run_started".to_owned()), ..base() }, 2),
        (pr::ListActionsRequest { action_type: Some("ignore".to_owned()), ..base() }, 0),
        (pr::ListActionsRequest { result: Some("success".to_owned()), ..base() }, 2),
        (pr::ListActionsRequest { result: Some("skipped".to_owned()), ..base() }, 0),
        (pr::ListActionsRequest { dry_run: Some(true), ..base() }, 1),
        (pr::ListActionsRequest { from: all[0].performed_at, ..base() }, 1),
        (pr::ListActionsRequest { until: all[0].performed_at, ..base() }, 1),
    ] {
        assert_eq!(list(&world, request.clone()).await.len(), expected, "{request:?}");
    }
    assert_eq!(all[0].run_id, Some(later.id));
}

#[tokio::test]
async fn shapeless_filters_and_ranges_are_refused() {
    let world = World::new().await;
    let mut actions = world.admin.actions.clone();
    let unknown = pr::ListActionsRequest { result: Some("great".to_owned()), ..Default::default() };
    assert_eq!(refused(actions.list_actions(unknown).await).fields, ["result"]);
    let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
    let inverted = pr::VerifyActionsRequest { from: at(2), until: at(1) };
    let refusal = refused(actions.verify_actions(inverted).await);
    assert_eq!((refusal.code, refusal.fields), (Code::InvalidArgument, vec!["from".to_owned()]));
    let timeless = pr::VerifyActionsRequest { from: at(i64::MAX), until: None };
    assert_eq!(refused(actions.verify_actions(timeless).await).fields, ["from"]);
}
