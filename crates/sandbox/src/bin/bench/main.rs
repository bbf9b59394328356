//! `xavyo-bench queue [--json]`: how fast the queue is, as ratios to the bare limits of the same Postgres, measured in the
//! same run.
//!
//! Each ratio is the median of five pairs that alternate: the limit, then ours. fsync and synchronous_commit are on. Begin
//! with [`queue`]; [`limits`] is what a program that did nothing else could reach.

mod limits;
mod queue;
mod rig;
mod samples;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "xavyo-bench", about = "Measures against the limits of the same machine")]
struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Enqueueing and draining operations.
    Queue {
        /// Prints the figures as one line of JSON at the end.
        #[arg(long)]
        json: bool,
        /// Pairs measured; the median is reported.
        #[arg(long, default_value_t = 5)]
        pairs: usize,
        /// Operations in each drain.
        #[arg(long, default_value_t = 20_000)]
        operations: usize,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let Bench::Queue { json, pairs, operations } = Arguments::parse().bench;
    let figures = queue::measure(pairs.max(1), operations.max(1_000)).await?;
    figures.print();
    if json {
        println!("{}", serde_json::to_string(&figures.ratios())?);
    }
    Ok(())
}
