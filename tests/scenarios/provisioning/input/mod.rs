//! Input that nobody should send: refused by the name of its field, and nothing of it is kept.

mod bytes;
mod page;

use tonic::Code;
use xavyo_tests::{Refusal, World, refused, set, update_of};
use xavyo_wire::pb::{
    google::{ListValue, Struct, Timestamp, Value, value::Kind},
    provisioning as pp,
};

type Fault = (&'static str, fn(&mut pp::CreateOperationRequest));

/// Attributes of anything.
fn with(attributes: impl IntoIterator<Item = (String, Value)>) -> Struct {
    Struct { fields: attributes.into_iter().collect() }
}

fn one(value: Value) -> Struct {
    with([("mail".to_owned(), value)])
}

fn text(bytes: usize) -> Value {
    Kind::StringValue("x".repeat(bytes)).into()
}

fn list(values: Vec<Value>) -> Value {
    Kind::ListValue(ListValue { values }).into()
}

/// A text in so many objects.
fn nested(depth: usize) -> Value {
    (0..depth).fold(text(1), |inner, _| {
        Kind::StructValue(Struct { fields: [("add".to_owned(), inner)].into() }).into()
    })
}

fn at(seconds: i64, nanos: i32) -> Timestamp {
    Timestamp { seconds, nanos }
}

/// The field that each makes a fault of.
const FAULTS: [Fault; 33] = [
    ("payload", |it| it.payload = Some(with((0..1_001).map(|n| (format!("a{n}"), text(1)))))),
    ("payload", |it| it.payload = Some(one(list(vec![text(60_000); 20])))),
    ("payload", |it| it.payload = Some(with([("ma\0il".to_owned(), text(1))]))),
    ("payload", |it| it.payload = Some(with([(String::new(), text(1))]))),
    ("payload", |it| it.payload = Some(with([("a".repeat(257), text(1))]))),
    ("payload", |it| it.payload = Some(with([("\u{FDD0}".to_owned(), text(1))]))),
    ("payload.mail", |it| it.payload = Some(one(text(65_537)))),
    ("payload.mail", |it| it.payload = Some(one(list(vec![text(1); 100_001])))),
    ("payload.mail", |it| it.payload = Some(one(list(vec![list(vec![text(1)])])))),
    ("payload.mail", |it| it.payload = Some(one(nested(2)))),
    ("payload.mail", |it| it.payload = Some(one(nested(20)))),
    ("payload.mail", |it| it.payload = Some(set(&[("mail", "a\0b")]))),
    ("payload.mail", |it| it.payload = Some(set(&[("mail", "\u{FDD0}sealed")]))),
    ("payload.mail", |it| it.payload = Some(one(f64::NAN.into()))),
    ("payload.mail", |it| it.payload = Some(one(f64::INFINITY.into()))),
    ("payload.mail", |it| it.payload = Some(one(1e300.into()))),
    ("payload.account_state", |it| it.payload = Some(set(&[("account_state", "ENABLED\0")]))),
    ("priority", |it| it.priority = Some(101)),
    ("priority", |it| it.priority = Some(i32::MIN)),
    ("max_retries", |it| it.max_retries = Some(21)),
    ("max_retries", |it| it.max_retries = Some(-1)),
    ("operation_type", |it| it.operation_type = 99),
    ("object_class", |it| "acc\0unt".clone_into(&mut it.object_class)),
    ("intent", |it| it.intent = "i".repeat(257)),
    ("target_uid", |it| it.target_uid = Some("an\0n".to_owned())),
    ("target_uid", |it| it.target_uid = Some("a".repeat(1_025))),
    ("user_id", |it| it.user_id = Some("ann".to_owned())),
    ("reason", |it| it.reason = Some("r".repeat(1_025))),
    ("reason", |it| it.reason = Some("\0".to_owned())),
    ("request_id", |it| it.request_id = Some("first".to_owned())),
    ("not_before", |it| it.not_before = Some(at(253_402_300_800, 0))),
    ("not_before", |it| it.not_before = Some(at(0, -1))),
    ("precondition.attributes_digest", |it| {
        let attributes_digest = Some("\0".repeat(32));
        it.precondition = Some(pp::Precondition { attributes_digest, ..Default::default() });
    }),
];

fn is_named(refusal: &Refusal, field: &str) -> bool {
    refusal.named() == (Code::InvalidArgument, "INVALID_FIELD") && refusal.fields.iter().any(|it| it == field)
}

/// What the tenant has: operations, identities, rows of its audit log.
async fn kept(world: &World) -> (Option<i64>, Option<i64>, usize) {
    let operations = pp::ListOperationsRequest { count_total: true, ..Default::default() };
    let operations = world.admin.operations.clone().list_operations(operations).await.unwrap();
    let identities = pp::ListIdentitiesRequest { count_total: true, ..Default::default() };
    let identities = world.admin.identities.clone().list_identities(identities).await.unwrap();
    let audited = pp::ListAuditEventsRequest::default();
    let audited = world.admin.audit.clone().list_audit_events(audited).await.unwrap();
    let rows = audited.into_inner().events.len();
    (operations.into_inner().total_size, identities.into_inner().total_size, rows)
}

#[tokio::test]
async fn each_fault_of_an_operation_is_named_alone_and_in_a_batch_and_nothing_is_kept_fault_30() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let before = kept(&world).await;
    let mut operations = world.admin.operations.clone();
    for (number, (field, spoil)) in FAULTS.into_iter().enumerate() {
        let mut spoilt = update_of(&connector, "ann", "a@x");
        spoil(&mut spoilt);
        let refusal = refused(operations.create_operation(spoilt.clone()).await);
        assert!(is_named(&refusal, field), "{number}, {field}: {refusal:?}");
        let batch = vec![update_of(&connector, "bob", "b@x"), spoilt];
        let batch = pp::BatchCreateOperationsRequest { operations: batch, request_id: None };
        let refusal = refused(operations.batch_create_operations(batch).await);
        assert!(is_named(&refusal, &format!("operations[1].{field}")), "{number}, {field}: {refusal:?}");
    }
    assert_eq!(kept(&world).await, before);
}

