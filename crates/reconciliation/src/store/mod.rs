//! The only SQL of this service: one file a table, free functions on the caller's transaction, rows parsed into domain
//! types.
//!
//! Every statement names the tenant, although row-level security would add it. Never here: a decision, a commit.
//!
//! Begin with [`run`] and [`discrepancy`]. Lists take their page of ids from [`list`] and their rows from the table's
//! `find_all`, so that each table's columns are named in one place.

pub mod action;
pub mod action_seal;
pub mod discrepancy;
pub mod finding;
pub mod ignore;
pub mod list;
pub mod remediation;
pub mod request;
pub mod run;
pub mod schedule;
pub mod schedule_due;
#[cfg(test)]
mod tests;
pub mod trend;
pub mod worker;

use xavyo_core::Error;

/// What belongs to a run stands beside it, and goes by its own name.
pub use self::run::{baseline, plan, report, revisit, work as run_work};

/// A stored name that its closed list does not have: a row from a newer program, or a bug.
fn unknown(column: &'static str, value: &str) -> Error {
    Error::internal(format!("{column} holds the unknown value {value:?}"))
}

/// Reads a name of a closed list.
fn parse<T>(column: &'static str, name: &str, named: impl Fn(&str) -> Option<T>) -> Result<T, Error> {
    named(name).ok_or_else(|| unknown(column, name))
}
