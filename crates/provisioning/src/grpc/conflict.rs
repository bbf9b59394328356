//! ConflictService: what can be asked of conflicts.

use tonic::{Request, Response, Status};
use xavyo_wire::{pb::provisioning as pb, status::not_implemented};

#[derive(Clone, Copy, Debug)]
pub struct ConflictServer;

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl pb::conflict_service_server::ConflictService for ConflictServer {
    async fn list_conflicts(
        &self,
        _: Request<pb::ListConflictsRequest>,
    ) -> Answer<pb::ListConflictsResponse> {
        Err(not_implemented("ConflictService/ListConflicts"))
    }

    async fn get_conflict(&self, _: Request<pb::GetConflictRequest>) -> Answer<pb::GetConflictResponse> {
        Err(not_implemented("ConflictService/GetConflict"))
    }

    async fn resolve_conflict(
        &self,
        _: Request<pb::ResolveConflictRequest>,
    ) -> Answer<pb::ResolveConflictResponse> {
        Err(not_implemented("ConflictService/ResolveConflict"))
    }
}
