//! Connections to the server: how one is made, and what every one is told first.

use std::{net::IpAddr, sync::Arc, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    ConnectOptions, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};
use tokio::time;
use xavyo_core::connector::{SqlSettings, TargetFailure};

use super::failure::{self, Stage};
use crate::{Options, egress::Policy, network, redaction::Redaction};

/// How the server is reached.
#[derive(Debug)]
pub(super) struct Server {
    host: String,
    port: u16,
    options: PgConnectOptions,
    /// The server's certificate is checked against the host's name.
    verified: bool,
    egress: Policy,
    pub timeout: Duration,
    redaction: Redaction,
}

impl Server {
    pub fn new(settings: &SqlSettings, password: Option<&SecretString>, options: &Options) -> Arc<Self> {
        let password = password.map_or("", |password| password.expose_secret());
        let mode = if settings.require_tls { PgSslMode::VerifyFull } else { PgSslMode::Prefer };
        let mut connect = PgConnectOptions::new_without_pgpass()
            .port(settings.port)
            .database(&settings.database)
            .username(&settings.username)
            .password(password)
            .application_name("xavyo")
            .ssl_mode(mode)
            .extra_float_digits(None)
            .disable_statement_logging();
        if let Some(pem) = &settings.ca_certificates {
            connect = connect.ssl_root_cert_from_pem(pem.clone().into_bytes());
        }
        Arc::new(Self {
            host: settings.host.clone(),
            port: settings.port,
            options: connect,
            verified: settings.require_tls,
            egress: options.egress.clone(),
            timeout: options.call_timeout,
            redaction: Redaction::of(&[password.into()]),
        })
    }

    /// A new connection, within the call time-out: its statements end within the same time.
    pub async fn connect(&self) -> Result<PgConnection, TargetFailure> {
        let mut last = None;
        for host in self.hosts().await? {
            match time::timeout(self.timeout, self.connect_to(&host)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => last = Some(failure::failure(&error, Stage::Connecting, &self.redaction)),
                Err(_) => last = Some(failure::timed_out(Stage::Connecting)),
            }
        }
        Err(last.unwrap_or_else(|| failure::timed_out(Stage::Connecting)))
    }

    async fn connect_to(&self, host: &str) -> Result<PgConnection, sqlx::Error> {
        let mut connection = self.options.clone().host(host).connect().await?;
        sqlx::query(
            "select set_config('statement_timeout', $1, false),
                    set_config('bytea_output', 'hex', false),
                    set_config('client_min_messages', 'error', false)",
        )
        .bind(self.timeout.as_millis().max(1).to_string())
        .execute(&mut connection)
        .await?;
        Ok(connection)
    }

    /// What to connect to: the socket's directory; the addresses that the policy allows; or, where the certificate is
    /// checked, the name itself after its addresses were: sqlx checks the certificate of the host that it connects to.
    /// A name that changes its mind in between then reaches a server that does not pass the check, before any secret
    /// is sent.
    async fn hosts(&self) -> Result<Vec<String>, TargetFailure> {
        if self.host.starts_with('/') {
            return Ok(vec![self.host.clone()]);
        }
        let addresses = network::resolve(&self.host, self.port, &self.egress, self.timeout).await?;
        if self.verified && self.host.parse::<IpAddr>().is_err() {
            return Ok(vec![self.host.clone()]);
        }
        Ok(addresses.iter().map(|address| address.ip().to_string()).collect())
    }
}
