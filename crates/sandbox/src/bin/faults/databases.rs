//! What happens between a worker and its own database.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;
use xavyo_sandbox::{
    faults::{Field, Kind, Layout},
    postgres::Durability,
    proxy::Rules,
};

use crate::{finding::Finding, workers::steps};

/// By when a fault must have met somebody.
const STRUCK_WITHIN: Duration = Duration::from_secs(5);

/// The database answers nobody for longer than a lease, in the middle of work.
pub async fn no_renewal(seed: u64) -> Result<Finding> {
    let mut field = Field::lay(&Layout { targets: vec![Kind::Sql], ..Layout::default() }).await?;
    steps(&field, seed, 20).await;
    field.database.set(Rules::slow(Duration::from_millis(700)));
    steps(&field, seed + 1, 10).await;
    sleep(Duration::from_secs(2)).await;
    field.database.set(Rules::hang());
    sleep(Duration::from_secs(6)).await;
    field.database.heal();
    steps(&field, seed + 2, 20).await;
    Ok(Finding::of(&mut field).await?.0)
}

/// COMMIT arrives, its answer does not: the caller's and the worker's.
pub async fn unknown_commits(seed: u64) -> Result<Finding> {
    let layout = Layout { targets: vec![Kind::Memory, Kind::Sql], ..Layout::default() };
    let mut field = Field::lay(&layout).await?;
    for round in 0..12 {
        let before = field.counts().bites;
        field.database.set(Rules::drop_reply(b"COMMIT"));
        steps(&field, seed + round, 8).await;
        field.until_bitten(before, STRUCK_WITHIN).await;
        field.database.heal();
        sleep(Duration::from_millis(250)).await;
    }
    let bites = field.counts().bites;
    let (finding, _) = Finding::of(&mut field).await?;
    Ok(finding.demand(bites > 5, "hardly a commit was struck").remark(format!("{bites} answers lost")))
}

const ATTEMPTS_BEFORE_A_CRASH: u64 = 10;

/// `pg_ctl stop -m immediate`, again and again.
pub async fn crashes(seed: u64) -> Result<Finding> {
    let layout = Layout { durability: Durability::Durable, ..Layout::default() };
    let mut field = Field::lay(&layout).await?;
    for round in 1..=4 {
        steps(&field, seed + round, 50).await;
        // In the middle of it: some attempts have ended, others are under way.
        let enough = i64::try_from(round * ATTEMPTS_BEFORE_A_CRASH)?;
        field.until("select count(*) from execution_attempt", |attempts| attempts >= enough).await?;
        field.crash_database().await?;
    }
    Ok(Finding::of(&mut field).await?.0)
}

/// Two connections a replica, many callers, and batches that take the same accounts in opposite order.
pub async fn exhausted(seed: u64) -> Result<Finding> {
    let mut field = Field::lay(&Layout { pool: 3, people: 6, ..Layout::default() }).await?;
    let accounts = field.accounts().to_vec();
    for round in 0..40 {
        let mut order = accounts.clone();
        if round % 2 == 1 {
            order.reverse();
        }
        let operations: Vec<_> = order.iter().map(|account| account.set(&format!("{round}@x"))).collect();
        let tenant = accounts[0].tenant;
        field.client.work(|client| async move { drop(client.enqueue(tenant, operations).await) });
    }
    steps(&field, seed, 40).await;
    Ok(Finding::of(&mut field).await?.0)
}
