//! `xavyo-bench queue [--json]`: how fast the queue is, as ratios to the bare limits of the same Postgres, measured in the
//! same run. `xavyo-bench recon [--json]`: how fast runs are, against a bare read of the same directory. `xavyo-bench lists
//! [--json]`: how much slower lists and statistics are with millions of operations than with a thousand.
//!
//! Each ratio is the median of five pairs that alternate: the limit, then ours. fsync and synchronous_commit are on. Begin
//! with [`queue`], [`recon`] and [`lists`]; [`limits`] is what a program that did nothing else could reach.

mod limits;
mod lists;
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
    /// Pages of lists, and statistics, of a long history.
    Lists {
        /// Prints the figures as one line of JSON at the end.
        #[arg(long)]
        json: bool,
        /// Reads of each kind; the median is reported.
        #[arg(long, default_value_t = 100)]
        pairs: usize,
        /// Operations that have ended.
        #[arg(long, default_value_t = 4_900_000)]
        history: i64,
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
        Bench::Lists { json, pairs, history } => {
            let figures = lists::measure(pairs.max(1), history.max(49_000)).await?;
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
