//! How a server is reached: which addresses, in which time, and what every new connection is told first.

use std::{fmt::Debug, net::IpAddr, time::Duration};

use async_trait::async_trait;
use tokio::time;
use xavyo_core::connector::{SqlSettings, TargetFailure};

use super::{
    connection::Connection,
    dialect::Dialect,
    failure::{self, Stage, Trouble},
    table::Catalogue,
};
use crate::{Options, Secrets, egress::Policy, network, redaction::Redaction};

/// What of a connection differs between databases.
#[async_trait]
pub(super) trait Driver: Debug + Send + Sync {
    fn dialect(&self) -> &'static dyn Dialect;

    /// A connection whose statements end within the call time-out.
    async fn connect(&self, host: &str) -> Result<Connection, sqlx::Error>;

    /// What the database says of a table or view.
    async fn describe(
        &self,
        connection: &mut Connection,
        schema: &str,
        table: &str,
    ) -> Result<Catalogue, Trouble>;

    /// What the database says of an operator's list.
    async fn describe_list(&self, connection: &mut Connection, source: &str) -> Result<Catalogue, Trouble>;
}

#[derive(Debug)]
pub(super) struct Server {
    host: String,
    port: u16,
    /// The server's certificate is checked against the host's name.
    verified: bool,
    egress: Policy,
    pub timeout: Duration,
    redaction: Redaction,
    pub driver: Box<dyn Driver>,
}

impl Server {
    pub fn new(
        settings: &SqlSettings,
        secrets: &Secrets,
        options: &Options,
        driver: Box<dyn Driver>,
    ) -> Self {
        Self {
            host: settings.host.clone(),
            port: settings.port,
            verified: settings.require_tls,
            egress: options.egress.clone(),
            timeout: options.call_timeout,
            redaction: Redaction::of(&[super::password(secrets).into()]),
            driver,
        }
    }

    pub fn dialect(&self) -> &'static dyn Dialect {
        self.driver.dialect()
    }

    /// A new connection, within the call time-out.
    pub async fn connect(&self) -> Result<Connection, TargetFailure> {
        let mut last = None;
        for host in self.hosts().await? {
            match time::timeout(self.timeout, self.driver.connect(&host)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => {
                    let (stage, dialect) = (Stage::Connecting, self.dialect());
                    last = Some(failure::failure(&error, stage, dialect, &self.redaction));
                }
                Err(_) => last = Some(failure::timed_out(Stage::Connecting)),
            }
        }
        Err(last.unwrap_or_else(|| failure::timed_out(Stage::Connecting)))
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
