//! What SQL tables alone show: column types, constraints, the tag, the row-count guard.

use futures::TryStreamExt;
use sqlx::Row;
use xavyo_connectors::{AccountChange, AccountUpdate, ChangeItem, ReadRequest};
use xavyo_core::{
    account::AccountKey,
    change::Change,
    connector::{FailureKind, Settings, SqlSettings},
    value::Value,
};

use crate::target::{Target, database, execute, quoted, read, set, sql, unique};

/// A target whose table is made by `columns`, beside `login`.
async fn table_with(columns: &str, change: impl FnOnce(&mut SqlSettings)) -> (Target, String) {
    let mut target = sql().await;
    let name = unique("t");
    execute(&format!("create table {name} (login text not null unique, {columns})")).await;
    target.connector = target.reopened(|settings| {
        let Settings::Sql(settings) = settings else { unreachable!("a SQL target") };
        settings.table.clone_from(&name);
        (settings.id_column, settings.disabled_column, settings.updated_at_column) = (None, None, None);
        change(settings);
    });
    (target, name)
}

#[tokio::test]
async fn values_of_every_column_type_come_back_as_values_of_their_kind() {
    let columns = "i2 smallint, i8 bigint, f8 float8, n numeric(20, 6), b boolean, at timestamptz, bytes bytea,
                   u uuid, v varchar(5), d date, j jsonb, numbers bigint[], names text[] not null default '{}'";
    let (target, _) = table_with(columns, |_| {}).await;
    let at = Value::Timestamp("2024-02-29T12:30:00.250Z".parse().unwrap());
    let values = [
        ("i2", vec![Value::Integer(-3)]),
        ("i8", vec![Value::Integer(i64::MAX)]),
        ("f8", vec![Value::Double(0.1)]),
        ("n", vec![Value::Double(12.5)]),
        ("b", vec![Value::Boolean(true)]),
        ("at", vec![at]),
        ("bytes", vec![Value::Binary(vec![0, 1, 255])]),
        ("u", vec![Value::from("5f0c7f8e-4b0a-4c7e-9d3a-0123456789ab")]),
        ("v", vec![Value::from("12345")]),
        ("d", vec![Value::from("2024-02-29")]),
        ("j", vec![Value::from("{\"a\": 1}")]),
        ("numbers", vec![Value::Integer(3), Value::Integer(1)]),
        ("names", vec![Value::from("a,b"), Value::from("{\"c\"}")]),
    ];
    let mut account = target.new_account("ada");
    account.attributes = values.iter().map(|(name, values)| ((*name).to_owned(), values.clone())).collect();
    let made = target.connector.create(&account).await.unwrap();

    let shown = target.get(&made.key()).await.unwrap();
    for (name, values) in &values {
        assert_eq!(&shown.attributes[*name], values, "{name}");
        let found = target.connector.find("t", name, &values[0]).await.unwrap();
        assert_eq!(found.len(), 1, "found by {name}");
    }

    let changes =
        values.iter().filter(|(name, _)| *name != "v").map(|(name, _)| ((*name).to_owned(), Change::Clear));
    target.update(&made.key(), changes.collect()).await.unwrap();
    let cleared = target.get(&made.key()).await.unwrap();
    assert_eq!(cleared.attributes.keys().collect::<Vec<_>>(), ["login", "v"]);
}

#[tokio::test]
async fn what_does_not_fit_a_column_is_refused_and_never_cut() {
    let (target, _) = table_with("v varchar(5), small smallint", |_| {}).await;
    let made = target.connector.create(&target.new_account("ada")).await.unwrap();
    for changes in
        [set("v", &["123456"]), set("small", &["70000"]), set("small", &["x"]), set("nope", &["x"])]
    {
        let failure = target.update(&made.key(), changes.clone()).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Refused, "{changes:?}: {failure}");
    }
}

#[tokio::test]
async fn a_version_column_is_moved_by_our_writes_and_checked() {
    for kind in ["integer not null default 1", "timestamptz not null default now()"] {
        let with_version = |settings: &mut SqlSettings| settings.version_column = Some("version".into());
        let (target, name) = table_with(&format!("note text, version {kind}"), with_version).await;
        let made = target.connector.create(&target.new_account("ada")).await.unwrap();
        let updated = target.update(&made.key(), set("note", &["ours"])).await.unwrap();
        assert_ne!(updated.version, made.version, "{kind}");

        execute(&format!("update {name} set note = 'theirs', version = version + {}", step(kind))).await;
        let update = AccountUpdate {
            changes: set("note", &["late"]),
            if_version: updated.version,
            ..AccountUpdate::default()
        };
        let late = target.connector.update("t", &made.key(), &update).await;
        assert_eq!(late.unwrap_err().kind, FailureKind::PreconditionFailed, "{kind}");
    }
}

fn step(kind: &str) -> &'static str {
    if kind.starts_with("integer") { "1" } else { "interval '1 second'" }
}

#[tokio::test]
async fn a_change_by_anybody_is_another_version_without_a_version_column() {
    let (target, name) = table_with("note text", |_| {}).await;
    let made = target.connector.create(&target.new_account("ada")).await.unwrap();
    execute(&format!("update {name} set note = 'theirs'")).await;
    let deleted = target.connector.delete("t", &made.key(), made.version.as_deref(), "").await;
    assert_eq!(deleted.unwrap_err().kind, FailureKind::PreconditionFailed);
}

