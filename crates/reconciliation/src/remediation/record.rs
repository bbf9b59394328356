//! A remediation as this service keeps it: what was asked for, and what came of it.

use chrono::{DateTime, Utc};
use uuid::Uuid;
use xavyo_core::{
    ids::{ConnectorId, DiscrepancyId, IdentityId, OperationId, RunId, SubjectId},
    remediation::Remedy,
};

#[derive(Clone, Debug, PartialEq)]
pub struct RemediationRecord {
    /// UUIDv7. Everything that it asks of provisioning has a request id derived from it, so that it may be repeated.
    pub id: Uuid,
    pub discrepancy_id: DiscrepancyId,
    pub connector_id: ConnectorId,
    pub remedy: Remedy,
    pub choice: Choice,
    pub reason: Option<String>,
    pub dry_run: bool,
    /// The run whose policy asked for it; none = a caller did.
    pub run_id: Option<RunId>,
    pub requested_by: SubjectId,
    pub trace_id: Option<String>,
    /// The number of the claim: a result with an older one is not recorded.
    pub fence: i64,
    /// The operation that does it, once there is one.
    pub operation_id: Option<OperationId>,
    /// None while it is under way.
    pub outcome: Option<Outcome>,
    pub created_at: DateTime<Utc>,
}

/// What the caller picked where the finding leaves a choice: the identity of an orphan, the pair of a collision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Choice {
    pub identity_id: Option<IdentityId>,
    pub external_uid: Option<String>,
}

/// What came of a remediation.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Absent = it succeeded.
    pub failure: Option<Failure>,
    /// What was, or in a dry run would be, changed; sensitive values hidden.
    pub changes: Option<serde_json::Value>,
}

/// Why a remediation did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// As `ErrorInfo.reason`, or the target's code.
    pub reason: String,
    pub message: String,
}
