//! A connection to either database, and the only two things that pass through it: text and, from Postgres, lists of it.

use sqlx::{
    AssertSqlSafe, Column, Connection as _, Either, Executor, MySqlConnection, PgConnection, Row as _,
    SqlSafeStr, Statement, TypeInfo,
    mysql::{MySqlArguments, MySqlRow},
    postgres::{PgArguments, PgRow},
    query::Query,
};

/// Statements select nothing but text: each column is cast where it is selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Null,
    Text(String),
    /// An array of Postgres.
    List(Vec<Option<String>>),
}

pub(super) type Row = Vec<Cell>;

/// A value of a statement. Postgres takes each as text and casts it; MySQL, which would cast a text to the nearest
/// number, takes numbers as numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Parameter {
    Null,
    Text(String),
    /// None = null, which Postgres must know to be of a list.
    List(Option<Vec<String>>),
    Integer(i64),
    Unsigned(u64),
    Double(f64),
    Bytes(Vec<u8>),
}

/// What a database says of a statement before it runs.
#[derive(Debug)]
pub(super) struct Described {
    /// Names and types, by the driver's names.
    pub columns: Vec<(String, String)>,
    /// The types of the parameters; empty where the database does not know them.
    pub parameters: Vec<String>,
}

#[derive(Debug)]
pub(super) enum Connection {
    Postgres(PgConnection),
    Mysql(MySqlConnection),
}

impl Connection {
    /// Every row of a statement.
    pub async fn rows(
        &mut self,
        statement: String,
        parameters: Vec<Parameter>,
    ) -> Result<Vec<Row>, sqlx::Error> {
        let query = AssertSqlSafe(statement);
        match self {
            Self::Postgres(connection) => {
                let query = parameters.into_iter().fold(sqlx::query(query), bind_postgres);
                query.fetch_all(connection).await?.iter().map(postgres_row).collect()
            }
            Self::Mysql(connection) => {
                let query = parameters.into_iter().fold(sqlx::query(query), bind_mysql);
                query.fetch_all(connection).await?.iter().map(mysql_row).collect()
            }
        }
    }

    /// How many rows a statement touched; matched, where MySQL had nothing to change in them.
    pub async fn execute(
        &mut self,
        statement: String,
        parameters: Vec<Parameter>,
    ) -> Result<u64, sqlx::Error> {
        let query = AssertSqlSafe(statement);
        match self {
            Self::Postgres(connection) => {
                let query = parameters.into_iter().fold(sqlx::query(query), bind_postgres);
                Ok(query.execute(connection).await?.rows_affected())
            }
            Self::Mysql(connection) => {
                let query = parameters.into_iter().fold(sqlx::query(query), bind_mysql);
                Ok(query.execute(connection).await?.rows_affected())
            }
        }
    }

    /// Statements without values, as one text: `begin`, `commit`.
    pub async fn command(&mut self, statement: impl Into<String>) -> Result<(), sqlx::Error> {
        let statement = sqlx::raw_sql(AssertSqlSafe(statement.into()));
        match self {
            Self::Postgres(connection) => statement.execute(connection).await.map(drop),
            Self::Mysql(connection) => statement.execute(connection).await.map(drop),
        }
    }

    /// Lets the database parse a statement, without running it.
    pub async fn describe(&mut self, statement: String) -> Result<Described, sqlx::Error> {
        let statement = AssertSqlSafe(statement).into_sql_str();
        match self {
            Self::Postgres(connection) => Ok(described(&connection.prepare(statement).await?)),
            Self::Mysql(connection) => Ok(described(&connection.prepare(statement).await?)),
        }
    }

    pub async fn ping(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres(connection) => connection.ping().await,
            Self::Mysql(connection) => connection.ping().await,
        }
    }
}

impl Cell {
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::List(_) => None,
        }
    }

    /// A number of our own statements, 0 where there is none.
    pub fn count(&self) -> i64 {
        self.text().and_then(|text| text.parse().ok()).unwrap_or_default()
    }
}

fn described<S: Statement>(statement: &S) -> Described {
    let columns = statement.columns().iter();
    let parameters = match statement.parameters() {
        Some(Either::Left(types)) => types.iter().map(|it| it.name().to_owned()).collect(),
        Some(Either::Right(_)) | None => Vec::new(),
    };
    Described {
        columns: columns
            .map(|column| (column.name().to_owned(), column.type_info().name().to_owned()))
            .collect(),
        parameters,
    }
}

fn bind_postgres(
    query: Query<'_, sqlx::Postgres, PgArguments>,
    parameter: Parameter,
) -> Query<'_, sqlx::Postgres, PgArguments> {
    match parameter {
        Parameter::Null => query.bind(None::<String>),
        Parameter::Text(text) => query.bind(text),
        Parameter::List(texts) => query.bind(texts),
        Parameter::Integer(number) => query.bind(number.to_string()),
        Parameter::Unsigned(number) => query.bind(number.to_string()),
        Parameter::Double(number) => query.bind(number.to_string()),
        Parameter::Bytes(bytes) => query.bind(bytes),
    }
}

fn bind_mysql(
    query: Query<'_, sqlx::MySql, MySqlArguments>,
    parameter: Parameter,
) -> Query<'_, sqlx::MySql, MySqlArguments> {
    match parameter {
        Parameter::Null => query.bind(None::<String>),
        Parameter::Text(text) => query.bind(text),
        Parameter::List(texts) => query.bind(texts.map(|texts| serde_json::Value::from(texts).to_string())),
        Parameter::Integer(number) => query.bind(number),
        Parameter::Unsigned(number) => query.bind(number),
        Parameter::Double(number) => query.bind(number),
        Parameter::Bytes(bytes) => query.bind(bytes),
    }
}

fn postgres_row(row: &PgRow) -> Result<Row, sqlx::Error> {
    let cell = |position: usize| {
        if row.column(position).type_info().name() == "TEXT[]" {
            let list = row.try_get::<Option<Vec<Option<String>>>, _>(position)?;
            Ok(list.map_or(Cell::Null, Cell::List))
        } else {
            Ok(row.try_get::<Option<String>, _>(position)?.map_or(Cell::Null, Cell::Text))
        }
    };
    (0..row.len()).map(cell).collect()
}

fn mysql_row(row: &MySqlRow) -> Result<Row, sqlx::Error> {
    // Unchecked: the driver takes text whose collation is `binary` for bytes, and reads it as UTF-8 all the same.
    let cell = |position: usize| {
        let text = row.try_get_unchecked::<Option<String>, _>(position)?;
        Ok(text.map_or(Cell::Null, Cell::Text))
    };
    (0..row.len()).map(cell).collect()
}
