//! What tables of MySQL and MariaDB alone show: collations, types that would take anything, soft deletes, the tag.

use std::{collections::BTreeSet, sync::Arc};

use futures::TryStreamExt;
use proptest::{
    prelude::any,
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use sqlx::{AssertSqlSafe, MySqlPool};
use tokio::sync::OnceCell;
use xavyo_connectors::{
    AccountChange, AccountUpdate, ChangeItem, Connector, NewAccount, ReadRequest, Secrets, WATERMARK_EXPIRED,
    open,
};
use xavyo_core::{
    account::{Account, AccountKey},
    change::{Change, Changes},
    connector::{FailureKind, Settings, SqlDialect, SqlSettings, TargetFailure},
    value::Value,
};
use xavyo_sandbox::mariadb::{HOST, Mariadb, TargetDatabase, Transport};

use crate::target::{options, read, set, unique};

struct Server {
    mariadb: Mariadb,
    database: TargetDatabase,
}

/// One server for all tests of the process, under TLS.
async fn server() -> &'static Server {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    SERVER
        .get_or_init(async || {
            let mariadb = Mariadb::start(Transport::Tls).await.unwrap();
            let database = mariadb.database().await.unwrap();
            Server { mariadb, database }
        })
        .await
}

struct Table {
    name: String,
    pool: MySqlPool,
    connector: Arc<dyn Connector>,
}

/// A table of `login` and these columns.
async fn table(columns: &str, change: impl FnOnce(&mut SqlSettings)) -> Table {
    table_of(&format!("login varchar(190) not null unique, {columns}"), "", change).await
}

async fn table_of(columns: &str, clauses: &str, change: impl FnOnce(&mut SqlSettings)) -> Table {
    let Server { mariadb, database } = server().await;
    let (name, pool) = (unique("t"), database.pool().await.unwrap());
    execute(&pool, &format!("create table {name} ({columns}) {clauses}")).await;
    let mut settings = SqlSettings {
        dialect: SqlDialect::Mysql,
        host: HOST.to_string(),
        port: mariadb.port(),
        database: database.name().to_owned(),
        username: database.username().to_owned(),
        require_tls: true,
        ca_certificates: Some(mariadb.ca_certificates().to_owned()),
        schema: database.name().to_owned(),
        table: name.clone(),
        uid_column: "login".to_owned(),
        ..SqlSettings::default()
    };
    change(&mut settings);
    let secrets = Secrets::from_iter([("password", database.password())]);
    let connector = open(&Settings::Sql(settings), &secrets, &options()).unwrap();
    Table { name, pool, connector }
}

async fn execute(pool: &MySqlPool, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(pool).await.unwrap();
}

impl Table {
    async fn create(&self, uid: &str, attributes: &[(&str, Vec<Value>)]) -> Result<Account, TargetFailure> {
        let attributes = attributes.iter().map(|(name, values)| ((*name).to_owned(), values.clone()));
        let account = NewAccount {
            object_class: "t".into(),
            external_uid: uid.into(),
            attributes: attributes.collect(),
            enabled: None,
            tag: format!("create {uid}"),
        };
        self.connector.create(&account).await
    }

    async fn update(&self, key: &AccountKey, changes: Changes) -> Result<Account, TargetFailure> {
        let update = AccountUpdate { changes, ..AccountUpdate::default() };
        self.connector.update("t", key, &update).await
    }

    async fn got(&self, uid: &str) -> Option<Account> {
        self.connector.get("t", &named(uid), &["*".to_owned()]).await.unwrap()
    }
}

fn named(uid: &str) -> AccountKey {
    AccountKey { external_uid: uid.into(), immutable_id: None }
}

