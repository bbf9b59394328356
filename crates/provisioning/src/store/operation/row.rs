//! The row of the views `operation_now` and `operation_past`, parsed into the domain once.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, types::Json};
use uuid::Uuid;
use xavyo_core::{
    Error,
    cause::{Cause, CauseKind},
    change::Changes,
    conflict::ConflictOutcome,
    ids::{ConflictId, ConnectorId, IdentityId, LaneId, OperationId, SubjectId},
    operation::{Failure, HoldReason, Operation, OperationStatus, OperationType, Precondition},
};

#[derive(FromRow)]
pub(super) struct OperationRow {
    pub(super) id: Uuid,
    pub(super) connector_id: Uuid,
    pub(super) connector_name: String,
    pub(super) connector_revision: i32,
    pub(super) user_id: Option<Uuid>,
    pub(super) operation_type: String,
    pub(super) object_class: String,
    pub(super) intent: String,
    pub(super) target_uid: Option<String>,
    pub(super) status: String,
    pub(super) priority: i32,
    pub(super) retry_count: i32,
    pub(super) max_retries: i32,
    pub(super) error_code: Option<String>,
    pub(super) error_message: Option<String>,
    pub(super) payload: Json<Changes>,
    pub(super) precondition: Option<Json<Precondition>>,
    pub(super) lane_id: Uuid,
    pub(super) sequence: i64,
    pub(super) not_before: Option<DateTime<Utc>>,
    pub(super) next_attempt_at: Option<DateTime<Utc>>,
    pub(super) blocked_by_operation_id: Option<Uuid>,
    pub(super) conflict_id: Option<Uuid>,
    pub(super) decided: Option<String>,
    pub(super) hold_reason: Option<String>,
    pub(super) crash_count: i32,
    pub(super) attempts: i32,
    pub(super) outcome_unknown: bool,
    pub(super) overtaken: bool,
    pub(super) first_claimed_at: Option<DateTime<Utc>>,
    pub(super) merged_into_operation_id: Option<Uuid>,
    pub(super) cause_kind: String,
    pub(super) cause_id: Option<Uuid>,
    pub(super) requested_by: Uuid,
    pub(super) reason: Option<String>,
    pub(super) trace_id: Option<String>,
    pub(super) request_id: Option<Uuid>,
    pub(super) resolution_notes: Option<String>,
    pub(super) resolved_by: Option<Uuid>,
    pub(super) resolved_at: Option<DateTime<Utc>>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
    pub(super) completed_at: Option<DateTime<Utc>>,
    pub(super) version: i64,
}

impl TryFrom<OperationRow> for Operation {
    type Error = Error;

    fn try_from(row: OperationRow) -> Result<Self, Error> {
        let failure =
            row.error_code.map(|code| Failure { code, message: row.error_message.unwrap_or_default() });
        Ok(Self {
            id: OperationId(row.id),
            connector_id: ConnectorId(row.connector_id),
            connector_name: row.connector_name,
            connector_revision: row.connector_revision,
            identity_id: row.user_id.map(IdentityId),
            operation_type: known("operation_type", &row.operation_type, OperationType::named)?,
            object_class: row.object_class,
            intent: row.intent,
            target_uid: row.target_uid,
            status: known("status", &row.status, OperationStatus::named)?,
            priority: row.priority,
            retry_count: row.retry_count,
            max_retries: row.max_retries,
            failure,
            payload: row.payload.0,
            precondition: row.precondition.map(|json| json.0),
            lane_id: LaneId(row.lane_id),
            sequence: row.sequence,
            not_before: row.not_before,
            next_attempt_at: row.next_attempt_at,
            blocked_by: row.blocked_by_operation_id.map(OperationId),
            conflict_id: row.conflict_id.map(ConflictId),
            decided: row.decided.as_deref().and_then(ConflictOutcome::named),
            hold_reason: row.hold_reason.as_deref().and_then(HoldReason::named),
            crash_count: row.crash_count,
            attempts: row.attempts,
            outcome_unknown: row.outcome_unknown,
            merged_into: row.merged_into_operation_id.map(OperationId),
            overtaken: row.overtaken,
            first_claimed_at: row.first_claimed_at,
            cause: Cause {
                kind: known("cause_kind", &row.cause_kind, CauseKind::named)?,
                id: row.cause_id,
                requested_by: SubjectId(row.requested_by),
                reason: row.reason,
                trace_id: row.trace_id,
            },
            request_id: row.request_id,
            resolution_notes: row.resolution_notes,
            resolved_by: row.resolved_by.map(SubjectId),
            resolved_at: row.resolved_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
            completed_at: row.completed_at,
            version: row.version,
        })
    }
}

fn known<T>(column: &str, text: &str, named: impl Fn(&str) -> Option<T>) -> Result<T, Error> {
    named(text).ok_or_else(|| Error::internal(format!("operation.{column} holds {text:?}")))
}
