//! Every call of the contract that names something by its id: another tenant's id is answered as a random one is, byte for
//! byte. New calls are found by themselves.

use std::{collections::BTreeMap, time::Duration};

use prost::Message;
use prost_types::{DescriptorProto, FileDescriptorSet, field_descriptor_proto::Type};
use tonic::{Request, client::Grpc, codegen::http::uri::PathAndQuery, transport::Endpoint};
use xavyo_sandbox::keys::Claims;
use xavyo_tests::{Raw, World, update_of};
use xavyo_wire::descriptor;

/// A method, and the fields of its request that name something: number and name.
struct Call {
    path: String,
    fields: Vec<(i32, String)>,
}

/// What a request's field names. A `request_id` is the caller's own, and only a service says a cause.
fn names_something(field: &str) -> bool {
    field.ends_with("_id") && field != "request_id" && field != "cause_id"
}

fn fields(message: &DescriptorProto) -> Vec<(i32, String)> {
    let texts = message.field.iter().filter(|field| field.r#type() == Type::String);
    let named = texts.filter(|field| names_something(field.name()));
    named.map(|field| (field.number(), field.name().to_owned())).collect()
}

fn calls() -> Vec<Call> {
    let mut calls = Vec::new();
    for set in [descriptor::PROVISIONING, descriptor::RECONCILIATION] {
        let set = FileDescriptorSet::decode(set).unwrap();
        let messages: BTreeMap<String, &DescriptorProto> = set
            .file
            .iter()
            .flat_map(|file| file.message_type.iter().map(move |one| (file.package(), one)))
            .map(|(package, message)| (format!(".{package}.{}", message.name()), message))
            .collect();
        for file in &set.file {
            for (service, method) in
                file.service.iter().flat_map(|one| one.method.iter().map(move |method| (one, method)))
            {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                calls.push(Call { path, fields: fields(messages[method.input_type()]) });
            }
        }
    }
    calls.retain(|call| !call.fields.is_empty());
    calls
}

/// A message with these texts.
fn message(fields: &[(i32, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, text) in fields {
        prost::encoding::string::encode(number.unsigned_abs(), &(*text).to_owned(), &mut bytes);
    }
    bytes
}

/// All that the caller learns: the status, or the first message.
async fn answer(world: &World, path: &str, message: Vec<u8>) -> String {
    let ours = path.starts_with("/xavyo.provisioning");
    let url = if ours { world.provisioning_url() } else { world.reconciliation_url() };
    let mut client = Grpc::new(Endpoint::from_shared(url).unwrap().connect().await.unwrap());
    client.ready().await.unwrap();
    let mut request = Request::new(tokio_stream::iter([message]));
    let token = world.token(&Claims::of(world.tenant, &["admin"]));
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let path: PathAndQuery = path.parse().unwrap();
    let first = async {
        let mut stream = client.streaming(request, path, Raw).await?.into_inner();
        stream.message().await
    };
    match tokio::time::timeout(Duration::from_secs(5), first).await.expect("an answer") {
        Err(status) => format!("{:?} {} {:?}", status.code(), status.message(), status.details()),
        Ok(message) => format!("{message:?}"),
    }
}

#[tokio::test]
async fn a_call_that_names_anothers_things_is_answered_like_one_that_names_nothing_s1() {
    let theirs = World::new().await;
    let connector = theirs.connector(|_| {}).await;
    let person = theirs.person("ann", "ann@x", "clerk").await;
    let operation = theirs.admin.accept(update_of(&connector, "bob", "b@x")).await;
    theirs.admin.ended(&operation).await;
    let run = theirs.full_run(&connector, false).await.id;
    let finding = theirs.admin.discrepancies_of(&run).await.remove(0).id;
    let mine = theirs.another_tenant().await;
    let random = mine.tenant.to_string();
    // Its first message is a bookmark, which holds the time.
    for call in calls().iter().filter(|call| !call.path.ends_with("/WatchOperations")) {
        let of = |name: &str| match name {
            "connector_id" => &connector,
            "identity_id" | "user_id" => &person,
            "run_id" => &run,
            "discrepancy_id" => &finding,
            _ => &operation,
        };
        let foreign: Vec<_> = call.fields.iter().map(|(number, name)| (*number, of(name).as_str())).collect();
        let unknown: Vec<_> = call.fields.iter().map(|(number, _)| (*number, random.as_str())).collect();
        let answers = (
            answer(&mine, &call.path, message(&foreign)).await,
            answer(&mine, &call.path, message(&unknown)).await,
        );
        assert_eq!(answers.0, answers.1, "{}", call.path);
    }
}

#[test]
fn the_calls_that_name_something_are_most_of_the_contract() {
    let calls = calls();
    assert!(calls.len() > 50, "{}", calls.len());
    assert!(calls.iter().any(|call| call.path.ends_with("OperationService/GetOperation")));
}
