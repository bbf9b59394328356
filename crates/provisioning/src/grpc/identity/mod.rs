//! IdentityService: the index of what can be asked of identities.

mod answer;
mod import;
mod parse;

use std::pin::Pin;

use futures::{Stream, StreamExt};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use xavyo_runtime::Caller;
use xavyo_wire::{page::Tokens, pb::provisioning as pb, status::status};

use crate::identities::Identities;

#[derive(Debug)]
pub struct IdentityServer {
    pub identities: Identities,
    pub tokens: Tokens,
}

type Answer<T> = Result<Response<T>, Status>;
type ImportStream = Pin<Box<dyn Stream<Item = Result<pb::ImportIdentitiesResponse, Status>> + Send>>;

#[tonic::async_trait]
impl pb::identity_service_server::IdentityService for IdentityServer {
    type ImportIdentitiesStream = ImportStream;

    async fn create_identity(
        &self,
        request: Request<pb::CreateIdentityRequest>,
    ) -> Answer<pb::CreateIdentityResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = parse::create(request.into_inner()).map_err(status)?;
        let changed = self.identities.create(&caller, command).await.map_err(status)?;
        let (identity, operations) = answer::changed(changed);
        Ok(Response::new(pb::CreateIdentityResponse { identity, operations }))
    }

    async fn get_identity(
        &self,
        request: Request<pb::GetIdentityRequest>,
    ) -> Answer<pb::GetIdentityResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let key = parse::key(request.into_inner()).map_err(status)?;
        let identity = self.identities.get(&caller, key).await.map_err(status)?;
        Ok(Response::new(pb::GetIdentityResponse { identity: Some(answer::identity(&identity)) }))
    }

    async fn list_identities(
        &self,
        request: Request<pb::ListIdentitiesRequest>,
    ) -> Answer<pb::ListIdentitiesResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let request = request.into_inner();
        let page = self.tokens.open(caller.tenant, &request).map_err(status)?;
        let listed = self.identities.list(&caller, parse::list(&request, &page)).await.map_err(status)?;
        Ok(Response::new(answer::list(&self.tokens, &page, &listed)))
    }

    async fn update_identity(
        &self,
        request: Request<pb::UpdateIdentityRequest>,
    ) -> Answer<pb::UpdateIdentityResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = parse::update(request.into_inner()).map_err(status)?;
        let changed = self.identities.update(&caller, command).await.map_err(status)?;
        let (identity, operations) = answer::changed(changed);
        Ok(Response::new(pb::UpdateIdentityResponse { identity, operations }))
    }

    async fn inactivate_identity(
        &self,
        request: Request<pb::InactivateIdentityRequest>,
    ) -> Answer<pb::InactivateIdentityResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = parse::inactivate(request.into_inner()).map_err(status)?;
        let changed = self.identities.change_activity(&caller, command).await.map_err(status)?;
        let (identity, operations) = answer::changed(changed);
        Ok(Response::new(pb::InactivateIdentityResponse { identity, operations }))
    }

    async fn reactivate_identity(
        &self,
        request: Request<pb::ReactivateIdentityRequest>,
    ) -> Answer<pb::ReactivateIdentityResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = parse::reactivate(request.into_inner()).map_err(status)?;
        let changed = self.identities.change_activity(&caller, command).await.map_err(status)?;
        let (identity, operations) = answer::changed(changed);
        Ok(Response::new(pb::ReactivateIdentityResponse { identity, operations }))
    }

    async fn delete_identity(
        &self,
        request: Request<pb::DeleteIdentityRequest>,
    ) -> Answer<pb::DeleteIdentityResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = parse::delete(request.into_inner()).map_err(status)?;
        let planned = self.identities.delete(&caller, command).await.map_err(status)?;
        let operations = planned.into_iter().map(answer::planned).collect();
        Ok(Response::new(pb::DeleteIdentityResponse { operations }))
    }

    async fn import_identities(
        &self,
        request: Request<Streaming<pb::ImportIdentitiesRequest>>,
    ) -> Answer<ImportStream> {
        let caller = Caller::of(&request).map_err(status)?;
        let incoming = request.into_inner().map(import::incoming);
        let outgoing = ReceiverStream::new(self.identities.import(caller, incoming));
        Ok(Response::new(Box::pin(outgoing.map(|item| item.map(import::outgoing).map_err(status)))))
    }
}
