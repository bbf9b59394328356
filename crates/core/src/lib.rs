//! Decisions as pure functions of values: states and their moves, retry, mapping, correlation, digest, comparison,
//! classification, guard, schedule.
//!
//! Never here: I/O, `async`, a clock, randomness, generated protobuf types, database rows. Whoever needs the time
//! passes it in.
//!
//! Begin with [`operation`] (the life of an operation), then [`comparison`] and [`classification`] (what a run finds).

pub mod account;
pub mod account_state;
pub mod cause;
pub mod change;
pub mod classification;
pub mod comparison;
pub mod conflict;
pub mod connector;
pub mod correlation;
pub mod digest;
pub mod discrepancy;
pub mod dn;
pub mod effect;
pub mod error;
pub mod fingerprint;
pub mod identity;
pub mod ids;
pub mod lane;
pub mod link;
pub mod mapping;
mod names;
pub mod operation;
pub mod remediation;
pub mod report;
pub mod retry;
pub mod role;
pub mod run;
#[cfg(test)]
mod tables;
pub mod value;

pub use error::{Error, Kind, Reason, Violation};
