//! Tenants: what is another's is not there.

use sqlx::{PgConnection, Row};
use xavyo_sandbox::postgres::Database;
use xavyo_tests::{World, update_of};
use xavyo_wire::pb::{provisioning as pp, reconciliation as pr};

/// The refusals of every call that takes an id, as bytes that a caller sees.
async fn refusals(world: &World, connector: &str, identity: &str, operation: &str, run: &str) -> Vec<String> {
    let admin = &world.admin;
    let operation = || operation.to_owned();
    let mut all = vec![
        admin
            .connectors
            .clone()
            .get_connector(pp::GetConnectorRequest { connector_id: connector.into() })
            .await
            .map(drop),
        admin
            .connectors
            .clone()
            .delete_connector(pp::DeleteConnectorRequest {
                connector_id: connector.into(),
                ..Default::default()
            })
            .await
            .map(drop),
        admin
            .connectors
            .clone()
            .check_connection(pp::CheckConnectionRequest { connector_id: connector.into() })
            .await
            .map(drop),
        admin
            .identities
            .clone()
            .get_identity(pp::GetIdentityRequest { key: Some(pp::get_identity_request::Key::IdentityId(identity.into())) })
            .await
            .map(drop),
        admin
            .identities
            .clone()
            .inactivate_identity(pp::InactivateIdentityRequest {
                identity_id: identity.into(),
                ..Default::default()
            })
            .await
            .map(drop),
        admin.operations.clone().create_operation(update_of(connector, "ann", "a@x")).await.map(drop),
        admin
            .operations
            .clone()
            .get_operation(pp::GetOperationRequest { operation_id: operation() })
            .await
            .map(drop),
        admin
            .operations
            .clone()
            .cancel_operation(pp::CancelOperationRequest { operation_id: operation(), ..Default::default() })
            .await
            .map(drop),
        admin
            .operations
            .clone()
            .retry_operation(pp::RetryOperationRequest { operation_id: operation(), ..Default::default() })
            .await
            .map(drop),
        admin
            .operations
            .clone()
            .list_operation_logs(pp::ListOperationLogsRequest {
                operation_id: operation(),
                ..Default::default()
            })
            .await
            .map(drop),
    ];
    all.push(admin.runs.clone().get_run(pr::GetRunRequest { run_id: run.into() }).await.map(drop));
    all.push(admin.runs.clone().get_report(pr::GetReportRequest { run_id: run.into() }).await.map(drop));
    all.push(
        admin
            .runs
            .clone()
            .cancel_run(pr::CancelRunRequest { run_id: run.into(), ..Default::default() })
            .await
            .map(drop),
    );
    all.into_iter()
        .map(|answer| {
            let status = answer.expect_err("nothing of another tenant is answered");
            format!("{:?} {} {:?}", status.code(), status.message(), status.details())
        })
        .collect()
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
    let excepted = ["connector_work", "run_work", "schedule_due"];
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
