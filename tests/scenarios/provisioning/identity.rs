//! Identities: made, changed, imported.

use tonic::Code;
use xavyo_tests::{World, refused, set};
use xavyo_wire::pb::{common, google::FieldMask, provisioning as pp};

fn imported(key: &str, mail: &str) -> pp::ImportedIdentity {
    let text = |name: &str, value: &str| common::Attribute {
        name: name.to_owned(),
        values: vec![common::Value { kind: Some(common::value::Kind::StringValue(value.to_owned())) }],
    };
    pp::ImportedIdentity {
        source_key: key.to_owned(),
        active: None,
        attributes: vec![text("login", key), text("mail", mail)],
    }
}

/// Imports in one chunk; the acknowledgements and the summary.
async fn import(
    world: &World,
    identities: Vec<pp::ImportedIdentity>,
) -> (Vec<pp::ImportAcknowledgement>, pp::ImportSummary) {
    use pp::{import_identities_request::Item, import_identities_response::Item as Answer};
    let count = i64::try_from(identities.len()).unwrap();
    let items = [
        Item::Start(pp::ImportStart::default()),
        Item::Chunk(pp::ImportChunk { identities }),
        Item::End(pp::ImportEnd { count }),
    ];
    let requests = items.map(|item| pp::ImportIdentitiesRequest { item: Some(item) });
    let answers = world.admin.identities.clone().import_identities(tokio_stream::iter(requests)).await;
    let mut answers = answers.unwrap().into_inner();
    let mut acknowledged = Vec::new();
    loop {
        match answers.message().await.unwrap().expect("an import ends with its summary").item.unwrap() {
            Answer::Acknowledgement(one) => acknowledged.push(one),
            Answer::Summary(summary) => return (acknowledged, summary),
        }
    }
}

#[tokio::test]
async fn an_import_upserts_by_key_and_writes_nothing_twice() {
    let world = World::new().await;
    let people = || (0..700).map(|n| imported(&format!("p{n}"), &format!("p{n}@x"))).collect::<Vec<_>>();
    let (acknowledged, first) = import(&world, people()).await;
    assert_eq!((acknowledged.len(), first.counts.unwrap().created), (2, 700), "transactions of 500");
    let mut changed = people();
    changed[7] = imported("p7", "new@x");
    let counts = import(&world, changed).await.1.counts.unwrap();
    assert_eq!((counts.created, counts.updated, counts.unchanged), (0, 1, 699));
}

#[tokio::test]
async fn a_bad_record_is_named_and_the_others_are_taken() {
    let world = World::new().await;
    let people =
        vec![imported("a", "a@x"), imported("", "b@x"), imported("c", "c\0@x"), imported("d", "d@x")];
    let (acknowledged, summary) = import(&world, people).await;
    let failed: Vec<i64> = acknowledged.iter().flat_map(|one| &one.errors).map(|error| error.index).collect();
    let counts = summary.counts.unwrap();
    assert_eq!((failed, counts.created, counts.failed), (vec![1, 2], 2, 2));
}

#[tokio::test]
async fn an_enforcing_connector_follows_a_person_from_the_first_day_to_the_last() {
    let world = World::new().await;
    let connector = world.connector(|request| request.mode = pp::ConnectorMode::Enforce.into()).await;
    let person = world.person("ann", "ann@x", "clerk").await;
    let request = pp::ListOperationsRequest { connector_id: Some(connector), ..Default::default() };
    let list = || async {
        world.admin.operations.clone().list_operations(request.clone()).await.unwrap().into_inner().operations
    };
    let created = list().await;
    assert_eq!(created.len(), 1);
    world.admin.ended(&created[0].id).await;
    let leave = pp::InactivateIdentityRequest { identity_id: person, ..Default::default() };
    let answer = world.admin.identities.clone().inactivate_identity(leave).await.unwrap().into_inner();
    assert_eq!(answer.operations.len(), 1, "the account is disabled");
    world.admin.ended(&list().await[0].id).await;
}

fn change_of(person: &str, mail: &str, path: &str) -> pp::UpdateIdentityRequest {
    let attributes = Some(set(&[("mail", mail)]));
    pp::UpdateIdentityRequest {
        identity: Some(pp::Identity { id: person.to_owned(), attributes, ..Default::default() }),
        update_mask: Some(FieldMask { paths: vec![path.to_owned()] }),
        validate_only: false,
    }
}

