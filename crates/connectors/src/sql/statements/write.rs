//! Writes by an operator's statements, inside a transaction that the caller opened and commits.

use std::borrow::Cow;

use xavyo_core::{
    account::{Account, AccountKey},
    connector::{FailureKind, TargetFailure},
    value::{Attributes, Value},
};

use super::{Bound, Statements, Verb};
use crate::{
    ALL_ATTRIBUTES, AccountUpdate, NewAccount, changed,
    sql::{
        column::Column,
        connection::{Connection, Parameter},
        failure::{Trouble, not_one, refused},
        statement,
        table::{Layout, Table, Version},
        write::{self, Write},
    },
};

/// What the parameters of a statement stand for.
struct Given<'a> {
    table: &'a Table,
    key: AccountKey,
    new_uid: &'a str,
    version: Option<&'a str>,
    attributes: Cow<'a, Attributes>,
    enabled: Option<bool>,
    tag: &'a str,
}

/// Does all of a write but its commit.
pub(in crate::sql) async fn perform(
    connection: &mut Connection,
    table: &Table,
    statements: &Statements,
    write: Write<'_>,
) -> Result<Option<Account>, Trouble> {
    match write {
        Write::Create(account) => create(connection, table, statements, account).await.map(Some),
        Write::Update { key, update } => {
            update_held(connection, table, statements, key, update).await.map(Some)
        }
        Write::Delete { key, if_version, tag } => {
            let held = held(connection, table, key, if_version).await?;
            let given = Given::of(table, &held, tag);
            run(connection, statements, Verb::Delete, &given).await?;
            match read(connection, table, &held.key()).await? {
                None => Ok(None),
                Some(_) => {
                    Err(refused("SQL_STATEMENT", "the account is still there after its delete").into())
                }
            }
        }
    }
}

async fn create(
    connection: &mut Connection,
    table: &Table,
    statements: &Statements,
    account: &NewAccount,
) -> Result<Account, Trouble> {
    let key = AccountKey { external_uid: account.external_uid.clone(), immutable_id: None };
    if read(connection, table, &key).await?.is_some() {
        return Err(TargetFailure::new(FailureKind::AlreadyExists, "SQL_TAKEN", "the uid is taken").into());
    }
    let given = Given {
        table,
        key,
        new_uid: &account.external_uid,
        version: None,
        attributes: Cow::Borrowed(&account.attributes),
        enabled: account.enabled,
        tag: &account.tag,
    };
    names_all(statements, Verb::Create, account.attributes.keys())?;
    run(connection, statements, Verb::Create, &given).await?;
    let made = written(connection, table, &given.key).await?;
    match account.enabled.filter(|_| made.enabled.is_some() && made.enabled != account.enabled) {
        None => Ok(made),
        Some(enabled) => switch(connection, table, statements, &made, enabled, &account.tag).await,
    }
}

async fn update_held(
    connection: &mut Connection,
    table: &Table,
    statements: &Statements,
    key: &AccountKey,
    update: &AccountUpdate,
) -> Result<Account, Trouble> {
    let before = held(connection, table, key, update.if_version.as_deref()).await?;
    let mut after = before.attributes.clone();
    let mut touched = Vec::new();
    for (name, change) in &update.changes {
        let (column, held) = (table.column(name)?, before.attributes.get(name));
        let wanted = changed::after(held.map(Vec::as_slice).unwrap_or_default(), change);
        if wanted.len() > 1 && !column.is_multi_valued() {
            return Err(refused("SQL_SINGLE_VALUED", format!("column {name} holds one value")).into());
        }
        if !column.holds_same(held.map(Vec::as_slice).unwrap_or_default(), &wanted) {
            touched.push(name);
            after.insert(name.clone(), wanted);
        }
    }
    let new_uid = update.rename_to.as_deref().filter(|uid| *uid != before.external_uid);
    let mut now = Account { attributes: Attributes::new(), ..before.clone() };
    if !touched.is_empty() || new_uid.is_some() {
        let renamed = "new_uid".to_owned();
        names_all(statements, Verb::Update, touched.into_iter().chain(new_uid.map(|_| &renamed)))?;
        let given = Given {
            new_uid: new_uid.unwrap_or(&before.external_uid),
            attributes: Cow::Owned(after),
            ..Given::of(table, &before, &update.tag)
        };
        run(connection, statements, Verb::Update, &given).await?;
        let external_uid = given.new_uid.to_owned();
        now = written(connection, table, &AccountKey { external_uid, ..before.key() }).await?;
    }
    match update.enabled.filter(|_| now.enabled != update.enabled) {
        None => Ok(now),
        Some(enabled) => switch(connection, table, statements, &now, enabled, &update.tag).await,
    }
}