#[tokio::test]
async fn each_fault_of_an_identity_is_named_and_nothing_is_kept_fault_30() {
    let world = World::new().await;
    let before = kept(&world).await;
    let attributes = |it| pp::CreateIdentityRequest { attributes: Some(it), ..Default::default() };
    let keyed =
        |key: &str| pp::CreateIdentityRequest { source_key: Some(key.to_owned()), ..Default::default() };
    let request_id = Some("first".to_owned());
    for (field, request) in [
        ("source_key", keyed(&"k".repeat(513))),
        ("source_key", keyed("k\0")),
        ("attributes", attributes(with([("a\0".to_owned(), text(1))]))),
        ("attributes", attributes(with((0..1_001).map(|n| (format!("a{n}"), text(1)))))),
        ("attributes", attributes(one(list(vec![text(60_000); 20])))),
        ("attributes.mail", attributes(set(&[("mail", "\0")]))),
        ("attributes.mail", attributes(one(nested(1)))),
        ("attributes.mail", attributes(one(nested(20)))),
        ("attributes.mail", attributes(one(text(65_537)))),
        ("attributes.mail", attributes(one(f64::NAN.into()))),
        ("request_id", pp::CreateIdentityRequest { request_id, ..Default::default() }),
    ] {
        let refusal = refused(world.admin.identities.clone().create_identity(request).await);
        assert!(is_named(&refusal, field), "{field}: {refusal:?}");
    }
    assert_eq!(kept(&world).await, before);
}

#[tokio::test]
async fn text_that_is_odd_but_sound_comes_back_as_it_was_fault_30() {
    let world = World::new().await;
    let connector = world.connector(|request| request.mode = pp::ConnectorMode::Manual.into()).await;
    for odd in
        ["\u{FFFD}", "\\ud800", "\\u0000", "e\u{301}", "\u{202E}\u{200B}", "😀", " ", "'; drop table x --"]
    {
        let request = pp::CreateOperationRequest {
            not_before: Some(at(4_000_000_000, 0)),
            payload: Some(set(&[(odd, odd)])),
            reason: Some(odd.to_owned()),
            ..update_of(&connector, odd, "")
        };
        let id = world.admin.accept(request).await;
        let found = world.admin.operation(&id).await.unwrap();
        assert_eq!(found.payload, Some(set(&[(odd, odd)])), "{odd:?}");
        assert_eq!((found.target_uid.as_deref(), found.reason.as_deref()), (Some(odd), Some(odd)));
    }
}

#[tokio::test]
async fn a_request_id_of_a_batch_stands_for_exactly_its_content() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let batch = |uids: &[&str], id: &str| pp::BatchCreateOperationsRequest {
        operations: uids.iter().map(|uid| update_of(&connector, uid, "a@x")).collect(),
        request_id: Some(id.to_owned()),
    };
    let make = |request| {
        let mut operations = world.admin.operations.clone();
        async move { operations.batch_create_operations(request).await.map(tonic::Response::into_inner) }
    };
    let id = world.tenant.to_string();
    let first = make(batch(&["ann", "bob"], &id)).await.unwrap();
    let again = make(batch(&["ann", "bob"], &id.to_uppercase())).await.unwrap();
    let ids = |made: pp::BatchCreateOperationsResponse| {
        made.operations.into_iter().map(|operation| operation.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(first), ids(again), "the same, in either case of the id");
    for other in [&["bob", "ann"][..], &["ann"], &["ann", "bob", "bob"]] {
        let refusal = refused(make(batch(other, &id)).await);
        assert_eq!(refusal.named(), (Code::AlreadyExists, "REQUEST_ID_REUSED"), "{other:?}");
    }
    assert_eq!(kept(&world).await.0, Some(2));
}
