//! Why a process cannot start, or had to end. Printed once, by [`crate::process`]; no caller of an RPC sees these.

use std::{io, net::SocketAddr, path::PathBuf};

use xavyo_core::Error;

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot read the {what} {}", path.display())]
    Unreadable { what: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot write the {what} {}", path.display())]
    Unwritable { what: &'static str, path: PathBuf, source: io::Error },
    /// A file was read, and what stands in it is wrong. The problem never quotes the content.
    #[error("the {what} {} is not usable: {problem}", path.display())]
    Unusable { what: &'static str, path: PathBuf, problem: String },
    /// `setting` is the name of the environment variable.
    #[error("{setting}: {problem}")]
    Setting { setting: &'static str, problem: String },
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("the TLS certificate, its key or the client authorities are not usable")]
    Tls(#[source] tonic::transport::Error),
    #[error("the descriptors for reflection are not usable")]
    Reflection(#[from] tonic_reflection::server::Error),
    #[error("cannot connect to the database as its owner")]
    Connect(#[source] sqlx::Error),
    #[error("the migrations cannot be applied")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The task ended, or panicked, before anybody asked it to stop.
    #[error("task {name} is dead: {why}")]
    TaskDied { name: &'static str, why: String },
    #[error("still busy when the time to drain was over: {}", tasks.join(", "))]
    NotDrained { tasks: Vec<&'static str> },
    #[error("the operating system refuses {what}")]
    System { what: &'static str, source: io::Error },
    /// What the service itself met while it started.
    #[error(transparent)]
    Service(#[from] Error),
}
