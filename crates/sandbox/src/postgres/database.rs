//! Databases for one test, demo or bench each; dropped with their handle.

use std::thread;

use anyhow::Result;
use sqlx::{Connection, PgConnection, PgPool, postgres::PgPoolOptions};

use super::{Postgres, SUPERUSER, template::run};
use crate::service::Kind;

/// The most connections of one test's pool.
const POOL_SIZE: u32 = 8;

/// A migrated database of a service.
#[derive(Debug)]
pub struct Database {
    place: Place,
    kind: Kind,
}

/// A database for a SQL connector's table, and the role that the connector logs in as.
#[derive(Debug)]
pub struct TargetDatabase {
    place: Place,
}

/// A database that is dropped with this handle.
#[derive(Debug)]
struct Place {
    name: String,
    /// How the superuser reaches the cluster, to drop the database.
    superuser_url: String,
    /// The address of this database, without the role.
    url: String,
}

impl Database {
    pub(super) async fn create(postgres: &Postgres, kind: Kind) -> Result<Self> {
        let clause = format!("template {} owner {}", kind.template(), kind.owner());
        Ok(Self { place: Place::create(postgres, kind.name(), &clause).await?, kind })
    }

    /// For the service: its program's role, which owns nothing and cannot bypass row-level security.
    pub fn program_url(&self) -> String {
        self.place.url_as(&self.kind.program())
    }

    /// For migrations, and for looking at what the program may not see.
    pub fn owner_url(&self) -> String {
        self.place.url_as(&self.kind.owner())
    }

    /// A pool of the program's role.
    pub async fn pool(&self) -> Result<PgPool> {
        Ok(PgPoolOptions::new().max_connections(POOL_SIZE).connect(&self.program_url()).await?)
    }

    /// A connection of the owner. Row-level security is forced on it too.
    pub async fn owner(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.owner_url()).await?)
    }

    /// A connection that row-level security does not hold: only for a judge that compares all tenants' rows.
    pub async fn superuser(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.place.url_as(SUPERUSER)).await?)
    }
}

impl TargetDatabase {
    /// The role that owns the target's tables and that the connector logs in as.
    pub const ROLE: &str = "target";

    pub(super) async fn create(postgres: &Postgres) -> Result<Self> {
        let mut connection = postgres.superuser("postgres").await?;
        // Two makers may meet here: the second finds the role made.
        let role = format!(
            "do $$ begin create role {} login; exception when duplicate_object or unique_violation then null; end $$",
            Self::ROLE
        );
        run(&mut connection, role).await?;
        connection.close().await?;
        let clause = format!("template template0 owner {}", Self::ROLE);
        Ok(Self { place: Place::create(postgres, "target", &clause).await? })
    }

    pub fn name(&self) -> &str {
        &self.place.name
    }

    pub async fn pool(&self) -> Result<PgPool> {
        let url = self.place.url_as(Self::ROLE);
        Ok(PgPoolOptions::new().max_connections(POOL_SIZE).connect(&url).await?)
    }
}

impl Place {
    async fn create(postgres: &Postgres, prefix: &str, clause: &str) -> Result<Self> {
        let name = format!("{prefix}_{:016x}", rand::random::<u64>());
        let mut connection = postgres.superuser("postgres").await?;
        run(&mut connection, format!("create database {name} {clause}")).await?;
        connection.close().await?;
        Ok(Self { superuser_url: postgres.url("postgres", SUPERUSER), url: postgres.url(&name, ""), name })
    }

    fn url_as(&self, role: &str) -> String {
        format!("{}{role}", self.url)
    }
}

impl Drop for Place {
    /// On a thread of its own: the runtime that made it may be the one that ends now.
    fn drop(&mut self) {
        let (url, name) = (self.superuser_url.clone(), self.name.clone());
        let dropping = thread::spawn(move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut connection = PgConnection::connect(&url).await?;
                run(&mut connection, format!("drop database if exists {name} with (force)")).await
            })
        });
        // The cluster itself may be gone already, and with it the database.
        let _ = dropping.join();
    }
}
