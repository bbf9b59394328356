//! Tenants: what is another's is not there.

use sqlx::{PgConnection, Row};
use tonic::Code;
use xavyo_sandbox::postgres::Database;
use xavyo_tests::{World, refused, update_of};
use xavyo_wire::pb::{
    common::RemediationAction, google::FieldMask, provisioning as pp, reconciliation as pr,
};

/// What the calls that read, make or cancel something by its id answer.
async fn refusals(world: &World, connector: &str, identity: &str, operation: &str, run: &str) -> Vec<String> {
    let mut connectors = world.admin.connectors.clone();
    let mut identities = world.admin.identities.clone();
    let mut operations = world.admin.operations.clone();
    let mut runs = world.admin.runs.clone();
    let (connector_id, identity_id) = (connector.to_owned(), identity.to_owned());
    let (operation_id, run_id) = (operation.to_owned(), run.to_owned());
    let found = pp::GetConnectorRequest { connector_id: connector_id.clone() };
    let deleted = pp::DeleteConnectorRequest { connector_id: connector_id.clone(), ..Default::default() };
    let checked = pp::CheckConnectionRequest { connector_id: connector_id.clone() };
    let discovered = pp::DiscoverSchemaRequest { connector_id, refresh: true };
    let key = pp::get_identity_request::Key::IdentityId(identity_id.clone());
    let known = pp::GetIdentityRequest { key: Some(key) };
    let inactivated = pp::InactivateIdentityRequest { identity_id, ..Default::default() };
    let seen = pp::GetOperationRequest { operation_id: operation_id.clone() };
    let cancelled = pp::CancelOperationRequest { operation_id: operation_id.clone(), ..Default::default() };
    let retried = pp::RetryOperationRequest { operation_id: operation_id.clone(), ..Default::default() };
    let logged = pp::ListOperationLogsRequest { operation_id, ..Default::default() };
    let report = pr::GetReportRequest { run_id: run_id.clone() };
    let stopped = pr::CancelRunRequest { run_id: run_id.clone(), ..Default::default() };
    let answers = [
        connectors.get_connector(found).await.map(drop),
        connectors.delete_connector(deleted).await.map(drop),
        connectors.check_connection(checked).await.map(drop),
        connectors.discover_schema(discovered).await.map(drop),
        identities.get_identity(known).await.map(drop),
        identities.inactivate_identity(inactivated).await.map(drop),
        operations.create_operation(update_of(connector, "ann", "a@x")).await.map(drop),
        operations.get_operation(seen).await.map(drop),
        operations.cancel_operation(cancelled).await.map(drop),
        operations.retry_operation(retried).await.map(drop),
        operations.list_operation_logs(logged).await.map(drop),
        runs.get_run(pr::GetRunRequest { run_id }).await.map(drop),
        runs.get_report(report).await.map(drop),
        runs.cancel_run(stopped).await.map(drop),
    ];
    answers.into_iter().map(as_seen).collect()
}

/// All that a caller learns from a refusal.
fn as_seen(answer: Result<(), tonic::Status>) -> String {
    let status = answer.expect_err("nothing of another tenant is answered");
    format!("{:?} {} {:?}", status.code(), status.message(), status.details())
}

#[tokio::test]
async fn anothers_ids_are_not_found_byte_for_byte_like_random_ones_s1() {
    let theirs = World::new().await;
    let connector = theirs.connector(|_| {}).await;
    let identity = theirs.person("ann", "ann@x", "clerk").await;
    let operation = theirs.admin.accept(update_of(&connector, "ann", "a@x")).await;
    let run = theirs.full_run(&connector, false).await.id;
    let mine = theirs.another_tenant().await;
    let foreign = refusals(&mine, &connector, &identity, &operation, &run).await;
    let random = mine.tenant.to_string();
    assert_eq!(foreign, refusals(&mine, &random, &random, &random, &random).await);
    assert!(foreign.iter().all(|refusal| refusal.starts_with("NotFound")), "{foreign:#?}");
}

