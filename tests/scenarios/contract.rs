//! The contract as it is served: who may call what, what is listed, what is not served yet.

use std::collections::BTreeSet;

use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::{Code, Request, client::Grpc, codegen::http::uri::PathAndQuery, transport::Endpoint};
use xavyo_runtime::auth::access::{Access, RULES, Rule, Shape};
use xavyo_sandbox::keys::Claims;
use xavyo_tests::{Raw, Refusal, World};
use xavyo_wire::descriptor;

/// What an empty request gets; None = it was answered.
async fn ask(world: &World, rule: &Rule, token: &str, service: bool) -> Option<Refusal> {
    ask_at(world, &rule.path(), Some(token), service).await
}

async fn ask_at(world: &World, path: &str, token: Option<&str>, service: bool) -> Option<Refusal> {
    let url = if path.starts_with("/xavyo.provisioning") {
        world.provisioning_url()
    } else {
        world.reconciliation_url()
    };
    let mut client = Grpc::new(Endpoint::from_shared(url).unwrap().connect().await.unwrap());
    client.ready().await.unwrap();
    let mut request = Request::new(tokio_stream::iter([Vec::new()]));
    let metadata = request.metadata_mut();
    if let Some(token) = token {
        metadata.insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    if service {
        metadata.insert("x-xavyo-tenant", world.tenant.to_string().parse().unwrap());
        metadata.insert("x-xavyo-subject", world.tenant.to_string().parse().unwrap());
    }
    let path: PathAndQuery = path.parse().unwrap();
    match client.streaming(request, path, Raw).await {
        Err(status) => Some(Refusal::of(&status)),
        // A watch or an import that was let in stays open: its first message, or a moment of quiet, is answer enough.
        Ok(mut stream) => {
            let first =
                tokio::time::timeout(std::time::Duration::from_millis(200), stream.get_mut().message());
            first.await.ok()?.err().map(|status| Refusal::of(&status))
        }
    }
}

fn ours() -> impl Iterator<Item = &'static Rule> {
    RULES.iter().filter(|rule| rule.service.starts_with("xavyo."))
}

#[test]
fn every_rpc_of_the_contract_has_its_row_of_roles_and_its_shape_s2() {
    let mut declared = BTreeSet::new();
    for set in [descriptor::PROVISIONING, descriptor::RECONCILIATION] {
        for file in FileDescriptorSet::decode(set).unwrap().file {
            for service in &file.service {
                let name = format!("{}.{}", file.package(), service.name());
                declared.extend(service.method.iter().map(|method| {
                    let streams = method.client_streaming() || method.server_streaming();
                    (format!("/{name}/{}", method.name()), streams)
                }));
            }
        }
    }
    let ruled: BTreeSet<_> = ours().map(|rule| (rule.path(), rule.shape == Shape::Stream)).collect();
    assert_eq!(ruled, declared);
}

#[tokio::test]
async fn each_role_calls_what_its_row_allows_and_nothing_else_s2() {
    let world = World::new().await;
    for role in ["admin", "operator", "approver", "auditor", "service"] {
        let service = role == "service";
        let claims = if service { Claims::of_service() } else { Claims::of(world.tenant, &[role]) };
        let token = world.token(&claims);
        for rule in ours() {
            let Access::Roles(allowed) = rule.access else { panic!("{} is open", rule.path()) };
            let refusal = ask(&world, rule, &token, service).await;
            let forbidden =
                refusal.is_some_and(|refusal| refusal.named() == (Code::PermissionDenied, "ROLE_FORBIDS"));
            let admitted = allowed.iter().any(|allowed| allowed.name() == role);
            assert_eq!(forbidden, !admitted, "{role} {}", rule.path());
        }
    }
}

#[tokio::test]
async fn nobody_calls_anything_without_a_good_token_s2() {
    let world = World::new().await;
    let expired = world.token(&Claims { exp: 1, ..Claims::of(world.tenant, &["admin"]) });
    for rule in ours() {
        for token in [None, Some(expired.as_str())] {
            let refusal = ask_at(&world, &rule.path(), token, false).await.unwrap();
            assert_eq!(refusal.named(), (Code::Unauthenticated, "INVALID_TOKEN"), "{}", rule.path());
        }
    }
}

#[tokio::test]
async fn what_has_no_row_is_denied_even_to_an_admin_s2() {
    let world = World::new().await;
    let admin = world.token(&Claims::of(world.tenant, &["admin"]));
    for path in ["/xavyo.provisioning.v1.ConnectorService/DropAll", "/xavyo.reconciliation.v1.None/GetRun"] {
        let refusal = ask_at(&world, path, Some(&admin), false).await.unwrap();
        assert_eq!(refusal.named(), (Code::PermissionDenied, "ROLE_FORBIDS"), "{path}");
    }
}

#[tokio::test]
async fn what_is_not_served_yet_says_so() {
    let world = World::new().await;
    let token = world.token(&Claims::of(world.tenant, &["admin"]));
    let service = world.token(&Claims::of_service());
    let mut unserved = Vec::new();
    for rule in ours() {
        let Access::Roles(allowed) = rule.access else { continue };
        let by_service = allowed.iter().all(|role| role.name() == "service");
        let token = if by_service { &service } else { &token };
        if let Some(refusal) = ask(&world, rule, token, by_service).await
            && refusal.code == Code::Unimplemented
        {
            assert_eq!(refusal.reason, "NOT_IMPLEMENTED");
            unserved.push(rule.path());
        }
    }
    assert_eq!(unserved, include_str!("unserved.txt").lines().collect::<Vec<_>>());
}

/// The services of ours that a server's reflection of that version lists, sorted.
macro_rules! listed {
    ($version:ident, $url:expr) => {{
        use tonic_reflection::pb::$version::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let channel = Endpoint::from_shared($url).unwrap().connect().await.unwrap();
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let answers = ServerReflectionClient::new(channel)
            .server_reflection_info(tokio_stream::iter([request]))
            .await
            .unwrap();
        let answer = answers.into_inner().message().await.unwrap().unwrap().message_response.unwrap();
        let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
        let names = list.service.into_iter().map(|service| service.name);
        names.filter(|name| name.starts_with("xavyo.")).collect::<BTreeSet<_>>()
    }};
}

#[tokio::test]
async fn both_reflections_list_every_service() {
    let world = World::new().await;
    for (url, package) in [
        (world.provisioning_url(), "xavyo.provisioning.v1."),
        (world.reconciliation_url(), "xavyo.reconciliation.v1."),
    ] {
        let expected: BTreeSet<String> =
            ours().map(|rule| rule.service.to_owned()).filter(|name| name.starts_with(package)).collect();
        assert_eq!(listed!(v1, url.clone()), expected);
        assert_eq!(listed!(v1alpha, url), expected);
    }
}

#[tokio::test]
async fn health_needs_no_token() {
    use tonic_health::pb::{
        HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
    };
    let world = World::new().await;
    for url in [world.provisioning_url(), world.reconciliation_url()] {
        let channel = Endpoint::from_shared(url).unwrap().connect().await.unwrap();
        let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap();
        assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
    }
}
