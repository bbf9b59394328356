//! One call's connection, and the point reads that it is used for.

use std::sync::Arc;

use tokio::time::Instant;
use xavyo_core::{
    account::{Account, AccountKey},
    value::Value,
};

use super::{
    column::Column,
    connection::{Connection, Parameter},
    failure::{Trouble, not_one},
    statement,
    statements::{self, Bound, Verb},
    table::{Layout, Table},
    write,
};
use crate::{ALL_ATTRIBUTES, MAX_PAGE, pool::Place};

/// A connection for one call.
pub(super) struct Session<'a> {
    pub place: Place<'a, Connection>,
    pub connection: Connection,
    pub table: Arc<Table>,
    pub deadline: Instant,
}

impl Session<'_> {
    pub async fn rows(
        &mut self,
        keys: &[AccountKey],
        attributes: &[String],
    ) -> Result<Vec<Option<Account>>, Trouble> {
        let table = self.table.clone();
        let columns = table.attributes(attributes)?;
        let mut found = vec![None; keys.len()];
        for by_id in [true, false] {
            let wanted: Vec<usize> = (0..keys.len())
                .filter(|position| (keys[*position].immutable_id.is_some() && table.id.is_some()) == by_id)
                .collect();
            match self.rows_by(by_id, keys, &wanted, &columns, &mut found).await {
                // One text that is no key spoils the statement for all: each by itself then.
                Err(Trouble::Database(error)) if table.dialect.is_no_key(&error) && wanted.len() > 1 => {
                    for position in wanted {
                        let done = self.rows_by(by_id, keys, &[position], &columns, &mut found).await;
                        self.unless_no_key(done)?;
                    }
                }
                done => self.unless_no_key(done)?,
            }
        }
        Ok(found)
    }

    fn unless_no_key(&self, done: Result<(), Trouble>) -> Result<(), Trouble> {
        match done {
            Err(Trouble::Database(error)) if self.table.dialect.is_no_key(&error) => Ok(()),
            done => done,
        }
    }

    async fn rows_by(
        &mut self,
        by_id: bool,
        keys: &[AccountKey],
        wanted: &[usize],
        columns: &[&Column],
        found: &mut [Option<Account>],
    ) -> Result<(), Trouble> {
        if wanted.is_empty() {
            return Ok(());
        }
        let table = &self.table;
        let by_statement = table.statements.as_ref().and_then(|it| it.get(Verb::Get)).filter(|_| !by_id);
        if let Some(statement) = by_statement {
            return self.rows_got(&statement.clone(), keys, wanted, columns, found).await;
        }
        let texts: Vec<&str> =
            wanted.iter().map(|position| write::named_by(table, &keys[*position]).1).collect();
        let selection = statement::selection(table, columns);
        let layout = Layout { table, attributes: columns };
        for (text, parameters) in table.dialect.by_keys(table, table.key_column(by_id), &selection, &texts) {
            for row in self.connection.rows(text, parameters).await? {
                let Some((position, row)) = row.split_first() else { continue };
                let position = usize::try_from(position.count()).ok();
                let position = position.and_then(|position| wanted.get(position));
                if let Some(place) = position.and_then(|position| found.get_mut(*position)) {
                    *place = layout.account(row);
                }
            }
        }
        Ok(())
    }

    /// By the operator's own statement, uid by uid.
    async fn rows_got(
        &mut self,
        statement: &Bound,
        keys: &[AccountKey],
        wanted: &[usize],
        columns: &[&Column],
        found: &mut [Option<Account>],
    ) -> Result<(), Trouble> {
        let table = &self.table;
        let layout = Layout { table, attributes: columns };
        let text = statement::of_source(table, columns, &statements::source(&statement.text));
        for position in wanted {
            let uid = &keys[*position].external_uid;
            let Some(uid) = table.dialect.key(&table.uid, uid) else { continue };
            let parameters = statement.parameters(|_| Ok::<_, Trouble>(uid.clone()))?;
            match self.connection.rows(text.clone(), parameters).await?.as_slice() {
                [] => {}
                [row] => found[*position] = layout.account(row),
                rows => return Err(not_one(u64::try_from(rows.len()).unwrap_or(u64::MAX)).into()),
            }
        }
        Ok(())
    }

    pub async fn find(&mut self, attribute: &str, value: &Value) -> Result<Vec<Account>, Trouble> {
        let table = &self.table;
        let columns = table.attributes(&[ALL_ATTRIBUTES.to_owned()])?;
        let by_uid = attribute == "external_uid";
        let column = if by_uid { &table.uid } else { table.column(attribute)? };
        let Some(parameter) = table.dialect.sought(column, value) else { return Ok(Vec::new()) };
        let (text, parameters) = match table.statements.as_ref().and_then(|it| it.get(Verb::Find)) {
            Some(statement) if !by_uid => {
                let attribute = Parameter::Text(attribute.to_owned());
                let given = |name: &str| if name == "value" { parameter.clone() } else { attribute.clone() };
                let source = statements::source(&statement.text);
                let parameters = statement.parameters(|name| Ok::<_, Trouble>(given(name)))?;
                (statement::of_source(table, &columns, &source), parameters)
            }
            Some(_) | None => (statement::find(table, column, &columns, MAX_PAGE), vec![parameter]),
        };
        let rows = match self.connection.rows(text, parameters).await {
            Err(error) if table.dialect.is_no_key(&error) => Vec::new(),
            rows => rows?,
        };
        let layout = Layout { table, attributes: &columns };
        Ok(rows.iter().filter_map(|row| layout.account(row)).collect())
    }
}
