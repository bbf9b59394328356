//! A full run, followed live.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use indicatif::{HumanCount, ProgressBar};
use xavyo_wire::pb::reconciliation::{
    Evidence, GetReportRequest, ReconciliationMode, ReconciliationReport, ReconciliationRun,
    ReconciliationRunStatus, RunPhase, RunProgress, StartRunRequest, WatchRunRequest,
    watch_run_response::Event,
};

use crate::{
    api::Api,
    drift::{Counts, TYPES},
    story,
};

/// What a run found, and how fast.
pub struct Findings {
    pub found: Counts,
    pub accounts: i64,
    pub accounts_per_second: f64,
    /// Attribute and count, the most frequent first.
    pub mismatched: Vec<(String, i64)>,
    pub in_flight: i64,
    pub evidence: Evidence,
}

/// Starts a full run and shows its progress until it has completed. `accounts` is how many the target has now.
pub async fn run(api: &Api, connector_id: &str, accounts: u64) -> Result<Findings> {
    let began = Instant::now();
    let request = StartRunRequest {
        connector_id: connector_id.to_owned(),
        mode: ReconciliationMode::Full.into(),
        ..StartRunRequest::default()
    };
    let started =
        api.runs.clone().start_run(request).await?.into_inner().run.context("the answer has the run")?;
    let bar = story::bar("reconciling", accounts);
    let run = watch(api, &started.id, &bar).await?;
    bar.finish_and_clear();
    if run.status() != ReconciliationRunStatus::Completed {
        bail!("the run ended as {:?}: {}", run.status(), run.error_message.unwrap_or_default());
    }
    let request = GetReportRequest { run_id: run.id };
    let report =
        api.runs.clone().get_report(request).await?.into_inner().report.context("a run has a report")?;
    let findings = Findings::of(report, run.accounts_processed);
    let line = format!(
        "full run: {} accounts compared, {} discrepancies",
        HumanCount(findings.accounts.unsigned_abs()),
        HumanCount(findings.found.total().unsigned_abs())
    );
    story::done(&line, began.elapsed());
    Ok(findings)
}

/// Follows the stream to its end; the last run that it sends is the final one.
async fn watch(api: &Api, run_id: &str, bar: &ProgressBar) -> Result<ReconciliationRun> {
    let request = WatchRunRequest { run_id: run_id.to_owned(), resume_token: String::new() };
    let mut events = api.runs.clone().watch_run(request).await?.into_inner();
    let mut last = None;
    while let Some(answer) = events.message().await? {
        match answer.event {
            Some(Event::Run(run)) => last = Some(run),
            Some(Event::Progress(progress)) => show(bar, &progress),
            Some(Event::Bookmark(_)) | None => {}
        }
    }
    last.context("the watch ended without the run")
}

fn show(bar: &ProgressBar, progress: &RunProgress) {
    bar.set_position(progress.accounts_processed.unsigned_abs());
    let found: i64 = progress.found_by_type.values().sum();
    let phase = match progress.phase() {
        RunPhase::Unspecified => "starting",
        RunPhase::Prepare => "reading identities",
        RunPhase::Read => "reading accounts",
        RunPhase::Compare => "comparing",
        RunPhase::Guard => "weighing",
        RunPhase::Remediate => "remediating",
        RunPhase::Report => "reporting",
    };
    bar.set_message(format!("{phase}, {found} found"));
}

impl Findings {
    fn of(report: ReconciliationReport, accounts: i64) -> Self {
        let by_type = report.discrepancy_summary.unwrap_or_default().by_type;
        let count = |name: &str| by_type.get(name).copied().unwrap_or_default();
        Self {
            found: Counts::of(TYPES.into_iter().map(|(_, name)| (name, count(name)))),
            accounts,
            accounts_per_second: report.performance_metrics.unwrap_or_default().accounts_per_second,
            mismatched: report
                .top_mismatched_attributes
                .into_iter()
                .map(|attribute| (attribute.attribute_name, attribute.count))
                .collect(),
            in_flight: report.set_apart.unwrap_or_default().in_flight,
            evidence: report.evidence.unwrap_or_default(),
        }
    }
}
