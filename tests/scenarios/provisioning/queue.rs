//! The queue: what people may do to an operation in each of its states, and what follows from it.

use tonic::{Code, Status};
use xavyo_tests::{World, refused, set, update_of};
use xavyo_wire::pb::{
    google::Timestamp,
    provisioning::{self as pp, OperationStatus},
};

#[derive(Clone, Copy, Debug)]
enum Move {
    Cancel,
    Retry,
    Resolve,
}

impl Move {
    const ALL: [Self; 3] = [Self::Cancel, Self::Retry, Self::Resolve];

    /// Its name in the state table.
    fn event(self) -> &'static str {
        match self {
            Self::Cancel => "cancelled",
            Self::Retry => "retried",
            Self::Resolve => "resolved_by_person",
        }
    }
}

/// The move, with an etag that may be empty.
async fn make(world: &World, id: &str, made: Move, etag: &str) -> Result<pp::ProvisioningOperation, Status> {
    let mut operations = world.admin.operations.clone();
    let (operation_id, etag) = (id.to_owned(), etag.to_owned());
    let after = match made {
        Move::Cancel => {
            let request = pp::CancelOperationRequest { operation_id, etag, reason: None };
            operations.cancel_operation(request).await?.into_inner().operation
        }
        Move::Retry => {
            let request = pp::RetryOperationRequest { operation_id, etag };
            operations.retry_operation(request).await?.into_inner().operation
        }
        Move::Resolve => {
            let resolution_notes = "by hand".to_owned();
            let request = pp::ResolveOperationRequest { operation_id, etag, resolution_notes };
            operations.resolve_operation(request).await?.into_inner().operation
        }
    };
    Ok(after.unwrap())
}

fn later(connector: &str, uid: &str) -> pp::CreateOperationRequest {
    pp::CreateOperationRequest {
        not_before: Some(Timestamp { seconds: 4_000_000_000, nanos: 0 }),
        ..update_of(connector, uid, "a@x")
    }
}

/// Every move but these is refused, and the refusal names state and event.
async fn takes_only(world: &World, id: &str, state: &str, legal: &[&str]) {
    for made in Move::ALL {
        if legal.contains(&made.event()) {
            continue;
        }
        let refusal = refused(make(world, id, made, "").await);
        assert_eq!(refusal.named(), (Code::FailedPrecondition, "ILLEGAL_MOVE"), "{made:?} from {state}");
        assert_eq!((refusal.facts["from"].as_str(), refusal.facts["event"].as_str()), (state, made.event()));
    }
}

/// A new operation on a connector with that fault, once it is in that state.
async fn brought_to(world: &World, fault: (&str, &str), status: OperationStatus) -> String {
    let connector = world.failing_connector(&[(fault.0, fault.1, 1_000)]).await;
    let id = world.admin.accept(update_of(&connector, "ann", "a@x")).await;
    world.admin.reaches(&id, status).await;
    id
}

#[tokio::test]
async fn a_pending_operation_can_only_be_cancelled_and_then_takes_no_move_q2_q9() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let id = world.admin.accept(later(&connector, "ann")).await;
    takes_only(&world, &id, "pending", &["cancelled"]).await;
    assert_eq!(make(&world, &id, Move::Cancel, "").await.unwrap().status(), OperationStatus::Cancelled);
    takes_only(&world, &id, "cancelled", &[]).await;
    let request = pp::ListExecutionAttemptsRequest { operation_id: id, ..Default::default() };
    let attempts = world.admin.operations.clone().list_execution_attempts(request).await.unwrap();
    assert!(attempts.into_inner().attempts.is_empty(), "it was never sent");
    assert!(world.writes(&connector).await.is_empty());
}

#[tokio::test]
async fn an_operation_under_way_takes_no_move_q2() {
    let world = World::new().await;
    let connector = world
        .connector(|request| {
            if let Some(pp::connector_settings::Kind::Memory(memory)) =
                request.settings.as_mut().and_then(|settings| settings.kind.as_mut())
            {
                memory.latency_ms = 1_500;
            }
        })
        .await;
    let id = world.admin.accept(update_of(&connector, "ann", "a@x")).await;
    world.admin.claimed(&id).await;
    takes_only(&world, &id, "in_progress", &[]).await;
}

#[tokio::test]
async fn a_failed_operation_is_retried_at_once_or_cancelled_q2() {
    let world = World::new().await;
    let id = brought_to(&world, ("update", "busy"), OperationStatus::Failed).await;
    takes_only(&world, &id, "failed", &["cancelled", "retried"]).await;
    let before = world.admin.operation(&id).await.unwrap();
    assert!(before.next_attempt_at.is_some() && before.retry_count == 1, "{before:?}");
    assert_eq!(make(&world, &id, Move::Retry, "").await.unwrap().status(), OperationStatus::Pending);
    let again = world.admin.reaches(&id, OperationStatus::Failed).await;
    assert_eq!(again.retry_count, 2);
    assert_eq!(make(&world, &id, Move::Cancel, "").await.unwrap().status(), OperationStatus::Cancelled);
}

