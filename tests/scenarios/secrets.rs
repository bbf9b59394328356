//! Secrets: planted ones are found nowhere.

use serde_json::json;
use sqlx::Row;
use xavyo_sandbox::postgres::Database;
use xavyo_tests::{World, set, update_of};
use xavyo_wire::pb::provisioning as pp;

/// Long enough that no accident makes it.
const CANARY: &str = "canary-7f3a9c51-do-not-tell";

/// As text, in hex, and in base64 at each of the three positions that it can have in a longer text.
fn disguises() -> Vec<String> {
    let hex = CANARY.bytes().map(|byte| format!("{byte:02x}")).collect();
    let encode = |offset: usize| {
        let bytes = [vec![0; offset], CANARY.as_bytes().to_vec()].concat();
        let encoded = serde_json::to_value(prost_value(bytes)).unwrap();
        encoded["bytesValue"].as_str().unwrap()[4..CANARY.len()].to_owned()
    };
    [CANARY.to_owned(), hex].into_iter().chain((0..3).map(encode)).collect()
}

/// A message whose JSON is base64.
fn prost_value(bytes: Vec<u8>) -> xavyo_wire::pb::common::Value {
    let kind = Some(xavyo_wire::pb::common::value::Kind::BytesValue(bytes.into()));
    xavyo_wire::pb::common::Value { kind }
}

fn betrayed_by(text: &str) -> Option<String> {
    disguises().into_iter().find(|disguise| text.contains(disguise))
}

/// Every row of every table, as text; what is binary, in hex.
async fn dump(database: &Database) -> String {
    let mut judge = database.superuser().await.unwrap();
    let tables = "select format('%I.%I', table_schema, table_name) from information_schema.tables
         where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut judge).await.unwrap();
    assert!(tables.len() > 5, "{tables:?}");
    let mut text = String::new();
    for table in tables {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!("select t::text from {table} t")));
        for row in rows.fetch_all(&mut judge).await.unwrap() {
            text.push_str(row.get(0));
            text.push('\n');
        }
    }
    text
}

/// A directory that nobody serves, reached with the canary as its password.
async fn unreachable(world: &World) -> String {
    let settings = json!({"ldap": {"host": "127.0.0.1", "port": 1, "tls": "LDAP_TLS_NONE", "bindDn": "cn=x",
        "baseDn": "dc=x", "namingAttribute": "uid", "createObjectClasses": ["inetOrgPerson"]}});
    world
        .connector(|request| {
            request.settings = Some(serde_json::from_value(settings).unwrap());
            let bind_password = Some(CANARY.to_owned());
            request.secrets = Some(pp::ConnectorSecrets { bind_password, ..Default::default() });
        })
        .await
}

/// A connector whose accounts get a password that cannot be read back.
async fn with_passwords(world: &World) -> String {
    world
        .connector(|request| {
            request.object_types[0].mapping.push(pp::AttributeRule {
                name: "password".to_owned(),
                expression: "unmanaged()".to_owned(),
                write_only: true,
                sensitive: true,
                ..pp::AttributeRule::default()
            });
        })
        .await
}

#[tokio::test]
async fn a_connectors_secret_is_in_no_answer_no_log_and_no_database_s3() {
    let world = World::new().await;
    let connector_id = unreachable(&world).await;
    let mut connectors = world.admin.connectors.clone();
    let request = pp::GetConnectorRequest { connector_id: connector_id.clone() };
    let read = connectors.get_connector(request).await.unwrap().into_inner();
    let request = pp::CheckConnectionRequest { connector_id: connector_id.clone() };
    let checked = connectors.check_connection(request).await;
    let run = world.full_run(&connector_id, false).await;
    assert_eq!(read.connector.as_ref().unwrap().stored_secrets, ["bind_password"]);
    let answers = format!("{read:?}\n{checked:?}\n{run:?}");
    assert_eq!(betrayed_by(&answers), None, "{answers}");
    assert_eq!(betrayed_by(&world.logs()), None, "in a log");
    assert_eq!(betrayed_by(&dump(&world.ground().provisioning).await), None, "in provisioning's database");
    assert_eq!(
        betrayed_by(&dump(&world.ground().reconciliation).await),
        None,
        "in reconciliation's database"
    );
}

#[tokio::test]
async fn a_write_only_value_is_in_no_answer_no_log_and_no_database_s3() {
    let world = World::new().await;
    let connector = with_passwords(&world).await;
    let create = pp::CreateOperationRequest {
        operation_type: pp::OperationType::Create.into(),
        payload: Some(set(&[("mail", "ann@x"), ("password", CANARY)])),
        ..update_of(&connector, "ann", "")
    };
    let operation = world.admin.accept(create).await;
    let ended = world.admin.ended(&operation).await;
    let run = world.full_run(&connector, false).await;
    let found = world.admin.discrepancies_of(&run.id).await;
    assert_eq!(betrayed_by(&format!("{ended:?}\n{found:?}")), None, "in an answer");
    assert_eq!(betrayed_by(&world.logs()), None, "in a log");
    assert_eq!(betrayed_by(&dump(&world.ground().provisioning).await), None, "in provisioning's database");
    assert_eq!(
        betrayed_by(&dump(&world.ground().reconciliation).await),
        None,
        "in reconciliation's database"
    );
}

#[test]
fn a_canary_is_recognised_in_every_disguise() {
    for text in ["Canary", CANARY] {
        assert_eq!(betrayed_by(text).is_some(), text == CANARY);
    }
    let message = serde_json::to_string(&prost_value(format!("ab{CANARY}cd").into_bytes())).unwrap();
    assert!(betrayed_by(&message).is_some(), "{message}");
}
