//! `xavyo-faults`: each fault of a worker, a network, a database, a caller or a target once, and a death at every crash
//! point; after each the system heals, drains, and is judged.
//!
//! What is known to fail stands on a list ([`known`]). The suite fails when something else does, and when one of those no
//! longer does: the list only shrinks.
//!
//! Begin with [`FAULTS`].

mod callers;
mod crashes;
mod databases;
mod finding;
mod networks;
mod runs;
mod workers;

use std::{
    collections::BTreeSet,
    pin::Pin,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::Parser;
use futures::{StreamExt, stream};
use tokio::time::timeout;

use finding::Finding;
use xavyo_sandbox::faults::known;

/// Lets every kind of thing go wrong once, and judges what is left each time.
#[derive(Parser)]
#[command(name = "cargo xtask test faults")]
struct Arguments {
    /// Only the faults whose number or name contains this.
    filter: Option<String>,
    /// Of loads and crash points; random if not given.
    #[arg(long)]
    seed: Option<u64>,
}

type Running = Pin<Box<dyn Future<Output = Result<Finding>>>>;

/// One thing that goes wrong.
struct Fault {
    /// As the list of known failures names it.
    number: u32,
    name: &'static str,
    run: fn(u64) -> Running,
}

/// One that never ends must not hold up the others.
const LIMIT: Duration = Duration::from_mins(6);

/// Side by side: mostly they wait, for a lease to end or a target to come back. Each has a field of its own.
const AT_ONCE: usize = 3;

const FAULTS: [Fault; 18] = [
    Fault {
        number: 15,
        name: "a worker sleeps past its lease, and wakes",
        run: |seed| Box::pin(workers::zombie(seed)),
    },
    Fault {
        number: 16,
        name: "a death at every crash point of an operation",
        run: |seed| Box::pin(crashes::everywhere(seed)),
    },
    Fault {
        number: 16,
        name: "a death at every crash point of a run",
        run: |seed| Box::pin(runs::killed(seed)),
    },
    Fault {
        number: 16,
        name: "a death at every crash point of a remediation",
        run: |seed| Box::pin(runs::killed_while_remediating(seed)),
    },
    Fault {
        number: 17,
        name: "replies are lost, cut and late",
        run: |seed| Box::pin(networks::lost_replies(seed)),
    },
    Fault { number: 18, name: "leases cannot be renewed", run: |seed| Box::pin(databases::no_renewal(seed)) },
    Fault {
        number: 19,
        name: "random operations on few accounts, with delays and retries",
        run: |seed| Box::pin(callers::few_accounts(seed)),
    },
    Fault {
        number: 20,
        name: "cancel races claim, retry races resolve",
        run: |seed| Box::pin(callers::races(seed)),
    },
    Fault {
        number: 21,
        name: "one request id, many calls",
        run: |seed| Box::pin(callers::one_request_id(seed)),
    },
    Fault {
        number: 22,
        name: "an operation that kills its worker",
        run: |seed| Box::pin(workers::killer(seed)),
    },
    Fault {
        number: 23,
        name: "the outcome of a commit is unknown",
        run: |seed| Box::pin(databases::unknown_commits(seed)),
    },
    Fault { number: 24, name: "Postgres crashes under load", run: |seed| Box::pin(databases::crashes(seed)) },
    Fault {
        number: 25,
        name: "a random process is killed every second",
        run: |seed| Box::pin(workers::killed_at_random(seed)),
    },
    Fault { number: 32, name: "a target is down for long", run: |seed| Box::pin(networks::outage(seed)) },
    Fault { number: 33, name: "a target is half broken", run: |seed| Box::pin(networks::half_broken(seed)) },
    Fault { number: 34, name: "one tenant floods the queue", run: |seed| Box::pin(callers::flood(seed)) },
    Fault {
        number: 35,
        name: "too few connections, and transactions that cross",
        run: |seed| Box::pin(databases::exhausted(seed)),
    },
    Fault {
        number: 36,
        name: "the nudge is lost with the process that had it",
        run: |seed| Box::pin(workers::lost_nudge(seed)),
    },
];

async fn strike(fault: &Fault, seed: u64) -> (&Fault, Duration, Finding) {
    let began = Instant::now();
    let finding = match timeout(LIMIT, (fault.run)(seed)).await {
        Ok(Ok(finding)) => finding,
        Ok(Err(error)) => Finding::of_error(&format!("{error:#}")),
        Err(_) => Finding::of_error("did not end"),
    };
    (fault, began.elapsed(), finding)
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let chosen = |fault: &&Fault| {
        let filter = arguments.filter.as_deref().unwrap_or_default();
        fault.number.to_string() == filter || fault.name.contains(filter)
    };
    let began = Instant::now();
    println!("cargo xtask test faults --seed {seed}");
    let mut failing = BTreeSet::new();
    let mut findings =
        stream::iter(FAULTS.iter().filter(chosen)).map(|fault| strike(fault, seed)).buffer_unordered(AT_ONCE);
    while let Some((fault, taken, finding)) = findings.next().await {
        println!("{:>3} {:<60} {:>4.0} s  {finding}", fault.number, fault.name, taken.as_secs_f64());
        failing.extend(finding.failing(fault.number));
    }
    let is_whole = arguments.filter.is_none();
    let surprises = known::surprises(&failing, is_whole)?;
    for surprise in &surprises {
        println!("{surprise}");
    }
    println!(
        "{:.0} s; to see it again: cargo xtask test faults --seed {seed}",
        began.elapsed().as_secs_f64()
    );
    Ok(if surprises.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
