//! `xavyo-bench queue [--json]`: how fast the queue is, as ratios to the bare limits of the same Postgres, measured in the
//! same run. `xavyo-bench recon [--json]`: how fast runs are, against a bare read of the same directory.
//!
//! Each ratio is the median of five pairs that alternate: the limit, then ours. fsync and synchronous_commit are on. Begin
//! with [`queue`] and [`recon`]; [`limits`] is what a program that did nothing else could reach.

mod limits;
mod queue;
mod recon;
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
    /// Full runs over a directory and over a million accounts.
    Recon {
        /// Prints the figures as one line of JSON at the end.
        #[arg(long)]
        json: bool,
        /// Pairs measured; the median is reported.
        #[arg(long, default_value_t = 5)]
        pairs: usize,
        /// Accounts in the directory.
        #[arg(long, default_value_t = 100_000)]
        accounts: usize,
        /// Accounts that are generated.
        #[arg(long, default_value_t = 1_000_000)]
        million: usize,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let (json, ratios) = match Arguments::parse().bench {
        Bench::Queue { json, pairs, operations } => {
            let figures = queue::measure(pairs.max(1), operations.max(1_000)).await?;
            figures.print();
            (json, figures.ratios())
        }
        Bench::Recon { json, pairs, accounts, million } => {
            let extent = recon::Extent { pairs: pairs.max(1), accounts: accounts.max(1_000), million };
            let figures = recon::measure(extent).await?;
            figures.print();
            (json, figures.ratios())
        }
    };
    if json {
        println!("{}", serde_json::to_string(&ratios)?);
    }
    Ok(())
}
