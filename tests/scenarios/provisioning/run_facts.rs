//! What reconciliation tells after its reads: new uids of linked accounts, and that a full run was completed.

use tonic::{Code, Request};
use xavyo_sandbox::keys::Claims;
use xavyo_tests::{Clients, World, refused};
use xavyo_wire::pb::google::{FieldMask, Timestamp};
use xavyo_wire::pb::provisioning as pp;

/// As the other service, which names whom it acts for in each call.
fn service(world: &World) -> Clients {
    world.with_token(&world.token(&Claims::of_service()))
}

fn of<T>(world: &World, message: T) -> Request<T> {
    let mut request = Request::new(message);
    for name in ["x-xavyo-tenant", "x-xavyo-subject"] {
        request.metadata_mut().insert(name, world.tenant.to_string().parse().unwrap());
    }
    request
}

async fn link(world: &World, connector: &str) -> pp::Link {
    let request = pp::ListLinksRequest { connector_id: Some(connector.to_owned()), ..Default::default() };
    world.admin.accounts.clone().list_links(request).await.unwrap().into_inner().links.remove(0)
}

#[tokio::test]
async fn a_new_uid_is_told_once_and_never_of_another_account() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let ann = world.person("ann", "ann@x", "clerk").await;
    world.account_of(&connector, &ann).await;
    let made = link(&world, &connector).await;
    let refresh = |link_id: &str, uid: &str, immutable_id: Option<String>| {
        let told =
            pp::RefreshedLink { link_id: link_id.to_owned(), external_uid: uid.to_owned(), immutable_id };
        let message = pp::RefreshLinksRequest { connector_id: connector.clone(), links: vec![told] };
        let (mut accounts, request) = (service(&world).accounts, of(&world, message));
        async move { accounts.refresh_links(request).await.map(|answer| answer.into_inner().refreshed) }
    };
    assert_eq!(refresh(&made.id, "ann.b", made.immutable_id.clone()).await.unwrap(), 1);
    assert_eq!(link(&world, &connector).await.external_uid, "ann.b");
    assert_eq!(refresh(&made.id, "ann.b", None).await.unwrap(), 0, "told again");
    assert_eq!(refresh(&made.id, "eve", Some("another".to_owned())).await.unwrap(), 0, "another account");
    assert_eq!(refresh(&world.tenant.to_string(), "eve", None).await.unwrap(), 0, "no such link");
    assert_eq!(link(&world, &connector).await.external_uid, "ann.b");
}

#[tokio::test]
async fn what_is_told_is_checked_and_told_by_the_service_or_an_admin_alone() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let none = pp::RefreshLinksRequest { connector_id: connector.clone(), links: Vec::new() };
    let refusal = refused(service(&world).accounts.refresh_links(of(&world, none.clone())).await);
    assert_eq!((refusal.code, refusal.fields), (Code::InvalidArgument, vec!["links".to_owned()]));
    let refusal = refused(world.as_role("operator").accounts.refresh_links(none).await);
    assert_eq!(refusal.named(), (Code::PermissionDenied, "ROLE_FORBIDS"));
}

#[tokio::test]
async fn a_connector_may_enforce_once_a_full_run_was_completed() {
    let world = World::new().await;
    let connector = world
        .connector(|request| {
            if let Some(policies) = &mut request.policies {
                policies.skip_first_run = false;
            }
        })
        .await;
    let enforce = || {
        let mut connectors = world.admin.connectors.clone();
        let changed = pp::Connector {
            id: connector.clone(),
            mode: pp::ConnectorMode::Enforce.into(),
            ..pp::Connector::default()
        };
        let request = pp::UpdateConnectorRequest {
            connector: Some(changed),
            update_mask: Some(FieldMask { paths: vec!["mode".to_owned()] }),
            ..pp::UpdateConnectorRequest::default()
        };
        async move { connectors.update_connector(request).await }
    };
    assert_eq!(refused(enforce().await).reason, "MODE_FORBIDS");
    let run = |connector_id: String| pp::RecordCompletedRunRequest {
        connector_id,
        run_id: world.tenant.to_string(),
        connector_revision: 1,
        completed_at: Some(Timestamp { seconds: 1_750_000_000, nanos: 0 }),
    };
    let record = |message| {
        let (mut accounts, request) = (service(&world).accounts, of(&world, message));
        async move { accounts.record_completed_run(request).await }
    };
    assert_eq!(refused(record(run(world.tenant.to_string())).await).code, Code::NotFound);
    record(run(connector.clone())).await.unwrap();
    record(run(connector.clone())).await.unwrap();
    enforce().await.unwrap();
}
