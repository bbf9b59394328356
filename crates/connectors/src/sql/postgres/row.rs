//! Rows as accounts.

use sqlx::{Row, postgres::PgRow};
use xavyo_core::{
    account::Account,
    value::{Attributes, Value},
};

use super::table::{State, Table, Version};
use crate::sql::column::Column;

/// Which columns a selection holds, and where they begin in the row.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    pub table: &'a Table,
    pub attributes: &'a [&'a Column],
    /// Columns of the row before the selection.
    pub offset: usize,
}

impl Layout<'_> {
    /// The account of a row; None for a row without a uid: nothing can name it.
    pub fn account(&self, row: &PgRow) -> Result<Option<Account>, sqlx::Error> {
        let mut position = self.offset;
        let mut text = |there: bool| {
            if !there {
                return Ok(None);
            }
            position += 1;
            row.try_get::<Option<String>, _>(position - 1)
        };
        let Some(external_uid) = text(true)? else { return Ok(None) };
        let immutable_id = text(self.table.id.is_some())?;
        let version = text(!matches!(self.table.version, Version::None))?;
        let state = text(self.table.state.is_some())?;
        let enabled = self.table.state.as_ref().map(|column| {
            let holds = state.as_deref() == Some("true");
            match column {
                State::DisabledWhenTrue(_) => !holds,
                State::EnabledWhenTrue(_) => holds,
            }
        });
        let mut attributes = Attributes::new();
        for (place, column) in self.attributes.iter().enumerate() {
            let values = values(row, position + place, column)?;
            if !values.is_empty() {
                attributes.insert(column.name.clone(), values);
            }
        }
        Ok(Some(Account { external_uid, immutable_id, version, enabled, attributes }))
    }
}

fn values(row: &PgRow, position: usize, column: &Column) -> Result<Vec<Value>, sqlx::Error> {
    let texts = if column.multi_valued {
        row.try_get::<Option<Vec<Option<String>>>, _>(position)?.unwrap_or_default()
    } else {
        vec![row.try_get::<Option<String>, _>(position)?]
    };
    Ok(texts.iter().flatten().map(|text| column.kind.parse(text)).collect())
}
