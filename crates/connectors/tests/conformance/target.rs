//! The targets of these tests: the suite's places, each fresh, in words that unwrap.

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
use xavyo_conformance::{
    Kind, Place,
    kinds::{Memory, PostgresTable, directory},
};
use xavyo_connectors::{
    ALL_ATTRIBUTES, AccountUpdate, Completeness, Connector, NewAccount, Options, ReadItem, ReadRequest,
    Secrets, open,
};
use xavyo_core::{
    account::{Account, AccountKey},
    change::{Change, Changes},
    connector::{LdapTls, Settings, TargetFailure},
    value::{Attributes, Value},
};
use xavyo_sandbox::{
    postgres::TargetDatabase,
    slapd::{self, Slapd},
};

pub use xavyo_conformance::kinds::postgres::quoted;

/// A target of one kind, empty, and a connector to it.
#[derive(Debug)]
pub struct Target {
    pub settings: Settings,
    pub secrets: Secrets,
    pub connector: Arc<dyn Connector>,
    pub object_class: &'static str,
    /// An attribute of one text value.
    pub text: &'static str,
    /// What every account must have.
    required: Attributes,
}

impl Target {
    pub fn new_account(&self, uid: &str) -> NewAccount {
        NewAccount {
            object_class: self.object_class.to_owned(),
            external_uid: uid.to_owned(),
            attributes: self.required.clone(),
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
    target(Memory.place().await.unwrap())
}

pub async fn sql() -> Target {
    target(tables().await.place().await.unwrap())
}

/// The tables of these tests, in one database.
async fn tables() -> &'static PostgresTable {
    static TABLES: OnceCell<PostgresTable> = OnceCell::const_new();
    TABLES.get_or_init(async || PostgresTable::start().await.unwrap()).await
}

/// The database that SQL targets have their tables in.
pub async fn database() -> &'static TargetDatabase {
    tables().await.database()
}

/// Runs a statement as the table's owner, past the connector.
pub async fn execute(statement: &str) {
    let pool = database().await.pool().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(&pool).await.unwrap();
}

pub async fn ldap() -> Target {
    static SLAPD: OnceCell<Slapd> = OnceCell::const_new();
    let start = async || Slapd::start(&slapd::Options::default()).await.unwrap();
    ldap_on(SLAPD.get_or_init(start).await).await
}

/// A subtree of a directory of a test's own.
pub async fn ldap_on(slapd: &Slapd) -> Target {
    target(directory::place(slapd, LdapTls::StartTls).await.unwrap())
}

pub fn target(place: Place) -> Target {
    let connector = open(&place.settings, &place.secrets, &options()).unwrap();
    Target {
        settings: place.settings,
        secrets: place.secrets,
        connector,
        object_class: place.words.object_class.leak(),
        text: place.words.text.leak(),
        required: place.words.required,
    }
}