#[tokio::test]
async fn a_change_can_be_foreseen_and_then_carries_only_what_changed() {
    let world = World::new().await;
    let connector = world.connector(|request| request.mode = pp::ConnectorMode::Enforce.into()).await;
    let person = world.person("ann", "ann@x", "clerk").await;
    let request = pp::ListOperationsRequest { connector_id: Some(connector.clone()), ..Default::default() };
    let listed = world.admin.operations.clone().list_operations(request).await.unwrap().into_inner();
    world.admin.ended(&listed.operations[0].id).await;
    let change = change_of(&person, "new@x", "attributes.mail");
    let foreseen = pp::UpdateIdentityRequest { validate_only: true, ..change.clone() };
    let mut identities = world.admin.identities.clone();
    let foreseen = identities.update_identity(foreseen).await.unwrap().into_inner().operations;
    assert_eq!(world.writes(&connector).await, ["create ann"], "nothing was written yet");
    let made = identities.update_identity(change).await.unwrap().into_inner().operations;
    assert!(foreseen.len() == 1 && foreseen[0].operation_id.is_none(), "{foreseen:?}");
    assert_eq!((made.len(), &made[0].payload), (1, &foreseen[0].payload));
    assert_eq!(made[0].payload, Some(set(&[("mail", "new@x")])));
    world.admin.ended(made[0].operation_id()).await;
    assert_eq!(world.writes(&connector).await, ["create ann", "update ann"]);
}

#[tokio::test]
async fn what_a_caller_may_not_set_is_refused_by_its_path() {
    let world = World::new().await;
    let person = world.person("ann", "ann@x", "clerk").await;
    for path in ["active", "source_key", "id", "nonsense"] {
        let change = change_of(&person, "new@x", path);
        let refusal = refused(world.admin.identities.clone().update_identity(change).await);
        assert_eq!(refusal.named(), (Code::InvalidArgument, "INVALID_FIELD"), "{path}");
        assert!(refusal.fields[0].starts_with("update_mask"), "{refusal:?}");
    }
}

#[tokio::test]
async fn bad_identities_are_refused_with_the_field() {
    let world = World::new().await;
    let make = |request| {
        let mut identities = world.admin.identities.clone();
        async move { identities.create_identity(request).await }
    };
    let long = pp::CreateIdentityRequest { source_key: Some("x".repeat(600)), ..Default::default() };
    assert_eq!(refused(make(long).await).fields, ["source_key"]);
    let nul = pp::CreateIdentityRequest { attributes: Some(set(&[("mail", "a\0b")])), ..Default::default() };
    let refusal = refused(make(nul).await);
    assert_eq!(refusal.code, Code::InvalidArgument);
    assert!(refusal.fields[0].starts_with("attributes.mail"), "{refusal:?}");
}

#[tokio::test]
async fn a_repeated_request_answers_the_same_identity_and_another_body_is_refused() {
    let world = World::new().await;
    let request = pp::CreateIdentityRequest {
        attributes: Some(set(&[("mail", "a@x")])),
        request_id: Some(world.tenant.to_string()),
        ..Default::default()
    };
    let mut identities = world.admin.identities.clone();
    let first = identities.create_identity(request.clone()).await.unwrap().into_inner().identity.unwrap();
    let again = identities.create_identity(request.clone()).await.unwrap().into_inner().identity.unwrap();
    assert_eq!(first.id, again.id);
    let other = pp::CreateIdentityRequest { attributes: Some(set(&[("mail", "b@x")])), ..request };
    let refusal = refused(identities.create_identity(other).await);
    assert_eq!(refusal.named(), (Code::AlreadyExists, "REQUEST_ID_REUSED"));
}

#[tokio::test]
async fn people_are_listed_page_by_page_newest_first_and_by_who_is_active() {
    let world = World::new().await;
    let mut made = Vec::new();
    for login in ["ann", "bob", "eve"] {
        made.push(world.person(login, "x@x", "clerk").await);
    }
    let leave = pp::InactivateIdentityRequest { identity_id: made[1].clone(), ..Default::default() };
    world.admin.identities.clone().inactivate_identity(leave).await.unwrap();
    let list = |request: pp::ListIdentitiesRequest| {
        let mut identities = world.as_role("auditor").identities;
        async move { identities.list_identities(request).await.map(tonic::Response::into_inner) }
    };
    let ids = |page: &pp::ListIdentitiesResponse| {
        page.identities.iter().map(|identity| identity.id.clone()).collect::<Vec<_>>()
    };
    let two = pp::ListIdentitiesRequest { page_size: 2, count_total: true, ..Default::default() };
    let first = list(two.clone()).await.unwrap();
    assert_eq!((ids(&first), first.total_size), (vec![made[2].clone(), made[1].clone()], Some(3)));
    let next = pp::ListIdentitiesRequest { page_token: first.next_page_token.clone(), ..two.clone() };
    let second = list(next).await.unwrap();
    assert_eq!((ids(&second), second.next_page_token.as_str()), (vec![made[0].clone()], ""));
    let active = pp::ListIdentitiesRequest { active: Some(false), ..Default::default() };
    assert_eq!(ids(&list(active.clone()).await.unwrap()), [made[1].clone()]);
    let foreign = pp::ListIdentitiesRequest { page_token: first.next_page_token, ..active };
    assert_eq!(refused(list(foreign).await).reason, "INVALID_PAGE_TOKEN", "of another filter");
    let negative = pp::ListIdentitiesRequest { page_size: -1, ..Default::default() };
    assert_eq!(refused(list(negative).await).fields, ["page_size"]);
}