#[tokio::test]
async fn values_of_every_column_type_come_back_as_values_of_their_kind() {
    let columns = "i1 tinyint, u8 bigint unsigned, f8 double, n decimal(20, 6), b boolean, b1 bit(1), at datetime(6),
                   ts timestamp(3) null, bytes varbinary(8), u uuid, v varchar(5), d date, e enum('a', 'b'), y year,
                   numbers json, latin varchar(20) character set latin1";
    let json = |settings: &mut SqlSettings| settings.json_array_columns = vec!["numbers".into()];
    let table = table(columns, json).await;
    let at = Value::Timestamp("2024-02-29T12:30:00.250Z".parse().unwrap());
    let values = [
        ("i1", vec![Value::Integer(-3)]),
        ("u8", vec![Value::from("18446744073709551615")]),
        ("f8", vec![Value::Double(0.1)]),
        ("n", vec![Value::Double(12.5)]),
        ("b", vec![Value::Boolean(true)]),
        ("b1", vec![Value::Boolean(true)]),
        ("at", vec![at.clone()]),
        ("ts", vec![at]),
        ("bytes", vec![Value::Binary(vec![0, 1, 255])]),
        ("u", vec![Value::from("5f0c7f8e-4b0a-4c7e-9d3a-0123456789ab")]),
        ("v", vec![Value::from("12345")]),
        ("d", vec![Value::from("2024-02-29")]),
        ("e", vec![Value::from("b")]),
        ("y", vec![Value::Integer(2024)]),
        ("numbers", vec![Value::Integer(3), Value::from("a,\"b\"")]),
        ("latin", vec![Value::from("Zoë")]),
    ];
    table.create("ada", &values).await.unwrap();

    let shown = table.got("ada").await.unwrap();
    for (name, values) in &values {
        assert_eq!(&shown.attributes[*name], values, "{name}");
        for value in values {
            assert_eq!(table.connector.find("t", name, value).await.unwrap().len(), 1, "{name} = {value:?}");
        }
    }
    let cleared: Changes = values.iter().map(|(name, _)| ((*name).to_owned(), Change::Clear)).collect();
    table.update(&named("ada"), cleared).await.unwrap();
    assert_eq!(table.got("ada").await.unwrap().attributes.keys().collect::<Vec<_>>(), ["login"]);
}

#[tokio::test]
async fn what_does_not_fit_a_column_is_refused_and_never_cut_rounded_or_taken_for_zero() {
    let columns =
        "v varchar(5), small smallint, b boolean, at datetime, three varchar(20) character set utf8mb3";
    let table = table(columns, |_| {}).await;
    table.create("ada", &[]).await.unwrap();
    for (name, value) in [
        ("v", "123456"),
        ("small", "70000"),
        ("small", "12abc"),
        ("small", "1.5"),
        ("small", ""),
        ("b", "yes"),
        ("at", "yesterday"),
        ("three", "\u{1f600}"),
        ("nope", "x"),
    ] {
        let failure = table.update(&named("ada"), set(name, &[value])).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Refused, "{name} = {value:?}: {failure}");
        assert!(value.is_empty() || !failure.message.contains(value), "{failure}");
    }
    assert_eq!(table.got("ada").await.unwrap().attributes.len(), 1, "nothing was written");
}

/// Fault 4: what the server would take for a number, or for the nearest character, is nobody's key.
#[tokio::test]
async fn a_key_that_is_no_value_of_its_column_names_nobody() {
    let columns =
        "id bigint auto_increment primary key, login varchar(190) character set utf8mb3 not null unique";
    let table = table_of(columns, "", |settings| settings.id_column = Some("id".into())).await;
    let made = table.create("?", &[]).await.unwrap();
    let id = made.immutable_id.clone().unwrap();
    for other in [format!("{id}abc"), format!("{id}.0"), format!(" {id}"), "true".into(), String::new()] {
        let key = AccountKey { external_uid: "?".into(), immutable_id: Some(other.clone()) };
        assert_eq!(table.connector.get("t", &key, &[]).await.unwrap(), None, "{other:?}");
        let deleted = table.connector.delete("t", &key, None, "").await;
        assert_eq!(deleted.unwrap_err().kind, FailureKind::NotFound, "{other:?}");
    }
    assert_eq!(table.got("\u{1f600}").await, None, "a character that the column lacks is not its `?`");
    assert!(table.got("?").await.is_some());
}

/// Fault 7: the column's collation decides who is the same, here and in every statement.
#[tokio::test]
async fn the_collation_decides_which_uids_are_equal() {
    let column =
        |collation: &str| format!("login varchar(190) collate {collation} not null unique, note text");
    let table = table_of(&column("utf8mb4_general_ci"), "", |_| {}).await;
    table.create("Ada", &[]).await.unwrap();
    for same in ["Ada", "ADA", "ada  ", "ádá"] {
        assert_eq!(table.got(same).await.unwrap().external_uid, "Ada", "{same:?}");
        let again = table.create(same, &[]).await.unwrap_err();
        assert_eq!(again.kind, FailureKind::AlreadyExists, "{same:?}: {again}");
    }
    let update = AccountUpdate { rename_to: Some("ADA".into()), ..AccountUpdate::default() };
    let renamed = table.connector.update("t", &named("ada"), &update).await.unwrap();
    assert_eq!(renamed.external_uid, "ADA", "the case of a name can be changed");

    let strict = table_of(&column("utf8mb4_nopad_bin"), "", |_| {}).await;
    for uid in ["Ada", "ADA", "Ada ", "ada"] {
        strict.create(uid, &[]).await.unwrap();
    }
    let (accounts, proof) = read(strict.connector.as_ref(), "t", &[]).await;
    assert!(proof.complete && accounts.len() == 4, "{}", proof.evidence);
}

