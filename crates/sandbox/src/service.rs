//! The two services as child processes, each a binary built beside the program that runs.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use anyhow::{Context, Result};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::process::{Process, Program, Signal};

const START_LIMIT: Duration = Duration::from_secs(30);
/// A service drains its calls first; it has a limit of its own for that.
const STOP_LIMIT: Duration = Duration::from_secs(30);
const ANY_PORT: &str = "127.0.0.1:0";

/// Which service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Provisioning,
    Reconciliation,
}

/// A running service that answers SERVING.
#[derive(Debug)]
pub struct Service {
    kind: Kind,
    process: Process,
    address: SocketAddr,
    place: Place,
}

/// What a replica is started from, again and again.
#[derive(Clone, Debug)]
struct Place {
    binary: PathBuf,
    directory: PathBuf,
    replica: String,
    environment: Vec<(String, String)>,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Provisioning, Self::Reconciliation];

    /// As folders, databases and packages are named.
    pub fn name(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Reconciliation => "reconciliation",
        }
    }

    pub fn binary(self) -> String {
        format!("xavyo-{}", self.name())
    }

    /// The role that owns the tables and runs migrations.
    pub fn owner(self) -> String {
        format!("{}_owner", self.name())
    }

    /// The role that the service logs in as.
    pub fn program(self) -> String {
        format!("{}_program", self.name())
    }

    /// The role without login that the migrations grant rights to; the program is its member.
    pub fn group(self) -> String {
        format!("xavyo_{}", self.name())
    }

    /// The database that others are cloned from.
    pub fn template(self) -> String {
        format!("template_{}", self.name())
    }
}

impl Service {
    /// Starts a replica from a binary, its files and log in `directory`, and waits until it serves.
    pub async fn start(
        kind: Kind,
        binary: PathBuf,
        replica: &str,
        directory: &Path,
        environment: Vec<(String, String)>,
    ) -> Result<Self> {
        let place =
            Place { binary, directory: directory.to_owned(), replica: replica.to_owned(), environment };
        let (process, address) = place.start(kind, ANY_PORT).await?;
        Ok(Self { kind, process, address, place })
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A new connection to it.
    pub async fn channel(&self) -> Result<Channel> {
        Ok(Endpoint::from_shared(self.url())?.connect().await?)
    }

    pub fn log(&self) -> &Path {
        self.process.log()
    }

    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Asks it to end, and waits until it has drained: exit code 0 when all went well.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.process.stop(Signal::TERM, STOP_LIMIT)
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill().map(drop)
    }

    /// What its environment says from its next start on; none = nothing.
    pub fn set_environment(&mut self, name: &str, value: Option<&str>) {
        self.place.environment.retain(|(known, _)| known != name);
        self.place.environment.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }

    /// Starts it again under the same address, after it was stopped or killed.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill()?;
        (self.process, self.address) = self.place.start(self.kind, &self.address.to_string()).await?;
        Ok(())
    }
}

impl Place {
    async fn start(&self, kind: Kind, listen: &str) -> Result<(Process, SocketAddr)> {
        let name = format!("{}-{}", kind.name(), self.replica);
        let address_file = self.directory.join(format!("{name}.address"));
        // What an earlier start wrote must not be mistaken for this one's.
        let _ = fs::remove_file(&address_file);
        let mut process =
            Program::new(&self.binary, &self.directory, self.directory.join(format!("{name}.log")))
                .environment(self.environment.clone())
                .environment([("XAVYO_LISTEN", listen)])
                .environment([("XAVYO_ADDRESS_FILE", &address_file)])
                .start()?;
        let address = process
            .ready(START_LIMIT, async || serving(&address_file).await)
            .await
            .with_context(|| format!("{name} did not start"))?;
        Ok((process, address))
    }
}

/// The address in the file, once somebody answers SERVING there.
async fn serving(address_file: &Path) -> Option<SocketAddr> {
    let address: SocketAddr = fs::read_to_string(address_file).ok()?.trim().parse().ok()?;
    let endpoint = Endpoint::from_shared(format!("http://{address}")).ok()?.connect_timeout(START_LIMIT);
    let mut health = HealthClient::new(endpoint.connect().await.ok()?);
    let answer = health.check(HealthCheckRequest::default()).await.ok()?.into_inner();
    (answer.status() == ServingStatus::Serving).then_some(address)
}
