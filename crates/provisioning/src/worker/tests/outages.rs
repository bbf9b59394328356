//! Targets that are down, and unknown outcomes.

use xavyo_core::operation::HoldReason;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_uses_no_retry_and_ends_with_a_probe_q12() {
    let bench = Bench::failing(&[("create", "down", 1)]).await;
    let id = bench.create("ann").await;
    bench.drain().await;
    let waiting = bench.get(id).await;
    assert_eq!((waiting.status, waiting.retry_count), (OperationStatus::AwaitingSystem, 0));
    let statistics = bench.operations.statistics(&bench.caller, None).await.unwrap();
    assert_eq!((statistics.awaiting_system, statistics.waiting_for_target), (1, 1));
    let filter = crate::store::operation::list::Filter {
        statuses: vec![OperationStatus::DeadLetter, OperationStatus::AwaitingSystem],
        ..Default::default()
    };
    assert_eq!(bench.operations.list(&bench.caller, &filter, None, 10).await.unwrap().len(), 1);
    bench.wait(60);
    assert_eq!(bench.engine.probe_step().await.unwrap(), 1);
    bench.drain().await;
    assert_eq!(bench.path(id).await, "pending in_progress awaiting_system pending in_progress completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_credentials_stop_the_connector_at_the_first_refusal() {
    let bench = Bench::failing(&[("create", "bad_credentials", 9)]).await;
    let ids = [bench.create("ann").await, bench.create("bob").await];
    bench.drain().await;
    let statuses = [bench.status(ids[0]).await, bench.status(ids[1]).await];
    assert!(
        statuses.contains(&OperationStatus::AwaitingSystem),
        "either may have been called first: {statuses:?}"
    );
    assert!(bench.engine.open(bench.pair).await.unwrap().is_none(), "nothing more is claimed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_whose_answer_was_lost_is_found_not_repeated_q5_fault_17() {
    let bench = Bench::failing(&[("create", "unknown_after", 1)]).await;
    let id = bench.create("ann").await;
    bench.drain().await;
    assert!(bench.get(id).await.outcome_unknown);
    bench.wait(60);
    bench.drain().await;
    assert_eq!(bench.status(id).await, OperationStatus::Completed);
    assert_eq!(bench.writes(), ["create:ann"], "one object, one write");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_never_arrived_is_repeated_q5() {
    let bench = Bench::failing(&[("create", "unknown_before", 1)]).await;
    let id = bench.create("ann").await;
    bench.drain().await;
    bench.wait(60);
    bench.drain().await;
    assert_eq!(bench.status(id).await, OperationStatus::Completed);
    assert_eq!(bench.writes(), ["create:ann", "create:ann"], "the first one had no effect");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_whose_answer_was_lost_is_read_back_q8() {
    let bench = Bench::failing(&[("update", "unknown_after", 1)]).await;
    bench.create("ann").await;
    let id = bench.update("ann", "new@x").await;
    bench.drain().await;
    bench.wait(60);
    bench.drain().await;
    assert_eq!(bench.status(id).await, OperationStatus::Completed);
    assert_eq!(bench.writes(), ["create:ann", "update:ann"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_of_an_account_that_is_gone_completes_without_an_owner() {
    let bench = Bench::new().await;
    let id = bench.update("ghost", "g@x").await;
    bench.drain().await;
    let operation = bench.get(id).await;
    assert_eq!((operation.status, operation.hold_reason), (OperationStatus::Completed, None::<HoldReason>));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_finds_the_target_down_releases_nothing() {
    let bench = Bench::failing(&[("create", "down", 1), ("get", "down", 1)]).await;
    let id = bench.create("ann").await;
    bench.drain().await;
    bench.wait(60);
    bench.engine.probe_step().await.unwrap();
    assert_eq!(bench.status(id).await, OperationStatus::AwaitingSystem, "the probe met the outage");
    bench.wait(60);
    bench.engine.probe_step().await.unwrap();
    bench.drain().await;
    assert_eq!(bench.status(id).await, OperationStatus::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_right_after_it_recorded_an_outage_strands_nothing_q10() {
    let bench = Bench::failing(&[("create", "down", 1)]).await;
    let id = bench.create("ann").await;
    let dying = bench.another_engine().await;
    let claims = bench.claim(&dying).await;
    let executed = bench.call(&dying, claims).await;
    bench.record(&dying, &executed).await;
    bench.kill(&dying).await;
    bench.wait(60);
    assert_eq!(bench.engine.probe_step().await.unwrap(), 1, "the outage is known");
    bench.drain().await;
    assert_eq!(bench.status(id).await, OperationStatus::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_met_bad_credentials_runs_again_when_its_connector_is_resumed_q10() {
    let bench = Bench::failing(&[("create", "bad_credentials", 1)]).await;
    let id = bench.create("ann").await;
    bench.drain().await;
    let tenant = bench.pair.tenant;
    let mut tx = bench.engine.database.begin(tenant).await.unwrap();
    let paused = connector::lock(&mut tx, tenant, bench.pair.connector).await.unwrap();
    let resumed = Connector { paused: false, pause_reason: None, ..paused };
    connector::save(&mut tx, tenant, &resumed).await.unwrap();
    db::commit(tx).await.unwrap();
    bench.wait(60);
    bench.engine.probe_step().await.unwrap();
    bench.drain().await;
    assert_eq!(bench.status(id).await, OperationStatus::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_teaches_nothing_about_an_earlier_unknown_outcome_q5() {
    let bench = Bench::failing(&[("create", "unknown_after", 1), ("get", "refused", 1)]).await;
    let id = bench.create("ann").await;
    bench.drain().await;
    bench.wait(60);
    bench.drain().await;
    assert_eq!(bench.status(id).await, OperationStatus::DeadLetter);
    bench.operations.retry(&bench.caller, &Bench::change(id, None)).await.unwrap();
    bench.drain().await;
    assert_eq!(bench.status(id).await, OperationStatus::Completed);
    assert_eq!(bench.writes(), ["create:ann"]);
}
