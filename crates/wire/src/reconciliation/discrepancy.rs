//! Discrepancies.

use xavyo_core::discrepancy::{Candidate, Discrepancy};

use crate::{numbers::Numbered, pb::reconciliation as pb, time};

/// `remediation` is what was done about it, or is under way.
pub fn to_pb(discrepancy: &Discrepancy, remediation: Option<pb::RemediationResult>) -> pb::Discrepancy {
    let (suggested, planned) = (discrepancy.suggested, discrepancy.planned);
    pb::Discrepancy {
        id: discrepancy.id.to_string(),
        connector_id: discrepancy.connector_id.to_string(),
        run_id: discrepancy.run_id.to_string(),
        discrepancy_type: discrepancy.discrepancy_type.number(),
        identity_id: discrepancy.identity_id.map(|id| id.to_string()),
        external_uid: discrepancy.external_uid.clone(),
        attribute_name: discrepancy.attribute_name.clone(),
        expected_value: discrepancy.expected_value.clone(),
        actual_value: discrepancy.actual_value.clone(),
        resolution_status: discrepancy.resolution_status.number(),
        resolved_at: discrepancy.resolved_at.map(time::to_pb),
        resolved_by: discrepancy.resolved_by.map(|id| id.to_string()),
        created_at: Some(time::to_pb(discrepancy.created_at)),
        object_class: discrepancy.object_class.clone(),
        intent: discrepancy.intent.clone(),
        immutable_id: discrepancy.immutable_id.clone(),
        connector_revision: discrepancy.connector_revision,
        first_seen_at: Some(time::to_pb(discrepancy.first_seen_at)),
        superseded_by_id: discrepancy.superseded_by_id.map(|id| id.to_string()),
        resolution_notes: discrepancy.resolution_note.clone(),
        candidates: discrepancy.candidates.iter().map(candidate).collect(),
        suggested_action: suggested.map(|remedy| remedy.action.number()),
        suggested_direction: suggested.map(|remedy| remedy.direction.number()),
        planned_action: planned.map(|remedy| remedy.action.number()),
        planned_direction: planned.map(|remedy| remedy.direction.number()),
        remediation,
        etag: discrepancy.version.to_string(),
    }
}

fn candidate(candidate: &Candidate) -> pb::Candidate {
    pb::Candidate {
        identity_id: candidate.identity_id.to_string(),
        external_uid: candidate.account.external_uid.clone(),
        immutable_id: candidate.account.immutable_id.clone(),
        score: candidate.score,
        reasons: candidate.reasons.clone(),
    }
}
