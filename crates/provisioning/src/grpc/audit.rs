//! AuditService: who changed what.

use tonic::{Request, Response, Status};
use uuid::Uuid;
use xavyo_core::error::Result;
use xavyo_runtime::Caller;
use xavyo_wire::{
    fields::Fields,
    json, limits,
    page::{Page, Tokens},
    pb::provisioning as pb,
    status::status,
    time,
};

use crate::{
    audit::{AuditLog, ListEvents, Verdict},
    paging::Listed,
    store::{
        audit::{Event, Filter},
        audit_seal::Range,
    },
};

#[derive(Debug)]
pub struct AuditServer {
    pub audit: AuditLog,
    pub tokens: Tokens,
}

type Answer<T> = std::result::Result<Response<T>, Status>;

#[tonic::async_trait]
impl pb::audit_service_server::AuditService for AuditServer {
    async fn list_audit_events(
        &self,
        request: Request<pb::ListAuditEventsRequest>,
    ) -> Answer<pb::ListAuditEventsResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let request = request.into_inner();
        let page = self.tokens.open(caller.tenant, &request).map_err(status)?;
        let command = list_of_pb(request, &page).map_err(status)?;
        let listed = self.audit.list(&caller, &command).await.map_err(status)?;
        Ok(Response::new(list_to_pb(&self.tokens, &page, listed)))
    }

    async fn verify_audit(
        &self,
        request: Request<pb::VerifyAuditRequest>,
    ) -> Answer<pb::VerifyAuditResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let range = range_of_pb(request.into_inner()).map_err(status)?;
        let verdict = self.audit.verify(&caller, range).await.map_err(status)?;
        Ok(Response::new(verdict_to_pb(verdict)))
    }
}

fn list_of_pb(request: pb::ListAuditEventsRequest, page: &Page<Uuid>) -> Result<ListEvents> {
    let mut fields = Fields::default();
    let filter = Filter {
        subject: fields.optional_id("performed_by", request.performed_by.as_deref()),
        method: fields.optional_text("method", request.method, limits::NAME),
        resource_type: fields.optional_text("resource_type", request.resource_type, limits::NAME),
        resource_id: fields.optional_id("resource_id", request.resource_id.as_deref()),
        connector_id: fields.optional_id("connector_id", request.connector_id.as_deref()),
        from: fields.time("from", request.from),
        until: fields.time("until", request.until),
    };
    let command =
        ListEvents { filter, after: page.after, page_size: page.size, count_total: page.count_total };
    fields.finish(command)
}

fn range_of_pb(request: pb::VerifyAuditRequest) -> Result<Range> {
    let mut fields = Fields::default();
    let range = Range { from: fields.time("from", request.from), until: fields.time("until", request.until) };
    fields.finish(range)
}

fn verdict_to_pb(verdict: Verdict) -> pb::VerifyAuditResponse {
    pb::VerifyAuditResponse {
        intact: verdict.first_broken.is_none(),
        verified: verdict.verified,
        unsealed: verdict.unsealed,
        first_broken_id: verdict.first_broken.map(|id| id.to_string()),
    }
}

fn list_to_pb(tokens: &Tokens, page: &Page<Uuid>, listed: Listed<Event>) -> pb::ListAuditEventsResponse {
    pb::ListAuditEventsResponse {
        next_page_token: tokens.next(page, listed.last().map(|event| event.id).as_ref()),
        total_size: listed.total.map(|total| total.size),
        total_size_capped: listed.total.is_some_and(|total| total.is_capped),
        events: listed.items.into_iter().map(event_to_pb).collect(),
    }
}

fn event_to_pb(event: Event) -> pb::AuditEvent {
    pb::AuditEvent {
        id: event.id.to_string(),
        at: Some(time::to_pb(event.at)),
        performed_by: event.subject.to_string(),
        method: event.method,
        resource_type: event.resource_type,
        resource_id: event.resource_id.map(|id| id.to_string()),
        details: Some(json::to_struct(&event.details)),
        request_id: event.request_id.map(|id| id.to_string()),
        trace_id: event.trace_id,
        hash: event.hash,
        previous_hash: event.previous_hash,
        connector_id: event.connector_id.map(|id| id.to_string()),
        reason: event.reason,
    }
}
