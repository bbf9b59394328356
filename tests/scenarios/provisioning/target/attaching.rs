//! A directory full of accounts is attached: looked at from all sides and linked, without a write, until it is enforced.

use xavyo_sandbox::{
    ledger,
    slapd::{self, Options, PEOPLE, Slapd},
};
use xavyo_tests::{World, refused, set};
use xavyo_wire::pb::{
    common::{DiscrepancyType as Type, RemediationAction as Action},
    google::FieldMask,
    provisioning::{self as pp, preview_mapping_request::Subject},
    reconciliation as pr,
};

use super::directory;

const OBJECT_CLASS: &str = "inetOrgPerson";
/// The people who have an account; the last one's title is outdated.
const STAFF: usize = 12;

fn dn(uid: &str) -> String {
    format!("uid={uid},{PEOPLE}")
}

/// The staff's accounts, and one that belongs to nobody.
async fn populated() -> Slapd {
    let slapd = Slapd::start(&Options { ledger: true, ..Options::default() }).await.unwrap();
    let mut administrator = slapd.administrator().await.unwrap();
    let staff = (0..STAFF).map(|number| format!("p{number}"));
    for uid in staff.chain(["printer".to_owned()]) {
        let mail = format!("{uid}@x");
        let title = if uid == format!("p{}", STAFF - 1) { "trainee" } else { "clerk" };
        let values = [
            ("objectClass", OBJECT_CLASS),
            ("uid", &uid),
            ("cn", &uid),
            ("sn", &uid),
            ("mail", &mail),
            ("title", title),
        ];
        administrator.add(&dn(&uid), slapd::values_by_name(&values)).await.unwrap().success().unwrap();
    }
    slapd
}

/// As careful as a connector is by default: it observes, the guard stands, the first run has to come first.
fn careful(slapd: &Slapd) -> pp::CreateConnectorRequest {
    let mut request = directory(slapd, slapd.password());
    request.mode = pp::ConnectorMode::Observe.into();
    request.policies = None;
    for name in ["cn", "sn"] {
        let expression = "identity.login".to_owned();
        let rule = pp::AttributeRule { name: name.to_owned(), expression, ..Default::default() };
        request.object_types[0].mapping.push(rule);
    }
    request
}

/// What the directory itself says that we wrote.
async fn written(slapd: &Slapd, connector: &str) -> Vec<String> {
    let ledger = ledger::ldap::read(connector.parse().unwrap(), slapd).await.unwrap();
    let writes = ledger.writes.iter();
    writes.map(|write| format!("{} {}", write.call.name(), write.external_uid)).collect()
}

/// The connection works, the directory can hold what is mapped, and the mapping says what it should of a person.
async fn look_at(world: &World, connector: &str, person: &str) {
    let connector_id = connector.to_owned();
    let mut connectors = world.admin.connectors.clone();
    let check = pp::CheckConnectionRequest { connector_id: connector_id.clone() };
    let checked = connectors.check_connection(check).await.unwrap().into_inner();
    assert!(checked.ok, "{checked:?}");

    let discover = pp::DiscoverSchemaRequest { connector_id: connector_id.clone(), refresh: false };
    let told = connectors.discover_schema(discover).await.unwrap().into_inner();
    let class = told.object_schemas.iter().find(|class| class.object_class == OBJECT_CLASS).unwrap();
    let can_be_written = |name: &str| {
        let found = class.attributes.iter().find(|attribute| attribute.name == name);
        found.is_some_and(|attribute| attribute.writable_on_create && attribute.writable_on_update)
    };

    let preview = pp::PreviewMappingRequest {
        connector_id,
        object_class: OBJECT_CLASS.to_owned(),
        subject: Some(Subject::IdentityId(person.to_owned())),
        ..pp::PreviewMappingRequest::default()
    };
    let preview = connectors.preview_mapping(preview).await.unwrap().into_inner().preview.unwrap();
    assert_eq!((preview.scope(), preview.external_uid()), (pp::ScopeState::In, "p0"));
    for attribute in &preview.attributes {
        assert!(can_be_written(&attribute.name), "{attribute:?}");
    }
    let required = class.attributes.iter().filter(|attribute| attribute.required);
    let names: Vec<&str> = preview.attributes.iter().map(|attribute| attribute.name.as_str()).collect();
    assert!(required.map(|attribute| attribute.name.as_str()).all(|name| names.contains(&name)), "{names:?}");
}

/// The run's findings, as `type uid`.
async fn found(world: &World, run: &pr::ReconciliationRun) -> Vec<String> {
    assert_eq!(run.status(), pr::ReconciliationRunStatus::Completed, "{run:?}");
    let findings = world.admin.discrepancies_of(&run.id).await;
    let uid = |one: &pr::Discrepancy| one.external_uid.clone().unwrap_or_default();
    let mut found: Vec<String> =
        findings.iter().map(|one| format!("{:?} {}", one.discrepancy_type(), uid(one))).collect();
    found.sort();
    found
}

/// Links each account that a run has found to belong to somebody.
async fn link(world: &World, connector: &str, run: &pr::ReconciliationRun) -> usize {
    let findings = world.admin.discrepancies_of(&run.id).await;
    let unlinked: Vec<pr::Discrepancy> =
        findings.into_iter().filter(|one| one.discrepancy_type() == Type::Unlinked).collect();
    for one in &unlinked {
        let link = pp::LinkAccountRequest {
            connector_id: connector.to_owned(),
            object_class: OBJECT_CLASS.to_owned(),
            identity_id: one.identity_id.clone().unwrap(),
            external_uid: one.external_uid.clone().unwrap(),
            ..pp::LinkAccountRequest::default()
        };
        world.admin.accounts.clone().link_account(link).await.unwrap();
    }
    unlinked.len()
}

