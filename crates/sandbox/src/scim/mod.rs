//! A SCIM service provider: scim2-server from PyPI, on 127.0.0.1 under a port that was free, in clear text.
//!
//! Each tenant is a place of its own below the server's path. What differs between the servers of the world is switched on
//! by [`Habits`]: the service stays scim2-server's, `server.py` bends what passes.

use std::{
    ffi::OsString,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value as Json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    directory::PrivateDirectory,
    process::{Process, Program},
    tools::pypi::{self, Python},
    user::User,
    workspace,
};

const START_LIMIT: Duration = Duration::from_mins(1);
/// A port that was free a moment ago can be taken by somebody else.
const TRIES: usize = 5;
/// Who the users of a server with names and passwords, or of a token server, are.
pub const USERNAME: &str = "xavyo";

/// How a server is not like another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent habits")]
pub struct Habits {
    pub scheme: Scheme,
    /// It pages by cursors (RFC 9865).
    pub cursors: bool,
    pub no_patch: bool,
    pub no_etag: bool,
    /// Writes are answered without a body and without a Location; pages are cut to seven resources.
    pub terse: bool,
}

/// How a client shows who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    #[default]
    Bearer,
    Basic,
    /// OAuth 2.0 client credentials.
    Client,
}

/// A running server.
#[derive(Debug)]
pub struct ScimServer {
    // Dropped in this order: the server first, then its directory.
    _process: Process,
    port: u16,
    secret: String,
    _directory: PrivateDirectory,
}

impl ScimServer {
    /// Starts one. Its packages are installed from PyPI at the first use.
    pub async fn start(habits: Habits) -> Result<Self> {
        let folder = workspace::root().join("crates/sandbox/src/scim");
        let requirements = folder.join("requirements.txt");
        let python = tokio::task::spawn_blocking(move || pypi::install(&requirements)).await??;
        let directory = PrivateDirectory::new("scim", &User::Myself)?;
        let secret = format!("{:032x}", rand::random::<u128>());
        let credentials = match habits.scheme {
            Scheme::Bearer => secret.clone(),
            Scheme::Basic | Scheme::Client => format!("{USERNAME}:{secret}"),
        };
        fs::write(directory.join("credentials"), credentials)?;
        let mut tries = 1;
        let (process, port) = loop {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            match serve(&python, folder.join("server.py"), &directory, habits, port).await {
                Ok(process) => break (process, port),
                Err(error) if tries == TRIES => return Err(error),
                Err(_) => tries += 1,
            }
        };
        Ok(Self { _process: process, port, secret, _directory: directory })
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The base URL of a tenant, which is made by being asked for.
    pub fn url(&self, tenant: &str) -> String {
        format!("http://{}/{tenant}/v2", self.address())
    }

    /// One request to a tenant of a server with [`Scheme::Bearer`], as its administrator makes it: `POST`, `/Users`. What is
    /// not answered with success is an error.
    pub async fn ask(&self, tenant: &str, method: &str, path: &str, body: Option<Json>) -> Result<Json> {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let (token, length) = (&self.secret, body.len());
        // HTTP/1.0: the answer ends with its connection.
        let request = format!(
            "{method} /{tenant}/v2{path} HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/scim+json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let mut stream = TcpStream::connect(self.address()).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer has a head")?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        ensure!(status.starts_with('2'), "{method} {path}: {status} {body}");
        if body.is_empty() { Ok(Json::Null) } else { Ok(serde_json::from_str(body)?) }
    }

    /// Where clients get their tokens.
    pub fn token_url(&self) -> String {
        format!("http://{}/token", self.address())
    }

    /// The token, the password or the client's secret.
    pub fn secret(&self) -> &str {
        &self.secret
    }
}

async fn serve(
    python: &Python,
    script: PathBuf,
    directory: &PrivateDirectory,
    habits: Habits,
    port: u16,
) -> Result<Process> {
    let scheme = match habits.scheme {
        Scheme::Bearer => "bearer",
        Scheme::Basic => "basic",
        Scheme::Client => "client",
    };
    let flags = [
        (habits.cursors, "--cursors"),
        (habits.no_patch, "--no-patch"),
        (habits.no_etag, "--no-etag"),
        (habits.terse, "--terse"),
    ];
    let packages = python.packages.clone().into_os_string();
    let mut process = Program::new(&python.interpreter, directory.path(), directory.join("log"))
        .arguments([script.into_os_string()])
        .arguments(["--port", &port.to_string(), "--scheme", scheme])
        .arguments(flags.iter().filter(|(is_on, _)| *is_on).map(|(_, flag)| *flag))
        .environment([("PYTHONPATH", packages), ("PYTHONDONTWRITEBYTECODE", OsString::from("1"))])
        .start()?;
    let log = process.log().to_owned();
    let is_serving = async || fs::read_to_string(&log).ok()?.contains("serving on port").then_some(());
    process.ready(START_LIMIT, is_serving).await?;
    Ok(process)
}
