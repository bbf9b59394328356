//! docs/connectors.md, executed: each request is taken out of the page and attached to a real target that has a past.

use std::{fs, path::Path};

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::json;
use sqlx::AssertSqlSafe;
use xavyo_sandbox::{
    csv_connector::CsvConnector,
    mariadb::{self, Mariadb, Transport},
    postgres::{Postgres, TargetDatabase},
    scim::{Habits, ScimServer},
    slapd::{self, Slapd},
};
use xavyo_tests::World;
use xavyo_wire::{
    descriptor,
    pb::{
        common::DiscrepancyType as Type,
        google::{FieldMask, ListValue, Struct, value::Kind},
        provisioning::{self as pp, connector_settings::Kind as Settings},
        reconciliation as pr,
    },
};

/// The first block of that language under the heading.
fn block(heading: &str, language: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/connectors.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).expect("the page has this heading");
    let section = section.split("\n## ").next().unwrap();
    let (_, block) = section.split_once(&format!("```{language}\n")).expect("the section has this block");
    block.split("\n```").next().unwrap().to_owned()
}

/// The request under the heading, read as grpcurl reads it.
fn request(heading: &str) -> pp::CreateConnectorRequest {
    let pool = DescriptorPool::decode(descriptor::PROVISIONING).unwrap();
    let kind = pool.get_message_by_name("xavyo.provisioning.v1.CreateConnectorRequest").unwrap();
    let json = block(heading, "json");
    let mut reader = serde_json::Deserializer::from_str(&json);
    let message = DynamicMessage::deserialize(kind, &mut reader).unwrap();
    pp::CreateConnectorRequest::decode(message.encode_to_vec().as_slice()).unwrap()
}

fn settings(request: &mut pp::CreateConnectorRequest) -> &mut Settings {
    request.settings.as_mut().unwrap().kind.as_mut().unwrap()
}

fn secrets(request: &mut pp::CreateConnectorRequest) -> &mut pp::ConnectorSecrets {
    request.secrets.as_mut().unwrap()
}

/// Somebody of the guide's world.
async fn person(world: &World, login: &str, names: [&str; 2], department: &str) -> String {
    let text = |text: &str| Kind::StringValue(text.to_owned()).into();
    let groups = ListValue { values: vec![text("staff"), text(department)] };
    let attributes = [
        ("login", text(login)),
        ("given_name", text(names[0])),
        ("family_name", text(names[1])),
        ("mail", text(&format!("{}@Example.org", names[0]))),
        ("phone", text("+49 30 901820")),
        ("department", text(department)),
        ("employee_number", text(&format!("n-{login}"))),
        ("groups", Kind::ListValue(groups).into()),
    ];
    let fields = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let request = pp::CreateIdentityRequest {
        source_key: Some(login.to_owned()),
        attributes: Some(Struct { fields }),
        ..pp::CreateIdentityRequest::default()
    };
    let made = world.admin.identities.clone().create_identity(request).await.unwrap();
    made.into_inner().identity.unwrap().id
}

/// How many findings of each type the run has, and how many accounts were set apart as protected.
async fn found(world: &World, run: &pr::ReconciliationRun) -> (Vec<(Type, usize)>, i64) {
    assert_eq!(run.status(), pr::ReconciliationRunStatus::Completed, "{run:?}");
    let found = world.admin.discrepancies_of(&run.id).await;
    let of = |kind: Type| found.iter().filter(|one| one.discrepancy_type() == kind).count();
    let kinds = [Type::Missing, Type::Orphan, Type::Mismatch, Type::Unlinked, Type::Collision, Type::Deleted];
    let counts = kinds.map(|kind| (kind, of(kind))).into_iter().filter(|(_, count)| *count > 0);
    let request = pr::GetReportRequest { run_id: run.id.clone() };
    let report = world.admin.runs.clone().get_report(request).await.unwrap().into_inner().report.unwrap();
    (counts.collect(), report.set_apart.unwrap().protected)
}

