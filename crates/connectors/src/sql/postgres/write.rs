//! Writes: one transaction, one row.
//!
//! begin → our tag → the row, locked → its version compared → the statement → exactly one row touched → commit. The
//! lock makes check and write one step, so a precondition holds even where the version is only the row's `xmin`.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

use sqlx::{
    AssertSqlSafe, PgConnection, Postgres as Db,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use xavyo_core::{
    account::{Account, AccountKey},
    change::Change,
    connector::{FailureKind, TargetFailure},
    value::Value,
};

use super::{
    failure::{self, Trouble},
    row::Layout,
    statement,
    table::{State, Table, refused},
};
use crate::{AccountUpdate, NewAccount, redaction::Redaction, sql::column::Column};

#[derive(Clone, Copy, Debug)]
pub(super) enum Write<'a> {
    Create(&'a NewAccount),
    Update { key: &'a AccountKey, update: &'a AccountUpdate },
    Delete { key: &'a AccountKey, if_version: Option<&'a str>, tag: &'a str },
}

/// Columns and the values that they get; none = null.
type Assignments<'a> = BTreeMap<&'a str, (&'a Column, Vec<Value>)>;

impl Write<'_> {
    pub fn redaction(self) -> Redaction {
        match self {
            Self::Create(account) => Redaction::of_attributes(&account.attributes),
            Self::Update { update, .. } => Redaction::of_changes(&update.changes),
            Self::Delete { .. } => Redaction::default(),
        }
    }

    /// The uid that the write gives to an account.
    pub fn claimed_uid(&self) -> Option<&str> {
        match self {
            Self::Create(account) => Some(&account.external_uid),
            Self::Update { update, .. } => update.rename_to.as_deref(),
            Self::Delete { .. } => None,
        }
    }

    fn tag(&self) -> &str {
        match self {
            Self::Create(account) => &account.tag,
            Self::Update { update, .. } => &update.tag,
            Self::Delete { tag, .. } => tag,
        }
    }

    /// Does it all. `committing` is set before the only step whose missing answer leaves the outcome unknown. After an
    /// error the transaction is still open; without one it is over.
    pub async fn perform(
        self,
        connection: &mut PgConnection,
        table: &Table,
        committing: &AtomicBool,
    ) -> Result<Option<Account>, Trouble> {
        sqlx::raw_sql("begin").execute(&mut *connection).await?;
        let tag = sqlx::query("select set_config('xavyo.tag', $1, true)").bind(self.tag());
        tag.execute(&mut *connection).await?;
        let account = match self {
            Self::Create(account) => Some(insert(connection, table, account).await?),
            Self::Update { key, update } => Some(change(connection, table, key, update).await?),
            Self::Delete { key, if_version, .. } => {
                delete(connection, table, key, if_version).await?;
                None
            }
        };
        committing.store(true, Ordering::Relaxed);
        sqlx::raw_sql("commit").execute(connection).await?;
        Ok(account)
    }
}

async fn insert(
    connection: &mut PgConnection,
    table: &Table,
    account: &NewAccount,
) -> Result<Account, Trouble> {
    let mut row = Assignments::new();
    for (name, values) in account.attributes.iter().filter(|(_, values)| !values.is_empty()) {
        assign(&mut row, table.column(name)?, values.clone())?;
    }
    let uid = vec![Value::from(account.external_uid.as_str())];
    if row.get(table.uid.name.as_str()).is_some_and(|(column, values)| !same(column, values, &uid)) {
        return Err(
            refused("SQL_UID", "the uid's column is given another value than the uid".to_owned()).into()
        );
    }
    assign(&mut row, &table.uid, uid)?;
    if let (Some(state), Some(enabled)) = (&table.state, account.enabled) {
        assign(&mut row, state.column(), vec![Value::Boolean(state.holds(enabled))])?;
    }
    let columns: Vec<&Column> = row.values().map(|(column, _)| *column).collect();
    let text = statement::insert(table, &columns);
    let query = row.values().fold(sqlx::query(AssertSqlSafe(text)), bind);
    only_account(table, &query.fetch_all(connection).await?)
}

async fn change(
    connection: &mut PgConnection,
    table: &Table,
    key: &AccountKey,
    update: &AccountUpdate,
) -> Result<Account, Trouble> {
    let changes = asked(table, update)?;
    let readable: Vec<&Column> =
        changes.iter().map(|(column, _)| *column).filter(|column| column.readable).collect();
    let held = lock(connection, table, key, update.if_version.as_deref(), &readable).await?;
    let mut row = Assignments::new();
    for (column, change) in changes {
        let before = held.attributes.get(&column.name).map(Vec::as_slice).unwrap_or_default();
        let after = after(before, &change);
        if !column.readable || !same(column, before, &after) {
            assign(&mut row, column, after)?;
        }
    }
    if row.is_empty() {
        return Ok(Account { attributes: [].into(), ..held });
    }
    let columns: Vec<&Column> = row.values().map(|(column, _)| *column).collect();
    let (column, value) = named_by(table, key);
    let text = statement::update(table, column, &columns);
    let query = row.values().fold(sqlx::query(AssertSqlSafe(text)).bind(value), bind);
    only_account(table, &query.fetch_all(connection).await?)
}

async fn delete(
    connection: &mut PgConnection,
    table: &Table,
    key: &AccountKey,
    if_version: Option<&str>,
) -> Result<(), Trouble> {
    lock(connection, table, key, if_version, &[]).await?;
    let (column, value) = named_by(table, key);
    let query = sqlx::query(AssertSqlSafe(statement::delete(table, column))).bind(value.to_owned());
    match query.execute(connection).await?.rows_affected() {
        1 => Ok(()),
        rows => Err(not_one(rows).into()),
    }
}

/// The row of the key, kept from others, its version as asked for.
async fn lock(
    connection: &mut PgConnection,
    table: &Table,
    key: &AccountKey,
    if_version: Option<&str>,
    columns: &[&Column],
) -> Result<Account, Trouble> {
    let (column, value) = named_by(table, key);
    let query = sqlx::query(AssertSqlSafe(statement::lock(table, column, columns))).bind(value.to_owned());
    let rows = match query.fetch_all(connection).await {
        Err(error) if failure::is_no_key(&error) => Vec::new(),
        rows => rows?,
    };
    let [row] = rows.as_slice() else {
        let gone = TargetFailure::new(FailureKind::NotFound, "SQL_NOT_FOUND", "no such row");
        return Err(if rows.is_empty() { gone } else { not_one(2) }.into());
    };
    let account = Layout { table, attributes: columns, offset: 0 }.account(row)?;
    let account = account.ok_or_else(|| refused("SQL_UID", "the row has no uid".to_owned()))?;
    match if_version {
        Some(version) if account.version.as_deref() != Some(version) => {
            let message = "the row has another version";
            Err(TargetFailure::new(FailureKind::PreconditionFailed, "SQL_VERSION", message).into())
        }
        Some(_) | None => Ok(account),
    }
}

/// Every change of an update by column: attributes, uid, state.
fn asked<'a>(table: &'a Table, update: &AccountUpdate) -> Result<Vec<(&'a Column, Change)>, TargetFailure> {
    let mut changes = Vec::new();
    for (name, change) in &update.changes {
        let column = table.column(name)?;
        if table.id.as_ref().is_some_and(|id| id.name == *name) {
            return Err(refused("SQL_ID", format!("column {name} holds the immutable id")));
        }
        changes.push((column, change.clone()));
    }
    if let Some(uid) = &update.rename_to {
        changes.push((&table.uid, Change::Set(vec![Value::from(uid.as_str())])));
    }
    if let (Some(state), Some(enabled)) = (&table.state, update.enabled) {
        changes.push((state.column(), Change::Set(vec![Value::Boolean(state.holds(enabled))])));
    }
    Ok(changes)
}

fn after(held: &[Value], change: &Change) -> Vec<Value> {
    match change {
        Change::Set(values) => values.clone(),
        Change::Clear => Vec::new(),
        Change::Modify { add, remove } => {
            let mut values: Vec<Value> =
                held.iter().filter(|value| !remove.contains(value)).cloned().collect();
            for value in add {
                if !values.contains(value) {
                    values.push(value.clone());
                }
            }
            values
        }
    }
}

fn assign<'a>(
    row: &mut Assignments<'a>,
    column: &'a Column,
    values: Vec<Value>,
) -> Result<(), TargetFailure> {
    if values.len() > 1 && !column.multi_valued {
        return Err(refused("SQL_SINGLE_VALUED", format!("column {} holds one value", column.name)));
    }
    row.insert(&column.name, (column, values));
    Ok(())
}

