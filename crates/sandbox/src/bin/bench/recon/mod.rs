//! Reconciliation: a full run over a directory against a bare paged read of it, and a full run over a million accounts.
//!
//! Begin with [`town`]: the services, and people with accounts in step. [`directory`] is the LDAP target and its limit.

mod directory;
mod town;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use self::{directory::Directory, town::Town};
use crate::samples::{Pairs, Spread, rate};

/// One person in so many has drifted.
const DRIFTED: usize = 100;
/// Runs over the million; the first one computes every digest.
const MILLION_RUNS: usize = 3;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    pub pairs: usize,
    /// Of the directory.
    pub accounts: usize,
    pub million: usize,
}

/// What was measured.
#[derive(Debug, Default)]
pub struct Figures {
    /// Accounts a second: our run, and the bare read just before it.
    directory: Pairs,
    million: Vec<f64>,
    million_rss_mb: u64,
    unchanged_rows_written: i64,
}

pub async fn measure(extent: Extent) -> Result<Figures> {
    let mut figures = Figures::default();
    figures.over_a_directory(extent).await?;
    figures.over_a_million(extent).await?;
    Ok(figures)
}

impl Figures {
    async fn over_a_directory(&mut self, extent: Extent) -> Result<()> {
        eprintln!("a directory of {} accounts", extent.accounts);
        let directory = Directory::fill(extent.accounts).await?;
        let town = Town::build(directory.connector()).await?;
        town.settle().await?;
        let drifted = town.drift(extent.accounts / DRIFTED).await?;
        // The first run keeps what it computed of every identity.
        town.run().await?;
        for pair in 1..=extent.pairs {
            eprintln!("pair {pair} of {}", extent.pairs);
            let bare = directory.read().await?;
            ensure!(bare.accounts == extent.accounts, "the bare read saw {} accounts", bare.accounts);
            let run = town.run().await?;
            ensure!(run.found == drifted, "{} of {drifted} drifted accounts were found", run.found);
            self.directory.add(rate(run.accounts, run.took), rate(bare.accounts, bare.took));
        }
        Ok(())
    }

    async fn over_a_million(&mut self, extent: Extent) -> Result<()> {
        eprintln!("{} generated accounts", extent.million);
        let mut town = Town::build(town::generated(extent.million)?).await?;
        town.settle().await?;
        for number in 1..=MILLION_RUNS {
            eprintln!("run {number} of {MILLION_RUNS}");
            let before = town.transactions().await?;
            let run = town.run().await?;
            ensure!(run.accounts == extent.million, "{} accounts were read", run.accounts);
            ensure!(run.found == 0, "{} accounts differ", run.found);
            self.million.push(rate(run.accounts, run.took));
            self.unchanged_rows_written = town.rows_since(&before).await?;
        }
        self.million_rss_mb = town.peak_memory()? / 1_024;
        Ok(())
    }

    pub fn print(&self) {
        let (ours, limit) = (self.directory.ours(), self.directory.limit());
        println!("full run over a directory   {:>9.0} accounts/s", ours.median);
        println!("bare paged read             {:>9.0} accounts/s", limit.median);
        let ratio = self.ldap_ratio();
        println!(
            "a run takes                 {:>9.2} × ({:.2} to {:.2})",
            ratio.median, ratio.least, ratio.most
        );
        println!("full run over a million     {:>9.0} accounts/s", Spread::of(&self.million).median);
        println!("memory, both services       {:>9} MB at most", self.million_rss_mb);
        println!("rows of unchanged accounts  {:>9}", self.unchanged_rows_written);
    }

    pub fn ratios(&self) -> Value {
        let ratio = self.ldap_ratio();
        json!({
            "ldap_ratio": round(ratio.median),
            "ldap_ratio_least": round(ratio.least),
            "ldap_ratio_most": round(ratio.most),
            "million_rss_mb": self.million_rss_mb,
            "million_accounts_per_second": Spread::of(&self.million).median.round(),
            "unchanged_rows_written": self.unchanged_rows_written,
        })
    }

    /// How many times as long as the bare read a run takes.
    fn ldap_ratio(&self) -> Spread {
        let Spread { least, median, most } = self.directory.ratio();
        Spread { least: 1.0 / most, median: 1.0 / median, most: 1.0 / least }
    }
}

fn round(ratio: f64) -> f64 {
    (ratio * 1_000.0).round() / 1_000.0
}
