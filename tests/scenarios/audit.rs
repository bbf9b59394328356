//! The audit log: one row for each change, and none is ever changed.

use sqlx::Connection;
use tonic::Code;
use xavyo_tests::{World, refused, update_of};
use xavyo_wire::pb::{
    common::RemediationAction, google::Timestamp, provisioning as pp, reconciliation as pr,
};

async fn methods(world: &World) -> Vec<String> {
    let mut judge = world.ground().provisioning.superuser().await.unwrap();
    sqlx::query_scalar("select method from audit_event where tenant_id = $1 order by id")
        .bind(world.tenant)
        .fetch_all(&mut judge)
        .await
        .unwrap()
}

#[tokio::test]
async fn each_change_by_a_caller_leaves_one_row_s4() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let person = world.person("ann", "ann@x", "clerk").await;
    let pause = pp::PauseConnectorRequest { connector_id: connector.clone(), ..Default::default() };
    world.admin.connectors.clone().pause_connector(pause).await.unwrap();
    let operation = world.admin.accept(update_of(&connector, "ann", "a@x")).await;
    let cancel = pp::CancelOperationRequest { operation_id: operation, ..Default::default() };
    world.admin.operations.clone().cancel_operation(cancel).await.unwrap();
    let leave = pp::InactivateIdentityRequest { identity_id: person, ..Default::default() };
    world.admin.identities.clone().inactivate_identity(leave).await.unwrap();
    let expected = [
        "CreateConnector",
        "CreateIdentity",
        "PauseConnector",
        "CreateOperation",
        "CancelOperation",
        "InactivateIdentity",
    ];
    assert_eq!(methods(&world).await, expected);
}

#[tokio::test]
async fn what_people_do_to_a_dead_letter_leaves_one_row_each_s4() {
    let world = World::new().await;
    let connector = world.failing_connector(&[("update", "refused", 9)]).await;
    let batch = pp::BatchCreateOperationsRequest {
        operations: vec![update_of(&connector, "ann", "a@x")],
        request_id: None,
    };
    let mut operations = world.admin.operations.clone();
    let made = operations.batch_create_operations(batch).await.unwrap().into_inner().operations;
    let operation_id = made[0].id.clone();
    world.admin.reaches(&operation_id, pp::OperationStatus::DeadLetter).await;
    let retry = pp::RetryOperationRequest { operation_id: operation_id.clone(), ..Default::default() };
    operations.retry_operation(retry).await.unwrap();
    world.admin.reaches(&operation_id, pp::OperationStatus::DeadLetter).await;
    let resolution_notes = "by hand".to_owned();
    let resolve = pp::ResolveOperationRequest { operation_id, resolution_notes, ..Default::default() };
    operations.resolve_operation(resolve).await.unwrap();
    let expected = ["CreateConnector", "BatchCreateOperations", "RetryOperation", "ResolveOperation"];
    assert_eq!(methods(&world).await, expected);
}

#[tokio::test]
async fn what_becomes_of_a_person_and_a_link_leaves_one_row_each_s4() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    world.stray(&connector, "ann", "ann@x", "clerk").await;
    let identity_id = world.person("ann", "ann@x", "clerk").await;
    let (mut accounts, mut identities) = (world.admin.accounts.clone(), world.admin.identities.clone());
    let link = pp::LinkAccountRequest {
        connector_id: connector.clone(),
        object_class: "account".to_owned(),
        identity_id: identity_id.clone(),
        external_uid: "ann".to_owned(),
        ..Default::default()
    };
    let link_id = accounts.link_account(link).await.unwrap().into_inner().link.unwrap().id;
    let unlink = pp::UnlinkAccountRequest { link_id, ..Default::default() };
    accounts.unlink_account(unlink).await.unwrap();
    let (inactivate, back, delete) = (
        pp::InactivateIdentityRequest { identity_id: identity_id.clone(), ..Default::default() },
        pp::ReactivateIdentityRequest { identity_id: identity_id.clone(), ..Default::default() },
        pp::DeleteIdentityRequest { identity_id, ..Default::default() },
    );
    identities.inactivate_identity(inactivate).await.unwrap();
    identities.reactivate_identity(back).await.unwrap();
    identities.delete_identity(delete).await.unwrap();
    let resume = pp::ResumeConnectorRequest { connector_id: connector.clone() };
    let pause = pp::PauseConnectorRequest { connector_id: connector, ..Default::default() };
    let mut connectors = world.admin.connectors.clone();
    connectors.pause_connector(pause).await.unwrap();
    connectors.resume_connector(resume).await.unwrap();
    let expected = "CreateConnector CreateOperation CreateIdentity LinkAccount UnlinkAccount InactivateIdentity \
                    ReactivateIdentity DeleteIdentity PauseConnector ResumeConnector";
    assert_eq!(methods(&world).await.join(" "), expected);
}

