//! The SQL kind: accounts are the rows of one table, attributes its columns.
//!
//! Column names come from the settings and from mappings, so each is looked up in the catalogue and quoted; values are
//! always parameters. A read is one snapshot with its own count beside it. A statement that touches more or fewer rows
//! than one is rolled back, and nothing is written before COMMIT, so only a COMMIT without an answer leaves an outcome
//! unknown. There are no triggers of ours. A connector is one table, or one set of an operator's own [`statements`]: the
//! object class names nothing further.
//!
//! Begin with [`Sql`]; [`table`] is what the catalogue says, [`statement`] writes the SQL, [`write`](mod@write) executes.
//! [`dialect`] and [`server`] are all that a database brings of its own: [`postgres`], [`mysql`].

mod changes;
mod column;
mod connection;
mod connector;
mod dialect;
mod failure;
mod mysql;
mod postgres;
mod read;
mod server;
mod session;
mod statement;
mod statements;
mod table;
mod write;

pub use connector::Sql;
use secrecy::ExposeSecret;
pub(crate) use statements::faults;
use xavyo_core::connector::SqlDialect;

use crate::Secrets;

/// A name that the database keeps as it is.
pub(crate) fn is_identifier(dialect: SqlDialect, name: &str) -> bool {
    match dialect {
        SqlDialect::Postgres => postgres::DIALECT.is_identifier(name),
        SqlDialect::Mysql => mysql::DIALECT.is_identifier(name),
    }
}

fn password(secrets: &Secrets) -> &str {
    secrets.get("password").map_or("", |password| password.expose_secret())
}
