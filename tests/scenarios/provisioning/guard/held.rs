//! Held operations: shown in groups by cause, released or cancelled by somebody who saw exactly that; approved plans.

use tonic::Code;
use uuid::Uuid;
use xavyo_sandbox::keys::Claims;
use xavyo_tests::{Clients, World, refused};
use xavyo_wire::pb::provisioning::{self as pp, OperationStatus};

use super::{delete_of, deletes, guarded, holds, statuses};

async fn groups(by: &Clients, connector: &str) -> Vec<pp::HeldOperationGroup> {
    let request =
        pp::ListHeldOperationsRequest { connector_id: Some(connector.to_owned()), ..Default::default() };
    by.operations.clone().list_held_operations(request).await.unwrap().into_inner().groups
}

fn key(group: &pp::HeldOperationGroup) -> pp::HeldGroupKey {
    pp::HeldGroupKey {
        connector_id: group.connector_id.clone(),
        cause_kind: group.cause_kind,
        cause_id: group.cause_id.clone(),
    }
}

fn release(group: &pp::HeldOperationGroup) -> pp::ReleaseHeldOperationsRequest {
    pp::ReleaseHeldOperationsRequest {
        group: Some(key(group)),
        digest: group.digest.clone(),
        reason: Some("the department is gone".to_owned()),
    }
}

fn cancel(group: &pp::HeldOperationGroup) -> pp::CancelHeldOperationsRequest {
    pp::CancelHeldOperationsRequest { group: Some(key(group)), digest: group.digest.clone(), reason: None }
}

#[tokio::test]
async fn an_approver_releases_exactly_the_group_that_was_shown_r3() {
    let world = World::new().await;
    let connector = guarded(&world, 1, false).await;
    let ids = deletes(&world, &connector, &["ann", "bob", "cid"], 2).await;
    let approver = world.as_role("approver");
    let shown = groups(&approver, &connector).await;
    let [group] = shown.as_slice() else { panic!("one cause: {shown:?}") };
    assert_eq!((group.count, group.destructive, group.examples.len()), (2, 2, 2));
    assert_eq!(group.by_type["delete"] + group.by_type["create"] + group.by_type["update"], 2);
    let released = approver.operations.clone().release_held_operations(release(group)).await.unwrap();
    assert_eq!(released.into_inner().released, 2);
    for id in &ids {
        world.admin.ended(id).await;
    }
    let next = delete_of(&world, &connector, "dee").await;
    holds(&world, &connector, 1).await;
    assert_eq!(statuses(&world, &[next]).await, [OperationStatus::Pending]);
}

#[tokio::test]
async fn a_group_that_has_grown_is_aborted_and_nothing_moves_r3() {
    let world = World::new().await;
    let connector = guarded(&world, 0, false).await;
    let first = deletes(&world, &connector, &["ann"], 1).await;
    let seen = groups(&world.admin, &connector).await.remove(0);
    let second = delete_of(&world, &connector, "bob").await;
    holds(&world, &connector, 2).await;
    let mut operations = world.admin.operations.clone();
    let refusal = refused(operations.release_held_operations(release(&seen)).await);
    assert_eq!(refusal.named(), (Code::Aborted, "ETAG_MISMATCH"));
    let refusal = refused(operations.cancel_held_operations(cancel(&seen)).await);
    assert_eq!(refusal.named(), (Code::Aborted, "ETAG_MISMATCH"));
    assert_eq!(statuses(&world, &[first[0].clone(), second]).await, [OperationStatus::Pending; 2]);
}

