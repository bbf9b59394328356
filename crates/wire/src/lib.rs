//! The contract in Rust: the generated types, their conversion from and to `core`, the one table of errors and statuses,
//! page tokens.
//!
//! Boundaries parse: a request becomes a domain type here, once, or is refused with the path of each field at fault.
//! Never here: decisions, I/O, a clock, logging, SQL.
//!
//! Begin with [`pb`] (the generated types), [`fields`] (how a request is parsed) and [`status()`] (how an error is
//! answered); then the file of the noun at hand: `to_pb` for what goes out, `of_pb` for what comes in.

pub mod connector;
pub mod descriptor;
pub mod fields;
pub mod limits;
pub mod numbers;
pub mod packing;
pub mod page;
pub mod pb;
mod provisioning;
mod reconciliation;
pub mod status;
mod values;

pub use connector::{object_type, policy, schema, settings};
pub use fields::Fields;
pub use numbers::Numbered;
pub use provisioning::{account, conflict, identity, link, operation, reads};
pub use reconciliation::{discrepancy, remediation, report, run, schedule};
pub use status::status;
pub use values::{change, json, time, value};
