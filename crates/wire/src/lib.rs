//! The contract in Rust: the generated types, their conversion from and to `core`, the one table of errors and statuses,
//! page tokens.
//!
//! Boundaries parse: a request becomes a domain type here, once, or is refused with the path of each field at fault.
//! Never here: decisions, I/O, a clock, logging, SQL.
//!
//! Begin with [`pb`] (the generated types), [`fields`] (how a request is parsed) and [`status()`] (how an error is
//! answered); then the file of the noun at hand: `to_pb` for what goes out, `of_pb` for what comes in.

pub mod account;
pub mod change;
pub mod conflict;
pub mod connector;
pub mod descriptor;
pub mod discrepancy;
pub mod fields;
pub mod identity;
pub mod json;
pub mod limits;
pub mod link;
pub mod numbers;
pub mod object_type;
pub mod operation;
pub mod page;
pub mod pb;
pub mod policy;
pub mod remediation;
pub mod report;
pub mod run;
pub mod settings;
pub mod status;
pub mod time;
pub mod value;

pub use fields::Fields;
pub use numbers::Numbered;
pub use status::status;
