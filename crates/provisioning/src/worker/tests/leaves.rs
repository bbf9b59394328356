//! Deletes and disables wait for nobody but the guard.

use xavyo_core::{Reason, change::ACCOUNT_STATE};

use super::*;

impl Bench {
    fn disable_of(&self, uid: &str) -> CreateOperation {
        self.command(OperationType::Update, uid, set(ACCOUNT_STATE, "disabled"))
    }

    /// Ann's account, and an update of it that the target refuses once.
    async fn with_dead_letter() -> (Self, OperationId) {
        let bench = Self::failing(&[("update", "refused", 1)]).await;
        bench.create("ann").await;
        bench.drain().await;
        let dead = bench.update("ann", "1@x").await;
        bench.drain().await;
        assert_eq!(bench.status(dead).await, OperationStatus::DeadLetter);
        (bench, dead)
    }

    async fn of_identity(&self, kind: OperationType) -> OperationId {
        let identity = self.identity("ann", "ann@x").await;
        let command = self.command(kind, "ann", Changes::new());
        self.accept(CreateOperation { identity_id: Some(identity), ..command }).await
    }

    async fn delete_behind(&self, create: OperationId) -> OperationId {
        let create = self.get(create).await;
        let delete = self.command(OperationType::Delete, "ann", Changes::new());
        self.accept(CreateOperation { identity_id: create.identity_id, ..delete }).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_ends_what_is_ahead_and_overtakes_a_dead_letter() {
    let (bench, dead) = Bench::with_dead_letter().await;
    let pending = bench.accept(bench.command(OperationType::Update, "ann", set("title", "clerk"))).await;
    assert_eq!(bench.get(pending).await.blocked_by, Some(dead));
    let delete = bench.accept(bench.delete_of("ann", bench.immutable_id("ann"))).await;

    bench.drain().await;

    assert_eq!(bench.status(delete).await, OperationStatus::Completed);
    let ended = bench.get(pending).await;
    assert_eq!(ended.status, OperationStatus::Cancelled);
    assert_eq!(ended.resolution_notes, Some(format!("superseded by {delete}")));
    let stands = bench.get(dead).await;
    assert_eq!((stands.status, stands.overtaken), (OperationStatus::DeadLetter, true));
    let refused = bench.operations.retry(&bench.caller, &Bench::change(dead, None)).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Overtaken, "days later it would write what is gone (fault 15)");
    bench.operations.resolve(&bench.caller, &Bench::change(dead, Some("gone"))).await.unwrap();
    assert_eq!(bench.writes().last().unwrap(), "delete:ann");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disable_goes_past_a_dead_letter_and_takes_along_what_can_run_q7() {
    let (bench, dead) = Bench::with_dead_letter().await;
    let title = set("title", "clerk");
    let along = bench.accept(bench.command(OperationType::Update, "ann", title)).await;
    let disable = bench.accept(bench.disable_of("ann")).await;

    bench.drain().await;

    for id in [along, disable] {
        assert_eq!(bench.status(id).await, OperationStatus::Completed);
    }
    let passed = bench.get(dead).await;
    assert_eq!(passed.status, OperationStatus::DeadLetter);
    assert!(passed.sequence > bench.get(disable).await.sequence, "it comes behind now");
    bench.operations.retry(&bench.caller, &Bench::change(dead, None)).await.unwrap();
    bench.drain().await;
    assert_eq!(bench.status(dead).await, OperationStatus::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_would_enable_the_account_again_is_overtaken_by_a_disable() {
    let bench = Bench::failing(&[("update", "refused", 1)]).await;
    bench.create("ann").await;
    bench.drain().await;
    let enable = bench.command(OperationType::Update, "ann", set(ACCOUNT_STATE, "enabled"));
    let enable = bench.accept(enable).await;
    bench.drain().await;
    let disable = bench.accept(bench.disable_of("ann")).await;
    bench.drain().await;
    assert_eq!(bench.status(disable).await, OperationStatus::Completed);
    assert!(bench.get(enable).await.overtaken);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_was_never_sent_is_cancelled_by_a_delete() {
    let bench = Bench::new().await;
    let create = bench.of_identity(OperationType::Create).await;
    let delete = bench.delete_behind(create).await;
    bench.drain().await;
    assert_eq!(bench.path(create).await, "pending cancelled");
    assert_eq!(bench.status(delete).await, OperationStatus::Completed);
    assert!(bench.writes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_whose_outcome_is_unknown_is_read_back_at_once_and_its_account_deleted_q5() {
    let bench = Bench::failing(&[("create", "unknown_after", 1)]).await;
    let create = bench.of_identity(OperationType::Create).await;
    bench.drain().await;
    assert_eq!(bench.status(create).await, OperationStatus::Failed);
    let delete = bench.delete_behind(create).await;

    bench.drain().await;

    assert_eq!(bench.status(create).await, OperationStatus::Completed, "found, though its retry was not due");
    assert_eq!(bench.status(delete).await, OperationStatus::Completed);
    assert_eq!(bench.writes(), ["create:ann", "delete:ann"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_was_lost_on_its_way_is_not_sent_again_before_a_delete() {
    let bench = Bench::new().await;
    let create = bench.of_identity(OperationType::Create).await;
    let dying = bench.another_engine().await;
    bench.claim(&dying).await;
    let delete = bench.delete_behind(create).await;
    assert_eq!(
        bench.status(create).await,
        OperationStatus::InProgress,
        "what is in hand is left to its worker"
    );
    bench.kill(&dying).await;
    bench.take_over().await;
    bench.drain().await;
    assert_eq!(bench.path(create).await, "pending in_progress pending in_progress cancelled");
    assert_eq!(bench.status(delete).await, OperationStatus::Completed);
    assert!(bench.writes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_create_of_unknown_outcome_is_revived_to_be_read_back_alone() {
    let bench = Bench::failing(&[("create", "unknown_after", 1)]).await;
    let identity = bench.identity("ann", "ann@x").await;
    let create = CreateOperation {
        identity_id: Some(identity),
        max_retries: Some(0),
        ..bench.command(OperationType::Create, "ann", Changes::new())
    };
    let create = bench.accept(create).await;
    bench.drain().await;
    assert_eq!(bench.status(create).await, OperationStatus::DeadLetter);
    bench.delete_behind(create).await;
    bench.drain().await;
    assert_eq!(
        bench.path(create).await,
        "pending in_progress failed dead_letter pending in_progress completed"
    );
    assert_eq!(bench.writes(), ["create:ann", "delete:ann"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_ahead_of_a_delete_that_waits_already_is_superseded_too() {
    let bench = Bench::failing(&[("update", "busy", 1)]).await;
    bench.create("ann").await;
    bench.drain().await;
    let update = bench.update("ann", "1@x").await;
    let claims = bench.claim(&bench.engine).await;
    let delete = bench.accept(bench.delete_of("ann", bench.immutable_id("ann"))).await;
    let executed = bench.call(&bench.engine, claims).await;
    bench.record(&bench.engine, &executed).await;
    assert_eq!(bench.path(update).await, "pending in_progress failed cancelled");
    bench.drain().await;
    assert_eq!(bench.status(delete).await, OperationStatus::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disable_behind_what_fails_in_hand_goes_past_it_and_before_what_follows() {
    let bench = Bench::failing(&[("update", "busy", 1)]).await;
    bench.create("ann").await;
    bench.drain().await;
    let update = bench.update("ann", "1@x").await;
    let claims = bench.claim(&bench.engine).await;
    let disable = bench.accept(bench.disable_of("ann")).await;
    let after = bench.accept(bench.command(OperationType::Update, "ann", set("title", "clerk"))).await;
    let executed = bench.call(&bench.engine, claims).await;
    bench.record(&bench.engine, &executed).await;
    let mut places = Vec::new();
    for id in [disable, update, after] {
        places.push(bench.get(id).await.sequence);
    }
    assert!(places.is_sorted(), "{places:?}");
    bench.drain().await;
    assert_eq!(bench.status(disable).await, OperationStatus::Completed);
    assert_eq!(bench.status(update).await, OperationStatus::Failed);
}
