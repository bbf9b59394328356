//! Tables of a Postgres, one a place.

use anyhow::Result;
use async_trait::async_trait;
use sqlx::AssertSqlSafe;
use xavyo_connectors::Secrets;
use xavyo_core::connector::{Settings, SqlDialect, SqlSettings};
use xavyo_sandbox::{
    postgres::{Postgres, TargetDatabase},
    proxy::Server,
};

use super::{Kind, options, unique};
use crate::{Place, Words};

#[derive(Debug)]
pub struct PostgresTable {
    server: &'static Postgres,
    database: TargetDatabase,
}

impl PostgresTable {
    pub async fn start() -> Result<Self> {
        let server = Postgres::shared().await?;
        Ok(Self { server, database: server.target().await? })
    }

    /// Where the target's tables are: what a test does there, it does past the connector.
    pub fn database(&self) -> &TargetDatabase {
        &self.database
    }

    fn settings(&self, table: String) -> SqlSettings {
        SqlSettings {
            dialect: SqlDialect::Postgres,
            host: self.server.sockets().display().to_string(),
            port: 5432,
            database: self.database.name().to_owned(),
            username: TargetDatabase::ROLE.to_owned(),
            schema: "public".to_owned(),
            table,
            uid_column: "login".to_owned(),
            id_column: Some("id".to_owned()),
            disabled_column: Some("blocked".to_owned()),
            updated_at_column: Some("updated_at".to_owned()),
            ..SqlSettings::default()
        }
    }
}

#[async_trait]
impl Kind for PostgresTable {
    fn name(&self) -> &'static str {
        "postgres"
    }

    async fn place(&self) -> Result<Place> {
        // A name that needs its quotes.
        let table = unique("People \"");
        let statement = format!(
            "create table {} (
               id uuid primary key default gen_random_uuid(),
               login text not null unique,
               \"Display Name\" text,
               groups text[],
               blocked boolean not null default false,
               updated_at timestamptz not null default now()
             )",
            quoted(&table),
        );
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&self.database.pool().await?).await?;
        Ok(Place {
            settings: Settings::Sql(self.settings(table)),
            secrets: Secrets::default(),
            options: options(),
            words: Words {
                object_class: "account".into(),
                text: "Display Name".into(),
                many: Some("groups".into()),
                // A text is no boolean, two texts are not one, and no column has that name.
                refused: vec![
                    ("blocked".into(), 1),
                    ("Display Name".into(), 2),
                    ("no such column".into(), 1),
                ],
                decisive: Some(b"commit"),
                ..Words::default()
            },
            is_private: true,
            network: Some(Server::Unix(self.server.sockets().join(".s.PGSQL.5432"))),
        })
    }
}

/// A name as an identifier of SQL.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
