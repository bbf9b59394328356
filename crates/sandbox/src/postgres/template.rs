//! Templates: one migrated database per service and cluster, from which tests clone their own in some 50 ms.

use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::Postgres;
use crate::{service::Kind, workspace};

/// Serialises the makers, whichever process they are in.
const MAKING: i64 = 0x0078_6176_796f;

/// Makes the roles and the template of a service unless the cluster has them already.
pub async fn make(postgres: &Postgres, kind: Kind) -> Result<()> {
    let mut connection = postgres.superuser("postgres").await?;
    sqlx::query("select pg_advisory_lock($1)").bind(MAKING).execute(&mut connection).await?;
    let made = make_alone(postgres, kind, &mut connection).await;
    // Closing the session gives the lock back.
    connection.close().await?;
    made.with_context(|| format!("cannot make the template of {}", kind.name()))
}

async fn make_alone(postgres: &Postgres, kind: Kind, connection: &mut PgConnection) -> Result<()> {
    if exists(connection, &kind.template()).await? {
        return Ok(());
    }
    let (owner, program, group) = (kind.owner(), kind.program(), kind.group());
    let unfinished = format!("{}_unfinished", kind.template());
    run(connection, format!("drop database if exists {unfinished}")).await?;
    make_role(connection, &owner, "login createrole").await?;
    make_role(connection, &program, "login").await?;
    run(connection, format!("create database {unfinished} owner {owner}")).await?;

    migrate(&postgres.url(&unfinished, &owner), kind).await?;

    run(connection, format!("grant {group} to {program}")).await?;
    run(connection, format!("alter database {unfinished} rename to {}", kind.template())).await
}

/// Applies the service's migrations as the owner, as `<service> migrate` does in production.
async fn migrate(url: &str, kind: Kind) -> Result<()> {
    let folder = workspace::root().join("migrations").join(kind.name());
    Ok(xavyo_runtime::migrate::folder(url, &folder).await?)
}

async fn exists(connection: &mut PgConnection, database: &str) -> Result<bool> {
    let found = sqlx::query_scalar("select exists (select from pg_database where datname = $1)");
    Ok(found.bind(database).fetch_one(connection).await?)
}

async fn make_role(connection: &mut PgConnection, role: &str, rights: &str) -> Result<()> {
    let found = sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)");
    if found.bind(role).fetch_one(&mut *connection).await? {
        return Ok(());
    }
    run(connection, format!("create role {role} {rights}")).await
}

/// Runs a statement whose names are all of our own making.
pub(super) async fn run(connection: &mut PgConnection, statement: String) -> Result<()> {
    sqlx::query(AssertSqlSafe(statement)).execute(connection).await?;
    Ok(())
}
