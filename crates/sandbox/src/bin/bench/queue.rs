//! The queue: bulk enqueue, drain in lanes of ten and of one, single creates, idle latency.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::sleep};
use xavyo_wire::pb::provisioning as pb;

use crate::{
    limits,
    rig::{Rig, update},
    samples::{Pairs, Spread, quantile, rate},
};

const BATCH: usize = 1_000;
const ENQUEUERS: usize = 4;
const SINGLE_CALLERS: usize = 32;
const SINGLE_EACH: usize = 100;
const IDLE_SAMPLES: usize = 300;
const LANE: usize = 10;

/// What was measured.
#[derive(Debug, Default)]
pub struct Figures {
    drain_lanes: Pairs,
    drain_single: Pairs,
    bulk_enqueue: Pairs,
    single_create: Pairs,
    idle_milliseconds: Vec<f64>,
    calls: i64,
    operations: i64,
}

pub async fn measure(pairs: usize, operations: usize) -> Result<Figures> {
    let rig = Arc::new(Rig::build().await?);
    limits::prepare(&rig.bare).await?;
    let mut figures = Figures::default();
    for pair in 1..=pairs {
        eprintln!("pair {pair} of {pairs}");
        figures.drain_in_lanes(&rig, operations, LANE).await?;
        figures.drain_in_lanes(&rig, operations, 1).await?;
        figures.create_singly(&rig).await?;
    }
    figures.idle(&rig).await?;
    Ok(figures)
}

impl Figures {
    /// Enqueues while the connector is paused, then lets it run.
    async fn drain_in_lanes(&mut self, rig: &Arc<Rig>, operations: usize, lane: usize) -> Result<()> {
        let accounts = operations / lane;
        let connector = rig.connector(accounts).await?;
        let limit = limits::insert_batches(&rig.bare, operations).await?;
        let started = Instant::now();
        enqueue(rig, &connector, accounts, operations).await?;
        self.bulk_enqueue.add(rate(operations, started.elapsed()), limit);

        let limit = limits::drain(&rig.bare, operations).await?;
        let mut judge = rig.judge().await?;
        let started = rig.now(&mut judge).await?;
        rig.resume(&connector).await?;
        rig.drained(&mut judge, &connector).await?;
        let took = rig.last_recorded(&mut judge, &connector).await? - started;
        let ours = rate(operations, took.to_std()?);
        let (completed, calls) = rig.completed(&connector).await?;
        ensure!(usize::try_from(completed)? == operations, "{completed} of {operations} were completed");
        self.calls += calls;
        self.operations += completed;
        if lane == 1 {
            self.drain_single.add(ours, limit);
        } else {
            self.drain_lanes.add(ours, limit);
        }
        Ok(())
    }

    async fn create_singly(&mut self, rig: &Arc<Rig>) -> Result<()> {
        let limit = limits::insert_singly(&rig.bare, SINGLE_CALLERS, SINGLE_EACH).await?;
        let connector = rig.connector(SINGLE_CALLERS * SINGLE_EACH).await?;
        let started = Instant::now();
        let mut callers = JoinSet::new();
        for caller in 0..SINGLE_CALLERS {
            let (mut client, connector) = (rig.operations.clone(), connector.clone());
            callers.spawn(async move {
                for round in 0..SINGLE_EACH {
                    let account = caller * SINGLE_EACH + round;
                    client.create_operation(update(&connector, account, round)).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = callers.join_next().await {
            done??;
        }
        self.single_create.add(rate(SINGLE_CALLERS * SINGLE_EACH, started.elapsed()), limit);
        rig.resume(&connector).await?;
        rig.drained(&mut rig.judge().await?, &connector).await?;
        Ok(())
    }

    /// One operation at a time on an idle service, at odd moments.
    async fn idle(&mut self, rig: &Arc<Rig>) -> Result<()> {
        let connector = rig.connector(IDLE_SAMPLES).await?;
        let mut judge = rig.judge().await?;
        rig.resume(&connector).await?;
        rig.drained(&mut judge, &connector).await?;
        for account in 0..IDLE_SAMPLES {
            rig.operations.clone().create_operation(update(&connector, account, 0)).await?;
            // Nobody looks while it starts.
            sleep(Duration::from_millis(rand::random_range(10..30))).await;
            rig.drained(&mut judge, &connector).await?;
        }
        self.idle_milliseconds = rig.start_delays(&connector).await?;
        Ok(())
    }

    pub fn ratios(&self) -> Value {
        let ratio = |pairs: &Pairs| rounded(pairs.ratio().median);
        json!({
            "drain_lanes_ratio": ratio(&self.drain_lanes),
            "drain_single_ratio": ratio(&self.drain_single),
            "bulk_enqueue_ratio": ratio(&self.bulk_enqueue),
            "single_create_ratio": ratio(&self.single_create),
            "idle_p50_ms": rounded(quantile(&self.idle_milliseconds, 0.5)),
            "idle_p99_ms": rounded(quantile(&self.idle_milliseconds, 0.99)),
            "operations": self.operations,
            "target_calls": self.calls,
        })
    }

    pub fn print(&self) {
        println!("{:<16} {:>22} {:>22} {:>24}", "", "ours /s", "limit /s", "ratio (min … max)");
        for (name, pairs) in [
            ("drain, lanes", &self.drain_lanes),
            ("drain, single", &self.drain_single),
            ("bulk enqueue", &self.bulk_enqueue),
            ("single create", &self.single_create),
        ] {
            let Spread { least, median, most } = pairs.ratio();
            println!(
                "{name:<16} {:>22.0} {:>22.0} {:>24}",
                pairs.ours().median,
                pairs.limit().median,
                format!("{median:.3} ({least:.3} … {most:.3})"),
            );
        }
        let at = |part| quantile(&self.idle_milliseconds, part);
        println!("idle             p50 {:.2} ms, p99 {:.2} ms", at(0.5), at(0.99));
        println!("target calls     {} for {} operations", self.calls, self.operations);
    }
}

/// Batches of 1,000 from four callers; the operations of an account follow each other.
async fn enqueue(rig: &Arc<Rig>, connector: &str, accounts: usize, operations: usize) -> Result<()> {
    let lane = operations / accounts;
    let all: Vec<pb::CreateOperationRequest> = (0..accounts)
        .flat_map(|account| (0..lane).map(move |round| (account, round)))
        .map(|(account, round)| update(connector, account, round))
        .collect();
    let batches: Vec<Vec<_>> = all.chunks(BATCH).map(<[_]>::to_vec).collect();
    let mut callers = JoinSet::new();
    for caller in 0..ENQUEUERS {
        let mut client = rig.operations.clone();
        let mine: Vec<_> = batches.iter().skip(caller).step_by(ENQUEUERS).cloned().collect();
        callers.spawn(async move {
            for operations in mine {
                let request = pb::BatchCreateOperationsRequest { operations, request_id: None };
                client.batch_create_operations(request).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = callers.join_next().await {
        done??;
    }
    Ok(())
}

fn rounded(figure: f64) -> f64 {
    (figure * 1_000.0).round() / 1_000.0
}
