//! ConflictService: the index of what can be asked of conflicts.

mod parse;

use tonic::{Request, Response, Status};
use xavyo_runtime::Caller;
use xavyo_wire::{conflict, page::Tokens, pb::provisioning as pb, status::status};

use crate::conflicts::Conflicts;

#[derive(Debug)]
pub struct ConflictServer {
    pub conflicts: Conflicts,
    pub tokens: Tokens,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl pb::conflict_service_server::ConflictService for ConflictServer {
    async fn list_conflicts(
        &self,
        request: Request<pb::ListConflictsRequest>,
    ) -> Answer<pb::ListConflictsResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let request = request.into_inner();
        let page = self.tokens.open(caller.tenant, &request).map_err(status)?;
        let command = parse::list(&request, &page).map_err(status)?;
        let listed = self.conflicts.list(&caller, command).await.map_err(status)?;
        Ok(Response::new(pb::ListConflictsResponse {
            next_page_token: self.tokens.next(&page, listed.last().map(|one| one.id.0).as_ref()),
            total_size: listed.total.map(|total| total.size),
            total_size_capped: listed.total.is_some_and(|total| total.is_capped),
            conflicts: listed.items.iter().map(|one| conflict::to_pb(one, caller.tenant)).collect(),
        }))
    }

    async fn get_conflict(
        &self,
        request: Request<pb::GetConflictRequest>,
    ) -> Answer<pb::GetConflictResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let id = parse::conflict_id(&request.into_inner().conflict_id).map_err(status)?;
        let found = self.conflicts.get(&caller, id).await.map_err(status)?;
        let conflict = Some(conflict::to_pb(&found, caller.tenant));
        Ok(Response::new(pb::GetConflictResponse { conflict }))
    }

    async fn resolve_conflict(
        &self,
        request: Request<pb::ResolveConflictRequest>,
    ) -> Answer<pb::ResolveConflictResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = parse::resolve(request.into_inner()).map_err(status)?;
        let resolved = self.conflicts.resolve(&caller, command).await.map_err(status)?;
        let conflict = Some(conflict::to_pb(&resolved, caller.tenant));
        Ok(Response::new(pb::ResolveConflictResponse { conflict }))
    }
}