#[tokio::test]
async fn a_refused_change_leaves_no_row_s4() {
    let world = World::new().await;
    let request = pp::CancelOperationRequest { operation_id: world.tenant.to_string(), ..Default::default() };
    world.admin.operations.clone().cancel_operation(request).await.unwrap_err();
    assert!(methods(&world).await.is_empty());
}

/// The methods of the events that a filter leaves, newest first.
async fn listed(world: &World, filter: pp::ListAuditEventsRequest) -> Vec<String> {
    let listed = world.admin.audit.clone().list_audit_events(filter).await.unwrap().into_inner();
    listed.events.into_iter().map(|event| event.method).collect()
}

#[tokio::test]
async fn an_auditor_reads_who_changed_what_page_by_page() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let request_id = world.tenant.to_string();
    let asked = pp::CreateOperationRequest {
        request_id: Some(request_id.clone()),
        reason: Some("as agreed".to_owned()),
        ..update_of(&connector, "ann", "canary@x")
    };
    world.admin.accept(asked).await;
    world.person("ann", "ann@x", "clerk").await;
    let mut audit = world.as_role("auditor").audit;
    let mut page = pp::ListAuditEventsRequest {
        page_size: 2,
        count_total: true,
        ..pp::ListAuditEventsRequest::default()
    };
    let first = audit.list_audit_events(page.clone()).await.unwrap().into_inner();
    page.page_token.clone_from(&first.next_page_token);
    let second = audit.list_audit_events(page).await.unwrap().into_inner();
    assert_eq!((first.total_size, second.next_page_token.as_str()), (Some(3), ""));
    let events = [first.events, second.events].concat();
    let methods: Vec<_> = events.iter().map(|event| event.method.as_str()).collect();
    assert_eq!(methods, ["CreateIdentity", "CreateOperation", "CreateConnector"]);
    assert_eq!(events[1].request_id.as_ref(), Some(&request_id));
    assert_eq!(events[1].reason.as_deref(), Some("as agreed"));
    assert_eq!(events[1].connector_id.as_ref(), Some(&connector));
    assert!(!format!("{events:?}").contains("canary@x"), "the log holds no values");
}

#[tokio::test]
async fn the_log_is_narrowed_down_by_what_who_and_when() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let person = world.person("ann", "ann@x", "clerk").await;
    let none = pp::ListAuditEventsRequest::default;
    let text = |text: &str| Some(text.to_owned());
    let far = Some(Timestamp { seconds: 4_000_000_000, nanos: 0 });
    let early = Some(Timestamp { seconds: -4_000_000_000, nanos: 0 });
    for (filter, expected) in [
        (pp::ListAuditEventsRequest { method: text("CreateIdentity"), ..none() }, 1),
        (pp::ListAuditEventsRequest { method: text("DropAll"), ..none() }, 0),
        (pp::ListAuditEventsRequest { resource_type: text("connector"), ..none() }, 1),
        (pp::ListAuditEventsRequest { resource_id: Some(person), ..none() }, 1),
        (pp::ListAuditEventsRequest { connector_id: Some(connector), ..none() }, 1),
        (pp::ListAuditEventsRequest { performed_by: Some(world.tenant.to_string()), ..none() }, 0),
        (pp::ListAuditEventsRequest { from: far, ..none() }, 0),
        (pp::ListAuditEventsRequest { until: early, ..none() }, 0),
        (pp::ListAuditEventsRequest { from: early, until: far, ..none() }, 2),
    ] {
        assert_eq!(listed(&world, filter.clone()).await.len(), expected, "{filter:?}");
    }
}

#[tokio::test]
async fn what_is_no_filter_of_the_log_is_refused_by_its_name() {
    let world = World::new().await;
    let none = pp::ListAuditEventsRequest::default;
    let bad = || Some("7".to_owned());
    for (request, field) in [
        (pp::ListAuditEventsRequest { performed_by: bad(), ..none() }, "performed_by"),
        (pp::ListAuditEventsRequest { resource_id: bad(), ..none() }, "resource_id"),
        (pp::ListAuditEventsRequest { method: Some("a\0".to_owned()), ..none() }, "method"),
        (pp::ListAuditEventsRequest { page_size: -1, ..none() }, "page_size"),
    ] {
        let refusal = refused(world.admin.audit.clone().list_audit_events(request).await);
        assert_eq!(refusal.named(), (Code::InvalidArgument, "INVALID_FIELD"));
        assert_eq!(refusal.fields, [field]);
    }
}

