//! Postgres: its SQL, its types, its connections.
//!
//! Values travel as text and are cast where they stand. The version of a row without a version column is its `xmin`;
//! views, partitioned and foreign tables have none. A long read is a cursor of the server.

mod catalogue;
mod dialect;
mod driver;
mod failure;

pub(super) use dialect::DIALECT;
pub(super) use driver::Postgres;
