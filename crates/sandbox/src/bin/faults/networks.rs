//! What happens between a worker and its target.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::sleep;
use xavyo_sandbox::{
    faults::{Field, Kind, Layout, memory_fault},
    proxy::{Ending, Fault, Flow, Proxy, Rules},
};

use crate::{finding::Finding, workers::steps};

/// More than a call may take.
const TOO_LATE: Duration = Duration::from_millis(2_600);

fn proxies(field: &Field) -> impl Iterator<Item = &Proxy> {
    field.targets.iter().filter_map(|target| target.proxy.as_ref())
}

/// The request has arrived, and nobody hears of it: the answer is dropped, cut in the middle by a reset, or too late.
pub async fn lost_replies(seed: u64) -> Result<Finding> {
    let mut field = Field::lay(&Layout { targets: vec![Kind::Sql, Kind::Ldap], ..Layout::default() }).await?;
    steps(&field, seed, 10).await;
    let to_client = |flow: Flow| Rules { to_client: flow, ..Rules::default() };
    let reset = Some(Fault::Truncate { after: 400, ending: Ending::Reset });
    let troubles = [
        Rules::drop_reply(b""),
        Rules::drop_reply(b"COMMIT"),
        to_client(Flow { fault: reset, ..Flow::default() }),
        to_client(Flow { latency: TOO_LATE, ..Flow::default() }),
    ];
    for (round, rules) in (1..).zip(troubles.iter().cycle().take(12)) {
        let before = field.counts().bites;
        proxies(&field).for_each(|proxy| proxy.set(rules.clone()));
        steps(&field, seed + round, 12).await;
        field.until_bitten(before, TOO_LATE).await;
        proxies(&field).for_each(Proxy::heal);
        sleep(Duration::from_millis(200)).await;
    }
    let bites = field.counts().bites;
    let (finding, _) = Finding::of(&mut field).await?;
    Ok(finding.demand(bites > 4, "hardly a reply was lost").remark(format!("{bites} replies lost")))
}

/// Down with work queued: no retry is used, others go on, and in the end everything is done.
pub async fn outage(_: u64) -> Result<Finding> {
    let layout = Layout { targets: vec![Kind::Sql], tenants: 2, people: 6, ..Layout::default() };
    let mut field = Field::lay(&layout).await?;
    let down = field.targets[0].connector;
    proxies(&field).for_each(|proxy| proxy.set(Rules::down(Ending::Reset)));
    for (number, account) in field.accounts().iter().enumerate() {
        let operations: Vec<_> = std::iter::once(account.create("1@x"))
            .chain((0..24).map(|n| account.set(&format!("{number}.{n}@x"))))
            .collect();
        field.client.enqueue(account.tenant, operations).await;
    }
    // Others are done while it is down, and it is asked in vain more than once.
    field
        .until(
            "select count(*) from operation o
               join connector_work w on w.tenant_id = o.tenant_id and w.connector_id = o.connector_id
              where w.breaker <> 'open'",
            |others| others == 0,
        )
        .await?;
    field.until("select max(failed_probes)::bigint from connector_work", |failed| failed > 1).await?;
    let (finding, evidence) = Finding::of(&mut field).await?;
    let of_target = || evidence.snapshot.operations.iter().filter(|operation| operation.connector == down);
    let retries: i32 = of_target().map(|operation| operation.retry_count).sum();
    let undone: Vec<_> = of_target().filter(|operation| operation.status != "completed").collect();
    let example =
        undone.first().map(|operation| (&operation.status, &operation.error_code, operation.sequence));
    Ok(finding
        .demand(retries == 0, format!("the outage used {retries} retries"))
        .demand(undone.is_empty(), format!("{} were not done afterwards, as {example:?}", undone.len())))
}

/// Errors, answers that trickle, and a target that accepts and says nothing.
pub async fn half_broken(seed: u64) -> Result<Finding> {
    let faults = ["update", "create", "get"].map(|call| memory_fault(call, "busy", 8));
    let layout = Layout { targets: Kind::ALL.to_vec(), memory_faults: faults.to_vec(), ..Layout::default() };
    let mut field = Field::lay(&layout).await?;
    steps(&field, seed, 40).await;
    // Requests arrive at once: one that arrives after its time-out is nothing that a worker could know of.
    let drip = Flow { drip: Some(Duration::from_millis(20)), ..Flow::default() };
    let trickle = Rules { to_client: drip, ..Rules::default() };
    for (proxy, rules) in proxies(&field).zip([Rules::hang(), trickle]) {
        proxy.set(rules);
    }
    steps(&field, seed + 1, 60).await;
    sleep(Duration::from_secs(5)).await;
    let (finding, evidence) = Finding::of(&mut field).await?;
    let paused = evidence.snapshot.connectors.iter().filter(|connector| connector.paused).count();
    Ok(finding
        .demand(paused == 0, "a broken target was taken for one that refuses our credentials")
        .and(bad_credentials().await?))
}

/// The connector stops at the first refusal: more tries could lock its login.
async fn bad_credentials() -> Result<Finding> {
    let faults = vec![memory_fault("create", "bad_credentials", 1)];
    let mut field =
        Field::lay(&Layout { memory_faults: faults, max_concurrency: 1, ..Layout::default() }).await?;
    let account = field.accounts().first().context("there are accounts")?.clone();
    field.client.enqueue(account.tenant, vec![account.create("1@x"), account.set("2@x")]).await;
    let (finding, evidence) = Finding::of(&mut field).await?;
    let paused = evidence.snapshot.connectors.iter().all(|connector| connector.paused);
    let calls = evidence.ledgers.iter().map(|ledger| ledger.writes.len()).sum::<usize>();
    Ok(finding
        .demand(paused, "the connector was not stopped")
        .demand(calls == 1, format!("{calls} calls were made with bad credentials")))
}
