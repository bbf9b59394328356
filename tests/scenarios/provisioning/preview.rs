//! Previews of mappings: value by value, and nothing happens.

use tonic::{Code, Status};
use xavyo_tests::{World, memory_connector, refused, set};
use xavyo_wire::pb::{
    google::value::Kind,
    provisioning::{self as pp, preview_mapping_request::Subject},
};

async fn preview(world: &World, request: pp::PreviewMappingRequest) -> Result<pp::MappingPreview, Status> {
    let answer = world.as_role("auditor").connectors.preview_mapping(request).await?;
    Ok(answer.into_inner().preview.unwrap())
}

fn of(connector: &str, subject: Subject) -> pp::PreviewMappingRequest {
    pp::PreviewMappingRequest {
        connector_id: connector.to_owned(),
        object_class: "account".to_owned(),
        subject: Some(subject),
        ..pp::PreviewMappingRequest::default()
    }
}

/// The memory connector's object type with these expressions for mail and title.
fn rules(mail: &str, title: &str) -> pp::ObjectType {
    let mut kind = memory_connector().object_types.remove(0);
    mail.clone_into(&mut kind.mapping[0].expression);
    title.clone_into(&mut kind.mapping[1].expression);
    kind
}

#[tokio::test]
async fn a_stored_identity_is_evaluated_value_by_value_and_nothing_is_written() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let ann = world.person("ann", "Ann@X", "clerk").await;
    let shown = preview(&world, of(&connector, Subject::IdentityId(ann))).await.unwrap();
    assert_eq!((shown.scope(), shown.external_uid.as_deref()), (pp::ScopeState::In, Some("ann")));
    let mail = &shown.attributes[0];
    assert_eq!((mail.name.as_str(), mail.expression.as_str()), ("mail", "identity.mail"));
    assert_eq!(mail.value.clone().unwrap().kind, Some(Kind::StringValue("Ann@X".to_owned())));
    let rule = &shown.correlation[0];
    assert_eq!((rule.key.as_deref(), rule.weight, shown.correlation_threshold), (Some("ann@x"), 10, 10));
    assert_eq!(world.writes(&connector).await, Vec::<String>::new());
}

#[tokio::test]
async fn rules_are_tried_on_somebody_who_need_not_exist() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let somebody = Subject::Attributes(set(&[("login", "bob"), ("mail", "b@x")]));
    let mut tried = rules("null", "unmanaged()");
    tried.scope = "identity.login == 'ann'".to_owned();
    tried.mapping[1].name = "department".to_owned();
    let request = pp::PreviewMappingRequest { object_type: Some(tried), ..of(&connector, somebody) };
    let shown = preview(&world, request).await.unwrap();
    assert_eq!(shown.scope(), pp::ScopeState::Out);
    assert!(
        matches!(shown.attributes[0].value.clone().unwrap().kind, Some(Kind::NullValue(_))),
        "must be absent"
    );
    assert!(shown.attributes[1].unmanaged && shown.attributes[1].value.is_none());
}

#[tokio::test]
async fn an_expression_that_fails_says_where_and_the_others_are_shown() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let nobody = || Subject::Attributes(set(&[("mail", "b@x")]));
    let mut failing = rules("identity.mail", "'x' + identity.title");
    failing.scope = "identity.grade > 3".to_owned();
    let request = pp::PreviewMappingRequest { object_type: Some(failing), ..of(&connector, nobody()) };
    let shown = preview(&world, request).await.unwrap();
    assert_eq!(shown.scope(), pp::ScopeState::Unknown);
    assert!(shown.scope_error.unwrap().contains("column"));
    assert!(shown.naming_error.unwrap().contains("no name"));
    let title = &shown.attributes[1];
    assert!(title.value.is_none() && title.error.as_ref().unwrap().contains("line 1, column"), "{title:?}");
    assert!(shown.attributes[0].value.is_some());
    let broken = pp::PreviewMappingRequest {
        object_type: Some(rules("identity.", "null")),
        ..of(&connector, nobody())
    };
    assert_eq!(refused(preview(&world, broken).await).fields, ["object_type.mapping[0].expression"]);
}

#[tokio::test]
async fn sensitive_values_and_keys_are_not_shown_s3() {
    let world = World::new().await;
    let connector = world.connector(|request| request.object_types[0].mapping[0].sensitive = true).await;
    let ann = world.person("ann", "canary@x", "clerk").await;
    let shown = preview(&world, of(&connector, Subject::IdentityId(ann))).await.unwrap();
    assert!(!format!("{shown:?}").contains("canary"), "{shown:?}");
    assert_eq!(shown.correlation[0].key.as_deref(), Some("***"));
}

#[tokio::test]
async fn a_preview_of_nobody_or_of_no_rules_is_refused() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let ann = || Subject::IdentityId(world.tenant.to_string());
    let nobody = pp::PreviewMappingRequest { subject: None, ..of(&connector, ann()) };
    assert_eq!(refused(preview(&world, nobody).await).fields, ["identity_id"]);
    assert_eq!(refused(preview(&world, of(&connector, ann())).await).code, Code::NotFound);
    let other = pp::PreviewMappingRequest {
        object_class: "group".to_owned(),
        ..of(&connector, Subject::Attributes(set(&[])))
    };
    assert_eq!(refused(preview(&world, other).await).fields, ["object_class"]);
}
