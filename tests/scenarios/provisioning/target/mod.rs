//! Real targets: a table and a directory, which drift where drift happens, in the target itself.

mod attaching;
mod changes;
mod schema;

use sqlx::PgPool;
use xavyo_sandbox::{
    postgres::{Postgres, TargetDatabase},
    slapd::{BASE, CONNECTOR_DN, HOST, Options, PEOPLE, Slapd},
};
use xavyo_tests::{World, memory_connector, refused};
use xavyo_wire::pb::{common::RemediationAction, provisioning as pp, reconciliation as pr};

/// A table of accounts, and how a connector reaches it.
pub async fn table(database: &TargetDatabase) -> (PgPool, pp::ConnectorSettings) {
    let pool = database.pool().await.unwrap();
    sqlx::raw_sql(
        "create table account (
             id      bigint generated always as identity primary key,
             login   text not null unique,
             mail    text,
             title   text,
             enabled boolean not null default true
         )",
    )
    .execute(&pool)
    .await
    .unwrap();
    let sql = pp::SqlSettings {
        host: Postgres::shared().await.unwrap().sockets().display().to_string(),
        database: database.name().to_owned(),
        username: TargetDatabase::ROLE.to_owned(),
        table: "account".to_owned(),
        uid_column: "login".to_owned(),
        id_column: Some("id".to_owned()),
        enabled_column: Some("enabled".to_owned()),
        ..pp::SqlSettings::default()
    };
    (pool, pp::ConnectorSettings { kind: Some(pp::connector_settings::Kind::Sql(sql)) })
}

async fn rows(pool: &PgPool) -> Vec<String> {
    let all = "select format('%s %s %s %s', login, mail, title, enabled) from account order by login";
    sqlx::query_scalar(all).fetch_all(pool).await.unwrap()
}

fn item(found: &pr::Discrepancy) -> pr::RemediationItem {
    let action = match found.external_uid() {
        "bob" => RemediationAction::Create,
        "eve" => RemediationAction::Delete,
        _ => RemediationAction::Update,
    };
    pr::RemediationItem { discrepancy_id: found.id.clone(), action: action.into(), ..Default::default() }
}

#[tokio::test]
async fn a_table_that_drifted_behind_our_back_is_put_right_r8_r11() {
    let world = World::new().await;
    let database = Postgres::shared().await.unwrap().target().await.unwrap();
    let (pool, settings) = table(&database).await;
    let connector = world.connector(|request| request.settings = Some(settings)).await;
    for login in ["ann", "bob", "cid"] {
        let person = world.person(login, &format!("{login}@x"), "clerk").await;
        world.account_of(&connector, &person).await;
    }
    let in_step = rows(&pool).await;
    assert_eq!(in_step, ["ann ann@x clerk t", "bob bob@x clerk t", "cid cid@x clerk t"]);
    sqlx::raw_sql(
        "update account set mail = 'other@x' where login = 'ann';
         update account set enabled = false where login = 'cid';
         delete from account where login = 'bob';
         insert into account (login, mail) values ('eve', 'eve@x')",
    )
    .execute(&pool)
    .await
    .unwrap();
    let run = world.full_run(&connector, false).await;
    let found = world.admin.discrepancies_of(&run.id).await;
    assert_eq!(found.len(), 4, "{found:#?}");
    let items = found.iter().map(item).collect();
    let request = pr::BulkRemediateDiscrepanciesRequest { items, ..Default::default() };
    let bulk = world.admin.discrepancies.clone().bulk_remediate_discrepancies(request).await.unwrap();
    assert_eq!(bulk.into_inner().succeeded, 4);
    assert_eq!(rows(&pool).await, in_step);
    assert_eq!(world.full_run(&connector, false).await.discrepancies_found, 0);
}

/// A connector to that directory.
pub fn directory(slapd: &Slapd, password: &str) -> pp::CreateConnectorRequest {
    let ldap = pp::LdapSettings {
        host: HOST.to_string(),
        port: slapd.tls_port().into(),
        tls: pp::LdapTls::Ldaps.into(),
        ca_certificates: Some(slapd.ca_certificates().to_owned()),
        bind_dn: CONNECTOR_DN.to_owned(),
        base_dn: BASE.to_owned(),
        naming_attribute: "uid".to_owned(),
        create_base_dn: PEOPLE.to_owned(),
        create_object_classes: vec!["inetOrgPerson".to_owned()],
        dialect: pp::LdapDialect::OpenLdap.into(),
        ..pp::LdapSettings::default()
    };
    let mut request = memory_connector();
    request.settings = Some(pp::ConnectorSettings { kind: Some(pp::connector_settings::Kind::Ldap(ldap)) });
    let bind_password = Some(password.to_owned());
    request.secrets = Some(pp::ConnectorSecrets { bind_password, ..Default::default() });
    "inetOrgPerson".clone_into(&mut request.object_types[0].object_class);
    request
}

/// Whether every step of a check of the connection succeeds.
async fn checks(world: &World, request: pp::CreateConnectorRequest) -> bool {
    let mut connectors = world.admin.connectors.clone();
    let made = connectors.create_connector(request).await.unwrap().into_inner().connector.unwrap();
    let check = pp::CheckConnectionRequest { connector_id: made.id };
    connectors.check_connection(check).await.unwrap().into_inner().ok
}

#[tokio::test]
async fn a_check_of_a_directory_tells_a_good_password_from_a_wrong_one() {
    let world = World::new().await;
    let slapd = Slapd::start(&Options::default()).await.unwrap();
    assert!(checks(&world, directory(&slapd, slapd.password())).await);
    assert!(!checks(&world, directory(&slapd, "wrong")).await);
}

#[tokio::test]
async fn a_connector_of_ones_own_that_nobody_serves_fails_its_check() {
    let world = World::new().await;
    let remote = pp::RemoteSettings { url: "https://127.0.0.1:1".to_owned(), ..Default::default() };
    let kind = Some(pp::connector_settings::Kind::Remote(remote));
    let request =
        pp::CreateConnectorRequest { settings: Some(pp::ConnectorSettings { kind }), ..memory_connector() };
    assert!(!checks(&world, request).await);
}

#[tokio::test]
async fn a_secret_of_another_kind_is_refused() {
    let world = World::new().await;
    let bearer_token = Some("token".to_owned());
    let secrets = Some(pp::ConnectorSecrets { bearer_token, ..Default::default() });
    let foreign = pp::CreateConnectorRequest { secrets, ..memory_connector() };
    let refusal = refused(world.admin.connectors.clone().create_connector(foreign).await);
    assert_eq!(refusal.fields, ["secrets.bearer_token"]);
}
