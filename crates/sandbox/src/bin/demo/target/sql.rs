//! A table of a company's own making.

use anyhow::{Result, ensure};
use sqlx::{AssertSqlSafe, PgPool};
use xavyo_sandbox::postgres::{Postgres, TargetDatabase};
use xavyo_wire::pb::provisioning::{ConnectorSettings, SqlDialect, SqlSettings, connector_settings::Kind};

use super::{Column, HandMade};

pub const TABLE: &str = "staff";

const SCHEMA: &str = "
    create table staff (
        id              bigint generated always as identity primary key,
        login           text not null unique,
        full_name       text,
        given_name      text,
        family_name     text,
        mail            text,
        title           text,
        department      text,
        phone           text,
        city            text,
        office          text,
        employee_number text,
        enabled         boolean not null default true
    )";

pub struct SqlTarget {
    // Dropped in this order: the pool before its database.
    pool: PgPool,
    database: TargetDatabase,
    sockets: String,
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
    pub async fn create(postgres: &Postgres) -> Result<Self> {
        let database = postgres.target().await?;
        let pool = database.pool().await?;
        sqlx::query(SCHEMA).execute(&pool).await?;
        Ok(Self { pool, database, sockets: postgres.sockets().display().to_string() })
    }

    pub fn settings(&self) -> ConnectorSettings {
        let sql = SqlSettings {
            dialect: SqlDialect::Postgres.into(),
            host: self.sockets.clone(),
            port: 5432,
            database: self.database.name().to_owned(),
            username: TargetDatabase::ROLE.to_owned(),
            table: TABLE.to_owned(),
            uid_column: "login".to_owned(),
            id_column: Some("id".to_owned()),
            enabled_column: Some("enabled".to_owned()),
            ..SqlSettings::default()
        };
        ConnectorSettings { kind: Some(Kind::Sql(sql)) }
    }

    pub async fn count(&self) -> Result<u64> {
        let count: i64 = sqlx::query_scalar("select count(*) from staff").fetch_one(&self.pool).await?;
        Ok(u64::try_from(count)?)
    }

    pub async fn add(&self, account: &HandMade) -> Result<()> {
        let names: Vec<&str> = account.values.iter().map(|(column, _)| name(*column)).collect();
        let places: Vec<String> = (2..names.len() + 2).map(|place| format!("${place}")).collect();
        let statement =
            format!("insert into staff (login, {}) values ($1, {})", names.join(", "), places.join(", "));
        let query = sqlx::query(AssertSqlSafe(statement)).bind(&account.username);
        account.values.iter().fold(query, |query, (_, value)| query.bind(value)).execute(&self.pool).await?;
        Ok(())
    }

    pub async fn change(&self, username: &str, column: Column, value: &str) -> Result<()> {
        let statement = format!("update staff set {} = $2 where login = $1", name(column));
        let changed =
            sqlx::query(AssertSqlSafe(statement)).bind(username).bind(value).execute(&self.pool).await?;
        ensure!(changed.rows_affected() == 1, "no account {username}");
        Ok(())
    }

    pub async fn disable(&self, username: &str) -> Result<()> {
        let statement = "update staff set enabled = false where login = $1";
        let changed = sqlx::query(statement).bind(username).execute(&self.pool).await?;
        ensure!(changed.rows_affected() == 1, "no account {username}");
        Ok(())
    }

    pub async fn remove(&self, username: &str) -> Result<()> {
        let removed =
            sqlx::query("delete from staff where login = $1").bind(username).execute(&self.pool).await?;
        ensure!(removed.rows_affected() == 1, "no account {username}");
        Ok(())
    }
}
