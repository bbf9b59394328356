//! Writes: one transaction, one row.
//!
//! begin → our tag → the row, locked → its version compared → the statement → exactly one row touched → commit. The
//! lock makes check and write one step, so a precondition holds even where the version is only the row's `xmin`.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

use xavyo_core::{
    account::{Account, AccountKey},
    change::Change,
    connector::{FailureKind, TargetFailure},
    value::Value,
};

use super::{
    column::Column,
    connection::{Connection, Parameter, Row},
    failure::{Trouble, not_one, refused},
    statement, statements,
    table::{Layout, Table},
};
use crate::{AccountUpdate, NewAccount, changed, redaction::Redaction};

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
        connection: &mut Connection,
        table: &Table,
        committing: &AtomicBool,
    ) -> Result<Option<Account>, Trouble> {
        let tag = vec![Parameter::Text(self.tag().to_owned())];
        let dialect = table.dialect;
        let begin = match (&table.statements, self) {
            (Some(_), Self::Update { .. } | Self::Delete { .. }) => dialect.begin_steady(),
            (Some(_), Self::Create(_)) | (None, _) => dialect.begin(),
        };
        connection.command(begin).await?;
        connection.execute(dialect.tag().to_owned(), tag).await?;
        let account = match (&table.statements, self) {
            (Some(statements), write) => statements::perform(connection, table, statements, write).await?,
            (None, Self::Create(account)) => Some(insert(connection, table, account).await?),
            (None, Self::Update { key, update }) => Some(change(connection, table, key, update).await?),
            (None, Self::Delete { key, if_version, .. }) => {
                delete(connection, table, key, if_version).await?;
                None
            }
        };
        committing.store(true, Ordering::Relaxed);
        connection.command("commit").await?;
        Ok(account)
    }
}

async fn insert(
    connection: &mut Connection,
    table: &Table,
    account: &NewAccount,
) -> Result<Account, Trouble> {
    let mut row = Assignments::new();
    for (name, values) in account.attributes.iter().filter(|(_, values)| !values.is_empty()) {
        assign(&mut row, table.column(name)?, values.clone())?;
    }
    let uid = vec![Value::from(account.external_uid.as_str())];
    let other = row.get(table.uid.name.as_str());
    if other.is_some_and(|(column, values)| !column.holds_same(values, &uid)) {
        return Err(refused("SQL_UID", "the uid's column is given another value than the uid").into());
    }
    assign(&mut row, &table.uid, uid)?;
    if let (Some(state), Some(enabled)) = (&table.state, account.enabled) {
        assign(&mut row, state.column(), vec![state.holds(enabled)])?;
    }
    let columns: Vec<&Column> = row.values().map(|(column, _)| *column).collect();
    let text = statement::insert(table, &columns);
    leave(connection, table, text, parameters(table, &row)?, (&table.uid, &account.external_uid)).await
}

async fn change(
    connection: &mut Connection,
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
        let after = changed::after(before, &change);
        if !column.readable || !column.holds_same(before, &after) {
            assign(&mut row, column, after)?;
        }
    }
    if row.is_empty() {
        return Ok(Account { attributes: [].into(), ..held });
    }
    let columns: Vec<&Column> = row.values().map(|(column, _)| *column).collect();
    let (column, value) = named_by(table, key);
    let text = statement::update(table, column, &columns);
    let mut parameters = parameters(table, &row)?;
    parameters.push(key_parameter(table, column, value)?);
    let renamed = update.rename_to.as_deref().filter(|_| column.name == table.uid.name);
    leave(connection, table, text, parameters, (column, renamed.unwrap_or(value))).await
}

async fn delete(
    connection: &mut Connection,
    table: &Table,
    key: &AccountKey,
    if_version: Option<&str>,
) -> Result<(), Trouble> {
    lock(connection, table, key, if_version, &[]).await?;
    let (column, value) = named_by(table, key);
    let parameters = vec![key_parameter(table, column, value)?];
    match connection.execute(statement::delete(table, column), parameters).await? {
        1 => Ok(()),
        rows => Err(not_one(rows).into()),
    }
}

