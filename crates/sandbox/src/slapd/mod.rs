//! A private OpenLDAP: its own database and configuration, on 127.0.0.1 under ports that were free, in clear text and
//! under TLS.
//!
//! The directory holds `ou=people` and `ou=groups` below [`BASE`], and the account that a connector binds as. The administrator's
//! connection ([`Slapd::administrator`]) is bound by no limit and no rule: through it tests change what the product
//! then has to notice.

mod configuration;

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use ldap3::{Ldap, LdapConnAsync};

pub use configuration::{Options, Overlay, POLICY};

use crate::{
    directory::PrivateDirectory,
    process::{Process, Program, Signal},
    tls::Authority,
    tools::apt,
    user::User,
    workspace,
};

pub const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;
pub const BASE: &str = "dc=example,dc=org";
/// Where people's accounts are.
pub const PEOPLE: &str = "ou=people,dc=example,dc=org";
/// Where groups are made, by those who want some.
pub const GROUPS: &str = "ou=groups,dc=example,dc=org";
/// Whom a connector binds as.
pub const CONNECTOR_DN: &str = "cn=connector,dc=example,dc=org";
const ADMINISTRATOR_DN: &str = "cn=administrator,dc=example,dc=org";
/// Where the ledger's entries are, if there is one.
pub const LEDGER: &str = "cn=ledger";

const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// A port that was free a moment ago can be taken by somebody else.
const TRIES: usize = 5;

/// A running slapd.
#[derive(Debug)]
pub struct Slapd {
    // Dropped in this order: the server first, then its directory.
    process: Process,
    ports: Ports,
    password: String,
    ca_certificates: String,
    user: User,
    directory: PrivateDirectory,
}

#[derive(Clone, Copy, Debug)]
struct Ports {
    clear: u16,
    tls: u16,
}

impl Slapd {
    /// Makes a directory and serves it. Installs Debian's `slapd` where it is missing and this process is root.
    pub async fn start(options: &Options) -> Result<Self> {
        let binary = tokio::task::spawn_blocking(find).await??;
        let user = User::unprivileged("openldap")?;
        let directory = PrivateDirectory::new("slapd", &user)?;
        let authority = Authority::generate()?;
        let password = format!("{:032x}", rand::random::<u128>());
        lay(&directory, &user, &binary, &authority)?;
        configuration::write(options, &directory, &user, &password)?;
        let (process, ports) = serve_somewhere(&directory, &user, &password).await?;
        let ca_certificates = authority.certificate_pem().to_owned();
        let slapd = Self { process, ports, password, ca_certificates, user, directory };
        slapd.populate(options).await?;
        Ok(slapd)
    }

    /// The port that speaks clear text and StartTLS.
    pub fn port(&self) -> u16 {
        self.ports.clear
    }

    /// The port of LDAPS.
    pub fn tls_port(&self) -> u16 {
        self.ports.tls
    }

    /// Of [`CONNECTOR_DN`].
    pub fn password(&self) -> &str {
        &self.password
    }

    /// PEM of the authority that signed the server's certificate.
    pub fn ca_certificates(&self) -> &str {
        &self.ca_certificates
    }

    /// A connection bound by no limit and no rule.
    pub async fn administrator(&self) -> Result<Ldap> {
        bind(self.ports.clear, &self.password).await
    }

    /// Serves the same data under the same ports by other rules: a size limit, a hidden subtree.
    pub async fn restart(&mut self, options: &Options) -> Result<()> {
        self.process.stop(Signal::INT, STOP_LIMIT)?;
        configuration::write(options, &self.directory, &self.user, &self.password)?;
        self.process = serve(&self.directory, &self.user, self.ports, &self.password).await?;
        Ok(())
    }

    /// The base, `ou=people`, `ou=groups`, the connector's account, and a policy if there is to be one.
    async fn populate(&self, options: &Options) -> Result<()> {
        let mut ldap = self.administrator().await?;
        let mut entries = vec![
            (BASE, vec![("objectClass", "dcObject"), ("objectClass", "organization"), ("o", "Example")]),
            (PEOPLE, vec![("objectClass", "organizationalUnit")]),
            (GROUPS, vec![("objectClass", "organizationalUnit")]),
            (
                CONNECTOR_DN,
                vec![
                    ("objectClass", "organizationalRole"),
                    ("objectClass", "simpleSecurityObject"),
                    ("userPassword", self.password.as_str()),
                ],
            ),
        ];
        if options.overlays.contains(&Overlay::PasswordPolicy) {
            let policy = vec![
                ("objectClass", "organizationalRole"),
                ("objectClass", "pwdPolicy"),
                ("pwdAttribute", "userPassword"),
                ("pwdCheckQuality", "2"),
                ("pwdMinLength", "8"),
                ("pwdLockout", "TRUE"),
            ];
            entries.push((POLICY, policy));
        }
        for (dn, attributes) in entries {
            ldap.add(dn, values_by_name(&attributes)).await?.success()?;
        }
        Ok(ldap.unbind().await?)
    }
}

