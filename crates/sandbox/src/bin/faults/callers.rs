//! What callers do.

use std::{collections::HashSet, time::Duration};

use anyhow::Result;
use chrono::{DateTime, Utc};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::sleep;
use tonic::Code;
use uuid::Uuid;
use xavyo_sandbox::{
    checker::{Evidence, Outcome},
    faults::{Field, Kind, Layout, memory_fault},
    load::Patience,
    proxy::Rules,
};
use xavyo_wire::pb::provisioning::CreateOperationRequest;

use crate::{finding::Finding, workers::steps};

/// Where nothing is to be lost on the way, only the answer counts.
const PATIENT: Patience = Patience { call: Duration::from_mins(1), tries: 1 };

/// Two hundred operations on five accounts, by three replicas, over a slow target and one that fails now and then.
pub async fn few_accounts(seed: u64) -> Result<Finding> {
    let faults = [
        ("update", "busy", 12),
        ("create", "unknown_after", 2),
        ("update", "unknown_after", 6),
        ("delete", "unknown_before", 2),
    ];
    let layout = Layout {
        replicas: 3,
        targets: vec![Kind::Memory, Kind::Sql],
        people: 5,
        max_concurrency: 1,
        memory_faults: faults.map(|(call, kind, times)| memory_fault(call, kind, times)).to_vec(),
        ..Layout::default()
    };
    let mut field = Field::lay(&layout).await?;
    let proxies = field.targets.iter().filter_map(|target| target.proxy.as_ref());
    proxies.for_each(|proxy| proxy.set(Rules::slow(Duration::from_millis(15))));
    steps(&field, seed, 200).await;
    Ok(Finding::of(&mut field).await?.0)
}

/// An operation is cancelled, twice, and retried while it is claimed: each answer must match what became of it.
pub async fn races(seed: u64) -> Result<Finding> {
    let layout = Layout { people: 20, replicas: 3, max_concurrency: 64, ..Layout::default() };
    let mut field = Field::lay(&layout).await?;
    let mut random = StdRng::seed_from_u64(seed);
    let accounts = field.accounts().to_vec();
    for account in &accounts {
        field.client.enqueue(account.tenant, vec![account.create("0@x")]).await;
    }
    for round in 0..400 {
        let account = accounts[random.random_range(0..accounts.len())].clone();
        let delays: [u64; 3] = [0, 0, 0].map(|_: u64| random.random_range(0..40));
        field.client.work(move |client| async move {
            let tenant = account.tenant;
            let made = client.enqueue(tenant, vec![account.set(&format!("{round}@x"))]).await;
            let Outcome::Ok(ids) = made else { return };
            let Some(id) = ids.first().copied() else { return };
            let later = async |delay| sleep(Duration::from_millis(delay)).await;
            tokio::join!(
                async {
                    later(delays[0]).await;
                    client.cancel(tenant, id).await
                },
                async {
                    later(delays[1]).await;
                    client.cancel(tenant, id).await
                },
                async {
                    later(delays[2]).await;
                    client.retry(tenant, id).await
                },
            );
        });
        sleep(Duration::from_millis(4)).await;
    }
    let (finding, evidence) = Finding::of(&mut field).await?;
    let count = |status: &str| evidence.snapshot.operations.iter().filter(|one| one.status == status).count();
    let (cancelled, completed) = (count("cancelled"), count("completed"));
    Ok(finding
        .demand(cancelled > 0 && completed > 0, "one side always won: this was no race")
        .remark(format!("{cancelled} cancelled, {completed} completed")))
}

/// The same call again is the same operation; another body is refused; another tenant knows nothing of it.
pub async fn one_request_id(_: u64) -> Result<Finding> {
    let layout = Layout { tenants: 2, patience: PATIENT, ..Layout::default() };
    let mut field = Field::lay(&layout).await?;
    let client = field.client.clone();
    let mine = field.accounts()[0].clone();
    let other = field.accounts().iter().find(|account| account.tenant != mine.tenant).cloned();
    let id = Uuid::from_u128(rand::random());
    let with_id = |request| CreateOperationRequest { request_id: Some(id.to_string()), ..request };
    let same = with_id(mine.create("1@x"));
    let (first, a, b, c) = tokio::join!(
        client.enqueue_as(id, mine.tenant, vec![mine.create("1@x")]),
        client.ask(mine.tenant, same.clone()),
        client.ask(mine.tenant, same.clone()),
        client.ask(mine.tenant, same.clone()),
    );
    let body = client.ask(mine.tenant, with_id(mine.create("2@x"))).await;
    let foreign = match &other {
        Some(other) => client.enqueue_as(id, other.tenant, vec![other.create("1@x")]).await,
        None => Outcome::Unknown("there is no other tenant".to_owned()),
    };
    let answers = [a, b, c];
    let (finding, _) = Finding::of(&mut field).await?;
    let Outcome::Ok(made) = &first else {
        return Ok(finding.demand(false, format!("the first call: {first:?}")));
    };
    let agree = answers.iter().all(|answer| answer.as_ref().ok() == made.first());
    Ok(finding
        .demand(agree, format!("{answers:?} beside {made:?}"))
        .demand(body == Err(Code::AlreadyExists), format!("another body: {body:?}"))
        .demand(matches!(&foreign, Outcome::Ok(ids) if ids != made), format!("another tenant: {foreign:?}")))
}

/// Operations of the tenant that floods.
const FLOOD: usize = 3_000;

/// One tenant enqueues thousands at the highest priority; the other's operation does not wait for them.
pub async fn flood(_: u64) -> Result<Finding> {
    let layout = Layout { tenants: 2, people: 10, patience: PATIENT, ..Layout::default() };
    let mut field = Field::lay(&layout).await?;
    let flooding = field.accounts()[0].tenant;
    let (many, few): (Vec<_>, Vec<_>) =
        field.accounts().iter().cloned().partition(|account| account.tenant == flooding);
    for account in &many {
        let urgent = |request| CreateOperationRequest { priority: Some(100), ..request };
        let operations: Vec<_> = std::iter::once(account.create("0@x"))
            .chain((1..FLOOD / many.len()).map(|n| account.add(&format!("{n}@x"))))
            .map(urgent)
            .collect();
        field.client.enqueue(flooding, operations).await;
    }
    let account = &few[0];
    field.client.enqueue(account.tenant, vec![account.create("1@x")]).await;
    let (finding, evidence) = Finding::of(&mut field).await?;
    let asked_at = evidence.history.last().map(|call| call.sent_at);
    let done_at = completions(&evidence, account.tenant).max();
    let flood: Vec<_> = completions(&evidence, flooding).map(Some).collect();
    let ahead = flood.iter().filter(|at| **at > asked_at).count();
    let waited_for = flood.iter().filter(|at| **at > asked_at && **at < done_at).count();
    Ok(finding
        .demand(ahead > FLOOD / 4, "the flood was over before it mattered")
        .demand(waited_for < ahead / 4, format!("waited for {waited_for} of {ahead} of another tenant"))
        .remark(format!("waited for {waited_for} of {ahead}")))
}

/// When a tenant's operations were completed.
fn completions(evidence: &Evidence, tenant: Uuid) -> impl Iterator<Item = DateTime<Utc>> {
    let snapshot = &evidence.snapshot;
    let own: HashSet<Uuid> =
        snapshot.operations.iter().filter(|one| one.tenant == tenant).map(|one| one.id).collect();
    let ends = snapshot.moves.iter().filter(|one| one.to == "completed");
    ends.filter(move |one| own.contains(&one.operation)).map(|one| one.at)
}
