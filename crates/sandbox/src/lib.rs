//! Everything around the two services, as child processes of whoever uses it: Postgres, slapd, the services
//! themselves, and the keys and tokens that they trust. For the demo, development, benches and tests.
//!
//! Never here: a decision of the product, a mock of its code, or a fixed port. Nothing outlives the process that
//! started it, not even when that is killed with -9 ([`process`]), and nothing is shared with the machine's own
//! servers ([`directory`]).
//!
//! Begin with [`stack::Stack`], the whole; or with [`postgres::Postgres`] and [`postgres::Database`], a fresh database
//! of one service for the test of a store.

pub mod checker;
pub mod csv_connector;
pub mod directory;
pub mod faults;
pub mod keys;
pub mod ledger;
pub mod load;
pub mod mariadb;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod scim;
pub mod service;
pub mod slapd;
pub mod stack;
#[cfg(test)]
mod tests;
pub mod tls;
mod tools;
pub mod user;
pub mod workspace;
