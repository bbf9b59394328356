//! The whole: both services on databases of their own in one Postgres, with keys that they trust.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;
use uuid::Uuid;
use xavyo_runtime::Clock;

use crate::{
    directory::PrivateDirectory,
    keys::{AUDIENCE, Claims, ISSUER, Keys},
    postgres::{Database, Postgres},
    service::{Kind, Service},
    user::User,
    workspace,
};

/// Both services, running, and what they run on.
#[derive(Debug)]
pub struct Stack {
    // Dropped in this order: who calls before who is called, programs before what they stand on.
    pub reconciliation: Service,
    pub provisioning: Service,
    ground: Ground,
}

/// What replicas stand on: databases, keys and files.
pub struct Ground {
    pub provisioning: Database,
    pub reconciliation: Database,
    pub keys: Keys,
    /// A tenant to begin with.
    pub tenant: Uuid,
    directory: PrivateDirectory,
}

impl Stack {
    /// Fresh databases in that cluster, and one replica of each service.
    pub async fn start(postgres: &Postgres) -> Result<Self> {
        Self::start_on(Ground::lay(postgres).await?).await
    }

    pub async fn start_on(ground: Ground) -> Result<Self> {
        let provisioning = ground.start_provisioning("1", &[]).await?;
        let reconciliation = ground.start_reconciliation("1", &provisioning.url(), &[]).await?;
        Ok(Self { reconciliation, provisioning, ground })
    }

    pub fn ground(&self) -> &Ground {
        &self.ground
    }

    /// A token of the first tenant with these roles.
    pub fn token(&self, roles: &[&str]) -> Result<String> {
        self.ground.keys.token(&Claims::of(self.ground.tenant, roles))
    }

    /// Ends both in order, and says how.
    pub fn stop(mut self) -> Result<()> {
        for service in [&mut self.reconciliation, &mut self.provisioning] {
            let status = service.stop()?;
            if !status.success() {
                anyhow::bail!("{} ended with {status}", service.kind().name());
            }
        }
        Ok(())
    }
}

impl Ground {
    pub async fn lay(postgres: &Postgres) -> Result<Self> {
        let directory = PrivateDirectory::new("stack", &User::Myself)?;
        let keys = Keys::generate();
        write_secret(&directory.join("jwks.json"), &keys.jwks()?)?;
        write_secret(&directory.join("service-token"), &keys.token(&Claims::of_service())?)?;
        let master_keys = json!({ "sandbox-1": BASE64_STANDARD.encode(rand::random::<[u8; 32]>()) });
        write_secret(&directory.join("master-keys.json"), &master_keys.to_string())?;
        fs::create_dir(directory.join("memory"))?;
        Ok(Self {
            provisioning: postgres.database(Kind::Provisioning).await?,
            reconciliation: postgres.database(Kind::Reconciliation).await?,
            keys,
            tenant: Clock::system().new_id(),
            directory,
        })
    }

    /// Where logs, address files and the memory connector's journals are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Another replica of provisioning. `more` is added to its environment and wins over what stands there; an empty
    /// value takes a variable away.
    pub async fn start_provisioning(&self, replica: &str, more: &[(&str, &str)]) -> Result<Service> {
        self.start_provisioning_binary(workspace::binary(&Kind::Provisioning.binary())?, replica, more).await
    }

    /// The same from another binary: one with crash points.
    pub async fn start_provisioning_binary(
        &self,
        binary: PathBuf,
        replica: &str,
        more: &[(&str, &str)],
    ) -> Result<Service> {
        let mut environment = self.environment(&self.provisioning)?;
        for allowed in ["XAVYO_ALLOW_MEMORY", "XAVYO_ALLOW_CLEAR_TEXT", "XAVYO_ALLOW_SOCKETS"] {
            set(&mut environment, allowed, "true");
        }
        set(&mut environment, "XAVYO_MEMORY_DIRECTORY", &text(self.directory.join("memory"))?);
        for (name, value) in more {
            set(&mut environment, name, value);
        }
        Service::start(Kind::Provisioning, binary, replica, self.directory.path(), environment).await
    }

    /// Another replica of reconciliation, which reads and writes through the provisioning at that URL.
    pub async fn start_reconciliation(
        &self,
        replica: &str,
        provisioning_url: &str,
        more: &[(&str, &str)],
    ) -> Result<Service> {
        let binary = workspace::binary(&Kind::Reconciliation.binary())?;
        self.start_reconciliation_binary(binary, replica, provisioning_url, more).await
    }

    /// The same from another binary: one with crash points.
    pub async fn start_reconciliation_binary(
        &self,
        binary: PathBuf,
        replica: &str,
        provisioning_url: &str,
        more: &[(&str, &str)],
    ) -> Result<Service> {
        let mut environment = self.environment(&self.reconciliation)?;
        set(&mut environment, "XAVYO_PROVISIONING_URL", provisioning_url);
        set(&mut environment, "XAVYO_SERVICE_TOKEN_FILE", &text(self.directory.join("service-token"))?);
        for (name, value) in more {
            set(&mut environment, name, value);
        }
        Service::start(Kind::Reconciliation, binary, replica, self.directory.path(), environment).await
    }

    /// What both services are told. XAVYO_LOG passes through, to look closer at a failing test.
    fn environment(&self, database: &Database) -> Result<Vec<(String, String)>> {
        let mut environment = Vec::new();
        set(&mut environment, "XAVYO_DATABASE_URL", &database.program_url());
        set(&mut environment, "XAVYO_JWKS_FILE", &text(self.directory.join("jwks.json"))?);
        set(&mut environment, "XAVYO_TOKEN_ISSUER", ISSUER);
        set(&mut environment, "XAVYO_TOKEN_AUDIENCE", AUDIENCE);
        set(&mut environment, "XAVYO_MASTER_KEYS_FILE", &text(self.directory.join("master-keys.json"))?);
        for passed_through in ["XAVYO_LOG", "RUST_BACKTRACE"] {
            if let Ok(value) = std::env::var(passed_through) {
                set(&mut environment, passed_through, &value);
            }
        }
        Ok(environment)
    }
}

impl std::fmt::Debug for Ground {
    /// Without the keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ground")
            .field("tenant", &self.tenant)
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

fn set(environment: &mut Vec<(String, String)>, name: &str, value: &str) {
    environment.retain(|(known, _)| known != name);
    if !value.is_empty() {
        environment.push((name.to_owned(), value.to_owned()));
    }
}

fn text(path: PathBuf) -> Result<String> {
    path.into_os_string().into_string().ok().context("the directory's path is text")
}

/// A new file that only its owner can read.
fn write_secret(path: &Path, content: &str) -> Result<()> {
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(content.as_bytes())?;
    Ok(())
}
