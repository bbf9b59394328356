//! `xavyo-postgres`: one private Postgres for a whole test run, or for checking queries.
//!
//! Prints one JSON line, `{"sockets", "provisioning", "reconciliation"}` (the socket folder, and a migrated database's
//! address as each service's program), then stays until its input ends: whoever started it holds the other end, so it
//! never outlives that process.

use std::{io, thread};

use anyhow::Result;
use serde_json::json;
use tokio::sync::oneshot;
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

    tokio::select! {
        _ = end_of_input() => {}
        signal = tokio::signal::ctrl_c() => signal?,
    }
    // Databases before the server that holds them.
    drop((provisioning, reconciliation));
    postgres.stop()
}

/// On a thread of its own, which may stay behind when a signal comes first.
fn end_of_input() -> oneshot::Receiver<()> {
    let (ended, end) = oneshot::channel();
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = ended.send(());
    });
    end
}
