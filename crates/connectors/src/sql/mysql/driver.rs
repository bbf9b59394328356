//! Connections to MySQL and MariaDB: how one is made, and what every one is told first.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{
    AssertSqlSafe, ConnectOptions,
    mysql::{MySqlConnectOptions, MySqlSslMode},
};
use xavyo_core::connector::SqlSettings;

use super::{catalogue, dialect::DIALECT};
use crate::sql::{
    connection::Connection, dialect::Dialect, failure::Trouble, server::Driver, table::Catalogue,
};

#[derive(Debug)]
pub(in crate::sql) struct Mysql {
    options: MySqlConnectOptions,
    timeout: Duration,
}

impl Mysql {
    pub fn new(settings: &SqlSettings, password: &str, timeout: Duration) -> Self {
        let mode = if settings.require_tls { MySqlSslMode::VerifyIdentity } else { MySqlSslMode::Preferred };
        let mut options = MySqlConnectOptions::new()
            .port(settings.port)
            .database(&settings.database)
            .username(&settings.username)
            .password(password)
            .charset("utf8mb4")
            .timezone(Some("+00:00".to_owned()))
            .pipes_as_concat(false)
            .ssl_mode(mode)
            .disable_statement_logging();
        if let Some(pem) = &settings.ca_certificates {
            options = options.ssl_ca_from_pem(pem.clone().into_bytes());
        }
        Self { options, timeout }
    }

    /// What is written must fit or be refused; a statement ends within the time-out. The servers name that limit
    /// differently, and each skips the other's comment: MariaDB those of `!50700` and later, MySQL those of `M!`.
    fn session(&self) -> String {
        let milliseconds = self.timeout.as_millis().max(1);
        format!(
            "set session sql_mode = concat(@@session.sql_mode, ',STRICT_ALL_TABLES'),
                 session autocommit = 1,
                 session innodb_lock_wait_timeout = {}
                 /*M!100101 , session max_statement_time = {} */
                 /*!50708 , session max_execution_time = {milliseconds} */;
             set session transaction isolation level repeatable read",
            self.timeout.as_secs().max(1),
            self.timeout.as_secs_f64().max(0.001),
        )
    }
}

#[async_trait]
impl Driver for Mysql {
    fn dialect(&self) -> &'static dyn Dialect {
        DIALECT
    }

    async fn connect(&self, host: &str) -> Result<Connection, sqlx::Error> {
        let mut connection = self.options.clone().host(host).connect().await?;
        sqlx::raw_sql(AssertSqlSafe(self.session())).execute(&mut connection).await?;
        Ok(Connection::Mysql(connection))
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
