//! One call's connection, and the point reads that it is used for.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, PgConnection, Row};
use tokio::time::Instant;
use xavyo_core::{
    account::{Account, AccountKey},
    value::Value,
};

use super::{
    failure::{self, Trouble},
    row::Layout,
    statement,
    table::Table,
    write,
};
use crate::{ALL_ATTRIBUTES, MAX_PAGE, pool::Place};

/// A connection for one call.
pub(super) struct Session<'a> {
    pub place: Place<'a, PgConnection>,
    pub connection: PgConnection,
    pub table: Arc<Table>,
    pub deadline: Instant,
}

impl Session<'_> {
    pub async fn rows(
        &mut self,
        keys: &[AccountKey],
        attributes: &[String],
    ) -> Result<Vec<Option<Account>>, Trouble> {
        let mut found = vec![None; keys.len()];
        for by_id in [true, false] {
            let wanted: Vec<usize> = (0..keys.len())
                .filter(|position| {
                    (keys[*position].immutable_id.is_some() && self.table.id.is_some()) == by_id
                })
                .collect();
            match self.rows_by(by_id, keys, &wanted, attributes, &mut found).await {
                // One text that is no key spoils the statement for all: each by itself then.
                Err(Trouble::Database(error)) if failure::is_no_key(&error) && wanted.len() > 1 => {
                    for position in wanted {
                        self.row_by(by_id, keys, position, attributes, &mut found).await?;
                    }
                }
                Err(Trouble::Database(error)) if failure::is_no_key(&error) => {}
                done => done?,
            }
        }
        Ok(found)
    }

    async fn row_by(
        &mut self,
        by_id: bool,
        keys: &[AccountKey],
        position: usize,
        attributes: &[String],
        found: &mut [Option<Account>],
    ) -> Result<(), Trouble> {
        match self.rows_by(by_id, keys, &[position], attributes, found).await {
            Err(Trouble::Database(error)) if failure::is_no_key(&error) => Ok(()),
            done => done,
        }
    }

    async fn rows_by(
        &mut self,
        by_id: bool,
        keys: &[AccountKey],
        wanted: &[usize],
        attributes: &[String],
        found: &mut [Option<Account>],
    ) -> Result<(), Trouble> {
        if wanted.is_empty() {
            return Ok(());
        }
        let columns = self.table.attributes(attributes)?;
        let texts: Vec<&str> =
            wanted.iter().map(|position| write::named_by(&self.table, &keys[*position]).1).collect();
        let text = statement::by_keys(&self.table, self.table.key_column(by_id), &columns);
        let rows = sqlx::query(AssertSqlSafe(text)).bind(texts).fetch_all(&mut self.connection).await?;
        let layout = Layout { table: &self.table, attributes: &columns, offset: 1 };
        for row in rows {
            let position = usize::try_from(row.try_get::<i64, _>(0)?)
                .ok()
                .and_then(|one_based| one_based.checked_sub(1));
            let position = position.and_then(|position| wanted.get(position));
            let place = position.and_then(|position| found.get_mut(*position));
            if let Some(place) = place {
                *place = layout.account(&row)?;
            }
        }
        Ok(())
    }

    pub async fn find(&mut self, attribute: &str, value: &Value) -> Result<Vec<Account>, Trouble> {
        let columns = self.table.attributes(&[ALL_ATTRIBUTES.to_owned()])?;
        let name = if attribute == "external_uid" { &self.table.uid.name } else { attribute };
        let column = self.table.column(name)?;
        let text = statement::find(&self.table, column, &columns, MAX_PAGE);
        let query = sqlx::query(AssertSqlSafe(text)).bind(column.kind.print(value));
        let rows = match query.fetch_all(&mut self.connection).await {
            Err(error) if failure::is_no_key(&error) => Vec::new(),
            rows => rows?,
        };
        let layout = Layout { table: &self.table, attributes: &columns, offset: 0 };
        let accounts = rows.iter().filter_map(|row| layout.account(row).transpose());
        Ok(accounts.collect::<Result<_, _>>()?)
    }
}