#[tokio::test]
async fn an_operation_that_waits_for_its_target_can_only_be_cancelled_q2_q12() {
    let world = World::new().await;
    let id = brought_to(&world, ("any", "down"), OperationStatus::AwaitingSystem).await;
    takes_only(&world, &id, "awaiting_system", &["cancelled"]).await;
    let after = make(&world, &id, Move::Cancel, "").await.unwrap();
    assert_eq!((after.status(), after.retry_count), (OperationStatus::Cancelled, 0));
}

#[tokio::test]
async fn a_dead_letter_is_retried_from_the_start_or_resolved_for_good_q2() {
    let world = World::new().await;
    let id = brought_to(&world, ("update", "refused"), OperationStatus::DeadLetter).await;
    takes_only(&world, &id, "dead_letter", &["retried", "resolved_by_person"]).await;
    let retried = make(&world, &id, Move::Retry, "").await.unwrap();
    assert_eq!((retried.status(), retried.retry_count), (OperationStatus::Pending, 0));
    world.admin.reaches(&id, OperationStatus::DeadLetter).await;
    let resolved = make(&world, &id, Move::Resolve, "").await.unwrap();
    assert_eq!(resolved.status(), OperationStatus::Resolved);
    assert_eq!(resolved.resolution_notes.as_deref(), Some("by hand"));
    takes_only(&world, &id, "resolved", &[]).await;
}

#[tokio::test]
async fn a_completed_operation_takes_no_move_q2() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let id = world.admin.accept(update_of(&connector, "ann", "a@x")).await;
    world.admin.ended(&id).await;
    takes_only(&world, &id, "completed", &[]).await;
}

#[tokio::test]
async fn a_stale_etag_moves_nothing() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let id = world.admin.accept(later(&connector, "ann")).await;
    let etag = world.admin.operation(&id).await.unwrap().etag;
    for stale in ["0", "nonsense"] {
        let refusal = refused(make(&world, &id, Move::Cancel, stale).await);
        assert_eq!(refusal.named(), (Code::Aborted, "ETAG_MISMATCH"));
    }
    assert_eq!(make(&world, &id, Move::Cancel, &etag).await.unwrap().status(), OperationStatus::Cancelled);
}

#[tokio::test]
async fn a_repeated_request_is_one_operation_and_another_body_is_refused_q1() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let request_id = Some(world.tenant.to_string());
    let request = pp::CreateOperationRequest { request_id, ..update_of(&connector, "ann", "a@x") };
    let first = world.admin.accept(request.clone()).await;
    world.admin.ended(&first).await;
    let mut operations = world.admin.operations.clone();
    let again = operations.create_operation(request.clone()).await.unwrap().into_inner().operation.unwrap();
    assert_eq!((again.id, again.status), (first, OperationStatus::Completed.into()), "as it is now");
    let other = pp::CreateOperationRequest { priority: Some(99), ..request };
    let refusal = refused(operations.create_operation(other).await);
    assert_eq!(refusal.named(), (Code::AlreadyExists, "REQUEST_ID_REUSED"));
}

#[tokio::test]
async fn operations_of_an_account_run_in_the_order_of_their_batch_q3_q7() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let of = |kind: pp::OperationType, payload| pp::CreateOperationRequest {
        operation_type: kind.into(),
        payload: Some(payload),
        ..update_of(&connector, "ann", "")
    };
    let operations = vec![
        of(pp::OperationType::Create, set(&[("mail", "a@x")])),
        of(pp::OperationType::Update, set(&[("title", "clerk")])),
        of(pp::OperationType::Update, set(&[("mail", "b@x"), ("account_state", "disabled")])),
    ];
    let batch = pp::BatchCreateOperationsRequest { operations, request_id: None };
    let made = world.admin.operations.clone().batch_create_operations(batch).await.unwrap().into_inner();
    assert!(made.operations.iter().all(|one| one.lane_id == made.operations[0].lane_id));
    assert!(made.operations.is_sorted_by(|a, b| a.sequence < b.sequence));
    for one in &made.operations {
        world.admin.ended(&one.id).await;
    }
    assert_eq!(world.writes(&connector).await, ["create ann", "update ann", "update ann"]);
}

#[tokio::test]
async fn batches_have_bounds_and_one_request_id() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let one = || update_of(&connector, "ann", "a@x");
    let named = pp::CreateOperationRequest { request_id: Some(world.tenant.to_string()), ..one() };
    for (operations, field) in [
        (vec![], "operations"),
        (vec![one(); 1_001], "operations"),
        (vec![one(), named], "operations[1].request_id"),
    ] {
        let batch = pp::BatchCreateOperationsRequest { operations, request_id: None };
        let refusal = refused(world.admin.operations.clone().batch_create_operations(batch).await);
        assert_eq!((refusal.code, refusal.fields), (Code::InvalidArgument, vec![field.to_owned()]));
    }
}
