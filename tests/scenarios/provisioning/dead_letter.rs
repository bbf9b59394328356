//! Dead letters by cause: listed in groups, and retried together.

use tonic::Code;
use xavyo_tests::{World, refused, update_of};
use xavyo_wire::pb::{
    google::Timestamp,
    provisioning::{self as pp, OperationStatus::DeadLetter},
};

/// As many dead letters, each of an account of its own; their ids.
async fn dead_letters(world: &World, connector: &str, count: usize) -> Vec<String> {
    let operations = (0..count).map(|n| update_of(connector, &format!("u{n}"), "a@x")).collect();
    let batch = pp::BatchCreateOperationsRequest { operations, request_id: None };
    let made = world.admin.operations.clone().batch_create_operations(batch).await.unwrap().into_inner();
    let ids: Vec<String> = made.operations.into_iter().map(|operation| operation.id).collect();
    for id in &ids {
        world.admin.reaches(id, DeadLetter).await;
    }
    ids
}

async fn groups(world: &World, connector: Option<&String>) -> Vec<pp::DeadLetterGroup> {
    let request = pp::ListDeadLetterGroupsRequest { connector_id: connector.cloned(), ..Default::default() };
    world.admin.operations.clone().list_dead_letter_groups(request).await.unwrap().into_inner().groups
}

async fn retry(world: &World, cause: &pp::DeadLetterGroup) -> pp::BatchRetryOperationsResponse {
    let request = pp::BatchRetryOperationsRequest {
        connector_id: cause.connector_id.clone(),
        error_code: cause.error_code.clone(),
        dead_before: None,
    };
    world.admin.operations.clone().batch_retry_operations(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn dead_letters_are_grouped_by_their_cause_the_largest_group_first() {
    let world = World::new().await;
    let (few, many) = (
        world.failing_connector(&[("update", "refused", 9)]).await,
        world.failing_connector(&[("update", "refused", 9)]).await,
    );
    let one = dead_letters(&world, &few, 1).await;
    let three = dead_letters(&world, &many, 3).await;
    let all = groups(&world, None).await;
    let shown: Vec<_> = all.iter().map(|group| (&group.connector_id, group.count)).collect();
    assert_eq!(shown, [(&many, 3), (&few, 1)]);
    assert!(all[0].first_at.is_some() && all[0].last_at.is_some() && !all[0].example_message.is_empty());
    assert_eq!(all[0].example_operation_id, three[2], "the newest");
    let example = world.admin.operation(&one[0]).await.unwrap();
    assert_eq!(example.error_code.as_ref(), Some(&all[1].error_code));
    assert_eq!(groups(&world, Some(&few)).await, all[1..]);
}

#[tokio::test]
async fn groups_come_in_pages_with_their_total() {
    let world = World::new().await;
    for count in [1, 2] {
        let connector = world.failing_connector(&[("update", "refused", 9)]).await;
        dead_letters(&world, &connector, count).await;
    }
    let mut page = pp::ListDeadLetterGroupsRequest { page_size: 1, count_total: true, ..Default::default() };
    let mut operations = world.admin.operations.clone();
    let first = operations.list_dead_letter_groups(page.clone()).await.unwrap().into_inner();
    page.page_token = first.next_page_token;
    let second = operations.list_dead_letter_groups(page).await.unwrap().into_inner();
    assert_eq!((first.total_size, second.next_page_token.as_str()), (Some(2), ""));
    assert_eq!((first.groups[0].count, second.groups[0].count), (2, 1));
}

#[tokio::test]
async fn a_mended_cause_is_retried_as_a_whole_and_every_operation_ends() {
    let world = World::new().await;
    let connector = world.failing_connector(&[("update", "refused", 3)]).await;
    let ids = dead_letters(&world, &connector, 3).await;
    let cause = groups(&world, None).await.remove(0);
    let answer = retry(&world, &cause).await;
    assert_eq!((answer.retried, answer.skipped, answer.remaining), (3, 0, 0));
    for id in &ids {
        assert_eq!(world.admin.ended(id).await.retry_count, 0, "they start anew");
    }
    assert!(groups(&world, None).await.is_empty());
    let audit = pp::ListAuditEventsRequest {
        method: Some("BatchRetryOperations".to_owned()),
        ..pp::ListAuditEventsRequest::default()
    };
    let events = world.admin.audit.clone().list_audit_events(audit).await.unwrap().into_inner().events;
    assert_eq!(events.len(), 1, "one change, one row");
    assert!(ids.iter().all(|id| format!("{events:?}").contains(id)));
}

#[tokio::test]
async fn only_what_died_before_the_given_time_is_retried() {
    let world = World::new().await;
    let connector = world.failing_connector(&[("update", "refused", 9)]).await;
    dead_letters(&world, &connector, 1).await;
    let cause = groups(&world, None).await.remove(0);
    let long_ago = pp::BatchRetryOperationsRequest {
        connector_id: connector,
        error_code: cause.error_code.clone(),
        dead_before: Some(Timestamp { seconds: 1_000_000_000, nanos: 0 }),
    };
    let answer = world.admin.operations.clone().batch_retry_operations(long_ago).await.unwrap().into_inner();
    assert_eq!((answer.retried, answer.remaining), (0, 0));
    assert_eq!(groups(&world, None).await, [cause]);
}

#[tokio::test]
async fn an_unknown_cause_retries_nothing_and_leaves_no_trace() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let none = pp::DeadLetterGroup {
        connector_id: connector.clone(),
        error_code: "NEVER".to_owned(),
        ..pp::DeadLetterGroup::default()
    };
    assert_eq!(retry(&world, &none).await, pp::BatchRetryOperationsResponse::default());
    let mut operations = world.admin.operations.clone();
    let request = pp::BatchRetryOperationsRequest { connector_id: connector, ..Default::default() };
    assert_eq!(refused(operations.batch_retry_operations(request).await).fields, ["error_code"]);
    let request = pp::BatchRetryOperationsRequest {
        connector_id: world.tenant.to_string(),
        error_code: "NEVER".to_owned(),
        dead_before: None,
    };
    let refusal = refused(operations.batch_retry_operations(request).await);
    assert_eq!(refusal.named(), (Code::NotFound, "NOT_FOUND"));
}
