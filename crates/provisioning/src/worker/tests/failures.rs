//! Failures of the target that answers: retry, dead letter, what stands behind one.

use xavyo_core::{Reason, connector::OnDeadLetter};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_target_is_tried_again_when_the_pause_is_over() {
    let bench = Bench::failing(&[("create", "busy", 1)]).await;
    let id = bench.create("ann").await;
    bench.drain().await;
    let failed = bench.get(id).await;
    assert_eq!((failed.status, failed.retry_count), (OperationStatus::Failed, 1));
    bench.drain().await;
    assert_eq!(bench.writes().len(), 1, "not before its time");
    bench.wait(60);
    bench.drain().await;
    assert_eq!(bench.path(id).await, "pending in_progress failed pending in_progress completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn exhausted_retries_make_a_dead_letter_q12() {
    let bench = Bench::failing(&[("create", "busy", 9)]).await;
    let command = CreateOperation {
        max_retries: Some(1),
        ..bench.command(OperationType::Create, "ann", Changes::new())
    };
    let id = bench.accept(command).await;
    bench.drain().await;
    bench.wait(60);
    bench.drain().await;
    assert_eq!(bench.path(id).await, "pending in_progress failed pending in_progress failed dead_letter");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_holds_its_account_until_it_is_resolved() {
    let bench = Bench::failing(&[("create", "refused", 1)]).await;
    let dead = bench.create("ann").await;
    bench.drain().await;
    let behind = bench.create("ann").await;
    bench.drain().await;
    assert_eq!(bench.status(dead).await, OperationStatus::DeadLetter);
    assert_eq!(bench.get(behind).await.blocked_by, Some(dead));
    let resolve = Bench::change(dead, Some("made by hand"));
    let resolved = bench.operations.resolve(&bench.caller, &resolve).await.unwrap();
    assert_eq!(resolved.resolution_notes.as_deref(), Some("made by hand"));
    bench.drain().await;
    assert_eq!(bench.status(behind).await, OperationStatus::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_may_let_followers_pass_a_dead_letter() {
    let faults = vec![MemoryFault { call: "create".into(), kind: "refused".into(), times: 1 }];
    let settings = MemorySettings { faults, ..MemorySettings::default() };
    let bench =
        Bench::with(settings, |connector| connector.policies.on_dead_letter = OnDeadLetter::Continue).await;
    bench.create("ann").await;
    bench.drain().await;
    let behind = bench.create("ann").await;
    bench.drain().await;
    assert_eq!(bench.status(behind).await, OperationStatus::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retried_dead_letter_has_all_its_retries_again() {
    let bench = Bench::failing(&[("create", "refused", 1)]).await;
    let id = bench.create("ann").await;
    bench.drain().await;
    let retried = bench.operations.retry(&bench.caller, &Bench::change(id, None)).await.unwrap();
    assert_eq!((retried.status, retried.retry_count), (OperationStatus::Pending, 0));
    bench.drain().await;
    assert_eq!(bench.status(id).await, OperationStatus::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_operation_is_never_sent_q9() {
    let bench = Bench::new().await;
    let id = bench.create("ann").await;
    bench.operations.cancel(&bench.caller, &Bench::change(id, Some("mistaken"))).await.unwrap();
    bench.drain().await;
    assert_eq!((bench.status(id).await, bench.writes().len()), (OperationStatus::Cancelled, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_has_claimed_cannot_be_cancelled() {
    let bench = Bench::new().await;
    let id = bench.create("ann").await;
    bench.claim(&bench.engine).await;
    let refused = bench.operations.cancel(&bench.caller, &Bench::change(id, None)).await.unwrap_err();
    assert_eq!(refused.reason, Reason::IllegalMove);
    assert!(refused.facts.contains(&("from", "in_progress".to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_adopts_the_account_that_is_provably_its_identitys_fault_8() {
    let bench = Bench::new().await;
    bench.create("ann").await;
    bench.drain().await;
    let ann = bench.identity("ann", "ann@x").await;
    let adopting = CreateOperation {
        identity_id: Some(ann),
        ..bench.command(OperationType::Create, "ann", Changes::new())
    };
    let id = bench.accept(adopting).await;
    bench.drain().await;
    assert_eq!(bench.status(id).await, OperationStatus::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_meets_a_foreign_account_waits_for_a_person_fault_8() {
    let bench = Bench::new().await;
    bench.create("ann").await;
    bench.drain().await;
    let other = bench.identity("ann", "someone.else@x").await;
    let command = CreateOperation {
        identity_id: Some(other),
        ..bench.command(OperationType::Create, "ann", Changes::new())
    };
    let id = bench.accept(command).await;
    bench.drain().await;
    let held = bench.get(id).await;
    assert_eq!(held.status, OperationStatus::Pending);
    assert!(held.conflict_id.is_some() && held.hold_reason.is_some());
    assert_eq!(bench.path(id).await, "pending in_progress pending");
}
