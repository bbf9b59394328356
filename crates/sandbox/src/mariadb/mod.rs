//! A private MariaDB: its own data, on 127.0.0.1 under a port that was free, with TLS or without.
//!
//! Begin with [`Mariadb::start`] and [`Mariadb::database`]: an empty database and the user that a connector logs in as,
//! who owns nothing else.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, MySqlConnection, MySqlPool,
    mysql::{MySqlConnectOptions, MySqlPoolOptions, MySqlSslMode},
};

use crate::{
    directory::PrivateDirectory,
    process::{Process, Program, Signal},
    tls::Authority,
    tools::apt,
    user::User,
    workspace,
};

pub const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Debian's package: the server, and the programs that make its data.
const PACKAGE: &str = "mariadb-server";
/// Who makes databases and users, and nothing else.
const ADMINISTRATOR: &str = "administrator";
const START_LIMIT: Duration = Duration::from_mins(1);
/// The most connections of one test's pool.
const POOL_SIZE: u32 = 8;
/// A port that was free a moment ago can be taken by somebody else.
const TRIES: usize = 5;
/// Nobody will read the data again: nothing is written twice, and nothing waits for the disk.
const FAST: [&str; 8] = [
    // Rings are counted against the locked memory of the user, whom all servers of the machine share.
    "--skip-innodb-use-native-aio",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--innodb-flush-method=nosync",
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=64M",
    "--skip-log-bin",
    "--skip-name-resolve",
];

/// What the server offers to its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Clear text alone, so that a proxy between can read what passes.
    Clear,
    /// TLS, by the sandbox's own authority; clear text to whoever does not ask for it.
    Tls,
}

/// A running server.
#[derive(Debug)]
pub struct Mariadb {
    // Dropped in this order: the server first, then its directory.
    _process: Process,
    port: u16,
    password: String,
    ca_certificates: String,
    _directory: PrivateDirectory,
}

/// An empty database, and the user that owns it.
#[derive(Debug)]
pub struct TargetDatabase {
    name: String,
    port: u16,
    password: String,
}

