//! Conflicts: what the connector's policy decides, what a person decides, and what waits for neither.

mod table;

use tonic::{Code, Status};
use xavyo_tests::{World, refused, set, update_of};
use xavyo_wire::pb::{
    google::Timestamp,
    provisioning::{self as pp, ConflictOutcome, OperationStatus},
};

fn by_person() -> pp::ConflictPolicy {
    pp::ConflictPolicy { decision: Some(pp::conflict_policy::Decision::Person(pp::Person {})) }
}

/// A connector that asks a person about that type of conflict.
async fn asking(world: &World, conflict_type: &str) -> String {
    world
        .connector(|request| {
            let policies = request.policies.get_or_insert_default();
            policies.conflict_policies = [(conflict_type.to_owned(), by_person())].into();
        })
        .await
}

/// Not before a time far away, so that it stands where it is put.
fn later(request: pp::CreateOperationRequest) -> pp::CreateOperationRequest {
    pp::CreateOperationRequest { not_before: Some(Timestamp { seconds: 4_000_000_000, nanos: 0 }), ..request }
}

async fn conflicts(world: &World, request: pp::ListConflictsRequest) -> pp::ListConflictsResponse {
    world.admin.conflicts.clone().list_conflicts(request).await.unwrap().into_inner()
}

async fn conflict_of(world: &World, operation: &str) -> pp::ProvisioningConflict {
    let request = pp::ListConflictsRequest { operation_id: Some(operation.to_owned()), ..Default::default() };
    conflicts(world, request).await.conflicts.remove(0)
}

async fn resolve(
    world: &World,
    conflict: &pp::ProvisioningConflict,
    outcome: ConflictOutcome,
) -> Result<pp::ProvisioningConflict, Status> {
    let request = pp::ResolveConflictRequest {
        conflict_id: conflict.id.clone(),
        etag: conflict.etag.clone(),
        outcome: outcome.into(),
        notes: Some("as agreed".to_owned()),
    };
    let resolved = world.admin.conflicts.clone().resolve_conflict(request).await?.into_inner();
    Ok(resolved.conflict.unwrap())
}

/// Two updates of ann that contradict each other, and their conflict.
async fn contradiction(world: &World, connector: &str) -> (String, String, pp::ProvisioningConflict) {
    let one = world.admin.accept(later(update_of(connector, "ann", "1@x"))).await;
    let two = world.admin.accept(update_of(connector, "ann", "2@x")).await;
    let conflict = conflict_of(world, &one).await;
    (one, two, conflict)
}

#[tokio::test]
async fn two_updates_of_one_attribute_are_merged_and_the_answer_says_so() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let (one, two, conflict) = contradiction(&world, &connector).await;
    assert_eq!(world.admin.ended(&two).await.status(), OperationStatus::Completed);
    let older = world.admin.operation(&one).await.unwrap();
    assert_eq!(older.status(), OperationStatus::Cancelled);
    assert_eq!(older.merged_into_operation_id.as_deref(), Some(two.as_str()));
    assert_eq!(
        (conflict.conflict_type.as_str(), conflict.outcome()),
        ("concurrent_update", ConflictOutcome::Merged)
    );
    assert_eq!((conflict.operation_id_a, conflict.operation_id_b), (one, two));
    assert_eq!((conflict.status.as_str(), conflict.resolved_by), ("resolved", None));
}

#[tokio::test]
async fn what_a_person_decides_is_done_and_has_one_audit_row_s4() {
    let world = World::new().await;
    let connector = asking(&world, "concurrent_update").await;
    let (one, two, conflict) = contradiction(&world, &connector).await;
    let held = world.admin.operation(&two).await.unwrap();
    assert_eq!((held.status(), held.hold_reason()), (OperationStatus::Pending, pp::HoldReason::Conflict));
    assert_eq!(held.waits_for[0].conflict_id.as_deref(), Some(conflict.id.as_str()));

    let resolved = resolve(&world, &conflict, ConflictOutcome::Superseded).await.unwrap();

    assert_eq!(
        (resolved.outcome(), resolved.notes.as_deref()),
        (ConflictOutcome::Superseded, Some("as agreed"))
    );
    assert!(resolved.resolved_by.is_some() && resolved.etag != conflict.etag);
    assert_eq!(world.admin.operation(&one).await.unwrap().status(), OperationStatus::Cancelled);
    assert_eq!(world.admin.ended(&two).await.status(), OperationStatus::Completed);
    let request = pp::ListAuditEventsRequest { resource_id: Some(conflict.id.clone()), ..Default::default() };
    let rows = world.admin.audit.clone().list_audit_events(request).await.unwrap().into_inner();
    let methods: Vec<_> = rows.events.iter().map(|event| event.method.as_str()).collect();
    assert_eq!(methods, ["ResolveConflict"]);
}

