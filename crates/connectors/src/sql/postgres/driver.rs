//! Connections to Postgres: how one is made, and what every one is told first.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{
    ConnectOptions,
    postgres::{PgConnectOptions, PgSslMode},
};
use xavyo_core::connector::SqlSettings;

use super::{catalogue, dialect::DIALECT};
use crate::sql::{
    connection::Connection, dialect::Dialect, failure::Trouble, server::Driver, table::Catalogue,
};

#[derive(Debug)]
pub(in crate::sql) struct Postgres {
    options: PgConnectOptions,
    timeout: Duration,
}

impl Postgres {
    pub fn new(settings: &SqlSettings, password: &str, timeout: Duration) -> Self {
        let mode = if settings.require_tls { PgSslMode::VerifyFull } else { PgSslMode::Prefer };
        let mut options = PgConnectOptions::new_without_pgpass()
            .port(settings.port)
            .database(&settings.database)
            .username(&settings.username)
            .password(password)
            .application_name("xavyo")
            .ssl_mode(mode)
            .extra_float_digits(None)
            .disable_statement_logging();
        if let Some(pem) = &settings.ca_certificates {
            options = options.ssl_root_cert_from_pem(pem.clone().into_bytes());
        }
        Self { options, timeout }
    }
}

#[async_trait]
impl Driver for Postgres {
    fn dialect(&self) -> &'static dyn Dialect {
        DIALECT
    }

    async fn connect(&self, host: &str) -> Result<Connection, sqlx::Error> {
        let mut connection = self.options.clone().host(host).connect().await?;
        sqlx::query(
            "select set_config('statement_timeout', $1, false),
                    set_config('bytea_output', 'hex', false),
                    set_config('TimeZone', 'UTC', false),
                    set_config('client_min_messages', 'error', false)",
        )
        .bind(self.timeout.as_millis().max(1).to_string())
        .execute(&mut connection)
        .await?;
        Ok(Connection::Postgres(connection))
    }

    async fn describe(
        &self,
        connection: &mut Connection,
        schema: &str,
        table: &str,
    ) -> Result<Catalogue, Trouble> {
        catalogue::describe(connection, schema, table).await
    }

    async fn describe_list(&self, connection: &mut Connection, source: &str) -> Result<Catalogue, Trouble> {
        catalogue::describe_list(connection, source).await
    }
}
