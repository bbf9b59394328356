//! Operations: accepted, executed, moved by people; and everything that is refused.

use tonic::Code;
use xavyo_tests::{World, refused, set, update_of};
use xavyo_wire::pb::provisioning::{
    self as pp,
    OperationStatus::{AwaitingSystem, Completed, InProgress, Pending},
};

async fn create(
    world: &World,
    request: pp::CreateOperationRequest,
) -> Result<pp::CreateOperationResponse, tonic::Status> {
    world.admin.operations.clone().create_operation(request).await.map(tonic::Response::into_inner)
}

async fn cancel(world: &World, id: &str) -> Result<pp::CancelOperationResponse, tonic::Status> {
    let request = pp::CancelOperationRequest { operation_id: id.to_owned(), ..Default::default() };
    world.admin.operations.clone().cancel_operation(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn an_operation_tells_its_logs_and_attempts() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let id = world.admin.accept(update_of(&connector, "ann", "a@x")).await;
    world.admin.ended(&id).await;
    let mut operations = world.admin.operations.clone();
    let logs = pp::ListOperationLogsRequest { operation_id: id.clone(), ..Default::default() };
    let logs = operations.list_operation_logs(logs).await.unwrap().into_inner().logs;
    let path: Vec<_> = logs.iter().map(pp::OperationLog::to_status).collect();
    assert_eq!(path, [Pending, InProgress, Completed]);
    let attempts = pp::ListExecutionAttemptsRequest { operation_id: id, ..Default::default() };
    let attempts = operations.list_execution_attempts(attempts).await.unwrap().into_inner().attempts;
    assert_eq!((attempts.len(), attempts[0].success), (1, Some(true)));
}

#[tokio::test]
async fn fields_at_fault_are_named() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let good = || update_of(&connector, "ann", "a@x");
    for (request, field) in [
        (pp::CreateOperationRequest { connector_id: "7".into(), ..good() }, "connector_id"),
        (pp::CreateOperationRequest { operation_type: 0, ..good() }, "operation_type"),
        (pp::CreateOperationRequest { priority: Some(101), ..good() }, "priority"),
        (pp::CreateOperationRequest { max_retries: Some(21), ..good() }, "max_retries"),
        (pp::CreateOperationRequest { object_class: "none".into(), ..good() }, "object_class"),
        (pp::CreateOperationRequest { target_uid: Some("a".repeat(2_000)), ..good() }, "target_uid"),
        (pp::CreateOperationRequest { target_uid: None, ..good() }, "user_id"),
        (
            pp::CreateOperationRequest { payload: Some(set(&[("account_state", "gone")])), ..good() },
            "payload.account_state",
        ),
        (pp::CreateOperationRequest { cause_kind: Some(pp::CauseKind::Run.into()), ..good() }, "cause_kind"),
    ] {
        let refusal = refused(create(&world, request).await);
        assert_eq!(
            (refusal.named(), refusal.fields.clone()),
            ((Code::InvalidArgument, "INVALID_FIELD"), vec![field.to_owned()])
        );
    }
}

#[tokio::test]
async fn a_batch_is_all_or_nothing() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let mut operations: Vec<_> = (0..9).map(|n| update_of(&connector, &format!("u{n}"), "a@x")).collect();
    operations[7].priority = Some(-1);
    let batch = pp::BatchCreateOperationsRequest { operations, request_id: None };
    let refusal = refused(world.admin.operations.clone().batch_create_operations(batch).await);
    assert_eq!(refusal.fields, ["operations[7].priority"]);
    let request = pp::ListOperationsRequest { connector_id: Some(connector), ..Default::default() };
    let listed = world.admin.operations.clone().list_operations(request).await.unwrap().into_inner();
    assert!(listed.operations.is_empty());
}

#[tokio::test]
async fn a_connector_that_only_observes_takes_no_operation() {
    let world = World::new().await;
    let connector = world.connector(|request| request.mode = pp::ConnectorMode::Observe.into()).await;
    let refusal = refused(create(&world, update_of(&connector, "ann", "a@x")).await);
    assert_eq!(refusal.named(), (Code::FailedPrecondition, "MODE_FORBIDS"));
}

#[tokio::test]
async fn deletes_are_off_until_they_are_switched_on() {
    let world = World::new().await;
    let connector = world.connector(|request| request.policies = None).await;
    let delete = pp::CreateOperationRequest {
        operation_type: pp::OperationType::Delete.into(),
        payload: None,
        ..update_of(&connector, "ann", "")
    };
    let refusal = refused(create(&world, delete).await);
    assert_eq!(refusal.named(), (Code::FailedPrecondition, "ACTION_NOT_ALLOWED"));
}

#[tokio::test]
async fn a_final_operation_takes_no_move() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let id = world.admin.accept(update_of(&connector, "ann", "a@x")).await;
    world.admin.ended(&id).await;
    let refusal = refused(cancel(&world, &id).await);
    assert_eq!(refusal.named(), (Code::FailedPrecondition, "ILLEGAL_MOVE"));
    assert_eq!((refusal.facts["from"].as_str(), refusal.facts["event"].as_str()), ("completed", "cancelled"));
    let retry = pp::RetryOperationRequest { operation_id: id.clone(), ..Default::default() };
    let refusal = refused(world.admin.operations.clone().retry_operation(retry).await);
    assert_eq!(refusal.reason, "ILLEGAL_MOVE");
}

