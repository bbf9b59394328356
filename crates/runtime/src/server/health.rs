//! Health, overall and of each service: serving while the database answers and nobody has asked the process to stop.
//!
//! It asks over a connection of its own: a pool that is merely busy is no database that is away.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};
use xavyo_core::error::Result;

use crate::{Database, db};

const LOOK_EVERY: Duration = Duration::from_secs(2);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

pub(super) async fn run(
    reporter: HealthReporter,
    names: Vec<&'static str>,
    database: Database,
    stop: CancellationToken,
) -> Result<()> {
    report(&reporter, &names, ServingStatus::NotServing).await;
    let mut connection = None;
    let mut was_there = false;
    loop {
        let Some(is_there) = stop.run_until_cancelled(answers(&database, &mut connection)).await else {
            break;
        };
        if is_there != was_there {
            was_there = is_there;
            let status = if is_there { ServingStatus::Serving } else { ServingStatus::NotServing };
            report(&reporter, &names, status).await;
            tracing::info!(%status, "health");
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

/// True: the database answered in time. A connection that failed is replaced the next time.
async fn answers(database: &Database, connection: &mut Option<PgConnection>) -> bool {
    let asked = tokio::time::timeout(ANSWER_WITHIN, ask(database, connection.take())).await;
    let failure = match asked {
        Ok(Ok(answered)) => {
            *connection = Some(answered);
            return true;
        }
        Ok(Err(error)) => db::failed(error),
        Err(_elapsed) => db::failed(sqlx::Error::PoolTimedOut),
    };
    tracing::warn!(error = crate::lifecycle::with_sources(&failure), "the database does not answer");
    false
}

async fn ask(database: &Database, connection: Option<PgConnection>) -> Result<PgConnection, sqlx::Error> {
    let mut connection = match connection {
        Some(connection) => connection,
        None => PgConnection::connect_with(&database.pool().connect_options()).await?,
    };
    connection.ping().await?;
    Ok(connection)
}
