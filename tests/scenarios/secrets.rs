//! Secrets: planted ones are found nowhere.

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use sqlx::Row;
use xavyo_sandbox::postgres::Database;
use xavyo_tests::World;
use xavyo_wire::pb::provisioning as pp;

/// Long enough that no accident makes it.
const CANARY: &str = "canary-7f3a9c51-do-not-tell";

/// As text, in hex, and in base64 at each of the three positions that it can have in a longer text.
fn disguises() -> Vec<String> {
    let mut hex = String::new();
    for byte in CANARY.bytes() {
        write!(hex, "{byte:02x}").unwrap();
    }
    let encode = |offset: usize| {
        let bytes = [vec![0; offset], CANARY.as_bytes().to_vec()].concat();
        STANDARD.encode(bytes)[4..CANARY.len()].to_owned()
    };
    [CANARY.to_owned(), hex].into_iter().chain((0..3).map(encode)).collect()
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
    let ldap = pp::LdapSettings {
        host: "127.0.0.1".to_owned(),
        port: 1,
        tls: pp::LdapTls::None.into(),
        bind_dn: "cn=xavyo".to_owned(),
        base_dn: "dc=example".to_owned(),
        naming_attribute: "uid".to_owned(),
        create_object_classes: vec!["inetOrgPerson".to_owned()],
        ..pp::LdapSettings::default()
    };
    let kind = Some(pp::connector_settings::Kind::Ldap(ldap));
    world
        .connector(|request| {
            request.settings = Some(pp::ConnectorSettings { kind });
            let bind_password = Some(CANARY.to_owned());
            request.secrets = Some(pp::ConnectorSecrets { bind_password, ..Default::default() });
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

#[test]
fn a_canary_is_recognised_in_every_disguise() {
    for text in ["Canary", CANARY] {
        assert_eq!(betrayed_by(text).is_some(), text == CANARY);
    }
    let message = STANDARD.encode(format!("ab{CANARY}cd"));
    assert!(betrayed_by(&message).is_some(), "{message}");
}
