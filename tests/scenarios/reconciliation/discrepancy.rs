//! Discrepancies: the six types found exactly, and put right.

use tonic::Code;
use xavyo_tests::{Clients, World, refused, update_of};
use xavyo_wire::pb::{common, provisioning as pp, reconciliation as pr};

use common::{DiscrepancyType as Type, RemediationAction as Action};

/// One of each of the six, and a person whose account is in order.
pub async fn six(world: &World, connector: &str) {
    for login in ["fine", "drifted", "vanished"] {
        let person = world.person(login, &format!("{login}@x"), "clerk").await;
        world.account_of(connector, &person).await;
    }
    world.person("missing", "missing@x", "clerk").await;
    world.person("unlinked", "unlinked@x", "clerk").await;
    world.person("twice", "twice@x", "clerk").await;
    world.stray(connector, "stray", "stray@x", "ghost").await;
    world.stray(connector, "unlinked", "unlinked@x", "clerk").await;
    world.stray(connector, "twice", "twice@x", "clerk").await;
    world.stray(connector, "twice2", "twice@x", "clerk").await;
    damage(world, connector).await;
}

/// Behind our back as far as links know: through a second connector over the same accounts.
async fn damage(world: &World, connector: &str) {
    let request = pp::GetConnectorRequest { connector_id: connector.to_owned() };
    let real =
        world.admin.connectors.clone().get_connector(request).await.unwrap().into_inner().connector.unwrap();
    let back_door = world.connector(|request| request.settings = real.settings).await;
    let drift = world.admin.accept(update_of(&back_door, "drifted", "other@x")).await;
    world.admin.ended(&drift).await;
    let account = pp::GetAccountRequest {
        connector_id: back_door.clone(),
        object_class: "account".to_owned(),
        key: Some(pp::get_account_request::Key::ExternalUid("vanished".to_owned())),
        ..Default::default()
    };
    let account =
        world.admin.accounts.clone().get_account(account).await.unwrap().into_inner().account.unwrap();
    let delete = pp::CreateOperationRequest {
        operation_type: pp::OperationType::Delete.into(),
        payload: None,
        precondition: Some(pp::Precondition { immutable_id: account.immutable_id, ..Default::default() }),
        ..update_of(&back_door, "vanished", "")
    };
    let gone = world.admin.accept(delete).await;
    world.admin.ended(&gone).await;
}

pub fn of_type(found: &[pr::Discrepancy], wanted: Type) -> &pr::Discrepancy {
    let mut all = found.iter().filter(|one| one.discrepancy_type() == wanted);
    match (all.next(), all.next()) {
        (Some(one), None) => one,
        _ => panic!("not exactly one {wanted:?} in {found:#?}"),
    }
}

async fn remediate(
    clients: &Clients,
    discrepancy: &str,
    action: Action,
) -> Result<pr::RemediationResult, tonic::Status> {
    let request = pr::RemediateDiscrepancyRequest {
        discrepancy_id: discrepancy.to_owned(),
        action: action.into(),
        ..pr::RemediateDiscrepancyRequest::default()
    };
    Ok(clients.discrepancies.clone().remediate_discrepancy(request).await?.into_inner().result.unwrap())
}