#[tokio::test]
async fn a_resolved_conflict_takes_no_outcome_and_a_stale_etag_none_either() {
    let world = World::new().await;
    let connector = asking(&world, "concurrent_update").await;
    let (.., conflict) = contradiction(&world, &connector).await;
    let stale = pp::ProvisioningConflict { etag: "99".to_owned(), ..conflict.clone() };
    let refusal = refused(resolve(&world, &stale, ConflictOutcome::Applied).await);
    assert_eq!(refusal.named(), (Code::Aborted, "ETAG_MISMATCH"));
    resolve(&world, &conflict, ConflictOutcome::Rejected).await.unwrap();
    let any = pp::ProvisioningConflict { etag: String::new(), ..conflict };
    for outcome in [ConflictOutcome::Applied, ConflictOutcome::Superseded] {
        let refusal = refused(resolve(&world, &any, outcome).await);
        assert_eq!(refusal.named(), (Code::FailedPrecondition, "ILLEGAL_MOVE"));
        assert_eq!(
            (refusal.facts["from"].as_str(), refusal.facts["event"].as_str()),
            ("resolved", "resolved")
        );
    }
}

#[tokio::test]
async fn an_outcome_that_cannot_be_done_names_those_that_can() {
    let world = World::new().await;
    let connector = asking(&world, "duplicate_create").await;
    let create = || pp::CreateOperationRequest {
        operation_type: pp::OperationType::Create.into(),
        ..update_of(&connector, "ann", "a@x")
    };
    let one = world.admin.accept(later(create())).await;
    let two = world.admin.accept(create()).await;
    let conflict = conflict_of(&world, &one).await;
    let refusal = refused(resolve(&world, &conflict, ConflictOutcome::Merged).await);
    assert_eq!(refusal.named(), (Code::FailedPrecondition, "OUTCOME_IMPOSSIBLE"));
    assert_eq!(refusal.facts["possible"], "applied, rejected");
    resolve(&world, &conflict, ConflictOutcome::Rejected).await.unwrap();
    assert_eq!(world.admin.operation(&two).await.unwrap().status(), OperationStatus::Cancelled);
    assert_eq!(world.admin.operation(&one).await.unwrap().hold_reason, None);
}

#[tokio::test]
async fn a_cancelled_side_resolves_the_conflict_and_the_other_goes_on() {
    let world = World::new().await;
    let connector = asking(&world, "concurrent_update").await;
    let (one, two, conflict) = contradiction(&world, &connector).await;
    let cancel = pp::CancelOperationRequest { operation_id: one, ..Default::default() };
    world.admin.operations.clone().cancel_operation(cancel).await.unwrap();
    assert_eq!(world.admin.ended(&two).await.status(), OperationStatus::Completed);
    let request = pp::GetConflictRequest { conflict_id: conflict.id };
    let moot = world.admin.conflicts.clone().get_conflict(request).await.unwrap().into_inner();
    let moot = moot.conflict.unwrap();
    assert_eq!((moot.status.as_str(), moot.outcome), ("resolved", None));
    assert!(moot.notes.is_some());
}

#[tokio::test]
async fn lists_filter_count_and_go_on_page_by_page() {
    let world = World::new().await;
    let connector = asking(&world, "concurrent_update").await;
    let other = world.connector(|_| {}).await;
    let mut made = Vec::new();
    for uid in ["ann", "bob", "cid"] {
        for mail in ["1@x", "2@x"] {
            world.admin.accept(later(update_of(&connector, uid, mail))).await;
        }
    }
    // Nothing is written: that would meet conflicts of its own.
    let merged = world.admin.accept(later(update_of(&other, "ann", "1@x"))).await;
    world.admin.accept(later(update_of(&other, "ann", "2@x"))).await;
    let resolved = conflict_of(&world, &merged).await;
    let pending = || pp::ListConflictsRequest {
        page_size: 2,
        count_total: true,
        pending_only: true,
        conflict_type: Some("concurrent_update".to_owned()),
        ..Default::default()
    };
    let mut request = pending();
    loop {
        let page = conflicts(&world, request).await;
        assert_eq!(page.total_size, Some(3));
        made.extend(page.conflicts);
        if page.next_page_token.is_empty() {
            break;
        }
        request = pp::ListConflictsRequest { page_token: page.next_page_token, ..pending() };
    }
    assert!(made.len() == 3 && made.is_sorted_by(|a, b| a.id > b.id), "newest first: {made:?}");
    let of = pp::ListConflictsRequest { connector_id: Some(other), ..Default::default() };
    assert_eq!(conflicts(&world, of).await.conflicts, [resolved]);
    let none =
        pp::ListConflictsRequest { conflict_type: Some("missing_target".into()), ..Default::default() };
    assert!(conflicts(&world, none).await.conflicts.is_empty());
}

