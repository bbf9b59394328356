//! The reconciliation service: compares what should be with what is, classifies what differs, reports it, and puts it
//! right through the provisioning service, with proof before anything destructive.
//!
//! `grpc` → use cases ([`runs`], [`discrepancies`], [`remediation`], [`ignores`], [`trend`], [`schedules`], [`actions`]) → core
//! decides → `store`. The [`worker`] carries runs on. Both sides of every comparison, and every change, go through [`provisioning`]: nothing here holds a
//! credential or calls a target.
//!
//! Begin with [`worker`] (the life of a run) and [`remediation`] (what can be done about what it found).

pub mod actions;
pub mod crash;
pub mod discrepancies;
pub mod grpc;
pub mod ignores;
pub mod nudge;
pub mod paging;
pub mod provisioning;
pub mod remediation;
pub mod runs;
pub mod schedules;
pub mod secret_values;
mod settings;
mod start;
pub mod store;
pub mod trend;
pub mod worker;

pub use settings::Settings;
pub use start::start;

/// The schema that this binary carries.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/reconciliation");