/// Fault 11, fault 30: whatever a text holds, it comes back, is found, and finds nobody else.
#[tokio::test]
async fn any_text_comes_back_as_it_was_and_is_found_by_itself() {
    let columns =
        "login varchar(400) collate utf8mb4_nopad_bin not null unique, note text collate utf8mb4_nopad_bin";
    let table = table_of(columns, "row_format = dynamic", |_| {}).await;
    let mut runner = TestRunner::default();
    let texts =
        any::<String>().prop_filter("a key of this length", |text| (1..100).contains(&text.chars().count()));
    let mut made = BTreeSet::new();
    for _ in 0..60 {
        let text = texts.new_tree(&mut runner).unwrap().current();
        table.create(&text, &[("note", vec![Value::from(text.as_str())])]).await.unwrap();
        made.insert(text);
    }
    for text in &made {
        let shown = table.got(text).await.unwrap();
        assert_eq!(
            (&shown.external_uid, &shown.attributes["note"]),
            (text, &vec![Value::from(text.as_str())])
        );
        let found = table.connector.find("t", "note", &Value::from(text.as_str())).await.unwrap();
        assert_eq!(found.len(), 1, "{text:?}");
    }
    let (accounts, proof) = read(table.connector.as_ref(), "t", &[]).await;
    assert!(proof.complete && accounts.len() == made.len(), "{}", proof.evidence);
}

#[tokio::test]
async fn a_version_column_is_moved_by_our_writes_and_a_coarse_one_is_refused() {
    for (kind, step) in
        [("bigint not null default 1", "1"), ("datetime(6) not null default now(6)", "interval 1 second")]
    {
        let with_version = |settings: &mut SqlSettings| settings.version_column = Some("version".into());
        let table = table(&format!("note text, version {kind}"), with_version).await;
        let made = table.create("ada", &[]).await.unwrap();
        let updated = table.update(&named("ada"), set("note", &["ours"])).await.unwrap();
        assert_ne!(updated.version, made.version, "{kind}");

        execute(&table.pool, &format!("update {} set version = version + {step}", table.name)).await;
        let late = table.connector.delete("t", &named("ada"), updated.version.as_deref(), "").await;
        assert_eq!(late.unwrap_err().kind, FailureKind::PreconditionFailed, "{kind}");
    }
    let with_version = |settings: &mut SqlSettings| settings.version_column = Some("version".into());
    let table = table("version datetime not null default now()", with_version).await;
    assert_eq!(table.create("ada", &[]).await.unwrap_err().code, "SQL_COLUMN_TYPE");
}

#[tokio::test]
async fn a_soft_delete_leaves_the_row_and_no_account() {
    let soft = |settings: &mut SqlSettings| settings.deleted_column = Some("deleted_at".into());
    let table = table("note text, deleted_at datetime", soft).await;
    table.create("ada", &[]).await.unwrap();
    table.create("bob", &[]).await.unwrap();

    table.connector.delete("t", &named("ada"), None, "").await.unwrap();

    assert_eq!(table.got("ada").await, None);
    assert_eq!(
        table.connector.delete("t", &named("ada"), None, "").await.unwrap_err().kind,
        FailureKind::NotFound
    );
    let (accounts, proof) = read(table.connector.as_ref(), "t", &[]).await;
    assert!(proof.complete && accounts.len() == 1, "{}", proof.evidence);
    let again = table.create("ada", &[]).await.unwrap_err();
    assert_eq!(again.kind, FailureKind::Refused, "the uid is a deleted row's: {again}");
    let query = format!("select count(*) from {} where deleted_at is not null", table.name);
    let left: i64 = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&table.pool).await.unwrap();
    assert_eq!(left, 1);
}

#[tokio::test]
async fn a_table_that_cannot_roll_back_is_refused() {
    let table = table_of("login varchar(190) not null unique", "engine = myisam", |_| {}).await;
    assert_eq!(table.create("ada", &[]).await.unwrap_err().code, "SQL_TABLE_ENGINE");
    let steps = table.connector.check().await.unwrap();
    assert!(steps.last().is_some_and(|step| !step.ok && step.name == "table"), "{steps:?}");
}

