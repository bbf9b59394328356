//! What happens to the processes themselves.

use std::time::{Duration, Instant};

use anyhow::Result;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::sleep;
use xavyo_sandbox::{
    checker::Evidence,
    faults::{Field, Kind, Layout},
    proxy::{Proxy, Rules},
};

use crate::finding::Finding;

/// A lease, a call, and the backlog of whoever takes over.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(40);
const PACE: Duration = Duration::from_millis(10);
/// To meet a worker at work.
const TRIES: usize = 300;

/// Lanes whose worker was given up for lost.
fn taken_over(evidence: &Evidence) -> usize {
    let attempts = evidence.snapshot.attempts.iter();
    attempts.filter(|attempt| attempt.error_code.as_deref() == Some("LEASE_LOST")).count()
}

/// The load of so many steps.
pub async fn steps(field: &Field, seed: u64, count: usize) {
    let mut plan = field.plan(seed);
    for step in plan.creates().into_iter().chain((0..count).map(|_| plan.step()).collect::<Vec<_>>()) {
        field.client.begin(step);
        sleep(PACE).await;
    }
}

/// Stopped in the middle of calls; another takes over and finishes; it wakes, and may not harm.
pub async fn zombie(seed: u64) -> Result<Finding> {
    let mut field = Field::lay(&Layout { targets: vec![Kind::Sql, Kind::Ldap], ..Layout::default() }).await?;
    let slow = |proxy: &Proxy| proxy.set(Rules::slow(Duration::from_millis(120)));
    field.targets.iter().filter_map(|target| target.proxy.as_ref()).for_each(slow);
    // Alone, it has everything in hand.
    field.replicas[1].kill()?;
    steps(&field, seed, 60).await;
    stop_at_work(&mut field).await?;
    field.replicas[1].restart().await?;
    steps(&field, seed + 1, 20).await;
    until_taken_over(&field).await?;
    field.replicas[0].go_on()?;
    steps(&field, seed + 2, 20).await;
    let (finding, evidence) = Finding::of(&mut field).await?;
    let taken = taken_over(&evidence);
    Ok(finding
        .demand(taken > 0, "nothing was in hand when it was stopped")
        .remark(format!("{taken} taken over")))
}

/// Waits until somebody has taken over what a worker had in hand.
async fn until_taken_over(field: &Field) -> Result<()> {
    let mut judge = field.judge().await?;
    let taken = "select exists (select from execution_attempt where error_code = 'LEASE_LOST')";
    let began = Instant::now();
    while !sqlx::query_scalar::<_, bool>(taken).fetch_one(&mut judge).await? {
        anyhow::ensure!(began.elapsed() < TAKEN_OVER_WITHIN, "nobody took over what it had in hand");
        sleep(PACE).await;
    }
    Ok(())
}

/// Stops the first replica while it has lanes in hand.
async fn stop_at_work(field: &mut Field) -> Result<()> {
    let mut judge = field.judge().await?;
    for _ in 0..TRIES {
        field.replicas[0].stop()?;
        let in_hand: i64 = sqlx::query_scalar("select count(*) from lane where worker_id is not null")
            .fetch_one(&mut judge)
            .await?;
        if in_hand > 0 {
            return Ok(());
        }
        field.replicas[0].go_on()?;
        sleep(PACE * 3).await;
    }
    anyhow::bail!("it never had anything in hand")
}

/// The same operation is in hand whenever a worker dies: the third time it is put aside.
pub async fn killer(_: u64) -> Result<Finding> {
    let mut field = Field::lay(&Layout { replicas: 1, crash_points: true, ..Layout::default() }).await?;
    let account = field.accounts()[0].clone();
    let client = field.client.clone();
    client.enqueue(account.tenant, vec![account.create("before@x")]).await;
    field.drain().await?;
    field.replicas[0].restart_armed("call.after", 1).await?;
    client.enqueue(account.tenant, vec![account.add("deadly@x")]).await;
    for death in 0..3 {
        anyhow::ensure!(
            field.replicas[0].comes_to_stand(Duration::from_secs(20)).await,
            "death {death}: it was not tried again"
        );
        field.replicas[0].kill()?;
        field.replicas[0].restart_armed("call.after", 1).await?;
    }
    let (finding, evidence) = Finding::of(&mut field).await?;
    let last = evidence.snapshot.operations.iter().max_by_key(|operation| operation.sequence);
    let put_aside = last.is_some_and(|one| one.status == "dead_letter" && one.crash_count == 3);
    Ok(finding.demand(put_aside, "after three deaths it is no dead letter"))
}

/// Three replicas, one of them killed every second.
pub async fn killed_at_random(seed: u64) -> Result<Finding> {
    let layout = Layout { replicas: 3, targets: vec![Kind::Memory, Kind::Sql], ..Layout::default() };
    let mut field = Field::lay(&layout).await?;
    let mut random = StdRng::seed_from_u64(seed);
    for round in 0..8 {
        steps(&field, seed + round, 25).await;
        let victim = random.random_range(0..field.replicas.len());
        field.replicas[victim].kill()?;
        sleep(Duration::from_millis(random.random_range(0..400))).await;
        field.replicas[victim].restart().await?;
    }
    let kills = field.counts().kills;
    Ok(Finding::of(&mut field).await?.0.remark(format!("{kills} kills")))
}

/// The process that accepted an operation dies before it can do anything about it: the others look for themselves.
pub async fn lost_nudge(_: u64) -> Result<Finding> {
    let mut field = Field::lay(&Layout::default()).await?;
    let account = field.accounts()[0].clone();
    // The replicas take turns: whichever answers, both are asked once; the first is killed at once.
    field.client.enqueue(account.tenant, vec![account.create("1@x")]).await;
    field.client.enqueue(account.tenant, vec![account.set("2@x")]).await;
    field.replicas[0].kill()?;
    field.client.enqueue(account.tenant, vec![account.set("3@x")]).await;
    let began = Instant::now();
    field.drain().await?;
    let took = began.elapsed();
    let (finding, _) = Finding::of(&mut field).await?;
    Ok(finding.demand(took < Duration::from_secs(10), format!("it took {took:?}")))
}