/// Writes one row and shows what is left of it. A row that is not there under its key afterwards is rolled back.
async fn leave(
    connection: &mut Connection,
    table: &Table,
    text: String,
    parameters: Vec<Parameter>,
    (column, value): (&Column, &str),
) -> Result<Account, Trouble> {
    let rows = if table.dialect.shows_what_it_writes() {
        connection.rows(statement::returning(table, &text), parameters).await?
    } else {
        match connection.execute(text, parameters).await? {
            1 => {}
            rows => return Err(not_one(rows).into()),
        }
        let key = vec![key_parameter(table, column, value)?];
        connection.rows(statement::find(table, column, &[], 2), key).await?
    };
    let [row] = rows.as_slice() else {
        return Err(not_one(u64::try_from(rows.len()).unwrap_or(u64::MAX)).into());
    };
    let account = Layout { table, attributes: &[] }.account(row);
    account.ok_or_else(|| refused("SQL_UID", "the row was left without a uid").into())
}

/// The row of the key, kept from others, its version as asked for.
async fn lock(
    connection: &mut Connection,
    table: &Table,
    key: &AccountKey,
    if_version: Option<&str>,
    columns: &[&Column],
) -> Result<Account, Trouble> {
    let (column, value) = named_by(table, key);
    let rows: Vec<Row> = match table.dialect.key(column, value) {
        None => Vec::new(),
        Some(key) => match connection.rows(statement::lock(table, column, columns), vec![key]).await {
            Err(error) if table.dialect.is_no_key(&error) => Vec::new(),
            rows => rows?,
        },
    };
    let [row] = rows.as_slice() else {
        let gone = TargetFailure::new(FailureKind::NotFound, "SQL_NOT_FOUND", "no such row");
        return Err(if rows.is_empty() { gone } else { not_one(2) }.into());
    };
    let account = Layout { table, attributes: columns }.account(row);
    let account = account.ok_or_else(|| refused("SQL_UID", "the row has no uid"))?;
    Ok(of_version(account, if_version)?)
}

/// The account, if it has the version that is asked for.
pub(super) fn of_version(account: Account, if_version: Option<&str>) -> Result<Account, TargetFailure> {
    match if_version {
        Some(version) if account.version.as_deref() != Some(version) => {
            let message = "the row has another version";
            Err(TargetFailure::new(FailureKind::PreconditionFailed, "SQL_VERSION", message))
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
        changes.push((state.column(), Change::Set(vec![state.holds(enabled)])));
    }
    Ok(changes)
}

fn assign<'a>(
    row: &mut Assignments<'a>,
    column: &'a Column,
    values: Vec<Value>,
) -> Result<(), TargetFailure> {
    if values.len() > 1 && !column.is_multi_valued() {
        return Err(refused("SQL_SINGLE_VALUED", format!("column {} holds one value", column.name)));
    }
    row.insert(&column.name, (column, values));
    Ok(())
}

fn parameters(table: &Table, row: &Assignments<'_>) -> Result<Vec<Parameter>, TargetFailure> {
    row.values().map(|(column, values)| table.dialect.parameter(column, values)).collect()
}

fn key_parameter(table: &Table, column: &Column, value: &str) -> Result<Parameter, TargetFailure> {
    let key = table.dialect.key(column, value);
    key.ok_or_else(|| refused("SQL_VALUE", format!("no value of column {}", column.name)))
}

/// The column and value by which a key names its row: the immutable id where both have one.
pub(super) fn named_by<'a>(table: &'a Table, key: &'a AccountKey) -> (&'a Column, &'a str) {
    let id = key.immutable_id.as_deref().filter(|_| table.id.is_some());
    (table.key_column(id.is_some()), id.unwrap_or(&key.external_uid))
}
