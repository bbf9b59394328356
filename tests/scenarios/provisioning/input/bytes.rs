//! Messages that no client of ours would write: raw bytes on the wire.

use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint},
};
use tonic::{Code, Request, client::Grpc, codegen::http::uri::PathAndQuery, transport::Endpoint};
use xavyo_sandbox::keys::Claims;
use xavyo_tests::{Raw, Refusal, World, update_of};
use xavyo_wire::pb::provisioning as pp;

use super::kept;

const CREATE: &str = "/xavyo.provisioning.v1.OperationService/CreateOperation";
const BATCH: &str = "/xavyo.provisioning.v1.OperationService/BatchCreateOperations";
const IDENTITY: &str = "/xavyo.provisioning.v1.IdentityService/CreateIdentity";
const IMPORT: &str = "/xavyo.provisioning.v1.IdentityService/ImportIdentities";
const LIST: &str = "/xavyo.provisioning.v1.OperationService/ListOperations";

async fn refused(world: &World, path: &str, message: Vec<u8>) -> Refusal {
    let channel = Endpoint::from_shared(world.provisioning_url()).unwrap().connect().await.unwrap();
    let mut client = Grpc::new(channel);
    client.ready().await.unwrap();
    let mut request = Request::new(message);
    let token = world.token(&Claims::of(world.tenant, &["admin"]));
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let path: PathAndQuery = path.parse().unwrap();
    let answer = client.unary(request, path, Raw).await;
    Refusal::of(&answer.expect_err("the message should have been refused"))
}

/// A field of bytes, whatever they are.
fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut message);
    encode_varint(bytes.len() as u64, &mut message);
    message.extend(bytes);
    message
}

/// A value of lists in lists, so deep.
fn deep(depth: usize) -> Vec<u8> {
    let value = (0..depth).fold(field(3, b"x"), |inner, _| field(6, &field(1, &inner)));
    let entry = [field(1, b"mail"), field(2, &value)].concat();
    field(1, &entry)
}

#[tokio::test]
async fn bytes_that_are_no_message_are_refused_as_bad_input_and_nothing_is_kept_fault_38() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let before = kept(&world).await;
    let sound = || update_of(&connector, "ann", "a@x").encode_to_vec();
    let with = |more: Vec<u8>| [sound(), more].concat();
    let surrogate = b"\xED\xA0\x80";
    for (path, message) in [
        (CREATE, with(field(6, b"\xff\xfe"))),
        (CREATE, with(field(6, surrogate))),
        (CREATE, with(field(12, b"overlong \xC0\x80"))),
        (CREATE, with(field(9, &field(1, &[field(1, surrogate), field(2, &field(3, b"x"))].concat())))),
        (CREATE, with(field(9, &deep(200)))),
        (CREATE, with(field(9, &deep(10_000)))),
        (CREATE, with(vec![0x0f])),
        (CREATE, with(vec![0xff; 12])),
        (CREATE, sound()[..20].to_vec()),
        (BATCH, field(1, &with(field(6, surrogate)))),
        (IDENTITY, field(1, surrogate)),
        (IMPORT, field(1, surrogate)),
        (LIST, field(2, surrogate)),
    ] {
        let refusal = refused(&world, path, message.clone()).await;
        let start = &message[message.len().saturating_sub(20)..];
        assert_eq!(
            refusal.named(),
            (Code::InvalidArgument, "INVALID_FIELD"),
            "{path} …{start:x?}: {refusal:?}"
        );
    }
    assert_eq!(kept(&world).await, before);
}

#[tokio::test]
async fn a_message_above_the_limit_is_refused_and_what_is_below_it_is_taken_fault_38() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let padded = |bytes: usize| {
        let sound = update_of(&connector, "ann", "a@x").encode_to_vec();
        // A field that the contract does not know is passed over.
        let padding = bytes - sound.len();
        [sound, field(1_000, &vec![0; padding])].concat()
    };
    let refusal = refused(&world, CREATE, padded(4 << 20)).await;
    assert_eq!(refusal.named(), (Code::ResourceExhausted, "LIMIT_EXCEEDED"));
    assert_eq!(kept(&world).await.0, Some(0));
    let refusal = refused(&world, IDENTITY, [field(1_000, &vec![0; 4_000_000]), field(4, b"no id")].concat());
    assert_eq!(refusal.await.fields, ["request_id"], "read to its end");
    let mut operations = world.admin.operations.clone();
    let list = pp::ListOperationsRequest::default();
    assert!(operations.list_operations(list).await.is_ok(), "and the service goes on");
}
