//! ActionService: the audit log of reconciliation.

use tonic::Request;
use uuid::Uuid;
use xavyo_core::error::Result;
use xavyo_runtime::Caller;
use xavyo_wire::{Fields, json, limits, page::Tokens, pb::reconciliation as pb, status::status, time};

use super::{Answer, Paging, answer};
use crate::{
    actions::{Actions, Range, Verdict},
    store::action::{ActionFilter, ActionResult, StoredAction},
};

#[derive(Debug)]
pub struct ActionServer {
    pub actions: Actions,
    pub tokens: Tokens,
}

#[tonic::async_trait]
impl pb::action_service_server::ActionService for ActionServer {
    async fn list_actions(
        &self,
        request: Request<pb::ListActionsRequest>,
    ) -> Answer<pb::ListActionsResponse> {
        answer(self.list(&request).await)
    }

    async fn verify_actions(
        &self,
        request: Request<pb::VerifyActionsRequest>,
    ) -> Answer<pb::VerifyActionsResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let range = range(&request.into_inner()).map_err(status)?;
        answer(self.actions.verify(&caller, range).await.map(verdict))
    }
}

impl ActionServer {
    async fn list(&self, request: &Request<pb::ListActionsRequest>) -> Result<pb::ListActionsResponse> {
        let caller = Caller::of(request)?;
        let page = self.tokens.open::<Uuid, _>(caller.tenant, request.get_ref())?;
        let listed = self.actions.list(&caller, &filter(request.get_ref().clone())?, &page).await?;
        let paging = Paging::of(&self.tokens, &page, &listed, |action| action.id);
        Ok(pb::ListActionsResponse {
            actions: listed.items.into_iter().map(action).collect(),
            next_page_token: paging.next_page_token,
            total_size: paging.total_size,
            total_size_capped: paging.total_size_capped,
        })
    }
}

fn filter(request: pb::ListActionsRequest) -> Result<ActionFilter> {
    let mut fields = Fields::default();
    let filter = ActionFilter {
        connector_id: fields.optional_id("connector_id", request.connector_id.as_deref()),
        discrepancy_id: fields.optional_id("discrepancy_id", request.discrepancy_id.as_deref()),
        run_id: fields.optional_id("run_id", request.run_id.as_deref()),
        performed_by: fields.optional_id("performed_by", request.performed_by.as_deref()),
        action_type: fields.optional_text("action_type", request.action_type, limits::ATTRIBUTE_NAME),
        result: result(&mut fields, request.result),
        dry_run: request.dry_run,
        from: fields.time("from", request.from),
        until: fields.time("until", request.until),
    };
    fields.finish(filter)
}

fn result(fields: &mut Fields, name: Option<String>) -> Option<ActionResult> {
    let name = name.filter(|name| !name.is_empty())?;
    let result = ActionResult::named(&name);
    if result.is_none() {
        fields.refuse("result", format!("one of {}", ActionResult::ALL.map(ActionResult::name).join(", ")));
    }
    result
}

fn range(request: &pb::VerifyActionsRequest) -> Result<Range> {
    let mut fields = Fields::default();
    let range = Range { from: fields.time("from", request.from), until: fields.time("until", request.until) };
    fields.finish(range)
}

fn verdict(verdict: Verdict) -> pb::VerifyActionsResponse {
    pb::VerifyActionsResponse {
        intact: verdict.first_broken.is_none(),
        verified: verdict.verified,
        unsealed: verdict.unsealed,
        first_broken_id: verdict.first_broken.map(|id| id.to_string()),
    }
}

fn action(action: StoredAction) -> pb::ReconciliationAction {
    pb::ReconciliationAction {
        id: action.id.to_string(),
        connector_id: action.connector_id.to_string(),
        discrepancy_id: action.discrepancy_id.map(|id| id.to_string()),
        action_type: action.action_type,
        result: action.result,
        dry_run: action.dry_run,
        performed_by: action.performed_by.to_string(),
        performed_at: Some(time::to_pb(action.performed_at)),
        details: action.details.as_ref().map(json::to_struct),
        run_id: action.run_id.map(|id| id.to_string()),
        hash: action.hash,
        previous_hash: action.previous_hash,
    }
}