/// What the calls that change, link or list something by its id answer.
async fn more_refusals(world: &World, connector: &str, id: &str) -> Vec<String> {
    let (connector_id, id) = (connector.to_owned(), id.to_owned());
    let mut connectors = world.admin.connectors.clone();
    let mut identities = world.admin.identities.clone();
    let mut accounts = world.admin.accounts.clone();
    let mut operations = world.admin.operations.clone();
    let renamed = pp::UpdateConnectorRequest {
        connector: Some(pp::Connector {
            id: connector_id.clone(),
            name: "x".to_owned(),
            ..Default::default()
        }),
        update_mask: Some(FieldMask { paths: vec!["name".to_owned()] }),
        secrets: None,
    };
    let changed = pp::UpdateIdentityRequest {
        identity: Some(pp::Identity { id: id.clone(), ..Default::default() }),
        update_mask: Some(FieldMask { paths: vec!["attributes.mail".to_owned()] }),
        validate_only: false,
    };
    let pause = pp::PauseConnectorRequest { connector_id: connector_id.clone(), ..Default::default() };
    let resume = pp::ResumeConnectorRequest { connector_id: connector_id.clone() };
    let back = pp::ReactivateIdentityRequest { identity_id: id.clone(), ..Default::default() };
    let delete = pp::DeleteIdentityRequest { identity_id: id.clone(), ..Default::default() };
    let unlink = pp::UnlinkAccountRequest { link_id: id.clone(), ..Default::default() };
    let expected = pp::ReadExpectedAccountsRequest {
        connector_id: connector_id.clone(),
        object_class: "account".to_owned(),
        ..Default::default()
    };
    let resolve = pp::ResolveOperationRequest {
        operation_id: id.clone(),
        resolution_notes: "x".to_owned(),
        ..Default::default()
    };
    let attempts = pp::ListExecutionAttemptsRequest { operation_id: id, ..Default::default() };
    let start =
        pr::StartRunRequest { connector_id, mode: pr::ReconciliationMode::Full.into(), ..Default::default() };
    let answers = [
        connectors.update_connector(renamed).await.map(drop),
        connectors.pause_connector(pause).await.map(drop),
        connectors.resume_connector(resume).await.map(drop),
        identities.update_identity(changed).await.map(drop),
        identities.reactivate_identity(back).await.map(drop),
        identities.delete_identity(delete).await.map(drop),
        accounts.unlink_account(unlink).await.map(drop),
        accounts.read_expected_accounts(expected).await.map(drop),
        operations.resolve_operation(resolve).await.map(drop),
        operations.list_execution_attempts(attempts).await.map(drop),
        world.admin.runs.clone().start_run(start).await.map(drop),
    ];
    answers.into_iter().map(as_seen).collect()
}

#[tokio::test]
async fn changes_to_anothers_things_find_nothing_and_change_nothing_s1() {
    let theirs = World::new().await;
    let connector = theirs.connector(|_| {}).await;
    let ids = [
        theirs.person("ann", "ann@x", "clerk").await,
        theirs.admin.accept(update_of(&connector, "ann", "a@x")).await,
    ];
    theirs.admin.ended(&ids[1]).await;
    let before = theirs.admin.operation(&ids[1]).await.unwrap();
    let mine = theirs.another_tenant().await;
    let random = mine.tenant.to_string();
    let unknown = more_refusals(&mine, &random, &random).await;
    assert!(unknown.iter().all(|refusal| refusal.starts_with("NotFound")), "{unknown:#?}");
    for id in &ids {
        assert_eq!(more_refusals(&mine, &connector, id).await, unknown);
    }
    assert_eq!(theirs.admin.operation(&ids[1]).await.unwrap(), before);
}

/// What the calls about a connector's accounts answer.
async fn refusals_about_accounts(world: &World, connector: &str, identity: &str) -> Vec<String> {
    let (connector_id, identity_id) = (connector.to_owned(), identity.to_owned());
    let object_class = "account".to_owned();
    let get = pp::GetAccountRequest {
        connector_id: connector_id.clone(),
        object_class: object_class.clone(),
        key: Some(pp::get_account_request::Key::ExternalUid("ann".to_owned())),
        ..Default::default()
    };
    let link = pp::LinkAccountRequest {
        connector_id: connector_id.clone(),
        object_class: object_class.clone(),
        identity_id: identity_id.clone(),
        external_uid: "ann".to_owned(),
        ..Default::default()
    };
    let selectors = vec![pp::AccountSelector { identity_id: Some(identity_id), ..Default::default() }];
    let batch = pp::BatchGetAccountsRequest {
        connector_id: connector_id.clone(),
        object_class: object_class.clone(),
        selectors,
        ..Default::default()
    };
    let read = pp::ReadTargetAccountsRequest { connector_id, object_class, ..Default::default() };
    let mut accounts = world.admin.accounts.clone();
    let answers = [
        accounts.get_account(get).await.map(drop),
        accounts.link_account(link).await.map(drop),
        accounts.batch_get_accounts(batch).await.map(drop),
        accounts.read_target_accounts(read).await.map(drop),
    ];
    answers.into_iter().map(as_seen).collect()
}

/// What the calls about a run's findings answer.
async fn refusals_about_findings(world: &World, run_id: &str, discrepancy_id: &str) -> Vec<String> {
    let (run_id, discrepancy_id) = (run_id.to_owned(), discrepancy_id.to_owned());
    let action = RemediationAction::Create.into();
    let get = pr::GetDiscrepancyRequest { discrepancy_id: discrepancy_id.clone() };
    let preview =
        pr::PreviewRemediationRequest { discrepancy_id: discrepancy_id.clone(), ..Default::default() };
    let item = pr::RemediationItem { discrepancy_id: discrepancy_id.clone(), action, ..Default::default() };
    let bulk = pr::BulkRemediateDiscrepanciesRequest { items: vec![item], ..Default::default() };
    let remediate = pr::RemediateDiscrepancyRequest { discrepancy_id, action, ..Default::default() };
    let mut discrepancies = world.admin.discrepancies.clone();
    let watch = pr::WatchRunRequest { run_id, ..Default::default() };
    let answers = [
        discrepancies.get_discrepancy(get).await.map(drop),
        discrepancies.preview_remediation(preview).await.map(drop),
        discrepancies.remediate_discrepancy(remediate).await.map(drop),
        discrepancies.bulk_remediate_discrepancies(bulk).await.map(drop),
        world.admin.runs.clone().watch_run(watch).await.map(drop),
    ];
    answers.into_iter().map(as_seen).collect()
}

