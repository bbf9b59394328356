//! The story of an account: everything that happened to it, whoever it belonged to.

use tonic::{Code, Status};
use xavyo_tests::{World, refused, set, update_of};
use xavyo_wire::pb::provisioning::{
    self as pp,
    AccountEventKind::{Created, Deleted, Disabled, Linked, Rejected, Unlinked, Updated},
    list_account_events_request::Key,
};

async fn events(
    world: &World,
    request: pp::ListAccountEventsRequest,
) -> Result<pp::ListAccountEventsResponse, Status> {
    world.as_role("auditor").accounts.list_account_events(request).await.map(tonic::Response::into_inner)
}

fn of(connector: &str, key: Key) -> pp::ListAccountEventsRequest {
    pp::ListAccountEventsRequest {
        connector_id: connector.to_owned(),
        key: Some(key),
        ..pp::ListAccountEventsRequest::default()
    }
}

/// What happened, oldest first.
async fn told(world: &World, request: pp::ListAccountEventsRequest) -> Vec<pp::AccountEventKind> {
    let listed = events(world, request).await.unwrap().events;
    listed.iter().rev().map(pp::AccountEvent::kind).collect()
}

/// An account of ann's with a life: made, changed, disabled.
async fn lived(world: &World, connector: &str) -> String {
    let ann = world.person("ann", "ann@x", "clerk").await;
    world.account_of(connector, &ann).await;
    for payload in [set(&[("title", "boss")]), set(&[("account_state", "disabled")])] {
        let request = pp::CreateOperationRequest {
            user_id: Some(ann.clone()),
            target_uid: None,
            payload: Some(payload),
            reason: Some("as agreed".to_owned()),
            ..update_of(connector, "ann", "")
        };
        let id = world.admin.accept(request).await;
        world.admin.ended(&id).await;
    }
    ann
}

#[tokio::test]
async fn an_accounts_story_is_found_by_any_of_its_names() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let ann = lived(&world, &connector).await;
    let by_uid = events(&world, of(&connector, Key::ExternalUid("ann".to_owned()))).await.unwrap().events;
    let lane = by_uid[0].lane_id.clone();
    for key in [Key::ExternalUid("ann".to_owned()), Key::IdentityId(ann.clone()), Key::LaneId(lane)] {
        let mut kinds = told(&world, of(&connector, key)).await;
        kinds.sort();
        assert_eq!(kinds, [Linked, Created, Updated, Disabled]);
    }
    let updated = by_uid.iter().find(|event| event.kind() == Updated).unwrap();
    assert_eq!((updated.identity_id.as_ref(), updated.reason.as_deref()), (Some(&ann), Some("as agreed")));
    assert!(format!("{:?}", updated.details).contains("boss"));
}

#[tokio::test]
async fn the_story_goes_on_when_the_link_is_gone_and_pages_tell_it_once() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    lived(&world, &connector).await;
    let links = pp::ListLinksRequest { connector_id: Some(connector.clone()), ..Default::default() };
    let mut accounts = world.admin.accounts.clone();
    let link = accounts.list_links(links).await.unwrap().into_inner().links.remove(0);
    let unlink = pp::UnlinkAccountRequest {
        link_id: link.id,
        reject_pair: true,
        reason: Some("not hers".to_owned()),
        ..pp::UnlinkAccountRequest::default()
    };
    accounts.unlink_account(unlink).await.unwrap();
    let delete = pp::CreateOperationRequest {
        operation_type: pp::OperationType::Delete.into(),
        payload: None,
        precondition: Some(pp::Precondition { immutable_id: link.immutable_id, ..Default::default() }),
        ..update_of(&connector, "ann", "")
    };
    let id = world.admin.accept(delete).await;
    world.admin.ended(&id).await;
    let mut request = of(&connector, Key::ExternalUid("ann".to_owned()));
    request.page_size = 2;
    let mut kinds = Vec::new();
    loop {
        let page = events(&world, request.clone()).await.unwrap();
        kinds.extend(page.events.iter().map(pp::AccountEvent::kind));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(kinds[0], Deleted);
    kinds.sort();
    assert_eq!(kinds, [Linked, Unlinked, Created, Updated, Disabled, Deleted, Rejected]);
}

#[tokio::test]
async fn what_is_sensitive_is_not_told_s3() {
    let world = World::new().await;
    let connector = world.connector(|request| request.object_types[0].mapping[1].sensitive = true).await;
    lived(&world, &connector).await;
    let listed = events(&world, of(&connector, Key::ExternalUid("ann".to_owned()))).await.unwrap();
    assert!(!format!("{listed:?}").contains("boss"), "{listed:?}");
}

#[tokio::test]
async fn nobodys_story_is_empty_and_no_key_is_refused() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let nobody = of(&connector, Key::ExternalUid("nobody".to_owned()));
    assert!(events(&world, nobody.clone()).await.unwrap().events.is_empty());
    let without = pp::ListAccountEventsRequest { key: None, ..nobody.clone() };
    assert_eq!(refused(events(&world, without).await).fields, ["key"]);
    let counted = pp::ListAccountEventsRequest { count_total: true, ..nobody.clone() };
    assert_eq!(refused(events(&world, counted).await).fields, ["count_total"]);
    let foreign = pp::ListAccountEventsRequest { connector_id: world.tenant.to_string(), ..nobody };
    assert_eq!(refused(events(&world, foreign).await).code, Code::NotFound);
}
