//! Decisions as pure functions of values: states and their moves, retry, mapping, correlation, digest, comparison,
//! classification, guard, schedule.
//!
//! Never here: I/O, `async`, a clock, randomness, generated protobuf types, database rows. Whoever needs the time
//! passes it in.
//!
//! Begin with [`operation`] (the life of an operation), then [`comparison`] and [`classification`] (what a run finds).

pub mod account;
pub mod cause;
pub mod change;
pub mod connector;
pub mod error;
pub mod identity;
pub mod ids;
pub mod link;
pub mod operation;
pub mod role;
pub mod value;

pub use error::{Error, Kind, Reason, Violation};