#[tokio::test]
async fn anothers_accounts_and_findings_are_not_found_byte_for_byte_like_random_ones_s1() {
    let theirs = World::new().await;
    let connector = theirs.connector(|_| {}).await;
    let person = theirs.person("ann", "ann@x", "clerk").await;
    let run = theirs.full_run(&connector, false).await.id;
    let finding = theirs.admin.discrepancies_of(&run).await.remove(0);
    let mine = theirs.another_tenant().await;
    let random = mine.tenant.to_string();
    let accounts = refusals_about_accounts(&mine, &connector, &person).await;
    assert_eq!(accounts, refusals_about_accounts(&mine, &random, &random).await);
    let findings = refusals_about_findings(&mine, &run, &finding.id).await;
    assert_eq!(findings, refusals_about_findings(&mine, &random, &random).await);
    assert!(accounts.iter().chain(&findings).all(|refusal| refusal.starts_with("NotFound")), "{findings:#?}");
    assert_eq!(theirs.admin.discrepancies_of(&run).await, [finding]);
}

#[tokio::test]
async fn lists_hold_nothing_of_others_and_their_page_tokens_open_nothing_s1() {
    let theirs = World::new().await;
    let connector = theirs.connector(|_| {}).await;
    for uid in ["ann", "bob"] {
        theirs.admin.accept(update_of(&connector, uid, "a@x")).await;
    }
    let request = pp::ListOperationsRequest { page_size: 1, ..Default::default() };
    let first = theirs.admin.operations.clone().list_operations(request.clone()).await.unwrap().into_inner();
    let mine = theirs.another_tenant().await;
    let mut operations = mine.admin.operations.clone();
    let filtered = pp::ListOperationsRequest { connector_id: Some(connector), ..request.clone() };
    for request in [request.clone(), filtered] {
        assert!(operations.list_operations(request).await.unwrap().into_inner().operations.is_empty());
    }
    let stolen = pp::ListOperationsRequest { page_token: first.next_page_token, ..request };
    let refusal = refused(operations.list_operations(stolen).await);
    assert_eq!(refusal.named(), (Code::InvalidArgument, "INVALID_PAGE_TOKEN"));
}

async fn names(judge: &mut PgConnection, query: &'static str) -> Vec<String> {
    let rows = sqlx::query(query).fetch_all(judge).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn sound(database: &Database, program: &str) {
    let mut judge = database.superuser().await.unwrap();
    let unprotected = names(
        &mut judge,
        "select c.relname::text
           from pg_class c
           join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
          where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace
            and not (c.relrowsecurity and c.relforcerowsecurity)
          order by 1",
    )
    .await;
    // Payload-free tables by which work is found, as the migrations say.
    let excepted = ["action_unsealed", "audit_unsealed", "connector_work", "run_work", "schedule_due"];
    assert!(unprotected.iter().all(|table| excepted.contains(&table.as_str())), "{unprotected:?}");
    let views = names(
        &mut judge,
        "select relname::text from pg_class
          where relkind = 'v' and relnamespace = 'public'::regnamespace
            and not coalesce(reloptions @> array['security_invoker=true'], false)",
    )
    .await;
    assert_eq!(views, Vec::<String>::new());
    let keys = names(
        &mut judge,
        "select conname::text
           from pg_constraint k
           join pg_attribute a on a.attrelid = k.confrelid and a.attname = 'tenant_id'
          where k.contype = 'f' and not a.attnum = any(k.confkey)",
    )
    .await;
    assert_eq!(keys, Vec::<String>::new(), "foreign keys between tenants' tables name the tenant");
    let rights: (bool, bool, i64) = sqlx::query_as(
        "select rolsuper, rolbypassrls, (select count(*) from pg_class where relowner = r.oid)
           from pg_roles r where rolname = $1",
    )
    .bind(program)
    .fetch_one(&mut judge)
    .await
    .unwrap();
    assert_eq!(rights, (false, false, 0), "the program's role");
}

#[tokio::test]
async fn every_table_of_tenants_is_protected_and_the_program_owns_nothing_s5() {
    let world = World::new().await;
    sound(&world.ground().provisioning, "provisioning_program").await;
    sound(&world.ground().reconciliation, "reconciliation_program").await;
}
