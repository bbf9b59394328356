//! How Postgres spells it.

use sqlx::error::DatabaseError;
use xavyo_core::{connector::TargetFailure, value::Value};

use super::{catalogue::spelled, failure};
use crate::{
    redaction::Redaction,
    sql::{
        column::{Column, Kind, Shape},
        connection::Parameter,
        dialect::{Dialect, Paging},
        failure::Stage,
        statement,
        table::Table,
    },
};

pub(in crate::sql) const DIALECT: &dyn Dialect = &Syntax;

/// The longest name that Postgres keeps: longer ones are cut, and then name something else.
const MAX_IDENTIFIER: usize = 63;

#[derive(Debug)]
struct Syntax;

impl Dialect for Syntax {
    fn quoted(&self, name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }

    fn snapshot(&self) -> &'static str {
        "begin isolation level repeatable read read only"
    }

    fn begin(&self) -> &'static str {
        "begin"
    }

    /// Whoever writes second to a row that both have read is refused.
    fn begin_steady(&self) -> &'static str {
        "begin isolation level repeatable read"
    }

    fn tag(&self) -> &'static str {
        "select set_config('xavyo.tag', $1, true)"
    }

    fn paging(&self) -> Paging {
        Paging::Cursor
    }

    fn watermark(&self, updated_at: &Column) -> String {
        let (name, type_name) = (self.quoted(&updated_at.name), &updated_at.type_name);
        format!("(least(max(account.{name}), clock_timestamp()::{type_name}) - interval '5 minutes')::text")
    }

    fn now(&self) -> &'static str {
        "clock_timestamp()"
    }

    fn as_text(&self, column: &Column) -> String {
        format!("account.{}::text{}", self.quoted(&column.name), suffix(column))
    }

    fn place(&self, position: usize, column: &Column) -> String {
        format!("${position}::text{}::{}", suffix(column), column.type_name)
    }

    fn equals(&self, position: usize, column: &Column) -> String {
        let name = self.quoted(&column.name);
        match column.shape {
            Shape::Array => format!("${position}::text::{} = any(account.{name})", column.element_type),
            Shape::Single | Shape::Json => {
                format!("account.{name} = ${position}::text::{}", column.type_name)
            }
        }
    }

    fn parameter(&self, column: &Column, values: &[Value]) -> Result<Parameter, TargetFailure> {
        let mut texts = values.iter().map(|value| column.kind.print(value));
        Ok(match column.shape {
            Shape::Array if values.is_empty() && column.nullable => Parameter::List(None),
            Shape::Array => Parameter::List(Some(texts.collect())),
            Shape::Single | Shape::Json => texts.next().map_or(Parameter::Null, Parameter::Text),
        })
    }

    fn sought(&self, column: &Column, value: &Value) -> Option<Parameter> {
        Some(Parameter::Text(column.kind.print(value)))
    }

    fn key(&self, _: &Column, text: &str) -> Option<Parameter> {
        Some(Parameter::Text(text.to_owned()))
    }

    fn placeholder(&self, position: usize, type_name: Option<&str>) -> String {
        match type_name.map(spelled) {
            None => format!("${position}"),
            Some(name) if name.ends_with("[]") => format!("(${position}::text[]::{name})"),
            Some(name) => format!("(${position}::text::{name})"),
        }
    }

    fn by_keys(
        &self,
        table: &Table,
        key: &Column,
        selection: &str,
        keys: &[&str],
    ) -> Vec<(String, Vec<Parameter>)> {
        let text = format!(
            "select (key.position - 1)::text,
       {selection}
  from unnest($1::text[]) with ordinality as key (value, position)
  join {} as account on account.{} = key.value::{}{}",
            table.source,
            self.quoted(&key.name),
            key.type_name,
            statement::accounts(table, None),
        );
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        vec![(text, vec![Parameter::List(Some(keys))])]
    }

    fn insert_into(&self, table: &str) -> String {
        format!("insert into {table} as account")
    }

    fn delete_from(&self, table: &str) -> String {
        format!("delete from {table} as account")
    }

    fn shows_what_it_writes(&self) -> bool {
        true
    }

    fn flag(&self, column: Column) -> Option<Column> {
        (column.kind == Kind::Boolean).then_some(column)
    }

    fn tells_versions_apart(&self, _: &Column) -> bool {
        true
    }

    fn failure(&self, error: &dyn DatabaseError, stage: Stage, redaction: &Redaction) -> TargetFailure {
        failure::of_database(error, stage, redaction)
    }

    fn is_no_key(&self, error: &sqlx::Error) -> bool {
        let code = error.as_database_error().and_then(DatabaseError::code);
        code.is_some_and(|code| matches!(code.as_ref(), "22P02" | "22003" | "22007" | "22008" | "22001"))
    }

    fn is_taken(&self, code: &str) -> bool {
        code == "SQL_23505"
    }

    fn lost_a_race(&self, code: &str) -> bool {
        matches!(code, "SQL_40001" | "SQL_40P01")
    }

    fn doubts(&self, code: &str) -> bool {
        code == "SQL_COLUMN" || code.starts_with("SQL_42") || code.starts_with("SQL_0A")
    }

    fn is_identifier(&self, name: &str) -> bool {
        (1..=MAX_IDENTIFIER).contains(&name.len()) && !name.chars().any(char::is_control)
    }
}

fn suffix(column: &Column) -> &'static str {
    match column.shape {
        Shape::Array => "[]",
        Shape::Single | Shape::Json => "",
    }
}
