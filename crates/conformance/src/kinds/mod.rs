//! The kinds of target that the sandbox can start, a small file each.
//!
//! A new kind is a file with a [`Kind`], and a line in [`ALL`].

pub mod directory;
mod mariadb;
mod memory;
pub mod postgres;
mod remote;
mod scim;
mod statements;

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use futures::future::LocalBoxFuture;
use xavyo_connectors::Options;
use xavyo_core::connector::LdapTls;
use xavyo_sandbox::scim::{Habits, Scheme};

use crate::Place;

pub use directory::Directory;
pub use mariadb::MariadbTable;
pub use memory::Memory;
pub use postgres::PostgresTable;
pub use remote::Remote;
pub use scim::Scim;
pub use statements::Statements;

/// Targets of one kind, on a server that lives as long as this does.
#[async_trait]
pub trait Kind: Send + Sync {
    fn name(&self) -> &'static str;

    /// Where a case may make accounts: empty, if it is private.
    async fn place(&self) -> Result<Place>;
}

/// Starts a kind's server.
type Start = fn() -> LocalBoxFuture<'static, Result<Arc<dyn Kind>>>;

/// Every kind, by the name under which it is reported.
pub const ALL: &[(&str, Start)] = &[
    ("memory", || Box::pin(async { Ok(Arc::new(Memory) as Arc<dyn Kind>) })),
    ("postgres", || Box::pin(async { Ok(Arc::new(PostgresTable::start().await?) as Arc<dyn Kind>) })),
    ("mariadb", || Box::pin(async { Ok(Arc::new(MariadbTable::start().await?) as Arc<dyn Kind>) })),
    ("remote", || Box::pin(async { Ok(Arc::new(Remote::start().await?) as Arc<dyn Kind>) })),
    ("remote-mtls", || {
        Box::pin(async { Ok(Arc::new(Remote::start_with_mutual_tls().await?) as Arc<dyn Kind>) })
    }),
    ("postgres-statements", || {
        Box::pin(async { Ok(Arc::new(Statements::Postgres(PostgresTable::start().await?)) as Arc<dyn Kind>) })
    }),
    ("mariadb-statements", || {
        Box::pin(async { Ok(Arc::new(Statements::Mariadb(MariadbTable::start().await?)) as Arc<dyn Kind>) })
    }),
    ("scim", || scim("scim", Habits::default())),
    ("scim-cursors", || {
        scim("scim-cursors", Habits { scheme: Scheme::Client, cursors: true, ..Habits::default() })
    }),
    ("scim-terse", || scim("scim-terse", Habits { scheme: Scheme::Basic, terse: true, ..Habits::default() })),
    ("scim-put", || scim("scim-put", Habits { no_patch: true, no_etag: true, ..Habits::default() })),
    ("ldap", || directory("ldap", LdapTls::None)),
    ("ldap-starttls", || directory("ldap-starttls", LdapTls::StartTls)),
    ("ldaps", || directory("ldaps", LdapTls::Ldaps)),
];

fn scim(name: &'static str, habits: Habits) -> LocalBoxFuture<'static, Result<Arc<dyn Kind>>> {
    Box::pin(async move { Ok(Arc::new(Scim::start(name, habits).await?) as Arc<dyn Kind>) })
}

fn directory(name: &'static str, tls: LdapTls) -> LocalBoxFuture<'static, Result<Arc<dyn Kind>>> {
    Box::pin(async move { Ok(Arc::new(Directory::start(name, tls).await?) as Arc<dyn Kind>) })
}

/// What the sandbox's targets are opened with: they are on this machine, and nobody else's.
pub fn options() -> Options {
    Options { allow_memory: true, allow_clear_text: true, allow_sockets: true, ..Options::default() }
}

/// A name that no other place of this machine has.
fn unique(prefix: &str) -> String {
    format!("{prefix}{:012x}", rand::random::<u64>() >> 16)
}
