//! The contract in Rust: the generated types, their conversion from and to `core`, the one table of errors and statuses,
//! page tokens.
//!
//! Boundaries parse: a request becomes a domain type here, once, or is refused with the path of the field at fault.
//! Never here: decisions, I/O, a clock, SQL.
//!
//! Begin with [`pb`] (the generated types) and [`status`]; then the file of the noun at hand.

pub mod descriptor;
pub mod pb;
