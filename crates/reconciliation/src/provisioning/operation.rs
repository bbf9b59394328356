//! Operations: asking for one, and following it to its end.

use std::time::Duration;

use tonic::Streaming;
use uuid::Uuid;
use xavyo_core::{
    cause::CauseKind,
    change::Changes,
    error::Result,
    ids::{IdentityId, OperationId},
    operation::{OperationStatus, OperationType, Precondition},
};
use xavyo_wire::{
    Fields, Numbered, change, operation,
    pb::provisioning::{
        self as pb, operation_service_client::OperationServiceClient, watch_operations_response::Event,
    },
};

use super::{Session, account::Kind, failed, lacks, malformed};

/// How long the watch may be quiet before the operation is looked at all the same.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// An operation to be asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    pub operation_type: OperationType,
    pub identity_id: Option<IdentityId>,
    pub target_uid: Option<String>,
    pub payload: Changes,
    pub precondition: Precondition,
}

/// An operation as far as a remediation cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationView {
    pub id: OperationId,
    pub status: OperationStatus,
    /// The last error: its code and words.
    pub error: Option<(String, String)>,
    pub notes: Option<String>,
}

impl OperationView {
    /// It will not act any more by itself.
    pub fn has_ended(&self) -> bool {
        !self.status.is_live()
    }
}

impl Session {
    /// Enqueues an operation; the same `request_id` answers the same operation again.
    pub async fn create_operation(
        &self,
        kind: &Kind,
        draft: &Draft,
        remediation: Uuid,
        request_id: Uuid,
        reason: Option<&str>,
    ) -> Result<OperationView> {
        let request = pb::CreateOperationRequest {
            connector_id: kind.connector_id.to_string(),
            user_id: draft.identity_id.map(|id| id.to_string()),
            operation_type: draft.operation_type.number(),
            object_class: kind.object_class.clone(),
            intent: kind.intent.clone(),
            target_uid: draft.target_uid.clone(),
            priority: None,
            max_retries: None,
            payload: (!draft.payload.is_empty()).then(|| change::to_struct(&draft.payload)),
            precondition: Some(operation::precondition_to_pb(&draft.precondition)),
            not_before: None,
            reason: reason.map(str::to_owned),
            request_id: Some(request_id.to_string()),
            cause_kind: Some(CauseKind::Remediation.number()),
            cause_id: Some(remediation.to_string()),
        };
        let answer = self.operations().create_operation(self.request(request)).await.map_err(failed)?;
        parse(answer.into_inner().operation)
    }

    pub async fn operation(&self, id: OperationId) -> Result<OperationView> {
        let request = pb::GetOperationRequest { operation_id: id.to_string() };
        let answer = self.operations().get_operation(self.request(request)).await.map_err(failed)?;
        parse(answer.into_inner().operation)
    }

    /// The operation that a remediation has asked for, if there is one.
    pub async fn operation_caused_by(&self, remediation: Uuid) -> Result<Option<OperationView>> {
        let request = pb::ListOperationsRequest {
            page_size: 1,
            cause_kind: Some(CauseKind::Remediation.number()),
            cause_id: Some(remediation.to_string()),
            ..Default::default()
        };
        let answer = self.operations().list_operations(self.request(request)).await.map_err(failed)?;
        answer.into_inner().operations.pop().map(|operation| parse(Some(operation))).transpose()
    }

    /// Stays until the operation has ended. The watch tells each of its moves; where it is quiet or broken, the operation
    /// is looked at all the same.
    pub async fn follow(&self, id: OperationId) -> Result<OperationView> {
        let mut watch = self.watch(id).await.ok();
        let mut operation = self.operation(id).await?;
        while !operation.has_ended() {
            operation = match next_move(&mut watch).await {
                Some(moved) => moved?,
                None => self.operation(id).await?,
            };
        }
        Ok(operation)
    }

    async fn watch(&self, id: OperationId) -> Result<Watch> {
        let request = pb::WatchOperationsRequest { operation_id: Some(id.to_string()), ..Default::default() };
        let answer = self.operations().watch_operations(self.streaming(request)).await.map_err(failed)?;
        Ok(answer.into_inner())
    }

    pub(super) fn operations(&self) -> OperationServiceClient<tonic::transport::Channel> {
        OperationServiceClient::new(self.channel.clone())
    }
}

type Watch = Streaming<pb::WatchOperationsResponse>;

/// The operation as it is after its next move. None: nothing was told, it is time to look.
async fn next_move(watch: &mut Option<Watch>) -> Option<Result<OperationView>> {
    let Some(moves) = watch else {
        tokio::time::sleep(LOOK_EVERY).await;
        return None;
    };
    let message = tokio::time::timeout(LOOK_EVERY, moves.message()).await.ok()?;
    match message.ok().flatten().and_then(|message| message.event) {
        Some(Event::Change(change)) => Some(parse(change.operation)),
        Some(Event::Bookmark(_)) => None,
        None => {
            *watch = None;
            None
        }
    }
}

fn parse(operation: Option<pb::ProvisioningOperation>) -> Result<OperationView> {
    let operation = operation.ok_or_else(|| lacks("the operation"))?;
    let mut fields = Fields::default();
    let id = fields.id("operation.id", &operation.id);
    let status = fields.choice("operation.status", operation.status);
    let (id, status) = fields.finish((id, status)).map_err(malformed)?;
    Ok(OperationView {
        id,
        status: status.ok_or_else(|| lacks("the operation's status"))?,
        error: operation.error_code.zip(operation.error_message),
        notes: operation.resolution_notes,
    })
}