#[tokio::test]
async fn a_cancelled_group_is_never_sent_q9() {
    let world = World::new().await;
    let connector = guarded(&world, 0, false).await;
    let ids = deletes(&world, &connector, &["ann", "bob"], 2).await;
    let group = groups(&world.admin, &connector).await.remove(0);
    let operator = world.as_role("operator");
    let cancelled = operator.operations.clone().cancel_held_operations(cancel(&group)).await.unwrap();
    assert_eq!(cancelled.into_inner().cancelled, 2);
    assert_eq!(statuses(&world, &ids).await, [OperationStatus::Cancelled; 2]);
    assert!(groups(&world.admin, &connector).await.is_empty());
    assert_eq!(world.writes(&connector).await, ["create ann", "create bob"]);
}

#[tokio::test]
async fn only_an_approver_releases_and_with_four_eyes_nobody_what_they_asked_for_s2() {
    let world = World::new().await;
    let connector = guarded(&world, 0, true).await;
    deletes(&world, &connector, &["ann"], 1).await;
    let group = groups(&world.admin, &connector).await.remove(0);
    let operator = world.as_role("operator");
    let refusal = refused(operator.operations.clone().release_held_operations(release(&group)).await);
    assert_eq!(refusal.named(), (Code::PermissionDenied, "ROLE_FORBIDS"));
    let starter = Claims { sub: group.requested_by.clone(), ..Claims::of(world.tenant, &["approver"]) };
    let starter = world.with_token(&world.token(&starter));
    let refusal = refused(starter.operations.clone().release_held_operations(release(&group)).await);
    assert_eq!(refusal.named(), (Code::PermissionDenied, "ROLE_FORBIDS"));
    let other = Claims { sub: Uuid::from_u128(7).to_string(), ..Claims::of(world.tenant, &["approver"]) };
    let other = world.with_token(&world.token(&other));
    other.operations.clone().release_held_operations(release(&group)).await.unwrap();
}

#[tokio::test]
async fn bad_input_is_named_field_by_field() {
    let world = World::new().await;
    let mut operations = world.admin.operations.clone();
    let refusal =
        refused(operations.release_held_operations(pp::ReleaseHeldOperationsRequest::default()).await);
    assert_eq!(refusal.fields, ["group", "group.connector_id", "group.cause_kind", "digest"]);
    let refusal =
        refused(operations.register_approved_plan(pp::RegisterApprovedPlanRequest::default()).await);
    assert_eq!(refusal.fields, ["run_id", "items", "connector_id", "plan_digest", "approved_by"]);
    let nowhere = pp::HeldGroupKey {
        connector_id: Uuid::from_u128(1).to_string(),
        cause_kind: pp::CauseKind::Api.into(),
        cause_id: None,
    };
    let request = pp::CancelHeldOperationsRequest {
        group: Some(nowhere),
        digest: "0".to_owned(),
        ..Default::default()
    };
    let refusal = refused(operations.cancel_held_operations(request).await);
    assert_eq!(refusal.named(), (Code::NotFound, "NOT_FOUND"));
}

#[tokio::test]
async fn the_items_of_an_approved_plan_pass_the_guard_r3() {
    let world = World::new().await;
    let connector = guarded(&world, 0, false).await;
    world.stray(&connector, "ann", "a@x", "Clerk").await;
    let run_id = Uuid::from_u128(77).to_string();
    let item = pp::ApprovedItem {
        discrepancy_id: Uuid::from_u128(1).to_string(),
        operation_type: pp::OperationType::Delete.into(),
        object_class: "account".to_owned(),
        external_uid: Some("ann".to_owned()),
        ..Default::default()
    };
    let plan = pp::RegisterApprovedPlanRequest {
        connector_id: connector.clone(),
        run_id: run_id.clone(),
        plan_digest: "a".repeat(32),
        approved_by: Uuid::from_u128(2).to_string(),
        items: vec![item.clone(), item],
    };
    let mut operations = world.admin.operations.clone();
    let registered = operations.register_approved_plan(plan.clone()).await.unwrap().into_inner();
    assert!(registered.registered == 1 && registered.expires_at.is_some());
    let again = operations.register_approved_plan(plan).await.unwrap().into_inner();
    assert_eq!(again, registered, "repeating it is harmless");
}
