//! Rows as accounts.

use xavyo_core::{
    account::Account,
    value::{Attributes, Value},
};

use super::{Table, Version};
use crate::sql::{column::Column, connection::Cell};

/// Which columns a selection holds, in the order of [`crate::sql::statement::selection`].
#[derive(Debug)]
pub(in crate::sql) struct Layout<'a> {
    pub table: &'a Table,
    pub attributes: &'a [&'a Column],
}

impl Layout<'_> {
    /// The account of a row; None for a row without a uid: nothing can name it.
    pub fn account(&self, row: &[Cell]) -> Option<Account> {
        let mut cells = row.iter();
        let mut text = |there: bool| if there { cells.next().and_then(Cell::text) } else { None };
        let external_uid = text(true)?.to_owned();
        let immutable_id = text(self.table.id.is_some()).map(str::to_owned);
        let version = text(!matches!(self.table.version, Version::None)).map(str::to_owned);
        let state = text(self.table.state.is_some());
        let enabled = self.table.state.as_ref().map(|column| {
            let truth = state.map(|text| column.column().kind.parse(text)) == Some(Value::Boolean(true));
            column.holds(true) == Value::Boolean(truth)
        });
        let attributes: Attributes = self
            .attributes
            .iter()
            .zip(cells)
            .map(|(column, cell)| (column.name.clone(), column.values(cell)))
            .filter(|(_, values)| !values.is_empty())
            .collect();
        Some(Account { external_uid, immutable_id, version, enabled, attributes })
    }
}
