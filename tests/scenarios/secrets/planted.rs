//! Secrets of connectors.

use xavyo_tests::{World, memory_connector, refused};
use xavyo_wire::pb::{google::FieldMask, provisioning as pp, reconciliation as pr};

use super::{CANARY, assert_untold, betrayed_by};

fn ldap(host: &str) -> pp::ConnectorSettings {
    let ldap = pp::LdapSettings {
        host: host.to_owned(),
        port: 1,
        tls: pp::LdapTls::None.into(),
        bind_dn: "cn=xavyo".to_owned(),
        base_dn: "dc=example".to_owned(),
        naming_attribute: "uid".to_owned(),
        create_object_classes: vec!["inetOrgPerson".to_owned()],
        ..pp::LdapSettings::default()
    };
    pp::ConnectorSettings { kind: Some(pp::connector_settings::Kind::Ldap(ldap)) }
}

fn password() -> pp::ConnectorSecrets {
    pp::ConnectorSecrets { bind_password: Some(CANARY.to_owned()), ..pp::ConnectorSecrets::default() }
}

/// A directory that nobody serves, reached with the canary as its password.
async fn unreachable(world: &World) -> String {
    world
        .connector(|request| {
            request.settings = Some(ldap("127.0.0.1"));
            request.secrets = Some(password());
        })
        .await
}

#[tokio::test]
async fn a_connectors_secret_is_in_no_answer_no_log_and_no_database_s3() {
    let world = World::new().await;
    let connector_id = unreachable(&world).await;
    let mut connectors = world.admin.connectors.clone();
    let request = pp::GetConnectorRequest { connector_id: connector_id.clone() };
    let read = connectors.get_connector(request).await.unwrap().into_inner();
    let request = pp::CheckConnectionRequest { connector_id: connector_id.clone() };
    let checked = connectors.check_connection(request).await;
    let request = pp::DiscoverSchemaRequest { connector_id: connector_id.clone(), refresh: false };
    let discovered = connectors.discover_schema(request).await;
    // A run waits for a target that is away: it is looked at while it does, and given up.
    let start = pr::StartRunRequest {
        connector_id: connector_id.clone(),
        mode: pr::ReconciliationMode::Full.into(),
        ..pr::StartRunRequest::default()
    };
    let mut runs = world.admin.runs.clone();
    let run = runs.start_run(start).await.unwrap().into_inner().run.unwrap();
    let cancelled = runs.cancel_run(pr::CancelRunRequest { run_id: run.id, ..Default::default() }).await;
    assert_eq!(read.connector.as_ref().unwrap().stored_secrets, ["bind_password"]);
    let answers = format!("{read:?}\n{checked:?}\n{discovered:?}\n{cancelled:?}");
    assert_eq!(betrayed_by(&answers), None, "{answers}");
    assert_untold(&world).await;
}

#[tokio::test]
async fn a_secret_does_not_follow_its_connector_to_another_host_by_itself() {
    let world = World::new().await;
    let id = unreachable(&world).await;
    let moved = |secrets| pp::UpdateConnectorRequest {
        connector: Some(pp::Connector {
            id: id.clone(),
            settings: Some(ldap("127.0.0.2")),
            ..pp::Connector::default()
        }),
        update_mask: Some(FieldMask { paths: vec!["settings".to_owned()] }),
        secrets,
    };
    let mut connectors = world.admin.connectors.clone();
    let refusal = refused(connectors.update_connector(moved(None)).await);
    assert_eq!(
        (refusal.reason.as_str(), refusal.fields),
        ("INVALID_FIELD", vec!["secrets.bind_password".to_owned()])
    );
    let accepted = connectors.update_connector(moved(Some(password()))).await.unwrap().into_inner();
    assert!(format!("{accepted:?}").contains("127.0.0.2"), "{accepted:?}");
}

#[tokio::test]
async fn a_secret_that_is_refused_is_not_quoted_s3() {
    let world = World::new().await;
    let mut request = memory_connector();
    request.secrets = Some(password());
    let answer = world.admin.connectors.clone().create_connector(request).await;
    assert_eq!(betrayed_by(&format!("{answer:?}")), None);
    assert_eq!(refused(answer).fields, ["secrets.bind_password"]);
    assert_untold(&world).await;
}

#[tokio::test]
async fn secrets_are_rotated_while_they_are_in_use_and_stay_what_they_were() {
    let world = World::new().await;
    let id = unreachable(&world).await;
    unreachable(&world).await;
    let mut connectors = world.admin.connectors.clone();
    let all = connectors.rotate_secrets(pp::RotateSecretsRequest::default()).await.unwrap().into_inner();
    assert!(all.rotated == 2 && !all.key_id.is_empty(), "{all:?}");
    let one = pp::RotateSecretsRequest { connector_id: Some(id) };
    assert_eq!(connectors.rotate_secrets(one).await.unwrap().into_inner().rotated, 1);
    let unknown = pp::RotateSecretsRequest { connector_id: Some(world.tenant.to_string()) };
    assert_eq!(refused(connectors.rotate_secrets(unknown).await).reason, "NOT_FOUND");
    let operator =
        world.as_role("operator").connectors.rotate_secrets(pp::RotateSecretsRequest::default()).await;
    assert_eq!(refused(operator).reason, "ROLE_FORBIDS");
    assert_untold(&world).await;
}
