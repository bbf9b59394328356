//! A table of a company's own making, in Postgres or MariaDB.

use anyhow::{Result, ensure};
use sqlx::{AssertSqlSafe, MySqlPool, PgPool};
use xavyo_sandbox::{
    mariadb::{self, Mariadb, Transport},
    postgres::{self, Postgres},
};
use xavyo_wire::pb::provisioning::{
    ConnectorSecrets, ConnectorSettings, SqlDialect, SqlSettings, connector_settings::Kind,
};

use super::{Column, HandMade};

pub const TABLE: &str = "staff";

pub struct SqlTarget {
    // Dropped in this order: the pool before its database.
    administrator: Administrator,
    place: Place,
}

/// The table's own administrator.
enum Administrator {
    Postgres(PgPool),
    Mariadb(MySqlPool),
}

enum Place {
    Postgres { database: postgres::TargetDatabase, sockets: String },
    Mariadb { server: Mariadb, database: mariadb::TargetDatabase },
}

pub fn name(column: Column) -> &'static str {
    match column {
        Column::FullName => "full_name",
        Column::GivenName => "given_name",
        Column::FamilyName => "family_name",
        Column::Mail => "mail",
        Column::Title => "title",
        Column::Department => "department",
        Column::Phone => "phone",
        Column::City => "city",
        Column::Office => "office",
        Column::EmployeeNumber => "employee_number",
    }
}

impl SqlTarget {
    pub async fn postgres(postgres: &Postgres) -> Result<Self> {
        let database = postgres.target().await?;
        let sockets = postgres.sockets().display().to_string();
        let administrator = Administrator::Postgres(database.pool().await?);
        administrator.create_table("bigint generated always as identity", "text").await?;
        Ok(Self { administrator, place: Place::Postgres { database, sockets } })
    }

    /// Reached under TLS, by the sandbox's own authority.
    pub async fn mariadb() -> Result<Self> {
        let server = Mariadb::start(Transport::Tls).await?;
        let database = server.database().await?;
        let administrator = Administrator::Mariadb(database.pool().await?);
        administrator.create_table("bigint auto_increment", "varchar(190)").await?;
        Ok(Self { administrator, place: Place::Mariadb { server, database } })
    }

    pub fn settings(&self) -> ConnectorSettings {
        let place = match &self.place {
            Place::Postgres { database, sockets } => SqlSettings {
                dialect: SqlDialect::Postgres.into(),
                host: sockets.clone(),
                port: 5432,
                database: database.name().to_owned(),
                username: postgres::TargetDatabase::ROLE.to_owned(),
                ..SqlSettings::default()
            },
            Place::Mariadb { server, database } => SqlSettings {
                dialect: SqlDialect::Mysql.into(),
                host: mariadb::HOST.to_string(),
                port: server.port().into(),
                database: database.name().to_owned(),
                username: database.username().to_owned(),
                require_tls: true,
                ca_certificates: Some(server.ca_certificates().to_owned()),
                ..SqlSettings::default()
            },
        };
        let sql = SqlSettings {
            table: TABLE.to_owned(),
            uid_column: "login".to_owned(),
            id_column: Some("id".to_owned()),
            enabled_column: Some("enabled".to_owned()),
            ..place
        };
        ConnectorSettings { kind: Some(Kind::Sql(sql)) }
    }

    pub fn secrets(&self) -> Option<ConnectorSecrets> {
        match &self.place {
            // Whoever comes through the socket is trusted.
            Place::Postgres { .. } => None,
            Place::Mariadb { database, .. } => Some(ConnectorSecrets {
                password: Some(database.password().to_owned()),
                ..ConnectorSecrets::default()
            }),
        }
    }

    pub async fn count(&self) -> Result<u64> {
        let statement = "select count(*) from staff";
        let count: i64 = match &self.administrator {
            Administrator::Postgres(pool) => sqlx::query_scalar(statement).fetch_one(pool).await?,
            Administrator::Mariadb(pool) => sqlx::query_scalar(statement).fetch_one(pool).await?,
        };
        Ok(u64::try_from(count)?)
    }

    pub async fn add(&self, account: &HandMade) -> Result<()> {
        let names: Vec<&str> = account.values.iter().map(|(column, _)| name(*column)).collect();
        let places = vec!["?"; names.len()].join(", ");
        let statement = format!("insert into staff (login, {}) values (?, {places})", names.join(", "));
        let mut values = vec![account.username.as_str()];
        values.extend(account.values.iter().map(|(_, value)| value.as_str()));
        self.administrator.touch_one(&statement, &values).await
    }

    pub async fn change(&self, username: &str, column: Column, value: &str) -> Result<()> {
        let statement = format!("update staff set {} = ? where login = ?", name(column));
        self.administrator.touch_one(&statement, &[value, username]).await
    }

    pub async fn disable(&self, username: &str) -> Result<()> {
        self.administrator.touch_one("update staff set enabled = false where login = ?", &[username]).await
    }

    pub async fn remove(&self, username: &str) -> Result<()> {
        self.administrator.touch_one("delete from staff where login = ?", &[username]).await
    }
}

impl Administrator {
    async fn create_table(&self, id: &str, login: &str) -> Result<()> {
        let columns = Column::ALL.map(|column| format!("{} text", name(column))).join(", ");
        let statement = format!(
            "create table staff (
                 id      {id} primary key,
                 login   {login} not null unique,
                 enabled boolean not null default true,
                 {columns}
             )"
        );
        self.run(&statement, &[]).await.map(drop)
    }

    async fn touch_one(&self, statement: &str, values: &[&str]) -> Result<()> {
        let rows = self.run(statement, values).await?;
        ensure!(rows == 1, "{rows} rows were touched by {statement}");
        Ok(())
    }

    /// Runs a statement whose `?` are the values, in order.
    async fn run(&self, statement: &str, values: &[&str]) -> Result<u64> {
        Ok(match self {
            Self::Postgres(pool) => {
                let mut parts = statement.split('?');
                let first = parts.next().unwrap_or_default().to_owned();
                let numbered = (1..).zip(parts).fold(first, |text, (n, part)| format!("{text}${n}{part}"));
                let query = sqlx::query(AssertSqlSafe(numbered));
                let query = values.iter().fold(query, |query, value| query.bind((*value).to_owned()));
                query.execute(pool).await?.rows_affected()
            }
            Self::Mariadb(pool) => {
                let query = sqlx::query(AssertSqlSafe(statement.to_owned()));
                let query = values.iter().fold(query, |query, value| query.bind((*value).to_owned()));
                query.execute(pool).await?.rows_affected()
            }
        })
    }
}
