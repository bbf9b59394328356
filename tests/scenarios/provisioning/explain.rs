//! Why an account is as it is.

use tonic::{Code, Status};
use xavyo_tests::{World, refused, set, update_of};
use xavyo_wire::pb::{
    common::AccountState,
    provisioning::{self as pp, explain_account_request::Key},
};

async fn explain(
    world: &World,
    connector: &str,
    key: Option<Key>,
) -> Result<pp::ExplainAccountResponse, Status> {
    let request = pp::ExplainAccountRequest {
        connector_id: connector.to_owned(),
        object_class: "account".to_owned(),
        intent: String::new(),
        key,
    };
    world.as_role("auditor").accounts.explain_account(request).await.map(tonic::Response::into_inner)
}

fn uid(uid: &str) -> Key {
    Key::ExternalUid(uid.to_owned())
}

#[tokio::test]
async fn a_difference_is_explained_by_its_rule_its_values_and_who_wrote_it() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let ann = world.person("ann", "ann@x", "clerk").await;
    world.account_of(&connector, &ann).await;
    let request = pp::CreateOperationRequest {
        payload: Some(set(&[("title", "boss")])),
        ..update_of(&connector, "ann", "")
    };
    let written = world.admin.accept(request).await;
    world.admin.ended(&written).await;
    for key in [Some(Key::IdentityId(ann)), Some(uid("ann"))] {
        let explained = explain(&world, &connector, key).await.unwrap();
        assert_eq!(explained.expectation(), pp::Expectation::ShouldHave);
        assert_eq!(explained.expected_state(), AccountState::Enabled);
        assert!(explained.link.is_some() && explained.account.is_some());
        let [mail, title] = &explained.attributes[..] else { panic!("{explained:?}") };
        assert!(mail.equal && !title.equal);
        let values = (title.expected_value.as_deref(), title.actual_value.as_deref());
        assert_eq!(values, (Some("clerk"), Some("boss")));
        assert_eq!(title.expression, "identity.title");
        assert_eq!(title.last_operation_id.as_ref(), Some(&written));
        assert_ne!(mail.last_operation_id.as_ref(), Some(&written), "its create");
        assert!(explained.statements.iter().any(|one| one.contains("differs") && one.contains("title")));
    }
}

#[tokio::test]
async fn what_waits_for_an_account_is_named_with_its_reason() {
    let world = World::new().await;
    let connector = world.failing_connector(&[("update", "refused", 1)]).await;
    world.stray(&connector, "ann", "ann@x", "clerk").await;
    let dead = world.admin.accept(update_of(&connector, "ann", "1@x")).await;
    world.admin.reaches(&dead, pp::OperationStatus::DeadLetter).await;
    let behind = world.admin.accept(update_of(&connector, "ann", "2@x")).await;
    let explained = explain(&world, &connector, Some(uid("ann"))).await.unwrap();
    let ids: Vec<_> = explained.operations.iter().map(|operation| operation.id.as_str()).collect();
    assert_eq!(ids, [dead.as_str(), behind.as_str()]);
    assert_eq!(explained.operations[1].waits_for[0].kind(), pp::WaitKind::BlockedBy);
    assert_eq!(explained.statements[0], "Nobody owns the account.");
    assert!(explained.statements.iter().any(|one| one.contains(&behind) && one.contains("dead letter")));
}

#[tokio::test]
async fn sensitive_values_are_explained_without_being_shown_s3() {
    let world = World::new().await;
    let connector = world.connector(|request| request.object_types[0].mapping[1].sensitive = true).await;
    let ann = world.person("ann", "ann@x", "canary-a").await;
    world.account_of(&connector, &ann).await;
    let request = pp::CreateOperationRequest {
        payload: Some(set(&[("title", "canary-b")])),
        ..update_of(&connector, "ann", "")
    };
    let written = world.admin.accept(request).await;
    world.admin.ended(&written).await;
    let explained = explain(&world, &connector, Some(Key::IdentityId(ann))).await.unwrap();
    assert!(!format!("{explained:?}").contains("canary"), "{explained:?}");
    let title = &explained.attributes[1];
    assert_eq!((title.equal, title.actual_value.as_deref()), (false, Some("***")));
}

#[tokio::test]
async fn who_has_no_account_is_told_so_and_nobody_is_not_found() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let ann = world.person("ann", "ann@x", "clerk").await;
    let explained = explain(&world, &connector, Some(Key::IdentityId(ann))).await.unwrap();
    assert!(explained.account.is_none() && explained.link.is_none());
    assert_eq!(explained.statements[1], "It has no account.");
    for key in [Some(uid("nobody")), Some(Key::IdentityId(world.tenant.to_string()))] {
        assert_eq!(refused(explain(&world, &connector, key).await).code, Code::NotFound);
    }
    assert_eq!(refused(explain(&world, &connector, None).await).fields, ["key"]);
    assert_eq!(
        refused(explain(&world, &world.tenant.to_string(), Some(uid("ann"))).await).code,
        Code::NotFound
    );
}