/// Q6: the target's own ledger can name the attempt that wrote.
#[tokio::test]
async fn each_write_carries_its_tag() {
    let table = table("note text", |_| {}).await;
    let name = &table.name;
    execute(
        &table.pool,
        &format!("create table {name}_ledger (n bigint auto_increment primary key, tag text, op text)"),
    )
    .await;
    for operation in ["insert", "update", "delete"] {
        let note = format!("insert into {name}_ledger (tag, op) values (@xavyo_tag, '{operation}')");
        execute(
            &table.pool,
            &format!("create trigger {name}_{operation} after {operation} on {name} for each row {note}"),
        )
        .await;
    }
    table.create("ada", &[]).await.unwrap();
    let update =
        AccountUpdate { changes: set("note", &["x"]), tag: "it's 2".into(), ..AccountUpdate::default() };
    table.connector.update("t", &named("ada"), &update).await.unwrap();
    table.connector.delete("t", &named("ada"), None, "3").await.unwrap();

    let query = format!("select concat(tag, ' ', op) from {name}_ledger order by n");
    let told: Vec<String> = sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&table.pool).await.unwrap();
    assert_eq!(told, ["create ada insert", "it's 2 update", "3 delete"]);
}

#[tokio::test]
async fn a_statement_that_would_touch_two_rows_is_rolled_back_and_a_read_of_them_is_not_complete() {
    let table = table_of("login varchar(190), note text", "", |_| {}).await;
    execute(&table.pool, &format!("insert into {} (login) values ('ada'), ('ada'), (null)", table.name))
        .await;
    let updated = table.update(&named("ada"), set("note", &["x"])).await;
    assert_eq!(updated.unwrap_err().code, "SQL_ROWS");
    assert_eq!(table.connector.delete("t", &named("ada"), None, "").await.unwrap_err().code, "SQL_ROWS");
    let (accounts, proof) = read(table.connector.as_ref(), "t", &["note"]).await;
    assert!(accounts.iter().all(|account| account.attributes.is_empty()), "nothing was written");
    assert!(!proof.complete, "{}", proof.evidence);
}

/// What the table's own column says is read again from a little before, and what is gone softly says so.
#[tokio::test]
async fn what_changed_since_a_watermark_comes_and_nothing_else() {
    let columns = "note text, deleted_at datetime null,
                   updated_at datetime(6) not null default now(6) on update now(6)";
    let table = table(columns, |settings| {
        settings.updated_at_column = Some("updated_at".into());
        settings.deleted_column = Some("deleted_at".into());
    })
    .await;
    for uid in ["ada", "bob", "cid"] {
        table.create(uid, &[]).await.unwrap();
    }
    let past = format!("update {} set updated_at = now(6) - interval 1 day where login = 'bob'", table.name);
    execute(&table.pool, &past).await;
    let (_, proof) = read(table.connector.as_ref(), "t", &[]).await;
    let watermark = proof.watermark.unwrap();

    table.connector.delete("t", &named("cid"), None, "").await.unwrap();

    let request = ReadRequest { object_class: "t".into(), attributes: Vec::new() };
    let items: Vec<ChangeItem> =
        table.connector.changes(request.clone(), &watermark).try_collect().await.unwrap();
    let [ChangeItem::Page(page), ChangeItem::Proof(proof)] = items.as_slice() else { panic!("{items:?}") };
    assert!(proof.complete && proof.watermark.is_some() && proof.count == 2, "{proof:?}");
    let told: Vec<(&str, bool)> = page
        .iter()
        .map(|change| match change {
            AccountChange::Changed(account) => (account.external_uid.as_str(), true),
            AccountChange::Gone(key) => (key.external_uid.as_str(), false),
        })
        .collect();
    assert_eq!(told, [("ada", true), ("cid", false)]);
    let unknown: Result<Vec<ChangeItem>, _> = table.connector.changes(request, "uSN 7").try_collect().await;
    assert_eq!(unknown.unwrap_err().code, WATERMARK_EXPIRED);
}

#[tokio::test]
async fn a_table_says_what_it_can_hold() {
    let columns =
        "id bigint auto_increment primary key, login varchar(190) not null unique, age int not null,
                   labels json, twice int generated always as (age * 2) stored";
    let table = table_of(columns, "", |settings| {
        settings.id_column = Some("id".into());
        settings.json_array_columns = vec!["labels".into()];
    })
    .await;
    let schema = table.connector.describe().await.unwrap().remove(0);
    assert_eq!(schema.uid_attribute.as_deref(), Some("login"));
    let told: Vec<(&str, bool, bool, bool)> = schema
        .attributes
        .iter()
        .map(|it| (it.name.as_str(), it.required, it.multi_valued, it.writable_on_update))
        .collect();
    assert_eq!(
        told,
        [
            ("id", false, false, false),
            ("login", true, false, true),
            ("age", true, false, true),
            ("labels", false, true, true),
            ("twice", false, false, false),
        ]
    );
}
