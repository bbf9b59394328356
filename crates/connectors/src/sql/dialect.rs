//! What differs between databases: how SQL is spelled, how values travel, what errors mean.
//!
//! A dialect knows no table and holds no connection. Everything that decides what is read or written is shared.

use std::fmt::Debug;

use sqlx::error::DatabaseError;
use xavyo_core::{connector::TargetFailure, value::Value};

use super::{column::Column, connection::Parameter, failure::Stage, table::Table};
use crate::redaction::Redaction;

/// How a long read goes on from page to page inside its snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paging {
    /// A cursor of the server: it needs no index and no order.
    Cursor,
    /// From the last uid on, in its own collation's order. Two uids that the collation holds for equal could hide one
    /// another; the count of distinct uids, by the same collation, then tells.
    Keyset,
}

pub(super) trait Dialect: Debug + Send + Sync {
    /// A name in quotes.
    fn quoted(&self, name: &str) -> String;

    /// Opens a snapshot that only reads.
    fn snapshot(&self) -> &'static str;
    /// Opens a transaction that writes.
    fn begin(&self) -> &'static str;
    /// Opens one in which nobody else's change of an account that was read goes unnoticed.
    fn begin_steady(&self) -> &'static str;
    /// Tells the transaction, or the session, our tag: one parameter.
    fn tag(&self) -> &'static str;
    fn paging(&self) -> Paging;
    /// Where a next read of changes by this column begins, as an expression over all rows.
    fn watermark(&self, updated_at: &Column) -> String;
    /// The time now, as an expression.
    fn now(&self) -> &'static str;

    /// The column as text, or as an array of texts.
    fn as_text(&self, column: &Column) -> String;
    /// The `position`th parameter, of the column's type.
    fn place(&self, position: usize, column: &Column) -> String;
    /// The column equals the `position`th parameter, or holds it.
    fn equals(&self, position: usize, column: &Column) -> String;

    /// Values for [`place`](Self::place). Fails where they are none of the column's.
    fn parameter(&self, column: &Column, values: &[Value]) -> Result<Parameter, TargetFailure>;
    /// A value for [`equals`](Self::equals); None where no row can hold it.
    fn sought(&self, column: &Column, value: &Value) -> Option<Parameter>;
    /// The same of a key's text, which is how the column's value is shown.
    fn key(&self, column: &Column, text: &str) -> Option<Parameter>;

    /// The `position`th parameter of an operator's statement: of the type that the database wants there, if it said so.
    fn placeholder(&self, position: usize, type_name: Option<&str>) -> String;

    /// Statements that together find the rows of many keys. The first column of each row is the place of its key in
    /// `keys`, the rest is the selection.
    fn by_keys(
        &self,
        table: &Table,
        key: &Column,
        selection: &str,
        keys: &[&str],
    ) -> Vec<(String, Vec<Parameter>)>;

    /// `insert into <table>`, with whatever name `selection` needs.
    fn insert_into(&self, table: &str) -> String;
    fn delete_from(&self, table: &str) -> String;
    /// Writes show the rows that they leave (`returning`); else they are read back.
    fn shows_what_it_writes(&self) -> bool;
    /// The column as one that is true or false, if it can be: MySQL's booleans are numbers.
    fn flag(&self, column: Column) -> Option<Column>;
    /// Two writes of the column, however fast, leave different values.
    fn tells_versions_apart(&self, column: &Column) -> bool;

    fn failure(&self, error: &dyn DatabaseError, stage: Stage, redaction: &Redaction) -> TargetFailure;
    /// A key's text is no value of its column's type: it names no row.
    fn is_no_key(&self, error: &sqlx::Error) -> bool;
    /// A write ran into a uniqueness.
    fn is_taken(&self, code: &str) -> bool;
    /// Two transactions met, and this one was rolled back: it may be tried again at once.
    fn lost_a_race(&self, code: &str) -> bool;
    /// The table may have changed since it was described.
    fn doubts(&self, code: &str) -> bool;
    /// What a name longer than the database keeps would be cut to is not this name.
    fn is_identifier(&self, name: &str) -> bool;
}
