//! Tables of a MariaDB, one a place. In clear text, so that a proxy can tell a commit.

use std::net::SocketAddr;

use anyhow::Result;
use async_trait::async_trait;
use sqlx::AssertSqlSafe;
use xavyo_connectors::Secrets;
use xavyo_core::connector::{Settings, SqlDialect, SqlSettings};
use xavyo_sandbox::{
    mariadb::{self, Mariadb, TargetDatabase, Transport},
    proxy::Server,
};

use super::{Kind, options, unique};
use crate::{Place, Words};

#[derive(Debug)]
pub struct MariadbTable {
    server: Mariadb,
    database: TargetDatabase,
}

impl MariadbTable {
    pub async fn start() -> Result<Self> {
        let server = Mariadb::start(Transport::Clear).await?;
        let database = server.database().await?;
        Ok(Self { server, database })
    }

    /// Where the target's tables are: what a test does there, it does past the connector.
    pub fn database(&self) -> &TargetDatabase {
        &self.database
    }

    fn settings(&self, table: String) -> SqlSettings {
        SqlSettings {
            dialect: SqlDialect::Mysql,
            host: mariadb::HOST.to_string(),
            port: self.server.port(),
            database: self.database.name().to_owned(),
            username: self.database.username().to_owned(),
            schema: self.database.name().to_owned(),
            table,
            uid_column: "login".to_owned(),
            id_column: Some("id".to_owned()),
            version_column: Some("version".to_owned()),
            disabled_column: Some("blocked".to_owned()),
            updated_at_column: Some("updated_at".to_owned()),
            json_array_columns: vec!["groups".to_owned()],
            ..SqlSettings::default()
        }
    }
}

#[async_trait]
impl Kind for MariadbTable {
    fn name(&self) -> &'static str {
        "mariadb"
    }

    async fn place(&self) -> Result<Place> {
        // A name that needs its quotes, and a collation that tells neither cases nor trailing spaces apart.
        let table = unique("People `");
        let statement = format!(
            "create table `{}` (
               id bigint auto_increment primary key,
               login varchar(190) not null unique,
               `Display Name` varchar(1000),
               `groups` json,
               blocked boolean not null default false,
               version bigint not null default 1,
               updated_at datetime(6) not null default now(6)
             ) character set utf8mb4 collate utf8mb4_general_ci",
            table.replace('`', "``"),
        );
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&self.database.pool().await?).await?;
        Ok(Place {
            settings: Settings::Sql(self.settings(table)),
            secrets: Secrets::from_iter([("password", self.database.password())]),
            options: options(),
            words: Words {
                object_class: "account".into(),
                text: "Display Name".into(),
                many: Some("groups".into()),
                refused: vec![("Display Name".into(), 2), ("no such column".into(), 1)],
                decisive: Some(b"commit"),
                ..Words::default()
            },
            is_private: true,
            network: Some(Server::Tcp(SocketAddr::from((mariadb::HOST, self.server.port())))),
        })
    }
}
