//! Tokens that must not be let in (fault 10).

use tonic::{Code, Request, Status, transport::Endpoint};
use xavyo_sandbox::keys::{Claims, Keys};
use xavyo_tests::{World, refused};
use xavyo_wire::pb::provisioning::{
    ListConnectorsRequest, ListConnectorsResponse, connector_service_client::ConnectorServiceClient,
};

/// Lists connectors with exactly these headers.
async fn list(world: &World, headers: &[(&'static str, String)]) -> Result<ListConnectorsResponse, Status> {
    let channel = Endpoint::from_shared(world.provisioning_url()).unwrap().connect().await.unwrap();
    let mut request = Request::new(ListConnectorsRequest::default());
    for (name, value) in headers {
        request.metadata_mut().append(*name, value.parse().unwrap());
    }
    ConnectorServiceClient::new(channel).list_connectors(request).await.map(tonic::Response::into_inner)
}

fn bearer(token: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {token}"))
}

#[tokio::test]
async fn a_token_that_does_not_verify_is_refused() {
    let world = World::new().await;
    let good = Claims::of(world.tenant, &["admin"]);
    let signed = |claims: Claims| world.token(&claims);
    let foreign = Keys::generate().token(&good).unwrap();
    // {"alg":"none"} and the same claims, unsigned.
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", world.token(&good).split('.').nth(1).unwrap());
    for (what, token) in [
        ("expired", signed(Claims { exp: 1, ..good.clone() })),
        ("of another audience", signed(Claims { aud: "other".to_owned(), ..good.clone() })),
        ("of another issuer", signed(Claims { iss: "https://evil.test".to_owned(), ..good.clone() })),
        ("of another key", foreign),
        ("unsigned", unsigned),
        ("malformed", "abc".to_owned()),
    ] {
        let refusal = refused(list(&world, &[bearer(&token)]).await);
        assert_eq!(refusal.named(), (Code::Unauthenticated, "INVALID_TOKEN"), "{what}");
    }
}

#[tokio::test]
async fn no_token_and_two_tokens_are_refused() {
    let world = World::new().await;
    let good = world.token(&Claims::of(world.tenant, &["admin"]));
    assert_eq!(refused(list(&world, &[]).await).named(), (Code::Unauthenticated, "INVALID_TOKEN"));
    let twice = refused(list(&world, &[bearer(&good), bearer(&good)]).await);
    assert_eq!(twice.named(), (Code::Unauthenticated, "INVALID_TOKEN"));
    assert!(list(&world, &[bearer(&good)]).await.is_ok());
}

#[tokio::test]
async fn only_a_service_names_a_tenant() {
    let world = World::new().await;
    let admin = world.token(&Claims::of(world.tenant, &["admin"]));
    let other = ("x-xavyo-tenant", world.another_tenant().await.tenant.to_string());
    let refusal = refused(list(&world, &[bearer(&admin), other]).await);
    assert_eq!(refusal.named(), (Code::PermissionDenied, "ROLE_FORBIDS"));
    let service = world.token(&Claims::of_service());
    let nowhere = refused(list(&world, &[bearer(&service)]).await);
    assert_eq!(nowhere.code, Code::Unauthenticated, "a service that names no tenant");
}