impl Mariadb {
    /// Makes a server's data and serves it. Installs Debian's `mariadb-server` where it is missing and this process is
    /// root. Takes about two seconds.
    pub async fn start(transport: Transport) -> Result<Self> {
        let [server, installer] = tokio::task::spawn_blocking(find).await??;
        let user = User::unprivileged("mysql")?;
        let directory = PrivateDirectory::new("mariadb", &user)?;
        let authority = Authority::generate()?;
        let password = format!("{:032x}", rand::random::<u128>());
        lay(&directory, &user, &authority, &password)?;
        Program::new(installer, directory.path(), directory.join("log"))
            .arguments(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            .arguments([path_option(&directory, "datadir", "data"), temporary_files(&directory)])
            .arguments(FAST)
            .run_as(&user)
            .run()?;
        let (process, port) = serve_somewhere(&server, &directory, &user, transport, &password).await?;
        let ca_certificates = authority.certificate_pem().to_owned();
        Ok(Self { _process: process, port, password, ca_certificates, _directory: directory })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// PEM of the authority that signed the server's certificate.
    pub fn ca_certificates(&self) -> &str {
        &self.ca_certificates
    }

    /// An empty database in utf8mb4, and a user of its own name who may do everything there. It ends with the server.
    pub async fn database(&self) -> Result<TargetDatabase> {
        let name = format!("target_{:016x}", rand::random::<u64>());
        let password = format!("{:032x}", rand::random::<u128>());
        let statements = format!(
            "create database {name} character set utf8mb4;
             create user {name}@'%' identified by '{password}';
             grant all on {name}.* to {name}@'%'"
        );
        let mut connection = connect(self.port, &self.password).await?;
        sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await?;
        connection.close().await?;
        Ok(TargetDatabase { name, port: self.port, password })
    }
}

impl TargetDatabase {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whom the connector logs in as.
    pub fn username(&self) -> &str {
        &self.name
    }

    pub fn password(&self) -> &str {
        &self.password
    }

    /// Connections of the owner.
    pub async fn pool(&self) -> Result<MySqlPool> {
        let options = options(self.port, &self.name, &self.password).database(&self.name);
        Ok(MySqlPoolOptions::new().max_connections(POOL_SIZE).connect_with(options).await?)
    }
}

fn find() -> Result<[PathBuf; 2]> {
    if let Some(found) = installed() {
        return Ok(found);
    }
    if !apt::can_install() {
        bail!("MariaDB is missing: install the package `{PACKAGE}` (or run as root, and it is installed)");
    }
    apt::install(PACKAGE)?;
    installed().with_context(|| format!("the package {PACKAGE} has no mariadbd"))
}

fn installed() -> Option<[PathBuf; 2]> {
    Some([workspace::program("mariadbd")?, workspace::program("mariadb-install-db")?])
}

/// Puts in place what the server reads at its start.
fn lay(directory: &PrivateDirectory, user: &User, authority: &Authority, password: &str) -> Result<()> {
    let certificate = authority.issue()?;
    let administrator = format!(
        "create user if not exists {ADMINISTRATOR}@'%' identified by '{password}';\n\
         grant all on *.* to {ADMINISTRATOR}@'%' with grant option;\n"
    );
    for (name, content) in [
        ("ca.pem", authority.certificate_pem()),
        ("certificate.pem", &certificate.certificate_pem),
        ("key.pem", &certificate.key_pem),
        ("administrator.sql", &administrator),
        ("log", ""),
    ] {
        fs::write(directory.join(name), content)?;
        user.own(&directory.join(name))?;
    }
    Ok(())
}

/// Starts it under a port that nobody uses.
async fn serve_somewhere(
    server: &PathBuf,
    directory: &PrivateDirectory,
    user: &User,
    transport: Transport,
    password: &str,
) -> Result<(Process, u16)> {
    let mut tries = 1;
    loop {
        let port = TcpListener::bind((HOST, 0))?.local_addr()?.port();
        match serve(server, directory, user, (port, transport), password).await {
            Ok(process) => return Ok((process, port)),
            Err(error) if tries == TRIES => return Err(error),
            Err(_) => tries += 1,
        }
    }
}

async fn serve(
    server: &PathBuf,
    directory: &PrivateDirectory,
    user: &User,
    (port, transport): (u16, Transport),
    password: &str,
) -> Result<Process> {
    let path = |option: &str, name: &str| path_option(directory, option, name);
    let tls = match transport {
        Transport::Clear => vec!["--skip-ssl".to_owned()],
        Transport::Tls => {
            vec![path("ssl-ca", "ca.pem"), path("ssl-cert", "certificate.pem"), path("ssl-key", "key.pem")]
        }
    };
    let mut process = Program::new(server, directory.path(), directory.join("log"))
        .arguments(["--no-defaults", "--character-set-server=utf8mb4", "--max-connections=300"])
        .arguments([format!("--bind-address={HOST}"), format!("--port={port}")])
        .arguments([path("datadir", "data"), path("socket", "socket"), path("pid-file", "pid")])
        .arguments([path("init-file", "administrator.sql"), temporary_files(directory)])
        .arguments(tls)
        .arguments(FAST)
        .run_as(user)
        // INT is for its debuggers.
        .dies_by("TERM")
        .start()?;
    // Nobody will read the data again: do not spend time on a tidy end.
    process.say_farewell_by(Signal::KILL);
    // Only our server knows the password: an answer to it is not somebody else's under the same port.
    process
        .ready(START_LIMIT, async || connect(port, password).await.ok())
        .await
        .context("MariaDB did not start")?
        .close()
        .await?;
    Ok(process)
}

fn path_option(directory: &PrivateDirectory, option: &str, name: &str) -> String {
    format!("--{option}={}", directory.join(name).display())
}

/// Of its own: a server that starts removes what it finds of temporary tables, those of its living neighbours too.
fn temporary_files(directory: &PrivateDirectory) -> String {
    path_option(directory, "tmpdir", "")
}

async fn connect(port: u16, password: &str) -> Result<MySqlConnection> {
    Ok(options(port, ADMINISTRATOR, password).connect().await?)
}

fn options(port: u16, username: &str, password: &str) -> MySqlConnectOptions {
    MySqlConnectOptions::new()
        .host(&HOST.to_string())
        .port(port)
        .username(username)
        .password(password)
        .ssl_mode(MySqlSslMode::Disabled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_database_belongs_to_its_user_alone() {
        let mariadb = Mariadb::start(Transport::Tls).await.unwrap();
        let [mine, other] = [mariadb.database().await.unwrap(), mariadb.database().await.unwrap()];

        let pool = mine.pool().await.unwrap();

        sqlx::query("create table t (a int)").execute(&pool).await.unwrap();
        let foreign = AssertSqlSafe(format!("create table {}.t (a int)", other.name()));
        assert!(sqlx::query(foreign).execute(&pool).await.is_err());
    }
}
