//! Operations for tests.

use chrono::DateTime;
use uuid::Uuid;

use super::{Operation, OperationStatus, OperationType};
use crate::{
    cause::{Cause, CauseKind},
    change::{Change, Changes},
    ids::{ConnectorId, LaneId, OperationId, SubjectId},
    value::Value,
};

/// A pending update of one attribute of one account, asked for by a call.
pub fn update() -> Operation {
    Operation {
        id: OperationId(Uuid::nil()),
        connector_id: ConnectorId(Uuid::nil()),
        connector_name: "hr".to_owned(),
        connector_revision: 1,
        identity_id: None,
        operation_type: OperationType::Update,
        object_class: "account".to_owned(),
        intent: "default".to_owned(),
        target_uid: Some("ann".to_owned()),
        status: OperationStatus::Pending,
        priority: 50,
        retry_count: 0,
        max_retries: 10,
        failure: None,
        payload: Changes::from([("mail".to_owned(), Change::Set(vec![Value::from("a@x")]))]),
        precondition: None,
        lane_id: LaneId(Uuid::nil()),
        sequence: 1,
        not_before: None,
        next_attempt_at: None,
        blocked_by: None,
        conflict_id: None,
        decided: None,
        hold_reason: None,
        crash_count: 0,
        attempts: 0,
        outcome_unknown: false,
        merged_into: None,
        overtaken: false,
        first_claimed_at: None,
        cause: Cause {
            kind: CauseKind::Api,
            id: None,
            requested_by: SubjectId(Uuid::nil()),
            reason: None,
            trace_id: None,
        },
        request_id: None,
        resolution_notes: None,
        resolved_by: None,
        resolved_at: None,
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
        completed_at: None,
        version: 1,
    }
}
