//! `xavyo-conformance`: one list of cases over every kind of target, or over one that an operator names.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Result, bail};
use clap::Parser;
use futures::future;
use xavyo_conformance::{Kind, Report, kinds, operator::Operators, report::summary, run};

/// Runs every case against real servers of every kind, each started for it; or against a target of yours.
#[derive(Parser)]
#[command(name = "cargo xtask conformance")]
struct Arguments {
    /// Only the kinds of this name, and the cases that contain it.
    filter: Option<String>,
    /// A JSON file that names a target of yours, and where accounts may be made there; its form is told in
    /// docs/conformance.md. Nothing is touched but accounts that are made for it, and those are removed.
    #[arg(long, value_name = "FILE")]
    connector: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let filter = arguments.filter.unwrap_or_default();
    let reports = match &arguments.connector {
        Some(path) => {
            let target: Arc<dyn Kind> = Arc::new(Operators::read(path)?);
            vec![run(target, &filter).await]
        }
        None => every_kind(&filter).await?,
    };
    for report in &reports {
        report.print();
    }
    println!("\n{}", summary(&reports));
    let is_good = reports.iter().all(|report| report.failed() == 0);
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Side by side: each has a server of its own.
async fn every_kind(filter: &str) -> Result<Vec<Report>> {
    let named: Vec<_> = kinds::ALL.iter().filter(|(name, _)| *name == filter).collect();
    // The name of a kind is no part of a case's.
    let (chosen, filter) = if named.is_empty() { (kinds::ALL.iter().collect(), filter) } else { (named, "") };
    let reports = future::try_join_all(chosen.into_iter().map(async |(_, start)| {
        let kind = start().await?;
        anyhow::Ok(run(kind, filter).await)
    }));
    let reports = reports.await?;
    if reports.iter().all(|report| report.results.is_empty()) {
        bail!("no kind and no case is named {filter:?}");
    }
    Ok(reports)
}
