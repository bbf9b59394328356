//! Remediations.

use xavyo_core::{
    account::AccountState,
    discrepancy::{Discrepancy, DiscrepancyType},
    remediation::{self, RemediationAction, RemediationResult, Remedy},
};

use crate::{json, numbers::Numbered, pb::reconciliation as pb};

/// What came of it. Operation, reason of a failure, whether it is under way or was dry: the caller fills them in.
pub fn to_pb(result: &RemediationResult) -> pb::RemediationResult {
    pb::RemediationResult {
        discrepancy_id: result.discrepancy_id.to_string(),
        action: result.remedy.action.number(),
        direction: result.remedy.direction.number(),
        success: result.success,
        error: result.error.clone(),
        changes: result.changes.as_ref().map(json::to_struct),
        operation_id: None,
        under_way: false,
        error_reason: None,
        dry_run: false,
    }
}

/// All that may be done about a discrepancy, and what the caller must name for it.
pub fn allowed(discrepancy: &Discrepancy) -> Vec<pb::AllowedRemediation> {
    let kind = discrepancy.discrepancy_type;
    let expects_absence = discrepancy.expected_state() == Some(AccountState::Absent);
    let row = |remedy: &Remedy| {
        let is_link = remedy.action == RemediationAction::Link;
        let is_pair = kind == DiscrepancyType::Collision;
        let is_of_pair =
            is_pair && matches!(remedy.action, RemediationAction::Link | RemediationAction::Unlink);
        pb::AllowedRemediation {
            action: remedy.action.number(),
            direction: remedy.direction.number(),
            needs_identity_id: is_of_pair || (is_link && kind == DiscrepancyType::Orphan),
            needs_external_uid: is_pair,
        }
    };
    remediation::allowed(kind, expects_absence).iter().map(row).collect()
}
