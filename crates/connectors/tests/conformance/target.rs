//! The targets: one of each kind, fresh for each test, and the words by which each knows what the checks speak of.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use tokio::sync::OnceCell;
use xavyo_connectors::{
    ALL_ATTRIBUTES, AccountUpdate, Completeness, Connector, NewAccount, Options, ReadItem, ReadRequest,
    Secrets, open,
};
use xavyo_core::{
    account::{Account, AccountKey},
    change::{Change, Changes},
    connector::{
        LdapDialect, LdapSettings, LdapTls, MemoryFault, MemorySettings, Settings, SqlDialect, SqlSettings,
        TargetFailure,
    },
    value::{Attributes, Value},
};
use xavyo_sandbox::{
    postgres::{Postgres, TargetDatabase},
    slapd::{self, Slapd},
};

/// A target of one kind, empty, and a connector to it.
#[derive(Debug)]
pub struct Target {
    pub settings: Settings,
    pub secrets: Secrets,
    pub connector: Arc<dyn Connector>,
    pub object_class: &'static str,
    /// An attribute of one text value.
    pub text: &'static str,
    /// An attribute of many text values.
    pub many: &'static str,
    /// What every account must have.
    required: &'static [&'static str],
}

impl Target {
    pub fn new_account(&self, uid: &str) -> NewAccount {
        let required = self.required.iter().map(|name| ((*name).to_owned(), vec![Value::from("required")]));
        NewAccount {
            object_class: self.object_class.to_owned(),
            external_uid: uid.to_owned(),
            attributes: required.collect(),
            enabled: Some(true),
            tag: format!("create {uid}"),
        }
    }

    pub fn new_account_with(&self, uid: &str, attribute: &str, values: &[&str]) -> NewAccount {
        let mut account = self.new_account(uid);
        account
            .attributes
            .insert(attribute.to_owned(), values.iter().map(|value| Value::from(*value)).collect());
        account
    }

    pub async fn create(&self, uid: &str) -> Account {
        self.connector.create(&self.new_account(uid)).await.unwrap()
    }

    pub async fn update(&self, key: &AccountKey, changes: Changes) -> Result<Account, TargetFailure> {
        let update = AccountUpdate { changes, ..AccountUpdate::default() };
        self.connector.update(self.object_class, key, &update).await
    }

    pub async fn get(&self, key: &AccountKey) -> Option<Account> {
        let all = [ALL_ATTRIBUTES.to_owned()];
        self.connector.get(self.object_class, key, &all).await.unwrap()
    }

    pub async fn read(&self) -> (Vec<Account>, Completeness) {
        read(self.connector.as_ref(), self.object_class, &[ALL_ATTRIBUTES]).await
    }

    /// The same target through changed settings.
    pub fn reopened(&self, change: impl FnOnce(&mut Settings)) -> Arc<dyn Connector> {
        let mut settings = self.settings.clone();
        change(&mut settings);
        open(&settings, &self.secrets, &options()).unwrap()
    }
}

/// The whole of a read. Panics when it fails, or when the proof is not there, once, last.
pub async fn read(
    connector: &dyn Connector,
    object_class: &str,
    wanted: &[&str],
) -> (Vec<Account>, Completeness) {
    let attributes = wanted.iter().map(|name| (*name).to_owned()).collect();
    let mut pages = connector.read(ReadRequest { object_class: object_class.to_owned(), attributes });
    let (mut accounts, mut proof) = (Vec::new(), None);
    while let Some(item) = pages.next().await {
        assert!(proof.is_none(), "nothing follows the proof");
        match item.unwrap() {
            ReadItem::Page(page) => accounts.extend(page),
            ReadItem::Proof(found) => proof = Some(found),
        }
    }
    (accounts, proof.expect("a read that does not fail ends with its proof"))
}

pub fn set(attribute: &str, values: &[&str]) -> Changes {
    let values = values.iter().map(|value| Value::from(*value)).collect();
    BTreeMap::from([(attribute.to_owned(), Change::Set(values))])
}

pub fn modify(attribute: &str, add: &[&str], remove: &[&str]) -> Changes {
    let values = |list: &[&str]| list.iter().map(|value| Value::from(*value)).collect();
    BTreeMap::from([(attribute.to_owned(), Change::Modify { add: values(add), remove: values(remove) })])
}

