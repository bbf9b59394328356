//! Statements of an operator's own instead of a table.
//!
//! What is read is selected from the list as if it were a table, so that columns, collations, snapshots and proofs are
//! those of tables. What is written runs in one serializable transaction: the account is read, the operator's statement
//! is given what it names, exactly one row must be touched, and the account is read back.
//!
//! Begin with [`parse`](parse::parse), which finds the parameters; [`rules`] says which statement may name which.

mod bound;
mod parse;
mod rules;
mod write;

use std::collections::BTreeMap;

use xavyo_core::connector::{SqlSettings, SqlStatements};

pub(super) use bound::Bound;
pub(crate) use rules::faults;
pub(super) use write::perform;

use super::{connection::Connection, failure::Trouble, server::Driver};

/// What an operator can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verb {
    Get,
    Find,
    Create,
    Update,
    Delete,
    Enable,
    Disable,
}

/// The statements as the database takes them.
#[derive(Debug)]
pub(super) struct Statements {
    bound: BTreeMap<Verb, Bound>,
}

impl Verb {
    pub const ALL: [Self; 7] =
        [Self::Get, Self::Find, Self::Create, Self::Update, Self::Delete, Self::Enable, Self::Disable];

    /// The field of the settings that holds it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Find => "find",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Enable => "enable",
            Self::Disable => "disable",
        }
    }

    pub fn text(self, statements: &SqlStatements) -> Option<&str> {
        let text = match self {
            Self::Get => &statements.get,
            Self::Find => &statements.find,
            Self::Create => &statements.create,
            Self::Update => &statements.update,
            Self::Delete => &statements.delete,
            Self::Enable => &statements.enable,
            Self::Disable => &statements.disable,
        };
        text.as_deref()
    }
}

impl Statements {
    /// Asks the database what each statement's parameters are.
    pub async fn prepare(
        connection: &mut Connection,
        driver: &dyn Driver,
        settings: &SqlSettings,
        statements: &SqlStatements,
    ) -> Result<Self, Trouble> {
        let mut bound = BTreeMap::new();
        for verb in Verb::ALL {
            if let Some(text) = verb.text(statements) {
                let parsed = parse::parse(settings.dialect, text).map_err(|fault| {
                    super::failure::refused("SQL_STATEMENT", format!("{}: expected {fault}", verb.name()))
                })?;
                bound.insert(verb, Bound::prepare(connection, driver, &parsed).await?);
            }
        }
        Ok(Self { bound })
    }

    pub fn get(&self, verb: Verb) -> Option<&Bound> {
        self.bound.get(&verb)
    }
}

/// The list as what is selected from. The line's end closes a comment that the list may end with.
pub(super) fn source(list: &str) -> String {
    format!("({}\n)", list.trim().trim_end_matches(';'))
}