#[tokio::test]
async fn bad_input_is_refused_by_name() {
    let world = World::new().await;
    let mut service = world.admin.conflicts.clone();
    let request = pp::ListConflictsRequest { conflict_type: Some("quarrel".into()), ..Default::default() };
    assert_eq!(refused(service.list_conflicts(request).await).fields, ["conflict_type"]);
    let request = pp::ListConflictsRequest { page_token: "x".into(), ..Default::default() };
    assert_eq!(refused(service.list_conflicts(request).await).reason, "INVALID_PAGE_TOKEN");
    let request = pp::GetConflictRequest { conflict_id: "7".into() };
    assert_eq!(refused(service.get_conflict(request).await).fields, ["conflict_id"]);
    let request = pp::ResolveConflictRequest {
        conflict_id: world.tenant.to_string(),
        notes: Some("n".repeat(5_000)),
        ..Default::default()
    };
    assert_eq!(refused(service.resolve_conflict(request).await).fields, ["outcome", "notes"]);
    let request = pp::ResolveConflictRequest {
        conflict_id: world.tenant.to_string(),
        outcome: ConflictOutcome::Applied.into(),
        ..Default::default()
    };
    assert_eq!(refused(service.resolve_conflict(request).await).named(), (Code::NotFound, "NOT_FOUND"));
}

#[tokio::test]
async fn a_policy_of_another_types_outcome_is_refused() {
    let world = World::new().await;
    let mut request = xavyo_tests::memory_connector();
    let merged = pp::conflict_policy::Decision::Outcome(ConflictOutcome::Merged.into());
    request.policies.get_or_insert_default().conflict_policies =
        [("duplicate_create".to_owned(), pp::ConflictPolicy { decision: Some(merged) })].into();
    let refusal = refused(world.admin.connectors.clone().create_connector(request).await);
    assert_eq!(refusal.fields, ["policies.conflict_policies.duplicate_create"]);
}

#[tokio::test]
async fn a_disable_waits_neither_for_a_dead_letter_nor_for_a_decision() {
    let world = World::new().await;
    let connector = world.failing_connector(&[("update", "refused", 1)]).await;
    world.stray(&connector, "ann", "a@x", "clerk").await;
    let dead = world.admin.accept(update_of(&connector, "ann", "1@x")).await;
    world.admin.reaches(&dead, OperationStatus::DeadLetter).await;
    let disable = pp::CreateOperationRequest {
        payload: Some(set(&[("account_state", "disabled")])),
        ..update_of(&connector, "ann", "")
    };
    let disable = world.admin.accept(disable).await;
    assert_eq!(world.admin.ended(&disable).await.status(), OperationStatus::Completed);
    let passed = world.admin.operation(&dead).await.unwrap();
    assert_eq!((passed.status(), passed.overtaken), (OperationStatus::DeadLetter, false));
}

#[tokio::test]
async fn a_delete_overtakes_a_dead_letter_for_good() {
    let world = World::new().await;
    let connector = world.failing_connector(&[("update", "refused", 1)]).await;
    let person = world.person("ann", "a@x", "clerk").await;
    world.account_of(&connector, &person).await;
    let dead = world.admin.accept(update_of(&connector, "ann", "1@x")).await;
    world.admin.reaches(&dead, OperationStatus::DeadLetter).await;
    let delete = pp::CreateOperationRequest {
        operation_type: pp::OperationType::Delete.into(),
        user_id: Some(person),
        payload: None,
        ..update_of(&connector, "ann", "")
    };
    let delete = world.admin.accept(delete).await;
    assert_eq!(world.admin.ended(&delete).await.status(), OperationStatus::Completed);
    let retry = pp::RetryOperationRequest { operation_id: dead.clone(), ..Default::default() };
    let refusal = refused(world.admin.operations.clone().retry_operation(retry).await);
    assert_eq!(refusal.named(), (Code::FailedPrecondition, "OVERTAKEN"));
    assert!(world.admin.operation(&dead).await.unwrap().overtaken);
}