/// The order that frightens nobody, on a target with two accounts: Ada's, with her number and an outdated name, and the
/// protected `svc-backup`. Bob has no account, and Eve should have none. `uid` is what the target makes of a name.
async fn attach(request: pp::CreateConnectorRequest, uid: fn(&str) -> String) {
    let world = World::new().await;
    let object_class = request.object_types[0].object_class.clone();
    for (login, names, department) in [
        ("ada", ["Ada", "Lovelace"], "Engines"),
        ("bob", ["Bob", "Dobbs"], "Sales"),
        ("eve", ["Eve", "Guest"], "External"),
    ] {
        person(&world, login, names, department).await;
    }
    let mut connectors = world.admin.connectors.clone();
    let made = connectors.create_connector(request).await.unwrap().into_inner().connector.unwrap();
    let connector_id = made.id.clone();
    let check = pp::CheckConnectionRequest { connector_id: connector_id.clone() };
    let checked = connectors.check_connection(check).await.unwrap().into_inner();
    assert!(checked.ok, "{checked:?}");
    let discover = pp::DiscoverSchemaRequest { connector_id: connector_id.clone(), refresh: false };
    let told = connectors.discover_schema(discover).await.unwrap().into_inner();
    assert!(told.object_schemas.iter().any(|class| class.object_class == object_class), "{told:?}");

    let dry = world.full_run(&connector_id, true).await;
    assert_eq!(found(&world, &dry).await, (vec![(Type::Missing, 1), (Type::Unlinked, 1)], 1));

    let mode = pp::ConnectorMode::Manual.into();
    let manual = pp::UpdateConnectorRequest {
        connector: Some(pp::Connector { id: connector_id.clone(), mode, ..Default::default() }),
        update_mask: Some(FieldMask { paths: vec!["mode".to_owned()] }),
        secrets: None,
    };
    connectors.update_connector(manual).await.unwrap();
    let run = world.full_run(&connector_id, false).await;
    let findings = world.admin.discrepancies_of(&run.id).await;
    let item = |finding: &pr::Discrepancy| pr::RemediationItem {
        discrepancy_id: finding.id.clone(),
        action: finding.suggested_action().into(),
        ..pr::RemediationItem::default()
    };
    let items = findings.iter().map(item).collect();
    let bulk = pr::BulkRemediateDiscrepanciesRequest { items, ..Default::default() };
    let bulk =
        world.admin.discrepancies.clone().bulk_remediate_discrepancies(bulk).await.unwrap().into_inner();
    assert_eq!(bulk.succeeded, 2, "{bulk:?}");

    let after = world.full_run(&connector_id, false).await;
    assert_eq!(
        found(&world, &after).await,
        (vec![], 1),
        "{:?}",
        world.admin.discrepancies_of(&after.id).await
    );
    let get = pp::GetAccountRequest {
        connector_id,
        object_class,
        key: Some(pp::get_account_request::Key::ExternalUid(uid("bob"))),
        ..pp::GetAccountRequest::default()
    };
    let bob = world.admin.accounts.clone().get_account(get).await.unwrap().into_inner().account.unwrap();
    let shown = serde_json::to_string(&bob.attributes).unwrap();
    assert!(shown.contains("Bob Dobbs") && shown.contains("bob@example.org"), "{shown}");
}

#[tokio::test]
async fn openldap_is_attached_as_the_guide_says() {
    let slapd = Slapd::start(&slapd::Options::default()).await.unwrap();
    let mut administrator = slapd.administrator().await.unwrap();
    for (uid, more) in [
        ("ada", vec![("sn", "Byron"), ("employeeNumber", "n-ada"), ("telephoneNumber", "+49-30-901820")]),
        ("svc-backup", vec![("sn", "backup")]),
    ] {
        let mut values = vec![("objectClass", "inetOrgPerson"), ("uid", uid), ("cn", uid)];
        values.extend(more);
        let dn = format!("uid={uid},{}", slapd::PEOPLE);
        administrator.add(&dn, slapd::values_by_name(&values)).await.unwrap().success().unwrap();
    }
    let mut request = request("OpenLDAP");
    let Settings::Ldap(ldap) = settings(&mut request) else { panic!("a directory") };
    assert_eq!((ldap.bind_dn.as_str(), ldap.base_dn.as_str()), (slapd::CONNECTOR_DN, slapd::PEOPLE));
    ldap.host = slapd::HOST.to_string();
    ldap.port = slapd.tls_port().into();
    ldap.ca_certificates = Some(slapd.ca_certificates().to_owned());
    secrets(&mut request).bind_password = Some(slapd.password().to_owned());
    attach(request, |name| format!("uid={name},{}", slapd::PEOPLE)).await;
}