/// Changes somebody's title; the ids of the operations that follow.
async fn promote(world: &World, person: &str, title: &str) -> Vec<String> {
    let request = pp::UpdateIdentityRequest {
        identity: Some(pp::Identity {
            id: person.to_owned(),
            attributes: Some(set(&[("title", title)])),
            ..pp::Identity::default()
        }),
        update_mask: Some(FieldMask { paths: vec!["attributes.title".to_owned()] }),
        validate_only: false,
    };
    let answer = world.admin.identities.clone().update_identity(request).await.unwrap().into_inner();
    answer.operations.into_iter().map(|operation| operation.operation_id().to_owned()).collect()
}

/// The refusal's reason, or nothing.
async fn enforce(world: &World, connector: &str) -> Option<String> {
    let mode = pp::ConnectorMode::Enforce.into();
    let request = pp::UpdateConnectorRequest {
        connector: Some(pp::Connector { id: connector.to_owned(), mode, ..pp::Connector::default() }),
        update_mask: Some(FieldMask { paths: vec!["mode".to_owned()] }),
        secrets: None,
    };
    let answer = world.admin.connectors.clone().update_connector(request).await;
    answer.is_err().then(|| refused(answer).reason)
}

/// One who has an account, twelve times, and one who has none.
async fn people(world: &World) -> Vec<String> {
    let mut people = Vec::new();
    for number in 0..=STAFF {
        let login = format!("p{number}");
        people.push(world.person(&login, &format!("{login}@x"), "clerk").await);
    }
    people
}

#[tokio::test]
async fn a_populated_directory_is_attached_without_a_write_until_it_is_enforced() {
    let (world, slapd) = (World::new().await, populated().await);
    let people = people(&world).await;
    let connector = world.connector(|request| *request = careful(&slapd)).await;
    look_at(&world, &connector, &people[0]).await;

    let dry = world.full_run(&connector, true).await;
    let mut expected: Vec<String> =
        (0..STAFF).map(|n| format!("Unlinked {}", dn(&format!("p{n}")))).collect();
    expected.extend(["Missing ".to_owned(), format!("Orphan {}", dn("printer"))]);
    expected.sort();
    assert_eq!(found(&world, &dry).await, expected);
    assert_eq!(enforce(&world, &connector).await.as_deref(), Some("MODE_FORBIDS"), "a dry run is none");

    assert_eq!(link(&world, &connector, &dry).await, STAFF);
    assert_eq!(promote(&world, &people[1], "boss").await, Vec::<String>::new(), "it only observes");
    let run = world.full_run(&connector, false).await;
    let differs = |uid: &str| format!("Mismatch {}", dn(uid));
    let expected =
        [differs("p1"), differs("p11"), "Missing ".to_owned(), format!("Orphan {}", dn("printer"))];
    assert_eq!(found(&world, &run).await, expected);

    assert_eq!(enforce(&world, &connector).await, None);
    assert_eq!(written(&slapd, &connector).await, Vec::<String>::new(), "nothing until now");
    let followed = promote(&world, &people[0], "boss").await;
    assert_eq!(followed.len(), 1);
    world.admin.ended(&followed[0]).await;
    assert_eq!(written(&slapd, &connector).await, [format!("update {}", dn("p0"))]);
}

#[tokio::test]
async fn nothing_can_be_written_to_a_directory_that_is_only_observed() {
    let (world, slapd) = (World::new().await, populated().await);
    let person = people(&world).await.remove(STAFF);
    let connector = world.connector(|request| *request = careful(&slapd)).await;
    let create = pp::CreateOperationRequest {
        connector_id: connector.clone(),
        operation_type: pp::OperationType::Create.into(),
        object_class: OBJECT_CLASS.to_owned(),
        user_id: Some(person),
        ..pp::CreateOperationRequest::default()
    };
    let answer = world.admin.operations.clone().create_operation(create).await;
    assert_eq!(refused(answer).reason, "MODE_FORBIDS");

    let run = world.full_run(&connector, false).await;
    let mut refusals = Vec::new();
    for finding in world.admin.discrepancies_of(&run.id).await {
        let is_orphan = finding.discrepancy_type() == Type::Orphan;
        let action = if is_orphan { Action::Delete } else { finding.suggested_action() };
        let discrepancy_id = finding.id.clone();
        let request =
            pr::RemediateDiscrepancyRequest { discrepancy_id, action: action.into(), ..Default::default() };
        let answer = world.admin.discrepancies.clone().remediate_discrepancy(request).await;
        if answer.is_err() {
            refusals.push(format!("{action:?} {}", refused(answer).reason));
        }
    }
    refusals.sort();
    assert_eq!(refusals, ["Create MODE_FORBIDS", "Delete MODE_FORBIDS", "Link MODE_FORBIDS"]);
    let left = world.full_run(&connector, false).await;
    let unlinked = format!("Unlinked {}", dn("p11"));
    let expected = ["Missing ".to_owned(), format!("Orphan {}", dn("printer")), unlinked];
    assert_eq!(found(&world, &left).await, expected, "a link that would write is none, the others are");
    assert_eq!(written(&slapd, &connector).await, Vec::<String>::new());
}
