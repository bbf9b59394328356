//! The worked connector of `examples/csv-connector`, run as its README tells: packages from PyPI, stubs made from our
//! contract, TLS, a token. The target of remote connectors.

use std::{
    ffi::OsString,
    fs,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    directory::PrivateDirectory,
    process::{Process, Program, Signal},
    tls::Authority,
    tools::{pypi, run},
    user::User,
    workspace,
};

const START_LIMIT: Duration = Duration::from_mins(1);
/// What it says once it serves; the port follows.
const SERVING: &str = "serving on port ";

/// A running connector over a folder of files.
#[derive(Debug)]
pub struct CsvConnector {
    // Dropped in this order: the server first, then its directory.
    _process: Process,
    port: u16,
    token: String,
    ca_certificates: String,
    client: Option<ClientCertificate>,
    directory: PrivateDirectory,
}

/// What a client shows to a connector that asks who it is.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    pub certificate_pem: String,
    pub key_pem: String,
}

impl CsvConnector {
    /// One that lets in whoever has the token.
    pub async fn start() -> Result<Self> {
        Self::start_with(false).await
    }

    /// One that wants to see a certificate as well.
    pub async fn start_with_mutual_tls() -> Result<Self> {
        Self::start_with(true).await
    }

    async fn start_with(is_mutual: bool) -> Result<Self> {
        let example = workspace::root().join("examples/csv-connector");
        let directory = PrivateDirectory::new("csv-connector", &User::Myself)?;
        let stubs = directory.join("stubs");
        let python = tokio::task::spawn_blocking({
            let (requirements, stubs) = (example.join("requirements.txt"), stubs.clone());
            move || prepare(&requirements, &stubs)
        });
        let python = python.await??;
        let authority = Authority::generate()?;
        let token = format!("{:032x}", rand::random::<u128>());
        let client = is_mutual.then(|| authority.issue()).transpose()?.map(|issued| ClientCertificate {
            certificate_pem: issued.certificate_pem,
            key_pem: issued.key_pem,
        });
        lay(&directory, &authority, &token)?;
        let path = std::env::join_paths([&python.packages, &stubs])?;
        let mut program = Program::new(&python.interpreter, directory.path(), directory.join("log"))
            .arguments([example.join("connector.py").into_os_string()])
            .arguments(["--folder", "files", "--listen", "127.0.0.1:0"])
            .arguments(["--certificate", "server.pem", "--key", "server.key", "--token-file", "token"])
            .environment([("PYTHONPATH", path), ("PYTHONDONTWRITEBYTECODE", OsString::from("1"))])
            .dies_by("TERM");
        if is_mutual {
            program = program.arguments(["--client-ca", "ca.pem"]);
        }
        let mut process = program.start()?;
        process.say_farewell_by(Signal::TERM);
        let log = process.log().to_owned();
        let port = process.ready(START_LIMIT, async || port_in(&log)).await?;
        let ca_certificates = authority.certificate_pem().to_owned();
        Ok(Self { _process: process, port, token, ca_certificates, client, directory })
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address())
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    /// PEM of the authority that signed the server's certificate.
    pub fn ca_certificates(&self) -> &str {
        &self.ca_certificates
    }

    /// Where it asks for a client's certificate.
    pub fn client(&self) -> Option<&ClientCertificate> {
        self.client.as_ref()
    }

    /// The file of a class; whoever writes it does so behind the connector's back.
    pub fn file(&self, object_class: &str) -> PathBuf {
        self.directory.join("files").join(format!("{object_class}.csv"))
    }

    /// A new class without accounts, with these columns behind the fixed ones; `[]` ends the name of one with many values.
    pub fn make_class(&self, object_class: &str, columns: &[&str]) -> Result<()> {
        let header = format!("login,id,enabled,{}\n", columns.join(","));
        fs::write(self.file(object_class), header).context("cannot write a file of accounts")
    }
}

/// Packages, and stubs made from the contract.
fn prepare(requirements: &Path, stubs: &Path) -> Result<pypi::Python> {
    let python = pypi::install(requirements)?;
    fs::create_dir(stubs)?;
    let proto = workspace::root().join("proto");
    let mut files = Vec::new();
    for package in ["xavyo/common/v1", "xavyo/connector/v1"] {
        for entry in fs::read_dir(proto.join(package))? {
            files.push(entry?.path());
        }
    }
    run(Command::new(&python.interpreter)
        .env("PYTHONPATH", &python.packages)
        .args(["-m", "grpc_tools.protoc", "-I"])
        .arg(&proto)
        .arg(format!("--python_out={}", stubs.display()))
        .arg(format!("--grpc_python_out={}", stubs.display()))
        .args(&files))?;
    Ok(python)
}

/// The folder of files, and everything that the server is started with.
fn lay(directory: &PrivateDirectory, authority: &Authority, token: &str) -> Result<()> {
    fs::create_dir(directory.join("files"))?;
    let server = authority.issue()?;
    for (name, content) in [
        ("server.pem", server.certificate_pem.as_str()),
        ("server.key", &server.key_pem),
        ("ca.pem", authority.certificate_pem()),
        ("token", token),
    ] {
        let path = directory.join(name);
        fs::write(&path, content)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// The port that the log tells, once it does.
fn port_in(log: &Path) -> Option<u16> {
    let said = fs::read_to_string(log).ok()?;
    let (_, port) = said.split_once(SERVING)?;
    port.lines().next()?.trim().parse().ok()
}
