//! Connectors: made, changed, checked, deleted; and everything that is refused.

use tonic::Code;
use xavyo_tests::{World, memory_connector, refused, update_of};
use xavyo_wire::pb::{google::FieldMask, provisioning as pp};

async fn create(world: &World, request: pp::CreateConnectorRequest) -> Result<pp::Connector, tonic::Status> {
    let made = world.admin.connectors.clone().create_connector(request).await?;
    Ok(made.into_inner().connector.unwrap())
}

fn sql(host: &str, port: i32) -> pp::CreateConnectorRequest {
    let settings = pp::SqlSettings {
        host: host.to_owned(),
        port,
        database: "hr".to_owned(),
        username: "hr".to_owned(),
        schema: "public".to_owned(),
        table: "person".to_owned(),
        uid_column: "uid".to_owned(),
        ..pp::SqlSettings::default()
    };
    let mut request = memory_connector();
    request.settings =
        Some(pp::ConnectorSettings { kind: Some(pp::connector_settings::Kind::Sql(settings)) });
    request.secrets =
        Some(pp::ConnectorSecrets { password: Some("canary".to_owned()), ..pp::ConnectorSecrets::default() });
    request
}

#[tokio::test]
async fn a_connector_is_found_as_it_was_made_without_its_secrets() {
    let world = World::new().await;
    let made = create(&world, sql("127.0.0.1", 1)).await.unwrap();
    let request = pp::GetConnectorRequest { connector_id: made.id.clone() };
    let found = world.admin.connectors.clone().get_connector(request).await.unwrap().into_inner();
    assert_eq!(found.connector.as_ref(), Some(&made));
    assert!(!format!("{found:?}").contains("canary"), "a secret never comes back");
}

#[tokio::test]
async fn fields_at_fault_are_named_with_their_paths() {
    let world = World::new().await;
    let mut broken = memory_connector();
    broken.name = String::new();
    broken.object_types[0].mapping[1].expression = "identity.".to_owned();
    let refusal = refused(create(&world, broken).await);
    assert_eq!(refusal.named(), (Code::InvalidArgument, "INVALID_FIELD"));
    assert!(refusal.fields.contains(&"name".to_owned()), "{refusal:?}");
    let mut compiled = memory_connector();
    compiled.object_types[0].mapping[1].expression = "identity.".to_owned();
    let refusal = refused(create(&world, compiled).await);
    assert_eq!(refusal.fields, ["object_types[0].mapping[1].expression"]);
}

#[tokio::test]
async fn a_connector_without_kind_is_refused() {
    let world = World::new().await;
    let refusal =
        refused(create(&world, pp::CreateConnectorRequest { settings: None, ..memory_connector() }).await);
    assert_eq!(refusal.code, Code::InvalidArgument);
    assert!(refusal.fields.iter().any(|field| field.starts_with("settings")), "{refusal:?}");
}

#[tokio::test]
async fn a_taken_name_is_refused_and_free_again_after_the_delete() {
    let world = World::new().await;
    let request = memory_connector();
    let made = create(&world, request.clone()).await.unwrap();
    assert_eq!(
        refused(create(&world, request.clone()).await).named(),
        (Code::AlreadyExists, "ALREADY_EXISTS")
    );
    let delete = pp::DeleteConnectorRequest { connector_id: made.id.clone(), ..Default::default() };
    world.admin.connectors.clone().delete_connector(delete).await.unwrap();
    assert!(create(&world, request).await.is_ok());
    let gone = pp::GetConnectorRequest { connector_id: made.id };
    let refusal = refused(world.admin.connectors.clone().get_connector(gone).await);
    assert_eq!(refusal.named(), (Code::NotFound, "NOT_FOUND"));
}

#[tokio::test]
async fn a_stale_etag_changes_nothing() {
    let world = World::new().await;
    let made = create(&world, memory_connector()).await.unwrap();
    let change = |etag: &str, name: &str| pp::UpdateConnectorRequest {
        connector: Some(pp::Connector {
            id: made.id.clone(),
            etag: etag.to_owned(),
            name: name.to_owned(),
            ..pp::Connector::default()
        }),
        update_mask: Some(FieldMask { paths: vec!["name".to_owned()] }),
        secrets: None,
    };
    let mut connectors = world.admin.connectors.clone();
    connectors.update_connector(change(&made.etag, "renamed")).await.unwrap();
    let refusal = refused(connectors.update_connector(change(&made.etag, "again")).await);
    assert_eq!(refusal.named(), (Code::Aborted, "ETAG_MISMATCH"));
}

#[tokio::test]
async fn a_connector_with_live_operations_is_not_deleted() {
    let world = World::new().await;
    let id = world.connector(|_| {}).await;
    let pause = pp::PauseConnectorRequest { connector_id: id.clone(), ..Default::default() };
    world.admin.connectors.clone().pause_connector(pause).await.unwrap();
    world.admin.accept(update_of(&id, "ann", "a@x")).await;
    let delete = pp::DeleteConnectorRequest { connector_id: id, ..Default::default() };
    let refusal = refused(world.admin.connectors.clone().delete_connector(delete).await);
    assert_eq!(refusal.named(), (Code::FailedPrecondition, "IN_USE"));
}

#[tokio::test]
async fn a_check_says_that_a_target_cannot_be_reached() {
    let world = World::new().await;
    let made = create(&world, sql("127.0.0.1", 1)).await.unwrap();
    let request = pp::CheckConnectionRequest { connector_id: made.id };
    let answer = world.admin.connectors.clone().check_connection(request).await;
    match answer {
        Ok(report) => assert!(!report.into_inner().steps.iter().all(|step| step.ok)),
        Err(status) => assert_eq!(refused::<()>(Err(status)).reason, "TARGET_UNAVAILABLE"),
    }
}