/// An attribute's values as sorted text.
pub fn texts(attributes: &Attributes, name: &str) -> Vec<String> {
    let mut texts: Vec<String> = attributes.get(name).into_iter().flatten().map(Value::to_text).collect();
    texts.sort();
    texts
}

pub fn options() -> Options {
    Options {
        allow_memory: true,
        allow_clear_text: true,
        allow_sockets: true,
        call_timeout: Duration::from_secs(10),
        ..Options::default()
    }
}

/// A name that no other test of this process has.
pub fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub async fn memory() -> Target {
    let store = MemorySettings { store: unique("store"), ..MemorySettings::default() };
    target(Settings::Memory(store), Secrets::default(), "account", ["display_name", "groups"], &[])
}

/// A fault that every call meets.
pub fn faulty(settings: &mut MemorySettings, kind: &str) {
    settings.faults = vec![MemoryFault { call: "any".into(), kind: kind.into(), times: 1_000 }];
}

pub async fn sql() -> Target {
    let settings = SqlSettings {
        dialect: SqlDialect::Postgres,
        host: Postgres::shared().await.unwrap().sockets().display().to_string(),
        port: 5432,
        database: database().await.name().to_owned(),
        username: TargetDatabase::ROLE.to_owned(),
        require_tls: false,
        ca_certificates: None,
        schema: "public".to_owned(),
        table: unique("People \""),
        uid_column: "login".to_owned(),
        id_column: Some("id".to_owned()),
        version_column: None,
        disabled_column: Some("blocked".to_owned()),
        enabled_column: None,
        ..SqlSettings::default()
    };
    execute(&format!(
        "create table {} (
           id uuid primary key default gen_random_uuid(),
           login text not null unique,
           \"Display Name\" text,
           groups text[],
           blocked boolean not null default false
         )",
        quoted(&settings.table),
    ))
    .await;
    target(Settings::Sql(settings), Secrets::default(), "account", ["Display Name", "groups"], &[])
}

/// The database that SQL targets have their tables in.
pub async fn database() -> &'static TargetDatabase {
    static DATABASE: OnceCell<TargetDatabase> = OnceCell::const_new();
    DATABASE.get_or_init(async || Postgres::shared().await.unwrap().target().await.unwrap()).await
}

/// Runs a statement as the table's owner, past the connector.
pub async fn execute(statement: &str) {
    let pool = database().await.pool().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(&pool).await.unwrap();
}

pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub async fn ldap() -> Target {
    ldap_on(directory().await).await
}

/// A directory that tests share, each below a base of its own.
async fn directory() -> &'static Slapd {
    static SLAPD: OnceCell<Slapd> = OnceCell::const_new();
    SLAPD.get_or_init(async || Slapd::start(&slapd::Options::default()).await.unwrap()).await
}

pub async fn ldap_on(slapd: &Slapd) -> Target {
    let base = format!("ou={},{}", unique("test"), slapd::PEOPLE);
    let unit = slapd::values_by_name(&[("objectClass", "organizationalUnit")]);
    slapd.administrator().await.unwrap().add(&base, unit).await.unwrap().success().unwrap();
    let settings = LdapSettings {
        host: slapd::HOST.to_string(),
        port: slapd.port(),
        tls: LdapTls::StartTls,
        ca_certificates: Some(slapd.ca_certificates().to_owned()),
        bind_dn: slapd::CONNECTOR_DN.to_owned(),
        base_dn: base.clone(),
        filter: String::new(),
        naming_attribute: "uid".to_owned(),
        create_base_dn: base,
        create_object_classes: vec!["inetOrgPerson".to_owned()],
        dialect: LdapDialect::Detect,
        page_size: 500,
        disabled_attribute: Some("employeeType".to_owned()),
        disabled_value: Some("disabled".to_owned()),
        sentinels: Vec::new(),
    };
    let secrets = Secrets::from_iter([("bind_password", slapd.password())]);
    target(Settings::Ldap(settings), secrets, "inetOrgPerson", ["displayName", "description"], &["cn", "sn"])
}

fn target(
    settings: Settings,
    secrets: Secrets,
    object_class: &'static str,
    [text, many]: [&'static str; 2],
    required: &'static [&'static str],
) -> Target {
    let connector = open(&settings, &secrets, &options()).unwrap();
    Target { settings, secrets, connector, object_class, text, many, required }
}
