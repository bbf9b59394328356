//! The audit log: one row for each change, and none is ever changed.

use sqlx::Connection;
use xavyo_tests::{World, update_of};
use xavyo_wire::pb::provisioning as pp;

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
async fn a_refused_change_leaves_no_row_s4() {
    let world = World::new().await;
    let request = pp::CancelOperationRequest { operation_id: world.tenant.to_string(), ..Default::default() };
    world.admin.operations.clone().cancel_operation(request).await.unwrap_err();
    assert!(methods(&world).await.is_empty());
}

#[tokio::test]
async fn the_program_can_neither_change_nor_delete_the_log_s4() {
    let world = World::new().await;
    let mut program = sqlx::PgConnection::connect(&world.ground().provisioning.program_url()).await.unwrap();
    for statement in ["update audit_event set reason = ''", "delete from audit_event", "truncate audit_event"]
    {
        let error = sqlx::raw_sql(statement).execute(&mut program).await.unwrap_err();
        assert!(error.to_string().contains("permission denied"), "{statement}: {error}");
    }
}