/// Attributes as `ldap3` wants them: each name once, with all its values.
pub fn values_by_name<'a>(
    attributes: &[(&'a str, &'a str)],
) -> Vec<(&'a str, std::collections::HashSet<&'a str>)> {
    let mut by_name: Vec<(&str, std::collections::HashSet<&str>)> = Vec::new();
    for (name, value) in attributes {
        match by_name.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) => drop(values.insert(value)),
            None => by_name.push((name, [*value].into())),
        }
    }
    by_name
}

fn find() -> Result<PathBuf> {
    if let Some(found) = workspace::program("slapd") {
        return Ok(found);
    }
    if !apt::can_install() {
        bail!("slapd is missing: install the package `slapd` (or run as root, and it is installed)");
    }
    apt::install("slapd")?;
    workspace::program("slapd").context("the package slapd has no slapd")
}

/// Puts the binary, the folders and the certificates in place.
fn lay(directory: &PrivateDirectory, user: &User, binary: &PathBuf, authority: &Authority) -> Result<()> {
    // A copy: AppArmor's profile ties the program at its usual place to Debian's own folders.
    fs::copy(binary, directory.join("slapd"))?;
    for folder in ["data", "ledger"] {
        fs::DirBuilder::new().mode(0o700).create(directory.join(folder))?;
    }
    let certificate = authority.issue()?;
    fs::write(directory.join("ca.pem"), authority.certificate_pem())?;
    fs::write(directory.join("certificate.pem"), &certificate.certificate_pem)?;
    fs::write(directory.join("key.pem"), &certificate.key_pem)?;
    fs::write(directory.join("log"), "")?;
    for name in ["slapd", "data", "ledger", "ca.pem", "certificate.pem", "key.pem", "log"] {
        user.own(&directory.join(name))?;
    }
    Ok(())
}

/// Starts it under ports that nobody uses.
async fn serve_somewhere(
    directory: &PrivateDirectory,
    user: &User,
    password: &str,
) -> Result<(Process, Ports)> {
    let mut tries = 1;
    loop {
        let ports = free_ports()?;
        match serve(directory, user, ports, password).await {
            Ok(process) => return Ok((process, ports)),
            Err(error) if tries == TRIES => return Err(error),
            Err(_) => tries += 1,
        }
    }
}

async fn serve(directory: &PrivateDirectory, user: &User, ports: Ports, password: &str) -> Result<Process> {
    let urls = format!("ldap://{HOST}:{}/ ldaps://{HOST}:{}/", ports.clear, ports.tls);
    let mut process = Program::new(directory.join("slapd"), directory.path(), directory.join("log"))
        // `-d` keeps it in the foreground; `none` says only what matters.
        .arguments(["-f", "slapd.conf", "-h", &urls, "-d", "none"])
        .run_as(user)
        .start()?;
    // Only our server knows the password: an answer to it is not somebody else's under the same port.
    process
        .ready(START_LIMIT, async || bind(ports.clear, password).await.ok())
        .await
        .context("slapd did not start")?
        .unbind()
        .await?;
    Ok(process)
}

async fn bind(port: u16, password: &str) -> Result<Ldap> {
    let (connection, mut ldap) = LdapConnAsync::new(&format!("ldap://{HOST}:{port}")).await?;
    ldap3::drive!(connection);
    ldap.simple_bind(ADMINISTRATOR_DN, password).await?.success()?;
    Ok(ldap)
}

fn free_ports() -> Result<Ports> {
    // Both are held until both are known, so that they differ.
    let [clear, tls] = [TcpListener::bind((HOST, 0))?, TcpListener::bind((HOST, 0))?];
    Ok(Ports { clear: clear.local_addr()?.port(), tls: tls.local_addr()?.port() })
}
