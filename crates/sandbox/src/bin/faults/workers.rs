//! What happens to the processes themselves.

use std::time::{Duration, Instant};

use anyhow::Result;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::sleep;
use uuid::Uuid;
use xavyo_sandbox::{
    faults::{Field, Kind, Layout},
    proxy::{Proxy, Rules},
};

use crate::finding::Finding;

/// A lease, a call, and the backlog of whoever takes over: many times what they take.
const TAKEN_OVER_WITHIN: Duration = Duration::from_mins(1);
const PACE: Duration = Duration::from_millis(10);
/// How often a worker is stopped at work, at most.
const MEETINGS: u64 = 10;

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
    let mut taken_over = 0;
    // What it had sent already may still end what it had in hand: then it is stopped once more.
    for round in 0..MEETINGS {
        // Alone, it has everything in hand.
        field.replicas[1].kill()?;
        steps(&field, seed + round, 60).await;
        let worker = stop_at_work(&mut field).await?;
        field.replicas[1].restart().await?;
        steps(&field, seed + round, 20).await;
        taken_over = until_taken_over(&field, worker).await?;
        field.replicas[0].go_on()?;
        if taken_over > 0 {
            break;
        }
    }
    steps(&field, seed, 20).await;
    let (finding, _) = Finding::of(&mut field).await?;
    Ok(finding
        .demand(taken_over > 0, "nothing was in hand whenever it was stopped")
        .remark(format!("{taken_over} taken over")))
}

/// Stops the first replica while it has lanes in hand. Returns the worker that holds them.
async fn stop_at_work(field: &mut Field) -> Result<Uuid> {
    let mut judge = field.judge().await?;
    let began = Instant::now();
    while began.elapsed() < TAKEN_OVER_WITHIN {
        field.replicas[0].stop()?;
        let holder: Option<Uuid> =
            sqlx::query_scalar("select worker_id from lane where worker_id is not null limit 1")
                .fetch_optional(&mut judge)
                .await?;
        if let Some(worker) = holder {
            return Ok(worker);
        }
        field.replicas[0].go_on()?;
        sleep(PACE).await;
    }
    anyhow::bail!("it never had anything in hand")
}

/// Waits until a worker holds nothing any more. Returns how many of its operations others took over.
async fn until_taken_over(field: &Field, worker: Uuid) -> Result<i64> {
    let mut judge = field.judge().await?;
    let began = Instant::now();
    let holds = "select exists (select from lane where worker_id = $1)";
    while sqlx::query_scalar::<_, bool>(holds).bind(worker).fetch_one(&mut judge).await? {
        anyhow::ensure!(began.elapsed() < TAKEN_OVER_WITHIN, "nobody took over what it had in hand");
        sleep(PACE).await;
    }
    let taken = "select count(*) from execution_attempt where worker_id = $1 and error_code = 'LEASE_LOST'";
    Ok(sqlx::query_scalar(taken).bind(worker).fetch_one(&mut judge).await?)
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
            field.replicas[0].comes_to_stand(TAKEN_OVER_WITHIN).await,
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
    let is_done = field.drain().await?;
    let took = began.elapsed();
    let (finding, _) = Finding::of(&mut field).await?;
    Ok(finding
        .demand(is_done, "the other one left something undone")
        .remark(format!("done after {} ms", took.as_millis())))
}