#[tokio::test]
async fn each_of_the_six_is_found_exactly_and_put_right_r8_r11() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    six(&world, &connector).await;
    let run = world.full_run(&connector, false).await;
    let found = world.admin.discrepancies_of(&run.id).await;
    assert_eq!(found.len(), 6, "{found:#?}");
    let mismatch = of_type(&found, Type::Mismatch);
    assert_eq!(
        (mismatch.attribute_name(), mismatch.expected_value(), mismatch.actual_value()),
        ("mail", "drifted@x", "other@x")
    );
    for (wanted, action) in [
        (Type::Mismatch, Action::Update),
        (Type::Missing, Action::Create),
        (Type::Unlinked, Action::Link),
        (Type::Deleted, Action::Create),
        (Type::Orphan, Action::Delete),
    ] {
        let result = remediate(&world.admin, &of_type(&found, wanted).id, action).await.unwrap();
        assert!(result.success, "{wanted:?} {result:?}");
    }
    let collision = of_type(&found, Type::Collision);
    let request = pr::RemediateDiscrepancyRequest {
        discrepancy_id: collision.id.clone(),
        action: Action::Delete.into(),
        external_uid: Some("twice2".to_owned()),
        ..pr::RemediateDiscrepancyRequest::default()
    };
    world.admin.discrepancies.clone().remediate_discrepancy(request).await.unwrap();
    let second = world.full_run(&connector, false).await;
    let left = world.admin.discrepancies_of(&second.id).await;
    assert_eq!(
        of_type(&left, Type::Unlinked).external_uid(),
        "twice",
        "what the collision leaves: {left:#?}"
    );
    remediate(&world.admin, &left[0].id, Action::Link).await.unwrap();
    let third = world.full_run(&connector, false).await;
    assert_eq!(third.discrepancies_found, 0);
}

#[tokio::test]
async fn a_dry_run_and_a_dry_remediation_change_nothing_r4() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    world.person("missing", "missing@x", "clerk").await;
    let run = world.full_run(&connector, true).await;
    let found = world.admin.discrepancies_of(&run.id).await;
    let request = pr::RemediateDiscrepancyRequest {
        discrepancy_id: of_type(&found, Type::Missing).id.clone(),
        action: Action::Create.into(),
        dry_run: true,
        ..pr::RemediateDiscrepancyRequest::default()
    };
    world.admin.discrepancies.clone().remediate_discrepancy(request).await.unwrap();
    let request = pp::ListOperationsRequest { connector_id: Some(connector.clone()), ..Default::default() };
    let listed = world.admin.operations.clone().list_operations(request).await.unwrap().into_inner();
    assert!(listed.operations.is_empty());
    assert!(world.writes(&connector).await.is_empty());
}

#[tokio::test]
async fn actions_that_a_type_does_not_take_are_refused() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    world.person("missing", "missing@x", "clerk").await;
    let run = world.full_run(&connector, false).await;
    let found = world.admin.discrepancies_of(&run.id).await;
    let refusal = refused(remediate(&world.admin, &found[0].id, Action::Delete).await);
    assert_eq!(refusal.named(), (Code::InvalidArgument, "REMEDIATION_NOT_ALLOWED"));
}

#[tokio::test]
async fn a_finding_that_no_longer_holds_is_superseded_and_nothing_is_done_fault_5() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let person = world.person("missing", "missing@x", "clerk").await;
    let run = world.full_run(&connector, false).await;
    let found = world.admin.discrepancies_of(&run.id).await;
    world.account_of(&connector, &person).await;
    let answer = remediate(&world.admin, &found[0].id, Action::Create).await;
    match answer {
        Err(status) => assert_eq!(refused::<()>(Err(status)).reason, "SUPERSEDED"),
        Ok(result) => assert_eq!((result.success, result.error_reason()), (false, "SUPERSEDED")),
    }
}

#[tokio::test]
async fn a_bulk_of_more_than_a_hundred_is_refused() {
    let world = World::new().await;
    let item = || pr::RemediationItem {
        discrepancy_id: world.tenant.to_string(),
        action: Action::Create.into(),
        ..pr::RemediationItem::default()
    };
    let request = pr::BulkRemediateDiscrepanciesRequest {
        items: (0..101).map(|_| item()).collect(),
        ..pr::BulkRemediateDiscrepanciesRequest::default()
    };
    let refusal = refused(world.admin.discrepancies.clone().bulk_remediate_discrepancies(request).await);
    assert_eq!((refusal.code, refusal.fields), (Code::InvalidArgument, vec!["items".to_owned()]));
}
