//! AuditService: who changed what.

use tonic::{Request, Response, Status};
use xavyo_wire::{pb::provisioning as pb, status::not_implemented};

#[derive(Clone, Copy, Debug)]
pub struct AuditServer;

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl pb::audit_service_server::AuditService for AuditServer {
    async fn list_audit_events(
        &self,
        _: Request<pb::ListAuditEventsRequest>,
    ) -> Answer<pb::ListAuditEventsResponse> {
        Err(not_implemented("AuditService/ListAuditEvents"))
    }

    async fn verify_audit(&self, _: Request<pb::VerifyAuditRequest>) -> Answer<pb::VerifyAuditResponse> {
        Err(not_implemented("AuditService/VerifyAudit"))
    }
}
