//! ConnectorService: the index of what can be asked of connectors.

mod answer;
mod health;
mod parse;
mod preview;

use tonic::{Request, Response, Status};
use xavyo_runtime::Caller;
use xavyo_wire::{page::Tokens, pb::provisioning as pb, status::status};

use crate::connectors::Connectors;

#[derive(Debug)]
pub struct ConnectorServer {
    pub connectors: Connectors,
    pub tokens: Tokens,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl pb::connector_service_server::ConnectorService for ConnectorServer {
    async fn create_connector(
        &self,
        request: Request<pb::CreateConnectorRequest>,
    ) -> Answer<pb::CreateConnectorResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = parse::create(request.into_inner()).map_err(status)?;
        let shown = self.connectors.create(&caller, command).await.map_err(status)?;
        Ok(Response::new(pb::CreateConnectorResponse { connector: Some(answer::connector(shown)) }))
    }

    async fn get_connector(
        &self,
        request: Request<pb::GetConnectorRequest>,
    ) -> Answer<pb::GetConnectorResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let id = parse::connector_id(&request.into_inner().connector_id).map_err(status)?;
        let shown = self.connectors.get(&caller, id).await.map_err(status)?;
        Ok(Response::new(pb::GetConnectorResponse { connector: Some(answer::connector(shown)) }))
    }

    async fn list_connectors(
        &self,
        request: Request<pb::ListConnectorsRequest>,
    ) -> Answer<pb::ListConnectorsResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let request = request.into_inner();
        let page = self.tokens.open(caller.tenant, &request).map_err(status)?;
        let command = parse::list(&request, &page).map_err(status)?;
        let listed = self.connectors.list(&caller, command).await.map_err(status)?;
        Ok(Response::new(answer::list(&self.tokens, &page, listed)))
    }

    async fn update_connector(
        &self,
        request: Request<pb::UpdateConnectorRequest>,
    ) -> Answer<pb::UpdateConnectorResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = parse::update(request.into_inner()).map_err(status)?;
        let shown = self.connectors.update(&caller, command).await.map_err(status)?;
        Ok(Response::new(pb::UpdateConnectorResponse { connector: Some(answer::connector(shown)) }))
    }

    async fn delete_connector(
        &self,
        request: Request<pb::DeleteConnectorRequest>,
    ) -> Answer<pb::DeleteConnectorResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = parse::delete(&request.into_inner()).map_err(status)?;
        self.connectors.delete(&caller, command).await.map_err(status)?;
        Ok(Response::new(pb::DeleteConnectorResponse {}))
    }

    async fn check_connection(
        &self,
        request: Request<pb::CheckConnectionRequest>,
    ) -> Answer<pb::CheckConnectionResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let id = parse::connector_id(&request.into_inner().connector_id).map_err(status)?;
        let check = self.connectors.check(&caller, id).await.map_err(status)?;
        Ok(Response::new(answer::check(check)))
    }

    async fn pause_connector(
        &self,
        request: Request<pb::PauseConnectorRequest>,
    ) -> Answer<pb::PauseConnectorResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = parse::pause(request.into_inner()).map_err(status)?;
        let shown = self.connectors.pause(&caller, command).await.map_err(status)?;
        Ok(Response::new(pb::PauseConnectorResponse { connector: Some(answer::connector(shown)) }))
    }

    async fn resume_connector(
        &self,
        request: Request<pb::ResumeConnectorRequest>,
    ) -> Answer<pb::ResumeConnectorResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let id = parse::connector_id(&request.into_inner().connector_id).map_err(status)?;
        let shown = self.connectors.resume(&caller, id).await.map_err(status)?;
        Ok(Response::new(pb::ResumeConnectorResponse { connector: Some(answer::connector(shown)) }))
    }

    async fn discover_schema(
        &self,
        request: Request<pb::DiscoverSchemaRequest>,
    ) -> Answer<pb::DiscoverSchemaResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = parse::discover(&request.into_inner()).map_err(status)?;
        let discovered = self.connectors.discover_schema(&caller, command).await.map_err(status)?;
        Ok(Response::new(answer::discovered(&discovered)))
    }

    async fn preview_mapping(
        &self,
        request: Request<pb::PreviewMappingRequest>,
    ) -> Answer<pb::PreviewMappingResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = preview::of_pb(request.into_inner()).map_err(status)?;
        let found = self.connectors.preview_mapping(&caller, command).await.map_err(status)?;
        Ok(Response::new(pb::PreviewMappingResponse { preview: Some(preview::to_pb(found)) }))
    }

    async fn get_connector_health(
        &self,
        request: Request<pb::GetConnectorHealthRequest>,
    ) -> Answer<pb::GetConnectorHealthResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let id = parse::connector_id(&request.into_inner().connector_id).map_err(status)?;
        let found = self.connectors.health(&caller, id).await.map_err(status)?;
        Ok(Response::new(pb::GetConnectorHealthResponse { health: Some(health::to_pb(found)) }))
    }

    async fn rotate_secrets(
        &self,
        request: Request<pb::RotateSecretsRequest>,
    ) -> Answer<pb::RotateSecretsResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let id = parse::rotate(&request.into_inner()).map_err(status)?;
        let rotated = self.connectors.rotate_secrets(&caller, id).await.map_err(status)?;
        Ok(Response::new(pb::RotateSecretsResponse { rotated: rotated.connectors, key_id: rotated.key_id }))
    }
}
