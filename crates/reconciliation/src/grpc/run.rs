//! RunService: the index of what can be asked of runs.

use std::pin::Pin;

use futures::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};
use uuid::Uuid;
use xavyo_core::{
    discrepancy::DiscrepancyType,
    error::Result,
    ids::{DiscrepancyId, RunId},
    run::ReconciliationMode,
};
use xavyo_runtime::Caller;
use xavyo_wire::{
    Fields, Numbered, limits, page::Tokens, pb::common, pb::reconciliation as pb, report, run,
    status::status, time,
};

use super::{Answer, Paging, answer};
use crate::{
    runs::{
        PlanApproval, ResumeRun, Runs, StartRun, StopRun,
        record::{RunRecord, StopRequest},
        watch::{
            Told,
            follower::{Event, ProgressTold},
        },
    },
    store::run::RunFilter,
};

#[derive(Debug)]
pub struct RunServer {
    pub runs: Runs,
    pub tokens: Tokens,
    /// Streams end when the process does.
    pub stop: CancellationToken,
}

/// The most findings of a plan that an approval may leave out.
const MAX_EXCLUDED: usize = 10_000;

type WatchStream = Pin<Box<dyn Stream<Item = Result<pb::WatchRunResponse, Status>> + Send>>;

#[tonic::async_trait]
impl pb::run_service_server::RunService for RunServer {
    type WatchRunStream = WatchStream;

    async fn start_run(&self, request: Request<pb::StartRunRequest>) -> Answer<pb::StartRunResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = start(request.into_inner()).map_err(status)?;
        let record = self.runs.start(&caller, command).await;
        answer(record.map(|record| pb::StartRunResponse { run: Some(run::to_pb(&record.run)) }))
    }

    async fn get_run(&self, request: Request<pb::GetRunRequest>) -> Answer<pb::GetRunResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let id = run_id(&request.into_inner().run_id).map_err(status)?;
        let record = self.runs.get(&caller, id).await;
        answer(record.map(|record| pb::GetRunResponse { run: Some(run::to_pb(&record.run)) }))
    }

    async fn list_runs(&self, request: Request<pb::ListRunsRequest>) -> Answer<pb::ListRunsResponse> {
        answer(self.list(&request).await)
    }

    async fn pause_run(&self, request: Request<pb::PauseRunRequest>) -> Answer<pb::PauseRunResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let pb::PauseRunRequest { run_id, reason } = request.into_inner();
        let command = stop(StopRequest::Pause, &run_id, reason).map_err(status)?;
        let record = self.runs.stop(&caller, command).await;
        answer(record.map(|record| pb::PauseRunResponse { run: Some(run::to_pb(&record.run)) }))
    }

    async fn resume_run(&self, request: Request<pb::ResumeRunRequest>) -> Answer<pb::ResumeRunResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = resume(request.into_inner()).map_err(status)?;
        let record = self.runs.resume(&caller, command).await;
        answer(record.map(|record| pb::ResumeRunResponse { run: Some(run::to_pb(&record.run)) }))
    }

    async fn cancel_run(&self, request: Request<pb::CancelRunRequest>) -> Answer<pb::CancelRunResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let pb::CancelRunRequest { run_id, reason } = request.into_inner();
        let command = stop(StopRequest::Cancel, &run_id, reason).map_err(status)?;
        let record = self.runs.stop(&caller, command).await;
        answer(record.map(|record| pb::CancelRunResponse { run: Some(run::to_pb(&record.run)) }))
    }

    async fn get_report(&self, request: Request<pb::GetReportRequest>) -> Answer<pb::GetReportResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let id = run_id(&request.into_inner().run_id).map_err(status)?;
        let stored = self.runs.report(&caller, id).await;
        answer(stored.map(|stored| pb::GetReportResponse { report: Some(report::to_pb(&stored.report)) }))
    }

    async fn watch_run(&self, request: Request<pb::WatchRunRequest>) -> Answer<WatchStream> {
        answer(self.watch(&request).await)
    }
}

impl RunServer {
    async fn list(&self, request: &Request<pb::ListRunsRequest>) -> Result<pb::ListRunsResponse> {
        let caller = Caller::of(request)?;
        let page = self.tokens.open::<Uuid, _>(caller.tenant, request.get_ref())?;
        let listed = self.runs.list(&caller, &filter(request.get_ref())?, &page).await?;
        let paging = Paging::of(&self.tokens, &page, &listed, |record: &RunRecord| record.run.id.0);
        Ok(pb::ListRunsResponse {
            runs: listed.items.iter().map(|record| run::to_pb(&record.run)).collect(),
            next_page_token: paging.next_page_token,
            total_size: paging.total_size,
            total_size_capped: paging.total_size_capped,
        })
    }

