//! What both binaries need to live: settings, clock, database, authentication, TLS, the gRPC server with its limits,
//! health, logs, shutdown.
//!
//! Never here: anything that one of the services alone means. This crate knows no noun of the product but the tenant,
//! the subject and the role, and no message but those of health and reflection.
//!
//! Begin with [`process::main`]: the life of a process, top to bottom. Then [`server`]: the one gate that every call
//! passes; and [`auth`]: who calls, and whether they may.

pub mod auth;
pub mod clock;
pub mod crash;
pub mod db;
pub mod keys;
pub mod lifecycle;
pub mod migrate;
pub mod process;
pub mod reloading;
pub mod server;
pub mod settings;
mod start_error;
pub mod telemetry;
pub mod tls;

pub use auth::{Caller, Deadline};
pub use clock::Clock;
pub use db::Database;
pub use keys::MasterKeys;
pub use lifecycle::Tasks;
pub use process::Runtime;
pub use reloading::Reloading;
pub use server::{MAX_MESSAGE_BYTES, Service};
pub use settings::Settings;
pub use start_error::StartError;
