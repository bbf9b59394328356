//! `xavyo-postgres`: one private Postgres for a whole test run, or for checking queries.
//!
//! Prints one JSON line, `{"sockets", "provisioning", "reconciliation"}` (the socket folder, and a migrated database's
//! address as each service's program), then stays until its input ends: whoever started it holds the other end, so it
//! never outlives that process.

use anyhow::Result;
use serde_json::json;
use tokio::io::AsyncReadExt;
use xavyo_sandbox::{
    postgres::{Durability, Postgres},
    service::Kind,
};

#[tokio::main]
async fn main() -> Result<()> {
    let postgres = Postgres::start(Durability::Fast).await?;
    postgres.prepare().await?;
    let provisioning = postgres.database(Kind::Provisioning).await?;
    let reconciliation = postgres.database(Kind::Reconciliation).await?;
    let addresses = json!({
        "sockets": postgres.sockets(),
        "provisioning": provisioning.program_url(),
        "reconciliation": reconciliation.program_url(),
    });
    println!("{addresses}");

    let mut input = tokio::io::stdin();
    tokio::select! {
        _ = async { while input.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {} } => {}
        signal = tokio::signal::ctrl_c() => signal?,
    }
    // Databases before the server that holds them.
    drop((provisioning, reconciliation));
    postgres.stop()
}
