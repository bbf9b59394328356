//! Health, overall and of each service: serving while the database answers and nobody has asked the process to stop.
//!
//! It asks over a connection of its own: a pool that is merely busy is no database that is away.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};
use xavyo_core::error::Result;

use crate::{Database, db, lifecycle::with_sources};

const LOOK_EVERY: Duration = Duration::from_secs(2);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

pub(super) async fn run(
    reporter: HealthReporter,
    names: Vec<&'static str>,
    database: Database,
    stop: CancellationToken,
) -> Result<()> {
    let mut connection = None;
    let mut reported = None;
    while let Some(asked) = stop.run_until_cancelled(answers(&database, &mut connection)).await {
        let status = if asked.is_ok() { ServingStatus::Serving } else { ServingStatus::NotServing };
        if reported.replace(status) != Some(status) {
            report(&reporter, &names, status).await;
            let error = asked.err().map(|error| with_sources(&error));
            tracing::info!(%status, error, "health");
        }
        if stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_none() {
            break;
        }
    }
    report(&reporter, &names, ServingStatus::NotServing).await;
    Ok(())
}

/// The empty name is the process as a whole.
async fn report(reporter: &HealthReporter, names: &[&'static str], status: ServingStatus) {
    reporter.set_service_status("", status).await;
    for name in names {
        reporter.set_service_status(name, status).await;
    }
}

/// Whether the database answers in time. A connection that failed is replaced the next time.
async fn answers(database: &Database, connection: &mut Option<PgConnection>) -> Result<()> {
    let asked = tokio::time::timeout(ANSWER_WITHIN, ask(database, connection.take())).await;
    let answered = asked.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(db::failed)?;
    *connection = Some(answered);
    Ok(())
}

async fn ask(database: &Database, connection: Option<PgConnection>) -> Result<PgConnection, sqlx::Error> {
    let mut connection = match connection {
        Some(connection) => connection,
        None => PgConnection::connect_with(&database.pool().connect_options()).await?,
    };
    connection.ping().await?;
    Ok(connection)
}
