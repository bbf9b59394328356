//! Brings a database to the newest schema, as its owner. The services embed their migrations; the sandbox reads them
//! from their folder. Several at once wait for each other; one that was killed half-way leaves nothing half-done,
//! because each migration is a transaction.

use std::path::Path;

use sqlx::{Connection, PgConnection, migrate::Migrator, postgres::PgConnectOptions};

use crate::{StartError, db, settings::MigrateSettings};

/// Applies what the binary carries.
pub async fn embedded(settings: &MigrateSettings, migrations: &Migrator) -> Result<(), StartError> {
    let password_file = settings.owner_database_password_file.as_deref();
    let options = db::options("XAVYO_OWNER_DATABASE_URL", &settings.owner_database_url, password_file)?;
    apply(options, migrations).await
}

/// Applies the files of a folder.
pub async fn folder(owner_url: &str, folder: &Path) -> Result<(), StartError> {
    let migrations = Migrator::new(folder).await?;
    apply(db::options("the owner's URL", owner_url, None)?, &migrations).await
}

async fn apply(options: PgConnectOptions, migrations: &Migrator) -> Result<(), StartError> {
    let options = options.application_name("xavyo migrate");
    let mut connection = PgConnection::connect_with(&options).await.map_err(StartError::Connect)?;
    migrations.run(&mut connection).await?;
    tracing::info!(
        newest = migrations.iter().map(|migration| migration.version).max(),
        "the schema is up to date"
    );
    connection.close().await.map_err(StartError::Connect)
}
