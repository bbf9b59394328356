//! Reading a long queue and its history: pages of ListOperations and GetQueueStatistics, with millions of operations
//! against the same with a thousand, each in a database of its own, in turns.
//!
//! The rows are [seeded](seed) by SQL; what is measured goes through gRPC.

mod seed;

use std::time::Instant;

use anyhow::Result;
use serde_json::{Value, json};
use xavyo_wire::pb::provisioning as pb;

use self::seed::Extent;
use crate::{
    rig::Rig,
    samples::{Pairs, Spread},
};

const PAGE: i32 = 50;
/// Reads before anything is measured: plans are made and pages are in memory.
const WARM: usize = 10;

/// A list that somebody looks at.
const LISTS: [(&str, List); 7] = [
    ("newest first", List { of_connector: false, statuses: &[] }),
    ("of a connector", List { of_connector: true, statuses: &[] }),
    ("pending", List { of_connector: false, statuses: &[pb::OperationStatus::Pending] }),
    ("in progress", List { of_connector: false, statuses: &[pb::OperationStatus::InProgress] }),
    ("failed", List { of_connector: false, statuses: &[pb::OperationStatus::Failed] }),
    ("dead letters", List { of_connector: false, statuses: &[pb::OperationStatus::DeadLetter] }),
    ("completed", List { of_connector: false, statuses: &[pb::OperationStatus::Completed] }),
];

#[derive(Clone, Copy, Debug)]
struct List {
    of_connector: bool,
    statuses: &'static [pb::OperationStatus],
}

/// One database of the two.
struct Side {
    rig: Rig,
    connector: String,
}

/// Milliseconds of the large one, and of the small one as the limit.
#[derive(Debug, Default)]
pub struct Figures {
    lists: Vec<(&'static str, Pairs)>,
    statistics: Pairs,
}

/// `history` operations that have ended, and their share of pending ones and dead letters, against a thousand in all.
pub async fn measure(pairs: usize, history: i64) -> Result<Figures> {
    let small = Side::with(Extent::THOUSAND).await?;
    let large = Side::with(Extent::beside(history)).await?;
    let mut figures = Figures::default();
    for (name, list) in LISTS {
        let mut measured = Pairs::default();
        for round in 0..WARM + pairs {
            let (limit, ours) = (small.list(list).await?, large.list(list).await?);
            if round >= WARM {
                measured.add(ours, limit);
            }
        }
        figures.lists.push((name, measured));
    }
    for round in 0..WARM + pairs {
        let (limit, ours) = (small.statistics().await?, large.statistics().await?);
        if round >= WARM {
            figures.statistics.add(ours, limit);
        }
    }
    Ok(figures)
}

impl Side {
    async fn with(extent: Extent) -> Result<Self> {
        let rig = Rig::build().await?;
        let connector = rig.connector(0).await?;
        let started = Instant::now();
        seed::fill(&rig, &connector, extent).await?;
        eprintln!("{} operations seeded in {:.0} s", extent.total(), started.elapsed().as_secs_f64());
        Ok(Self { rig, connector })
    }

    /// Milliseconds of two pages: the first, and the one after it where there is one.
    async fn list(&self, list: List) -> Result<f64> {
        let started = Instant::now();
        let mut request = pb::ListOperationsRequest {
            page_size: PAGE,
            connector_id: list.of_connector.then(|| self.connector.clone()),
            statuses: list.statuses.iter().map(|status| (*status).into()).collect(),
            ..pb::ListOperationsRequest::default()
        };
        let first = self.rig.operations.clone().list_operations(request.clone()).await?.into_inner();
        if !first.next_page_token.is_empty() {
            request.page_token = first.next_page_token;
            self.rig.operations.clone().list_operations(request).await?;
        }
        Ok(started.elapsed().as_secs_f64() * 1_000.0)
    }

    async fn statistics(&self) -> Result<f64> {
        let started = Instant::now();
        let request = pb::GetQueueStatisticsRequest::default();
        self.rig.operations.clone().get_queue_statistics(request).await?;
        Ok(started.elapsed().as_secs_f64() * 1_000.0)
    }
}

impl Figures {
    /// Of the lists the slowest one, by its ratio.
    pub fn ratios(&self) -> Value {
        let worst = self.lists.iter().map(|(_, pairs)| pairs.ratio().median).fold(0.0, f64::max);
        let hundredths = |ratio: f64| (ratio * 100.0).round() / 100.0;
        json!({
            "list_ratio": hundredths(worst),
            "stats_ratio": hundredths(self.statistics.ratio().median),
        })
    }

    pub fn print(&self) {
        let line = |name: &str, pairs: &Pairs| {
            let (ours, small, ratio): (Spread, Spread, Spread) = (pairs.ours(), pairs.limit(), pairs.ratio());
            eprintln!("{name:<16} {:>8.2} ms {:>8.2} ms  {:>6.2}", ours.median, small.median, ratio.median);
        };
        eprintln!("{:<16} {:>11} {:>11}  {:>6}", "", "millions", "thousand", "ratio");
        self.lists.iter().for_each(|(name, pairs)| line(name, pairs));
        line("statistics", &self.statistics);
    }
}
