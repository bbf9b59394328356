//! What scenarios do with runs.

use std::time::Duration;

use tonic::Status;
use xavyo_wire::pb::{provisioning as pp, reconciliation as pr};

use crate::{Clients, World};

/// A safety net: what takes longer has gone wrong.
const PATIENCE: Duration = Duration::from_secs(30);

impl World {
    /// A memory connector each of whose calls takes so long.
    pub async fn slow_connector(&self, latency_ms: i64) -> String {
        self.connector(|request| {
            if let Some(pp::connector_settings::Kind::Memory(memory)) =
                request.settings.as_mut().and_then(|settings| settings.kind.as_mut())
            {
                memory.latency_ms = latency_ms;
            }
        })
        .await
    }
}

impl World {
    /// A delta to its end, or what became of it.
    pub async fn delta_run(&self, connector: &str, dry_run: bool) -> pr::ReconciliationRun {
        let run = self.admin.start_delta(connector, dry_run).await;
        self.admin.run_ended(&run.id).await
    }

    /// Waits until no finding of the run is open any more.
    ///
    /// # Panics
    /// If some still are after some seconds.
    pub async fn settled(&self, run: &str) {
        let is_open = |row: &pr::Discrepancy| row.resolution_status() == pr::ResolutionStatus::Pending;
        let settled = async {
            while self.admin.discrepancies_of(run).await.iter().any(is_open) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, settled).await.expect("every finding is settled");
    }
}

impl Clients {
    /// A full run that has just been asked for.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn start_full(&self, connector: &str) -> pr::ReconciliationRun {
        let request = pr::StartRunRequest {
            connector_id: connector.to_owned(),
            mode: pr::ReconciliationMode::Full.into(),
            ..pr::StartRunRequest::default()
        };
        let started = self.runs.clone().start_run(request).await.expect("a run starts");
        started.into_inner().run.expect("the answer has it")
    }

    /// A delta that has just been asked for.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn start_delta(&self, connector: &str, dry_run: bool) -> pr::ReconciliationRun {
        let request = pr::StartRunRequest {
            connector_id: connector.to_owned(),
            mode: pr::ReconciliationMode::Delta.into(),
            dry_run,
            ..pr::StartRunRequest::default()
        };
        let started = self.runs.clone().start_run(request).await.expect("a run starts");
        started.into_inner().run.expect("the answer has it")
    }

    /// # Errors
    /// As PauseRun.
    pub async fn pause(&self, run: &str) -> Result<pr::ReconciliationRun, Status> {
        let request = pr::PauseRunRequest { run_id: run.to_owned(), reason: None };
        let paused = self.runs.clone().pause_run(request).await?.into_inner();
        Ok(paused.run.expect("the answer has it"))
    }

    /// # Errors
    /// As ResumeRun, without an approval.
    pub async fn resume(&self, run: &str) -> Result<pr::ReconciliationRun, Status> {
        self.resume_with(pr::ResumeRunRequest { run_id: run.to_owned(), ..Default::default() }).await
    }

    /// # Errors
    /// As ResumeRun with an approval of that plan.
    pub async fn approve(&self, run: &str, digest: &str) -> Result<pr::ReconciliationRun, Status> {
        let plan_digest = Some(digest.to_owned());
        let run_id = run.to_owned();
        let request = pr::ResumeRunRequest { run_id, approve: true, plan_digest, ..Default::default() };
        self.resume_with(request).await
    }

    /// # Errors
    /// As ResumeRun.
    pub async fn resume_with(&self, request: pr::ResumeRunRequest) -> Result<pr::ReconciliationRun, Status> {
        let resumed = self.runs.clone().resume_run(request).await?.into_inner();
        Ok(resumed.run.expect("the answer has it"))
    }

    /// # Errors
    /// As CancelRun.
    pub async fn cancel_run(&self, run: &str) -> Result<pr::ReconciliationRun, Status> {
        let request = pr::CancelRunRequest { run_id: run.to_owned(), reason: None };
        let cancelled = self.runs.clone().cancel_run(request).await?.into_inner();
        Ok(cancelled.run.expect("the answer has it"))
    }

    /// The run as soon as its watch tells one that fits.
    ///
    /// # Panics
    /// If none does within some seconds.
    pub async fn run_that(
        &self,
        run: &str,
        fits: impl Fn(&pr::ReconciliationRun) -> bool,
    ) -> pr::ReconciliationRun {
        let watched = async {
            let request = pr::WatchRunRequest { run_id: run.to_owned(), ..Default::default() };
            let mut moves =
                self.runs.clone().watch_run(request).await.expect("a run is watched").into_inner();
            let mut last = None;
            while let Some(message) = moves.message().await.expect("the watch goes on") {
                if let Some(pr::watch_run_response::Event::Run(run)) = message.event {
                    if fits(&run) {
                        return run;
                    }
                    last = Some(run);
                }
            }
            panic!("the run ended otherwise: {last:?}");
        };
        tokio::time::timeout(PATIENCE, watched).await.expect("the run gets there")
    }

    /// The run as soon as it is in that state.
    pub async fn run_is(&self, run: &str, status: pr::ReconciliationRunStatus) -> pr::ReconciliationRun {
        self.run_that(run, |run| run.status() == status).await
    }
}
