//! DiscrepancyService: the index of what can be asked of discrepancies.

use tonic::Request;
use uuid::Uuid;
use xavyo_core::{error::Result, ids::DiscrepancyId};
use xavyo_runtime::{Caller, Deadline};
use xavyo_wire::{Fields, discrepancy, limits, page::Tokens, pb::reconciliation as pb, status::status};

use super::{Answer, Paging, answer, ignore, remediation, trend};
use crate::{
    discrepancies::{Discrepancies, record::DiscrepancyRecord},
    ignores::{Ignore, Ignores},
    remediation::Remediations,
    store::discrepancy::DiscrepancyFilter,
    trend::Trends,
};

#[derive(Debug)]
pub struct DiscrepancyServer {
    pub discrepancies: Discrepancies,
    pub remediations: Remediations,
    pub ignores: Ignores,
    pub trends: Trends,
    pub tokens: Tokens,
}

#[tonic::async_trait]
impl pb::discrepancy_service_server::DiscrepancyService for DiscrepancyServer {
    async fn list_discrepancies(
        &self,
        request: Request<pb::ListDiscrepanciesRequest>,
    ) -> Answer<pb::ListDiscrepanciesResponse> {
        answer(self.list(&request).await)
    }

    async fn get_discrepancy(
        &self,
        request: Request<pb::GetDiscrepancyRequest>,
    ) -> Answer<pb::GetDiscrepancyResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let id = discrepancy_id(&request.into_inner().discrepancy_id).map_err(status)?;
        let record = self.discrepancies.get(&caller, id).await;
        answer(record.map(|record| pb::GetDiscrepancyResponse { discrepancy: Some(to_pb(&record)) }))
    }

    async fn preview_remediation(
        &self,
        request: Request<pb::PreviewRemediationRequest>,
    ) -> Answer<pb::PreviewRemediationResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = remediation::preview_of(request.into_inner()).map_err(status)?;
        let preview = self.remediations.preview(&caller, command).await;
        answer(preview.map(|preview| pb::PreviewRemediationResponse {
            preview: Some(remediation::preview_to_pb(preview)),
        }))
    }

    async fn remediate_discrepancy(
        &self,
        request: Request<pb::RemediateDiscrepancyRequest>,
    ) -> Answer<pb::RemediateDiscrepancyResponse> {
        let (caller, deadline) = (Caller::of(&request).map_err(status)?, Deadline::of(&request));
        let command = remediation::remediate_of(request.into_inner()).map_err(status)?;
        let record = self.remediations.remediate(&caller, command, deadline).await;
        answer(record.map(|record| pb::RemediateDiscrepancyResponse {
            result: Some(remediation::result_to_pb(&record)),
        }))
    }

    async fn bulk_remediate_discrepancies(
        &self,
        request: Request<pb::BulkRemediateDiscrepanciesRequest>,
    ) -> Answer<pb::BulkRemediateDiscrepanciesResponse> {
        let (caller, deadline) = (Caller::of(&request).map_err(status)?, Deadline::of(&request));
        let command = remediation::bulk_of(request.into_inner()).map_err(status)?;
        let outcome = self.remediations.bulk(&caller, command, deadline).await;
        answer(outcome.map(remediation::bulk_to_pb))
    }

    async fn ignore_discrepancy(
        &self,
        request: Request<pb::IgnoreDiscrepancyRequest>,
    ) -> Answer<pb::IgnoreDiscrepancyResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = ignore::command_of(request.into_inner()).map_err(status)?;
        let ignored = self.ignores.ignore(&caller, command).await;
        answer(ignored.map(|(record, ignored)| pb::IgnoreDiscrepancyResponse {
            discrepancy: Some(to_pb(&record)),
            ignore: Some(ignore::to_pb(&ignored)),
        }))
    }

    async fn list_ignores(
        &self,
        request: Request<pb::ListIgnoresRequest>,
    ) -> Answer<pb::ListIgnoresResponse> {
        answer(self.page_of_ignores(&request).await)
    }

    async fn delete_ignore(
        &self,
        request: Request<pb::DeleteIgnoreRequest>,
    ) -> Answer<pb::DeleteIgnoreResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let id = ignore::id_of(request.get_ref()).map_err(status)?;
        answer(self.ignores.delete(&caller, id).await.map(|()| pb::DeleteIgnoreResponse {}))
    }

    async fn get_discrepancy_trend(
        &self,
        request: Request<pb::GetDiscrepancyTrendRequest>,
    ) -> Answer<pb::GetDiscrepancyTrendResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let query = trend::query_of(request.get_ref()).map_err(status)?;
        let points = self.trends.get(&caller, query).await;
        answer(points.map(|points| pb::GetDiscrepancyTrendResponse {
            points: points.iter().map(trend::to_pb).collect(),
        }))
    }
}

impl DiscrepancyServer {
    async fn list(
        &self,
        request: &Request<pb::ListDiscrepanciesRequest>,
    ) -> Result<pb::ListDiscrepanciesResponse> {
        let caller = Caller::of(request)?;
        let page = self.tokens.open::<Uuid, _>(caller.tenant, request.get_ref())?;
        let filter = filter(request.get_ref().clone())?;
        let listed = self.discrepancies.list(&caller, &filter, &page).await?;
        let id = |record: &DiscrepancyRecord| record.discrepancy.id.0;
        let paging = Paging::of(&self.tokens, &page, &listed, id);
        Ok(pb::ListDiscrepanciesResponse {
            discrepancies: listed.items.iter().map(to_pb).collect(),
            next_page_token: paging.next_page_token,
            total_size: paging.total_size,
            total_size_capped: paging.total_size_capped,
        })
    }

    async fn page_of_ignores(
        &self,
        request: &Request<pb::ListIgnoresRequest>,
    ) -> Result<pb::ListIgnoresResponse> {
        let caller = Caller::of(request)?;
        let page = self.tokens.open::<Uuid, _>(caller.tenant, request.get_ref())?;
        let listed = self.ignores.list(&caller, &ignore::filter_of(request.get_ref())?, &page).await?;
        let paging = Paging::of(&self.tokens, &page, &listed, |ignored: &Ignore| ignored.id);
        Ok(pb::ListIgnoresResponse {
            ignores: listed.items.iter().map(ignore::to_pb).collect(),
            next_page_token: paging.next_page_token,
            total_size: paging.total_size,
            total_size_capped: paging.total_size_capped,
        })
    }
}

fn discrepancy_id(text: &str) -> Result<DiscrepancyId> {
    let mut fields = Fields::default();
    let id = fields.id("discrepancy_id", text);
    fields.finish(id)
}

fn filter(request: pb::ListDiscrepanciesRequest) -> Result<DiscrepancyFilter> {
    let mut fields = Fields::default();
    let filter = DiscrepancyFilter {
        connector_id: fields.optional_id("connector_id", request.connector_id.as_deref()),
        run_id: fields.optional_id("run_id", request.run_id.as_deref()),
        discrepancy_type: fields.optional_choice("discrepancy_type", request.discrepancy_type),
        resolution_status: fields.optional_choice("resolution_status", request.resolution_status),
        identity_id: fields.optional_id("identity_id", request.identity_id.as_deref()),
        external_uid: fields.optional_text("external_uid", request.external_uid, limits::UID),
    };
    fields.finish(filter)
}

fn to_pb(record: &DiscrepancyRecord) -> pb::Discrepancy {
    let result = record.remediation.as_ref().map(remediation::result_to_pb);
    discrepancy::to_pb(&record.discrepancy, result)
}