#[tokio::test]
async fn a_taken_mail_address_is_not_a_taken_uid() {
    let (target, _) = table_with("mail text unique", |_| {}).await;
    target.connector.create(&target.new_account_with("ada", "mail", &["x@example.com"])).await.unwrap();

    let other = target.connector.create(&target.new_account_with("bob", "mail", &["x@example.com"])).await;
    let failure = other.unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Refused, "SQL_23505"));
    let same = target.connector.create(&target.new_account("ada")).await;
    assert_eq!(same.unwrap_err().kind, FailureKind::AlreadyExists);
}

#[tokio::test]
async fn a_statement_that_would_touch_two_rows_is_rolled_back_and_a_read_of_them_is_not_complete() {
    let name = unique("t");
    let (target, _) = table_with("note text", |settings| settings.table.clone_from(&name)).await;
    execute(&format!(
        "create table {name} (login text, note text); insert into {name} values ('ada'), ('ada'), (null)"
    ))
    .await;
    let key = named("ada");

    let updated = target.update(&key, set("note", &["x"])).await;
    let deleted = target.connector.delete("t", &key, None, "").await;

    assert_eq!(updated.unwrap_err().code, "SQL_ROWS");
    assert_eq!(deleted.unwrap_err().code, "SQL_ROWS");
    let (accounts, proof) = read(target.connector.as_ref(), "t", &["note"]).await;
    assert!(accounts.iter().all(|account| account.attributes.is_empty()), "nothing was written");
    assert!(!proof.complete && accounts.len() == 2, "{}", proof.evidence);
}

/// Q6: the target's own ledger can name the attempt that wrote.
#[tokio::test]
async fn each_write_carries_its_tag_in_its_own_transaction() {
    let (target, name) = table_with("note text", |_| {}).await;
    execute(&format!(
        "create table {name}_ledger (n bigint generated always as identity, tag text, op text);
         create function {name}_log() returns trigger language plpgsql as $$ begin
           insert into {name}_ledger (tag, op) values (current_setting('xavyo.tag', true), tg_op);
           return null;
         end $$;
         create trigger log after insert or update or delete on {name} for each row execute function {name}_log()"
    ))
    .await;
    let made = target.connector.create(&target.new_account("ada")).await.unwrap();
    let update =
        AccountUpdate { changes: set("note", &["x"]), tag: "it's 2".into(), ..AccountUpdate::default() };
    target.connector.update("t", &made.key(), &update).await.unwrap();
    target.connector.delete("t", &made.key(), None, "3").await.unwrap();

    let pool = database().await.pool().await.unwrap();
    let query = format!("select tag || ' ' || op from {name}_ledger order by n");
    let rows = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(&pool).await.unwrap();
    let told: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(told, ["create ada INSERT", "it's 2 UPDATE", "3 DELETE"]);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_replaced() {
    let target = sql().await;
    let made = target.create("ada").await;
    let Settings::Sql(settings) = &target.settings else { unreachable!("a SQL target") };
    let others = format!(
        "select pg_terminate_backend(pid) from pg_stat_activity
          where application_name = 'xavyo' and query like '%{}%'",
        quoted(&settings.table).replace('\'', "''"),
    );
    execute(&others).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    assert!(target.get(&made.key()).await.is_some());
    target.update(&made.key(), set(target.text, &["x"])).await.unwrap();
}

#[tokio::test]
async fn a_row_kept_by_another_is_busy_and_nothing_is_written() {
    let target = sql().await;
    let made = target.create("ada").await;
    let Settings::Sql(settings) = &target.settings else { unreachable!("a SQL target") };
    let options = xavyo_connectors::Options {
        call_timeout: std::time::Duration::from_millis(500),
        ..crate::target::options()
    };
    let hasty = xavyo_connectors::open(&target.settings, &target.secrets, &options).unwrap();
    let pool = database().await.pool().await.unwrap();
    let mut transaction = pool.begin().await.unwrap();
    let lock = format!("update {} set blocked = true", quoted(&settings.table));
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut *transaction).await.unwrap();

    let failure = hasty.delete("t", &made.key(), None, "").await.unwrap_err();

    assert_eq!(failure.kind, FailureKind::Busy, "{failure}");
    transaction.rollback().await.unwrap();
    assert!(target.get(&made.key()).await.is_some());
}

#[tokio::test]
async fn what_changed_since_a_watermark_comes_and_nothing_else() {
    let columns =
        "note text, gone boolean not null default false, updated_at timestamptz not null default now()";
    let (target, name) = table_with(columns, |settings| {
        settings.updated_at_column = Some("updated_at".into());
        settings.deleted_column = Some("gone".into());
    })
    .await;
    for uid in ["ada", "bob", "cid"] {
        target.create(uid).await;
    }
    execute(&format!("update {name} set updated_at = now() - interval '1 day'")).await;
    target.update(&named("ada"), set("note", &["x"])).await.unwrap();
    let (_, proof) = read(target.connector.as_ref(), "t", &[]).await;

    target.connector.delete("t", &named("cid"), None, "").await.unwrap();

    let request = ReadRequest { object_class: "t".into(), attributes: vec!["note".into()] };
    let changes = target.connector.changes(request, &proof.watermark.unwrap());
    let items: Vec<ChangeItem> = changes.try_collect().await.unwrap();
    let [ChangeItem::Page(page), ChangeItem::Proof(_)] = items.as_slice() else { panic!("{items:?}") };
    let [AccountChange::Changed(ada), AccountChange::Gone(cid)] = page.as_slice() else { panic!("{page:?}") };
    assert_eq!((ada.external_uid.as_str(), cid.external_uid.as_str()), ("ada", "cid"));
    let schema = target.connector.describe().await.unwrap().remove(0);
    assert_eq!(schema.attributes.len(), 4);
}

fn named(uid: &str) -> AccountKey {
    AccountKey { external_uid: uid.into(), immutable_id: None }
}
