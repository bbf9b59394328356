//! The SQL kind: accounts are the rows of one table, attributes its columns.
//!
//! Column names come from the settings and from mappings, so each is looked up in the catalogue and quoted; values are
//! always parameters. A statement that touches more or fewer rows than one is rolled back. There are no named
//! statements, no joins and no triggers of ours. A connector is one table: the object class names nothing further.
//!
//! Begin with [`Postgres`](postgres::Postgres). Another database gets a folder beside it; [`column`] is what they share.

mod column;
pub mod postgres;

use std::sync::Arc;

use xavyo_core::{
    Error, Reason,
    connector::{SqlDialect, SqlSettings},
};

use crate::{Connector, Options, Secrets};

/// The longest name that Postgres keeps; MySQL's 64 characters are cut to the same.
const MAX_IDENTIFIER: usize = 63;

/// Opens the connector of the settings' dialect. Lazy.
pub(crate) fn open(
    settings: &SqlSettings,
    secrets: &Secrets,
    options: &Options,
) -> Result<Arc<dyn Connector>, Error> {
    match settings.dialect {
        SqlDialect::Postgres => Ok(Arc::new(postgres::Postgres::open(settings, secrets, options))),
        SqlDialect::Mysql => {
            let message = "SQL connectors of dialect mysql are not served yet";
            Err(Error::new(Reason::NotImplemented, message).with("kind", "sql"))
        }
    }
}

pub(crate) fn is_identifier(name: &str) -> bool {
    (1..=MAX_IDENTIFIER).contains(&name.len()) && !name.chars().any(char::is_control)
}
