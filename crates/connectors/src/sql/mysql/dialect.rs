//! How MySQL and MariaDB spell it.

use sqlx::{error::DatabaseError, mysql::MySqlDatabaseError};
use xavyo_core::{connector::TargetFailure, value::Value};

use super::{failure, value};
use crate::{
    redaction::Redaction,
    sql::{
        column::{Column, Kind, Shape},
        connection::Parameter,
        dialect::{Dialect, Paging},
        failure::{Stage, refused},
        statement,
        table::Table,
    },
};

pub(in crate::sql) const DIALECT: &dyn Dialect = &Syntax;

/// The longest name, in characters.
const MAX_IDENTIFIER: usize = 64;
/// Keys looked up by one statement: each is a branch of a union, so that each is compared by its column's collation and
/// found by its index.
const KEYS_AT_ONCE: usize = 100;

#[derive(Debug)]
struct Syntax;

impl Dialect for Syntax {
    fn quoted(&self, name: &str) -> String {
        format!("`{}`", name.replace('`', "``"))
    }

    fn snapshot(&self) -> &'static str {
        "start transaction with consistent snapshot, read only"
    }

    fn begin(&self) -> &'static str {
        "start transaction"
    }

    /// What is read is locked.
    fn begin_steady(&self) -> &'static str {
        "set transaction isolation level serializable; start transaction"
    }

    fn tag(&self) -> &'static str {
        "set @xavyo_tag = ?"
    }

    fn paging(&self) -> Paging {
        Paging::Keyset
    }

    fn watermark(&self, updated_at: &Column) -> String {
        let name = self.quoted(&updated_at.name);
        format!("convert(least(max(account.{name}), now(6)) - interval 5 minute using utf8mb4)")
    }

    fn now(&self) -> &'static str {
        "now(6)"
    }

    fn as_text(&self, column: &Column) -> String {
        let name = format!("account.{}", self.quoted(&column.name));
        match column.kind {
            Kind::Binary => format!("concat(char(92 using utf8mb4), 'x', lower(hex({name})))"),
            // Else the bits themselves are taken for text.
            Kind::Integer | Kind::Boolean if column.type_name == "bit" => {
                format!("convert({name} + 0 using utf8mb4)")
            }
            Kind::Text | Kind::Integer | Kind::Boolean | Kind::Double | Kind::Numeric | Kind::Timestamp => {
                format!("convert({name} using utf8mb4)")
            }
        }
    }

    fn place(&self, _: usize, column: &Column) -> String {
        match column.kind {
            // A text would be compared as a double.
            Kind::Numeric => "cast(? as decimal(65, 30))".to_owned(),
            Kind::Text | Kind::Integer | Kind::Double | Kind::Boolean | Kind::Timestamp | Kind::Binary => {
                "?".to_owned()
            }
        }
    }

    fn equals(&self, position: usize, column: &Column) -> String {
        let name = format!("account.{}", self.quoted(&column.name));
        match column.shape {
            // What is no JSON holds nothing: without the check it would be an error.
            Shape::Json => format!("if(json_valid({name}), json_contains({name}, ?), false)"),
            Shape::Single | Shape::Array => format!("{name} = {}", self.place(position, column)),
        }
    }

    fn parameter(&self, column: &Column, values: &[Value]) -> Result<Parameter, TargetFailure> {
        match (column.shape, values) {
            (Shape::Json, []) if !column.nullable => Ok(value::json_array(&[])),
            (_, []) => Ok(Parameter::Null),
            (Shape::Json, values) => Ok(value::json_array(values)),
            (Shape::Single | Shape::Array, [value, ..]) => value::parameter(column, value).ok_or_else(|| {
                let (name, kind) = (&column.name, &column.type_name);
                refused("SQL_VALUE", format!("column {name} is given what is no {kind}"))
            }),
        }
    }

    fn sought(&self, column: &Column, value: &Value) -> Option<Parameter> {
        value::parameter(column, value)
    }

    fn key(&self, column: &Column, text: &str) -> Option<Parameter> {
        value::parameter(column, &column.kind.parse(text))
    }

    /// MySQL does not say what it wants: values are as their columns have them.
    fn placeholder(&self, _: usize, _: Option<&str>) -> String {
        "?".to_owned()
    }

    fn by_keys(
        &self,
        table: &Table,
        key: &Column,
        selection: &str,
        keys: &[&str],
    ) -> Vec<(String, Vec<Parameter>)> {
        let branch = format!(
            "{selection}
  from {} as account{}",
            table.source,
            statement::accounts(table, Some(self.equals(1, key))),
        );
        let named: Vec<(usize, Parameter)> = keys
            .iter()
            .enumerate()
            .filter_map(|(position, text)| Some((position, self.key(key, text)?)))
            .collect();
        let some = |keys: &[(usize, Parameter)]| {
            let branches: Vec<String> =
                keys.iter().map(|(position, _)| format!("select '{position}',\n       {branch}")).collect();
            (branches.join("\nunion all\n"), keys.iter().map(|(_, key)| key.clone()).collect())
        };
        named.chunks(KEYS_AT_ONCE).map(some).collect()
    }

    fn insert_into(&self, table: &str) -> String {
        format!("insert into {table}")
    }

    fn delete_from(&self, table: &str) -> String {
        format!("delete account from {table} as account")
    }

    fn shows_what_it_writes(&self) -> bool {
        false
    }

    fn flag(&self, column: Column) -> Option<Column> {
        let is_flag = matches!(column.kind, Kind::Boolean | Kind::Integer);
        is_flag.then_some(Column { kind: Kind::Boolean, ..column })
    }

    /// A time without a fraction of its second tells no two writes of that second apart.
    fn tells_versions_apart(&self, column: &Column) -> bool {
        column.kind != Kind::Timestamp || column.element_type.ends_with("(6)")
    }

    fn failure(&self, error: &dyn DatabaseError, stage: Stage, redaction: &Redaction) -> TargetFailure {
        failure::of_database(error, stage, redaction)
    }

    /// What is no value of a column is told before it is sent, but for characters that its character set lacks: no
    /// collation compares those with it.
    fn is_no_key(&self, error: &sqlx::Error) -> bool {
        let error =
            error.as_database_error().and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>());
        error.is_some_and(|error| matches!(error.number(), 1267 | 1270 | 1271))
    }

    fn is_taken(&self, code: &str) -> bool {
        matches!(code, "SQL_1062" | "SQL_1586")
    }

    fn lost_a_race(&self, code: &str) -> bool {
        matches!(code, "SQL_1213" | "SQL_1020")
    }

    fn doubts(&self, code: &str) -> bool {
        matches!(code, "SQL_COLUMN" | "SQL_1054" | "SQL_1142" | "SQL_1143" | "SQL_1146" | "SQL_1412")
    }

    fn is_identifier(&self, name: &str) -> bool {
        let fits = (1..=MAX_IDENTIFIER).contains(&name.chars().count());
        fits && !name.chars().any(char::is_control) && !name.ends_with(' ')
    }
}