/// Both lists of values are the same to the column.
fn same(column: &Column, left: &[Value], right: &[Value]) -> bool {
    let stored = |value: &Value| column.kind.parse(&column.kind.print(value));
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| stored(left) == stored(right))
}

fn bind<'q>(
    query: Query<'q, Db, PgArguments>,
    (column, values): &(&Column, Vec<Value>),
) -> Query<'q, Db, PgArguments> {
    let texts: Vec<String> = values.iter().map(|value| column.kind.print(value)).collect();
    if column.multi_valued {
        let empty_is_null = texts.is_empty() && column.nullable;
        query.bind((!empty_is_null).then_some(texts))
    } else {
        query.bind(texts.into_iter().next())
    }
}

/// The column and value by which a key names its row: the immutable id where both have one.
pub(super) fn named_by<'a>(table: &'a Table, key: &'a AccountKey) -> (&'a Column, &'a str) {
    let id = key.immutable_id.as_deref().filter(|_| table.id.is_some());
    (table.key_column(id.is_some()), id.unwrap_or(&key.external_uid))
}

fn only_account(table: &Table, rows: &[PgRow]) -> Result<Account, Trouble> {
    let [row] = rows else {
        return Err(not_one(u64::try_from(rows.len()).unwrap_or(u64::MAX)).into());
    };
    let account = Layout { table, attributes: &[], offset: 0 }.account(row)?;
    account.ok_or_else(|| refused("SQL_UID", "the row was left without a uid".to_owned()).into())
}

fn not_one(rows: u64) -> TargetFailure {
    refused("SQL_ROWS", format!("the statement touched {rows} rows and not one; it was rolled back"))
}

impl State {
    /// What the column holds for an account that is enabled, or is not.
    fn holds(&self, enabled: bool) -> bool {
        match self {
            Self::DisabledWhenTrue(_) => !enabled,
            Self::EnabledWhenTrue(_) => enabled,
        }
    }
}
