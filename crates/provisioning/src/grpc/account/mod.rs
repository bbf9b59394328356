//! AccountService: the index of what can be asked of accounts and links.

mod answer;
mod event;
mod explain;
mod parse;
mod reads;

use std::pin::Pin;

use futures::Stream;
use tonic::{Request, Response, Status};
use xavyo_runtime::Caller;
use xavyo_wire::{page::Tokens, pb::provisioning as pb, status::status};

use crate::accounts::Accounts;

#[derive(Debug)]
pub struct AccountServer {
    pub accounts: Accounts,
    pub tokens: Tokens,
}

type Answer<T> = Result<Response<T>, Status>;
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl pb::account_service_server::AccountService for AccountServer {
    type ReadTargetAccountsStream = Answers<pb::ReadTargetAccountsResponse>;
    type ReadExpectedAccountsStream = Answers<pb::ReadExpectedAccountsResponse>;

    async fn list_links(&self, request: Request<pb::ListLinksRequest>) -> Answer<pb::ListLinksResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let request = request.into_inner();
        let page = self.tokens.open(caller.tenant, &request).map_err(status)?;
        let command = parse::list(request, &page).map_err(status)?;
        let listed = self.accounts.list_links(&caller, command).await.map_err(status)?;
        Ok(Response::new(answer::list(&self.tokens, &page, &listed)))
    }

    async fn get_account(&self, request: Request<pb::GetAccountRequest>) -> Answer<pb::GetAccountResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = parse::get(request.into_inner()).map_err(status)?;
        let shown = self.accounts.get(&caller, command).await.map_err(status)?;
        Ok(Response::new(answer::account(&shown)))
    }

    async fn link_account(
        &self,
        request: Request<pb::LinkAccountRequest>,
    ) -> Answer<pb::LinkAccountResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = parse::link(request.into_inner(), &caller).map_err(status)?;
        let link = self.accounts.link(&caller, command).await.map_err(status)?;
        Ok(Response::new(pb::LinkAccountResponse { link: Some(xavyo_wire::link::to_pb(&link)) }))
    }

    async fn unlink_account(
        &self,
        request: Request<pb::UnlinkAccountRequest>,
    ) -> Answer<pb::UnlinkAccountResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = parse::unlink(request.into_inner(), &caller).map_err(status)?;
        self.accounts.unlink(&caller, command).await.map_err(status)?;
        Ok(Response::new(pb::UnlinkAccountResponse {}))
    }

    async fn batch_get_accounts(
        &self,
        request: Request<pb::BatchGetAccountsRequest>,
    ) -> Answer<pb::BatchGetAccountsResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = parse::batch_get(request.into_inner()).map_err(status)?;
        let pairs = self.accounts.batch_get(&caller, command).await.map_err(status)?;
        Ok(Response::new(pb::BatchGetAccountsResponse {
            pairs: pairs.into_iter().map(answer::pair).collect(),
        }))
    }

    async fn refresh_links(
        &self,
        request: Request<pb::RefreshLinksRequest>,
    ) -> Answer<pb::RefreshLinksResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = parse::refresh(request.into_inner()).map_err(status)?;
        let refreshed = self.accounts.refresh_links(&caller, command).await.map_err(status)?;
        Ok(Response::new(pb::RefreshLinksResponse { refreshed }))
    }

    async fn record_completed_run(
        &self,
        request: Request<pb::RecordCompletedRunRequest>,
    ) -> Answer<pb::RecordCompletedRunResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let run = parse::completed_run(&request.into_inner()).map_err(status)?;
        self.accounts.record_completed_run(&caller, run).await.map_err(status)?;
        Ok(Response::new(pb::RecordCompletedRunResponse {}))
    }

    async fn read_target_accounts(
        &self,
        request: Request<pb::ReadTargetAccountsRequest>,
    ) -> Answer<Self::ReadTargetAccountsStream> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = parse::read_target(request.into_inner()).map_err(status)?;
        let items = self.accounts.read_target(&caller, command).await.map_err(status)?;
        Ok(Response::new(Box::pin(reads::target(items))))
    }

    async fn read_expected_accounts(
        &self,
        request: Request<pb::ReadExpectedAccountsRequest>,
    ) -> Answer<Self::ReadExpectedAccountsStream> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = parse::read_expected(request.into_inner()).map_err(status)?;
        let items = self.accounts.read_expected(&caller, command).await.map_err(status)?;
        Ok(Response::new(Box::pin(reads::expected(items))))
    }

    async fn explain_account(
        &self,
        request: Request<pb::ExplainAccountRequest>,
    ) -> Answer<pb::ExplainAccountResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = explain::of_pb(request.into_inner()).map_err(status)?;
        let explained = self.accounts.explain(&caller, command).await.map_err(status)?;
        Ok(Response::new(explain::to_pb(&caller, explained)))
    }

    async fn list_account_events(
        &self,
        request: Request<pb::ListAccountEventsRequest>,
    ) -> Answer<pb::ListAccountEventsResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let request = request.into_inner();
        let page = self.tokens.open(caller.tenant, &request).map_err(status)?;
        let command = event::of_pb(request, &page).map_err(status)?;
        let listed = self.accounts.list_events(&caller, &command).await.map_err(status)?;
        Ok(Response::new(event::to_pb(&self.tokens, &page, listed)))
    }
}