    async fn watch(&self, request: &Request<pb::WatchRunRequest>) -> Result<WatchStream> {
        let caller = Caller::of(request)?;
        let id = run_id(&request.get_ref().run_id)?;
        let page = self.tokens.open::<i64, _>(caller.tenant, request.get_ref())?;
        let events = self.runs.watch(&caller, id, page.after, self.stop.clone()).await?;
        let tokens = self.tokens.clone();
        let to_pb = move |told: Result<Told>| {
            told.map(|told| watched(id, tokens.next(&page, Some(&told.sequence)), told)).map_err(status)
        };
        Ok(Box::pin(events.map(to_pb)))
    }
}

fn run_id(text: &str) -> Result<RunId> {
    let mut fields = Fields::default();
    let id = fields.id("run_id", text);
    fields.finish(id)
}

fn start(request: pb::StartRunRequest) -> Result<StartRun> {
    let mut fields = Fields::default();
    let least = request.accept_count_at_least;
    let accepted = least.map(|least| fields.number("accept_count_at_least", Some(least), 0..=i64::MAX, 0));
    let reason = fields.optional_text("reason", request.reason, limits::REASON);
    if accepted.is_some() && reason.is_none() {
        fields.refuse("reason", "required with accept_count_at_least");
    }
    let command = StartRun {
        connector_id: fields.id("connector_id", &request.connector_id),
        mode: fields.choice("mode", request.mode).unwrap_or(ReconciliationMode::Full),
        dry_run: request.dry_run,
        accept_count_at_least: accepted,
        reason,
        slot: None,
        request_id: fields.optional_id("request_id", request.request_id.as_deref()),
    };
    fields.finish(command)
}

fn stop(request: StopRequest, run_id: &str, reason: Option<String>) -> Result<StopRun> {
    let mut fields = Fields::default();
    let command = StopRun {
        run_id: fields.id("run_id", run_id),
        request,
        reason: fields.optional_text("reason", reason, limits::REASON),
    };
    fields.finish(command)
}

fn resume(request: pb::ResumeRunRequest) -> Result<ResumeRun> {
    let mut fields = Fields::default();
    let run_id = fields.id("run_id", &request.run_id);
    let reason = fields.optional_text("reason", request.reason, limits::REASON);
    let exclude = fields
        .each("exclude", request.exclude, MAX_EXCLUDED, |fields, id| fields.id::<DiscrepancyId>("", &id));
    let digest = request.plan_digest.unwrap_or_default();
    match (request.approve, digest.is_empty()) {
        (true, true) => fields.refuse("plan_digest", "required with approve"),
        (false, false) => fields.refuse("plan_digest", "absent without approve"),
        (true, false) | (false, true) => {}
    }
    if !request.approve && !exclude.is_empty() {
        fields.refuse("exclude", "empty without approve");
    }
    let approval = request.approve.then_some(PlanApproval { plan_digest: digest, exclude });
    fields.finish(ResumeRun { run_id, approval, reason })
}

fn filter(request: &pb::ListRunsRequest) -> Result<RunFilter> {
    let mut fields = Fields::default();
    let filter = RunFilter {
        connector_id: fields.optional_id("connector_id", request.connector_id.as_deref()),
        mode: fields.optional_choice("mode", request.mode),
        status: fields.optional_choice("status", request.status),
    };
    fields.finish(filter)
}

fn watched(id: RunId, resume_token: String, told: Told) -> pb::WatchRunResponse {
    use pb::watch_run_response::Event as Message;
    let event = match told.event {
        Event::Run(record) => Message::Run(run::to_pb(&record.run)),
        Event::Progress(told_of) => Message::Progress(progress(id, told.sequence, &told_of)),
        Event::Bookmark(at) => Message::Bookmark(common::Bookmark { at: Some(time::to_pb(at)) }),
    };
    pb::WatchRunResponse { resume_token, event: Some(event) }
}

fn progress(id: RunId, sequence: i64, told: &ProgressTold) -> pb::RunProgress {
    pb::RunProgress {
        run_id: id.to_string(),
        phase: told.phase.number(),
        accounts_processed: told.accounts_processed,
        expected_total: told.expected_total,
        found_by_type: report::named(&told.found.by_type, DiscrepancyType::name),
        accounts_per_second: told.accounts_per_second,
        eta_seconds: told.eta_seconds,
        sequence,
        at: Some(time::to_pb(told.at)),
    }
}

#[cfg(test)]
mod tests {
    use xavyo_core::Reason;

    use super::*;

    #[test]
    fn a_run_is_parsed_with_every_violation() {
        let request = pb::StartRunRequest {
            connector_id: "x".to_owned(),
            accept_count_at_least: Some(-1),
            ..Default::default()
        };
        let error = start(request).unwrap_err();
        assert_eq!(error.reason, Reason::InvalidField);
        let mut paths: Vec<&str> =
            error.violations.iter().map(|violation| violation.field.as_str()).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["accept_count_at_least", "connector_id", "mode", "reason"]);
    }
}