async fn verify(world: &World, request: pp::VerifyAuditRequest) -> pp::VerifyAuditResponse {
    world.as_role("auditor").audit.verify_audit(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn the_log_is_sealed_soon_and_verifies() {
    let world = World::new().await;
    assert!(verify(&world, pp::VerifyAuditRequest::default()).await.intact, "an empty log");
    world.connector(|_| {}).await;
    world.person("ann", "ann@x", "clerk").await;
    let sealed = async {
        loop {
            let verdict = verify(&world, pp::VerifyAuditRequest::default()).await;
            if verdict.unsealed == 0 {
                return verdict;
            }
            tokio::task::yield_now().await;
        }
    };
    let verdict = tokio::time::timeout(std::time::Duration::from_secs(20), sealed).await.unwrap();
    assert_eq!((verdict.intact, verdict.verified, verdict.first_broken_id), (true, 2, None));
    let all = pp::ListAuditEventsRequest::default();
    let events = world.admin.audit.clone().list_audit_events(all).await.unwrap().into_inner().events;
    assert_eq!(
        (events[0].previous_hash.as_ref(), events[1].previous_hash.as_ref()),
        (events[1].hash.as_ref(), Some(&vec![0; 32]))
    );
}

#[tokio::test]
async fn a_range_that_ends_before_it_begins_is_refused() {
    let world = World::new().await;
    let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
    let inverted = pp::VerifyAuditRequest { from: at(2), until: at(1) };
    assert_eq!(refused(world.admin.audit.clone().verify_audit(inverted).await).fields, ["from"]);
}

/// The connector's actions, oldest first: type, result, and whether it was a dry run.
async fn actions(world: &World, connector: &str) -> Vec<(String, String, bool)> {
    let request = pr::ListActionsRequest { connector_id: Some(connector.to_owned()), ..Default::default() };
    let listed = world.admin.actions.clone().list_actions(request).await.unwrap().into_inner().actions;
    listed.into_iter().rev().map(|action| (action.action_type, action.result, action.dry_run)).collect()
}

#[tokio::test]
async fn runs_and_remediations_leave_their_actions_s4() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    world.person("ann", "ann@x", "clerk").await;
    let run = world.full_run(&connector, false).await;
    let found = world.admin.discrepancies_of(&run.id).await;
    let create = |dry_run| pr::RemediateDiscrepancyRequest {
        discrepancy_id: found[0].id.clone(),
        action: RemediationAction::Create.into(),
        dry_run,
        ..pr::RemediateDiscrepancyRequest::default()
    };
    let mut discrepancies = world.admin.discrepancies.clone();
    for dry_run in [true, false] {
        discrepancies.remediate_discrepancy(create(dry_run)).await.unwrap();
    }
    discrepancies.remediate_discrepancy(create(false)).await.unwrap_err();
    let all = actions(&world, &connector).await;
    let of = |kind: &str, dry_run: bool| {
        let mut results = all.iter().filter(|(of, _, dry)| of == kind && *dry == dry_run);
        (results.clone().count(), results.next_back().map(|(_, result, _)| result.as_str()))
    };
    assert_eq!(of("run_started", false), (1, Some("success")), "{all:?}");
    assert_eq!(of("create", true), (1, Some("success")), "{all:?}");
    assert_eq!(of("create", false).1, Some("success"), "{all:?}");
}

#[tokio::test]
async fn the_program_can_neither_change_nor_delete_the_log_s4() {
    let world = World::new().await;
    let ground = world.ground();
    for (url, log) in
        [(ground.provisioning.program_url(), "audit_event"), (ground.reconciliation.program_url(), "action")]
    {
        let mut program = sqlx::PgConnection::connect(&url).await.unwrap();
        for change in ["update LOG set tenant_id = null", "delete from LOG", "truncate LOG"] {
            let statement = sqlx::AssertSqlSafe(change.replace("LOG", log));
            let error = sqlx::raw_sql(statement).execute(&mut program).await.unwrap_err();
            assert!(error.to_string().contains("permission denied"), "{change} {log}: {error}");
        }
    }
}
