//! Decisions as pure functions of values.
//!
//! Never here: I/O, `async`, a clock, randomness, generated protobuf types, database rows. Whoever needs the time
//! passes it in; whoever acts asks here first. The only threads are those whose stacks expressions need
//! ([`mapping::stack`]).
//!
//! Where to begin, by what you want to know:
//!
//! | question | module |
//! |---|---|
//! | what can happen to an operation, a run, a discrepancy, a conflict | [`operation`], [`run`], [`discrepancy`], [`conflict`]: each a table of moves |
//! | what an identity's account should look like | [`mapping`], [`account_state`] |
//! | whose account this is | [`classification`] for all of a target, [`correlation`] for one |
//! | what differs, and what to write about it | [`comparison`], [`digest`], [`effect`] |
//! | what may be done about a finding | [`remediation`], [`remediation::policy`] |
//! | what a new operation does to those ahead of it | [`arrival`], [`leave`] |
//! | how much at once, how often, when again | [`guard`], [`lane`], [`pace`], [`retry`], [`schedule`], [`turns`] |
//! | whether a log is as it was written | [`chain`] |
//! | how something can be wrong | [`error`] for callers, [`connector::FailureKind`] for targets |
//!
//! The tables of moves, remedies and outcomes stand as text in `crates/core/tables`; a test of each compares the text with
//! what the code does.

pub mod account;
pub mod cause;
pub mod chain;
pub mod classification;
pub mod comparison;
pub mod conflict;
pub mod connector;
pub mod correlation;
pub mod digest;
pub mod discrepancy;
pub mod error;
pub mod guard;
pub mod identity;
pub mod ids;
pub mod mapping;
mod names;
pub mod operation;
pub mod pace;
pub mod remediation;
pub mod role;
pub mod run;
pub mod schedule;
#[cfg(test)]
mod tables;
pub mod turns;
pub mod value;

// Folders group what belongs to one noun; paths stay flat.
pub use account::{link, state as account_state};
pub use discrepancy::{fingerprint, report};
pub use error::{Error, Kind, Reason, Violation};
pub use operation::{arrival, effect, lane, leave, retry};
pub use value::{change, dn, sealed};