const ROWS: &str = "insert into account (login, display_name, number) values ('ada', 'Ada Byron', 'n-ada');
                    insert into account (login, display_name) values ('svc-backup', 'backup')";

#[tokio::test]
async fn a_table_of_postgres_is_attached_as_the_guide_says() {
    let (server, heading) = (Postgres::shared().await.unwrap(), "A table of Postgres");
    let database = server.target().await.unwrap();
    let rows = format!("{};{ROWS}", block(heading, "sql").trim_end_matches(';'));
    sqlx::raw_sql(AssertSqlSafe(rows)).execute(&database.pool().await.unwrap()).await.unwrap();
    let mut request = request(heading);
    let Settings::Sql(sql) = settings(&mut request) else { panic!("a table") };
    sql.host = server.sockets().display().to_string();
    sql.require_tls = false;
    sql.ca_certificates = None;
    database.name().clone_into(&mut sql.database);
    TargetDatabase::ROLE.clone_into(&mut sql.username);
    attach(request, str::to_owned).await;
}

#[tokio::test]
async fn a_table_of_mariadb_is_attached_as_the_guide_says() {
    let (server, heading) = (Mariadb::start(Transport::Tls).await.unwrap(), "A table of MariaDB");
    let database = server.database().await.unwrap();
    let rows = format!("{};{ROWS}", block(heading, "sql").trim_end_matches(';'));
    sqlx::raw_sql(AssertSqlSafe(rows)).execute(&database.pool().await.unwrap()).await.unwrap();
    let mut request = request(heading);
    let Settings::Sql(sql) = settings(&mut request) else { panic!("a table") };
    sql.host = mariadb::HOST.to_string();
    sql.port = server.port().into();
    sql.ca_certificates = Some(server.ca_certificates().to_owned());
    database.name().clone_into(&mut sql.database);
    database.username().clone_into(&mut sql.username);
    secrets(&mut request).password = Some(database.password().to_owned());
    attach(request, str::to_owned).await;
}

#[tokio::test]
async fn a_connector_in_python_is_attached_as_the_guide_says() {
    let server = CsvConnector::start().await.unwrap();
    server.make_class("account", &["display_name", "mail", "department", "number", "groups[]"]).unwrap();
    let header = fs::read_to_string(server.file("account")).unwrap();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/connectors.md");
    assert!(fs::read_to_string(page).unwrap().contains(&format!("`{}`", header.trim())));
    let rows = "ada,1,true,Ada Byron,,,n-ada,\nsvc-backup,2,true,backup,,,,\n";
    fs::write(server.file("account"), header + rows).unwrap();
    let mut request = request("A connector of your own");
    let Settings::Remote(remote) = settings(&mut request) else { panic!("a remote one") };
    remote.url = server.url();
    remote.ca_certificates = Some(server.ca_certificates().to_owned());
    secrets(&mut request).bearer_token = Some(server.token().to_owned());
    attach(request, str::to_owned).await;
}

#[tokio::test]
async fn a_scim_application_is_attached_as_the_guide_says() {
    const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    const APPLICATION: &str = "guide";
    let server = ScimServer::start(Habits::default()).await.unwrap();
    let schemas = ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE];
    let ada = json!({
        "schemas": schemas, "userName": "ada", "displayName": "Ada Byron", ENTERPRISE: { "employeeNumber": "n-ada" }
    });
    let backup = json!({ "schemas": schemas, "userName": "svc-backup", "displayName": "backup" });
    for user in [ada, backup] {
        server.ask(APPLICATION, "POST", "/Users", Some(user)).await.unwrap();
    }
    let mut request = request("A SCIM application");
    let Settings::Scim(scim) = settings(&mut request) else { panic!("an application") };
    scim.base_url = server.url(APPLICATION);
    secrets(&mut request).bearer_token = Some(server.secret().to_owned());
    attach(request, str::to_owned).await;
}

/// What can be judged without a server is judged.
#[tokio::test]
async fn the_requests_that_are_only_checked_are_sound() {
    let world = World::new().await;
    for heading in ["Active Directory", "389 Directory Server"] {
        let mut connectors = world.admin.connectors.clone();
        let made = connectors.create_connector(request(heading)).await.unwrap().into_inner();
        assert_eq!(made.connector.unwrap().mode(), pp::ConnectorMode::Observe, "{heading}");
    }
}
