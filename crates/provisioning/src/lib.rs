//! The provisioning service: executes creates, updates and deletes on target systems, durably, in order per account.
//!
//! `grpc` → use cases ([`connectors`], [`identities`], [`accounts`], [`operations`], [`conflicts`]) → core decides → `store`. The
//! [`worker`] executes what the [`queue`] holds. Nothing else holds credentials or calls a target.
//!
//! Begin with [`queue`] (how an operation gets in) and [`worker`] (what becomes of it).

pub mod accounts;
pub mod audit;
pub mod conflicts;
pub mod connectors;
pub mod crash;
pub mod grpc;
pub mod identities;
pub mod lanes;
pub mod operations;
pub mod pacing;
mod paging;
pub mod programs;
pub mod queue;
pub mod retention;
pub mod secrets;
mod settings;
mod start;
pub mod store;
pub mod targets;
#[cfg(test)]
mod testing;
pub mod worker;

pub use settings::Settings;
pub use start::start;

/// The schema that this binary carries.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/provisioning");