async fn switch(
    connection: &mut Connection,
    table: &Table,
    statements: &Statements,
    account: &Account,
    enabled: bool,
    tag: &str,
) -> Result<Account, Trouble> {
    let held = held(connection, table, &account.key(), None).await?;
    let verb = if enabled { Verb::Enable } else { Verb::Disable };
    run(connection, statements, verb, &Given::of(table, &held, tag)).await?;
    match written(connection, table, &held.key()).await? {
        account if account.enabled == Some(enabled) => Ok(account),
        _ => Err(refused("SQL_STATEMENT", format!("{} did not change the state", verb.name())).into()),
    }
}

async fn run(
    connection: &mut Connection,
    statements: &Statements,
    verb: Verb,
    given: &Given<'_>,
) -> Result<(), Trouble> {
    let statement = wanted(statements, verb)?;
    let parameters = statement.parameters(|name| given.value(name))?;
    match connection.execute(statement.text.clone(), parameters).await? {
        1 => Ok(()),
        rows => Err(not_one(rows).into()),
    }
}

/// The account as it is in this transaction; its version as asked for.
async fn held(
    connection: &mut Connection,
    table: &Table,
    key: &AccountKey,
    if_version: Option<&str>,
) -> Result<Account, Trouble> {
    let gone = || TargetFailure::new(FailureKind::NotFound, "SQL_NOT_FOUND", "no such row");
    let account = read(connection, table, key).await?.ok_or_else(gone)?;
    Ok(write::of_version(account, if_version)?)
}

async fn written(connection: &mut Connection, table: &Table, key: &AccountKey) -> Result<Account, Trouble> {
    let account = read(connection, table, key).await?;
    let account = account.ok_or_else(|| refused("SQL_STATEMENT", "what was written is not in the list"))?;
    Ok(Account { attributes: Attributes::new(), ..account })
}

/// The row of a key, with all its attributes.
async fn read(
    connection: &mut Connection,
    table: &Table,
    key: &AccountKey,
) -> Result<Option<Account>, Trouble> {
    let columns: Vec<&Column> = table.attributes(&[ALL_ATTRIBUTES.to_owned()])?;
    let (column, value) = write::named_by(table, key);
    let Some(parameter) = table.dialect.key(column, value) else { return Ok(None) };
    let text = statement::find(table, column, &columns, 2);
    match connection.rows(text, vec![parameter]).await?.as_slice() {
        [] => Ok(None),
        [row] => Ok(Layout { table, attributes: &columns }.account(row)),
        _ => Err(not_one(2).into()),
    }
}

fn wanted(statements: &Statements, verb: Verb) -> Result<&Bound, TargetFailure> {
    let missing =
        || refused("SQL_NO_STATEMENT", format!("the connector has no statement to {}", verb.name()));
    statements.get(verb).ok_or_else(missing)
}

/// What is to be written must be a parameter of the statement: else it would be left out in silence.
fn names_all<'a>(
    statements: &Statements,
    verb: Verb,
    names: impl IntoIterator<Item = &'a String>,
) -> Result<(), TargetFailure> {
    let statement = wanted(statements, verb)?;
    match names.into_iter().find(|name| !statement.names(name)) {
        None => Ok(()),
        Some(name) => {
            Err(refused("SQL_STATEMENT", format!("the statement to {} does not take {name}", verb.name())))
        }
    }
}

impl<'a> Given<'a> {
    fn of(table: &'a Table, held: &'a Account, tag: &'a str) -> Self {
        Self {
            table,
            key: held.key(),
            new_uid: &held.external_uid,
            version: held.version.as_deref(),
            attributes: Cow::Borrowed(&held.attributes),
            enabled: held.enabled,
            tag,
        }
    }

    fn value(&self, name: &str) -> Result<Parameter, TargetFailure> {
        let table = self.table;
        let of_key = |column: &Column, text: Option<&str>| match text {
            None => Ok(Parameter::Null),
            Some(text) => table
                .dialect
                .key(column, text)
                .ok_or_else(|| refused("SQL_VALUE", format!("no value of column {}", column.name))),
        };
        match (name, &table.id, &table.version, &table.state) {
            ("uid", ..) => of_key(&table.uid, Some(&self.key.external_uid)),
            ("new_uid", ..) => of_key(&table.uid, Some(self.new_uid)),
            ("id", Some(id), ..) => of_key(id, self.key.immutable_id.as_deref()),
            ("version", _, Version::Column(version), _) => of_key(version, self.version),
            ("enabled", _, _, Some(state)) => {
                let value: Vec<Value> = self.enabled.map(Value::Boolean).into_iter().collect();
                table.dialect.parameter(state.column(), &value)
            }
            ("enabled", ..) => Ok(Parameter::Null),
            ("tag", ..) => Ok(Parameter::Text(self.tag.to_owned())),
            (attribute, ..) => {
                let values = self.attributes.get(attribute).map(Vec::as_slice).unwrap_or_default();
                table.dialect.parameter(table.column(attribute)?, values)
            }
        }
    }
}