#[tokio::test]
async fn a_dead_letter_holds_its_account_and_is_resolved_with_notes() {
    let world = World::new().await;
    let connector = world.failing_connector(&[("update", "refused", 1)]).await;
    let dead = world.admin.accept(update_of(&connector, "ann", "1@x")).await;
    world.admin.reaches(&dead, pp::OperationStatus::DeadLetter).await;
    let behind = world.admin.accept(update_of(&connector, "ann", "2@x")).await;
    let waiting = world.admin.operation(&behind).await.unwrap();
    assert_eq!(waiting.blocked_by_operation_id.as_deref(), Some(dead.as_str()));
    assert_eq!(waiting.waits_for[0].kind(), pp::WaitKind::BlockedBy);
    let resolve = |notes: &str| pp::ResolveOperationRequest {
        operation_id: dead.clone(),
        resolution_notes: notes.to_owned(),
        ..Default::default()
    };
    let mut operations = world.admin.operations.clone();
    assert_eq!(refused(operations.resolve_operation(resolve("")).await).fields, ["resolution_notes"]);
    operations.resolve_operation(resolve("by hand")).await.unwrap();
    world.admin.ended(&behind).await;
}

#[tokio::test]
async fn an_outage_is_waited_for_q12() {
    let world = World::new().await;
    let connector = world.failing_connector(&[("update", "down", 1)]).await;
    let id = world.admin.accept(update_of(&connector, "ann", "a@x")).await;
    let done = world.admin.ended(&id).await;
    assert_eq!(done.retry_count, 0, "an outage uses no retry");
    let logs = pp::ListOperationLogsRequest { operation_id: id, ..Default::default() };
    let logs = world.admin.operations.clone().list_operation_logs(logs).await.unwrap().into_inner().logs;
    let path: Vec<_> = logs.iter().map(pp::OperationLog::to_status).collect();
    assert_eq!(path, [Pending, InProgress, AwaitingSystem, Pending, InProgress, Completed]);
}

#[tokio::test]
async fn bad_credentials_stop_the_connector_until_a_person_resumes_it() {
    let world = World::new().await;
    let connector = world.failing_connector(&[("update", "bad_credentials", 1)]).await;
    let id = world.admin.accept(update_of(&connector, "ann", "a@x")).await;
    world.admin.reaches(&id, AwaitingSystem).await;
    let mut connectors = world.admin.connectors.clone();
    let request = pp::GetConnectorRequest { connector_id: connector.clone() };
    let stopped = connectors.get_connector(request).await.unwrap().into_inner().connector.unwrap();
    assert!(stopped.paused && stopped.pause_reason.is_some(), "{stopped:?}");
    connectors.resume_connector(pp::ResumeConnectorRequest { connector_id: connector }).await.unwrap();
    assert_eq!(world.admin.ended(&id).await.retry_count, 0);
}

#[tokio::test]
async fn statistics_equal_what_is_listed_q13() {
    let world = World::new().await;
    let connector = world.failing_connector(&[("update", "refused", 1)]).await;
    let dead = world.admin.accept(update_of(&connector, "ann", "a@x")).await;
    world.admin.reaches(&dead, pp::OperationStatus::DeadLetter).await;
    let done = world.admin.accept(update_of(&connector, "bob", "b@x")).await;
    world.admin.ended(&done).await;
    let request = pp::GetQueueStatisticsRequest { connector_id: Some(connector) };
    let numbers = world.admin.operations.clone().get_queue_statistics(request).await.unwrap().into_inner();
    let numbers = numbers.statistics.unwrap();
    assert_eq!((numbers.dead_letter, numbers.completed, numbers.pending, numbers.in_progress), (1, 1, 0, 0));
}

#[tokio::test]
async fn pages_follow_each_other_and_a_foreign_token_is_refused() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    for n in 0..5 {
        world.admin.accept(update_of(&connector, &format!("u{n}"), "a@x")).await;
    }
    let page = |token: String, filter: Option<String>| pp::ListOperationsRequest {
        page_size: 2,
        page_token: token,
        connector_id: filter,
        count_total: true,
        ..Default::default()
    };
    let mut operations = world.admin.operations.clone();
    let mut token = String::new();
    let mut seen = Vec::new();
    loop {
        let listed =
            operations.list_operations(page(token, Some(connector.clone()))).await.unwrap().into_inner();
        assert_eq!(listed.total_size, Some(5));
        seen.extend(listed.operations.into_iter().map(|operation| operation.id));
        token = listed.next_page_token;
        if token.is_empty() {
            break;
        }
        let foreign = refused(operations.list_operations(page(token.clone(), None)).await);
        assert_eq!(foreign.reason, "INVALID_PAGE_TOKEN");
    }
    assert!(seen.len() == 5 && seen.is_sorted_by(|newer, older| newer > older), "newest first, none twice");
}

#[tokio::test]
async fn a_watch_resumes_where_it_was_left() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let watch = |token: String| pp::WatchOperationsRequest {
        resume_token: token,
        connector_id: Some(connector.clone()),
        statuses: vec![Completed.into()],
        ..Default::default()
    };
    let mut operations = world.admin.operations.clone();
    let mut watched = operations.watch_operations(watch(String::new())).await.unwrap().into_inner();
    let begun = watched.message().await.unwrap().unwrap();
    drop(watched);
    let id = world.admin.accept(update_of(&connector, "ann", "a@x")).await;
    world.admin.ended(&id).await;
    let mut resumed = operations.watch_operations(watch(begun.resume_token)).await.unwrap().into_inner();
    loop {
        let message = resumed.message().await.unwrap().unwrap();
        if let Some(pp::watch_operations_response::Event::Change(change)) = message.event {
            assert_eq!(change.operation.unwrap().id, id, "nothing was missed");
            break;
        }
    }
}
