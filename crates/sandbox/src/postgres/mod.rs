//! A private Postgres: its own cluster in a 0700 directory, reached through a Unix socket there and nowhere else.
//!
//! Begin with [`Postgres::shared`] and [`Postgres::database`]: a database of one service, migrated and empty, cloned
//! from a template, with the owner and the program as roles of their own. Nobody here works as superuser.

mod binaries;
mod database;
mod template;

use std::{
    env, fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use sqlx::{Connection, PgConnection};
use tokio::sync::OnceCell;

pub use database::{Database, TargetDatabase};

use crate::{
    directory::PrivateDirectory,
    process::{Process, Program, Signal},
    service::Kind,
    user::User,
};
use binaries::Binaries;

/// Names the socket folder of a sandbox's Postgres that runs already: tests of many processes share one.
pub const SHARED: &str = "XAVYO_SANDBOX_POSTGRES";
/// The cluster's superuser: for making roles, databases and templates only.
const SUPERUSER: &str = "postgres";
const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// What a crash of the machine may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Everything: for tests and demos, which throw the cluster away.
    Fast,
    /// Nothing that was committed: for benches and soaks, as in production.
    Durable,
}

/// A running cluster, or the address of one that another process runs.
#[derive(Debug)]
pub struct Postgres {
    // Dropped in this order: the server first, then its directory.
    server: Option<Server>,
    sockets: PathBuf,
}

#[derive(Debug)]
struct Server {
    process: Process,
    binaries: Binaries,
    user: User,
    durability: Durability,
    directory: PrivateDirectory,
}

impl Postgres {
    /// The cluster that this process's tests share: the one named by [`SHARED`], else a fast one started now that ends
    /// with the process.
    pub async fn shared() -> Result<&'static Self> {
        static CLUSTER: OnceCell<Postgres> = OnceCell::const_new();
        CLUSTER
            .get_or_try_init(|| async {
                match env::var_os(SHARED) {
                    Some(sockets) => Ok(Self { server: None, sockets: sockets.into() }),
                    None => Self::start(Durability::Fast).await,
                }
            })
            .await
    }

    /// Makes a cluster and starts it. Takes about a second; longer where Postgres has to be installed first.
    pub async fn start(durability: Durability) -> Result<Self> {
        let binaries = tokio::task::spawn_blocking(Binaries::find).await??;
        let user = User::unprivileged("postgres")?;
        let directory = PrivateDirectory::new("postgres", &user)?;
        let sockets = directory.join("s");
        fs::DirBuilder::new().mode(0o700).create(&sockets)?;
        user.own(&sockets)?;
        let log = create_log(&directory, &user)?;
        Program::new(binaries.program("initdb"), directory.path(), &log)
            .arguments(["--pgdata=data", "--username", SUPERUSER, "--auth=trust", "--encoding=UTF8"])
            .arguments(["--locale=C", "--no-sync"])
            .run_as(&user)
            .run()?;
        let process = serve(&binaries, &directory, &user, durability).await?;
        let server = Server { process, binaries, user, durability, directory };
        Ok(Self { server: Some(server), sockets })
    }

    /// The folder of the socket: what other processes need to share this cluster.
    pub fn sockets(&self) -> &Path {
        &self.sockets
    }

    /// The address of a database as that role.
    pub fn url(&self, database: &str, role: &str) -> String {
        format!("postgres:///{database}?host={}&user={role}", self.sockets.display())
    }

    /// A fresh database of a service, with its migrations applied.
    pub async fn database(&self, kind: Kind) -> Result<Database> {
        template::make(self, kind).await?;
        Database::create(self, kind).await
    }

    /// An empty database that belongs to a role of its own: the target of a SQL connector.
    pub async fn target(&self) -> Result<TargetDatabase> {
        TargetDatabase::create(self).await
    }

    /// Makes the templates of both services now, so that many processes do not meet at making them.
    pub async fn prepare(&self) -> Result<()> {
        for kind in Kind::ALL {
            template::make(self, kind).await?;
        }
        Ok(())
    }

    /// Ends the server as a power cut would (`pg_ctl -m immediate`), and starts it again on the same data.
    pub async fn crash_and_restart(&mut self) -> Result<()> {
        let server = self.server.as_mut().context("this process does not run the cluster")?;
        server.process.stop(Signal::QUIT, STOP_LIMIT)?;
        server.process = serve(&server.binaries, &server.directory, &server.user, server.durability).await?;
        Ok(())
    }

    /// Ends the server in order. Without this it is interrupted when dropped.
    pub fn stop(mut self) -> Result<()> {
        match self.server.as_mut() {
            Some(server) => server.process.stop(Signal::INT, STOP_LIMIT).map(drop),
            None => Ok(()),
        }
    }

    async fn superuser(&self, database: &str) -> Result<PgConnection> {
        let url = self.url(database, SUPERUSER);
        PgConnection::connect(&url).await.context("cannot connect to the sandbox's Postgres")
    }
}

fn create_log(directory: &PrivateDirectory, user: &User) -> Result<PathBuf> {
    let log = directory.join("log");
    fs::write(&log, "")?;
    user.own(&log)?;
    Ok(log)
}

/// Starts the server and waits until it says that it is ready.
async fn serve(
    binaries: &Binaries,
    directory: &PrivateDirectory,
    user: &User,
    durability: Durability,
) -> Result<Process> {
    let sockets = directory.join("s");
    let settings = [
        ("listen_addresses", ""),
        ("unix_socket_directories", sockets.to_str().context("the directory's path is text")?),
        ("unix_socket_permissions", "0700"),
        // Its segments lie in the data directory, so that nothing is left in /dev/shm after kill -9.
        ("dynamic_shared_memory_type", "mmap"),
        ("max_connections", "300"),
        // The judge puts what was committed in its order: numbers are given to transactions before they wait for locks.
        ("track_commit_timestamp", "on"),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
    ];
    let mut process = Program::new(binaries.program("postgres"), directory.path(), directory.join("log"))
        .arguments(["-D", "data"])
        .arguments(
            settings
                .iter()
                .chain(durability.settings())
                .flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")]),
        )
        .run_as(user)
        .start()?;
    if durability == Durability::Fast {
        // Nobody will read the data again: do not spend time on a tidy end.
        process.say_farewell_by(Signal::QUIT);
    }
    let (pid_file, id) = (directory.join("data/postmaster.pid"), process.id().to_string());
    process
        .ready(START_LIMIT, async || is_ready(&fs::read_to_string(&pid_file).ok()?, &id).then_some(()))
        .await
        .context("Postgres did not start")?;
    Ok(process)
}

/// `postmaster.pid` names our child in its first line and says so in its last; an older server's file does not count.
fn is_ready(pid_file: &str, id: &str) -> bool {
    let mut lines = pid_file.lines();
    lines.next() == Some(id) && lines.last().is_some_and(|status| status.trim() == "ready")
}

impl Durability {
    fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Fast => &[
                ("fsync", "off"),
                ("synchronous_commit", "off"),
                ("full_page_writes", "off"),
                ("max_wal_size", "2GB"),
            ],
            Self::Durable => {
                &[("shared_buffers", "1GB"), ("max_wal_size", "8GB"), ("checkpoint_timeout", "15min")]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_that_names_our_child_and_says_ready_counts() {
        let file = "42\n/d\n1700000000\n5432\n/s\n\n  5432001  0\nready   \n";

        assert!(is_ready(file, "42"));
        assert!(!is_ready(file, "43"));
        assert!(!is_ready(&file.replace("ready", "starting"), "42"));
        assert!(!is_ready("42\n", "42"));
    }
}
