//! How the directory is reached: resolved, connected, secured, bound.
//!
//! TLS is verified against the authorities of the settings and the host's name, or there is no connection; a server
//! that does not take StartTLS is not spoken to in clear.

use std::sync::Arc;

use ldap3::{LdapConnAsync, LdapConnSettings, LdapError, StdStream};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    net::TcpStream,
    time::{self, Instant},
};
use xavyo_core::{
    Error,
    connector::{LdapSettings, LdapTls, TargetFailure},
};

use super::{
    connection::{Connection, in_time},
    driver::Driver,
    failure::{self, Call},
};
use crate::{Options, egress::Policy, network, redaction::Redaction};

/// How the directory is reached.
#[derive(Debug)]
pub(super) struct Endpoint {
    host: String,
    port: u16,
    tls: LdapTls,
    trust: Option<Arc<ClientConfig>>,
    bind_dn: String,
    password: SecretString,
    egress: Policy,
}

impl Endpoint {
    /// Fails with a violation where the password or the certificates cannot be used.
    pub fn new(
        settings: &LdapSettings,
        password: Option<&SecretString>,
        options: &Options,
    ) -> Result<Self, Error> {
        // An empty password would be an unauthenticated bind, which succeeds as nobody (RFC 4513 §5.1.2).
        let password = password
            .ok_or_else(|| Error::invalid("secrets.bind_password", "a password that is not empty"))?;
        let trust = match settings.tls {
            LdapTls::None => None,
            LdapTls::Ldaps | LdapTls::StartTls => Some(Arc::new(trust(settings)?)),
        };
        Ok(Self {
            host: settings.host.clone(),
            port: settings.port,
            tls: settings.tls,
            trust,
            bind_dn: settings.bind_dn.clone(),
            password: password.clone(),
            egress: options.egress.clone(),
        })
    }

    /// A connection that many may use at once, driven by a task of its own.
    pub async fn connect(&self, deadline: Instant) -> Result<Connection, TargetFailure> {
        let (driver, connection) = self.connect_alone(deadline).await?;
        tokio::spawn(driver.run());
        Ok(connection)
    }

    /// A connection for one user, who drives it.
    pub async fn connect_alone(&self, deadline: Instant) -> Result<(Driver, Connection), TargetFailure> {
        let limit = deadline.saturating_duration_since(Instant::now());
        let mut last = failure::timed_out(Call::Connect);
        for address in network::resolve(&self.host, self.port, &self.egress, limit).await? {
            match time::timeout_at(deadline, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => match in_time(deadline, Call::Connect, self.secured(stream)).await {
                    Ok((mut driver, connection)) => {
                        let connection = driver.beside(self.bound(connection, deadline)).await?;
                        return Ok((driver, connection));
                    }
                    Err(failure) => last = failure,
                },
                Ok(Err(error)) => last = failure::of_error(&error.into(), Call::Connect),
                Err(_) => break,
            }
        }
        Err(last)
    }

    /// The certificate is checked against the host of the settings, whatever address the stream leads to.
    async fn secured(&self, stream: TcpStream) -> Result<(Driver, Connection), LdapError> {
        stream.set_nodelay(true)?;
        let stream = StdStream::Tcp(stream.into_std()?);
        let mut settings = LdapConnSettings::new().set_std_stream(stream);
        if let Some(trust) = &self.trust {
            settings = settings.set_config(trust.clone()).set_starttls(self.tls == LdapTls::StartTls);
        }
        let scheme = if self.tls == LdapTls::Ldaps { "ldaps" } else { "ldap" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let url = format!("{scheme}://{host}:{}", self.port);
        let (driver, ldap) = LdapConnAsync::with_settings(settings, &url).await?;
        Ok((Driver::of(driver), Connection(ldap)))
    }

    async fn bound(
        &self,
        mut connection: Connection,
        deadline: Instant,
    ) -> Result<Connection, TargetFailure> {
        let bind = connection.0.simple_bind(&self.bind_dn, self.password.expose_secret());
        let result = in_time(deadline, Call::Connect, bind).await?;
        if result.rc == failure::SUCCESS {
            return Ok(connection);
        }
        let redaction = Redaction::of(&[self.password.expose_secret().into()]);
        Err(failure::of_result(&result, Call::Connect, &redaction))
    }
}

/// The authorities of the settings and nobody else.
fn trust(settings: &LdapSettings) -> Result<ClientConfig, Error> {
    let field = "settings.ldap.ca_certificates";
    let pem = settings.ca_certificates.as_deref().unwrap_or_default();
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let added = certificate.map_err(|error| error.to_string());
        let added = added.and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()));
        added.map_err(|error| Error::invalid(field, format!("PEM certificates ({error})")))?;
    }
    if roots.is_empty() {
        return Err(Error::invalid(field, "at least one PEM certificate"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
