//! Remediations on the wire: what is asked for, what would be done, what came of it.

use std::collections::HashSet;

use xavyo_core::{
    error::Result,
    remediation::{RemediationAction, RemediationResult},
};
use xavyo_wire::{Fields, Numbered, json, limits, pb::reconciliation as pb, remediation};

use crate::remediation::{
    BulkOutcome, BulkRemediate, Preview, PreviewRemediation, Remediate,
    record::{Choice, RemediationRecord},
};

pub(super) fn preview_of(request: pb::PreviewRemediationRequest) -> Result<PreviewRemediation> {
    let mut fields = Fields::default();
    let command = PreviewRemediation {
        discrepancy_id: fields.id("discrepancy_id", &request.discrepancy_id),
        action: fields.optional_choice("action", Some(request.action)),
        direction: fields.optional_choice("direction", Some(request.direction)),
        choice: choice(&mut fields, request.identity_id.as_deref(), request.external_uid),
    };
    fields.finish(command)
}

pub(super) fn remediate_of(request: pb::RemediateDiscrepancyRequest) -> Result<Remediate> {
    let mut fields = Fields::default();
    let command = Remediate {
        discrepancy_id: fields.id("discrepancy_id", &request.discrepancy_id),
        action: fields.choice("action", request.action).unwrap_or(RemediationAction::Update),
        direction: fields.optional_choice("direction", Some(request.direction)),
        choice: choice(&mut fields, request.identity_id.as_deref(), request.external_uid),
        reason: fields.optional_text("reason", request.reason, limits::REASON),
        dry_run: request.dry_run,
        run_id: None,
        request_id: fields.optional_id("request_id", request.request_id.as_deref()),
    };
    fields.finish(command)
}

pub(super) fn bulk_of(request: pb::BulkRemediateDiscrepanciesRequest) -> Result<BulkRemediate> {
    let mut fields = Fields::default();
    let reason = fields.optional_text("reason", request.reason, limits::REASON);
    let request_id = fields.optional_id("request_id", request.request_id.as_deref());
    if request.items.is_empty() {
        fields.refuse("items", format!("1 to {} items", limits::BULK));
    }
    let mut seen = HashSet::new();
    let items = fields.each("items", request.items, limits::BULK, |fields, item| {
        let discrepancy_id = fields.id("discrepancy_id", &item.discrepancy_id);
        if !seen.insert(discrepancy_id) {
            fields.refuse("discrepancy_id", "each discrepancy once");
        }
        Remediate {
            discrepancy_id,
            action: fields.choice("action", item.action).unwrap_or(RemediationAction::Update),
            direction: fields.optional_choice("direction", Some(item.direction)),
            choice: choice(fields, item.identity_id.as_deref(), item.external_uid),
            reason: reason.clone(),
            dry_run: request.dry_run,
            run_id: None,
            request_id: None,
        }
    });
    fields.finish(BulkRemediate { items, request_id })
}

pub(super) fn preview_to_pb(preview: Preview) -> pb::RemediationPreview {
    let suggested = preview.discrepancy.suggested;
    pb::RemediationPreview {
        discrepancy_id: preview.discrepancy.id.to_string(),
        action: preview.remedy.map(|remedy| remedy.action.number()),
        direction: preview.remedy.map(|remedy| remedy.direction.number()),
        suggested_action: suggested.map(|remedy| remedy.action.number()),
        suggested_direction: suggested.map(|remedy| remedy.direction.number()),
        allowed: remediation::allowed(&preview.discrepancy),
        changes: preview.changes.as_ref().map(json::to_struct),
        operations: preview.operations,
        refused_reason: preview.refused.as_ref().map(|refused| refused.reason.clone()),
        refused_message: preview.refused.map(|refused| refused.message),
    }
}

pub(super) fn result_to_pb(record: &RemediationRecord) -> pb::RemediationResult {
    let outcome = record.outcome.as_ref();
    let failure = outcome.and_then(|outcome| outcome.failure.as_ref());
    let result = RemediationResult {
        discrepancy_id: record.discrepancy_id,
        remedy: record.remedy,
        success: outcome.is_some_and(|outcome| outcome.failure.is_none()),
        error: failure.map(|failure| failure.message.clone()),
        changes: outcome.and_then(|outcome| outcome.changes.clone()),
    };
    pb::RemediationResult {
        operation_id: record.operation_id.map(|id| id.to_string()),
        under_way: outcome.is_none(),
        error_reason: failure.map(|failure| failure.reason.clone()),
        dry_run: record.dry_run,
        ..remediation::to_pb(&result)
    }
}

pub(super) fn bulk_to_pb(outcome: BulkOutcome) -> pb::BulkRemediateDiscrepanciesResponse {
    let results: Vec<pb::RemediationResult> = outcome.results.iter().map(result_to_pb).collect();
    let count = |wanted: fn(&pb::RemediationResult) -> bool| {
        i32::try_from(results.iter().filter(|result| wanted(result)).count()).unwrap_or(i32::MAX)
    };
    let skipped_items: Vec<_> = outcome
        .skipped
        .into_iter()
        .map(|(id, message)| pb::SkippedRemediation { discrepancy_id: id.to_string(), message })
        .collect();
    pb::BulkRemediateDiscrepanciesResponse {
        succeeded: count(|result| result.success),
        failed: count(|result| !result.success && !result.under_way),
        under_way: count(|result| result.under_way),
        skipped: i32::try_from(skipped_items.len()).unwrap_or(i32::MAX),
        results,
        skipped_items,
    }
}

fn choice(fields: &mut Fields, identity_id: Option<&str>, external_uid: Option<String>) -> Choice {
    Choice {
        identity_id: fields.optional_id("identity_id", identity_id),
        external_uid: fields.optional_text("external_uid", external_uid, limits::UID),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn item(id: u128) -> pb::RemediationItem {
        pb::RemediationItem {
            discrepancy_id: Uuid::from_u128(id).to_string(),
            action: RemediationAction::Create.number(),
            ..Default::default()
        }
    }

    fn bulk(items: Vec<pb::RemediationItem>) -> Result<BulkRemediate> {
        bulk_of(pb::BulkRemediateDiscrepanciesRequest { items, ..Default::default() })
    }

    #[test]
    fn a_bulk_call_takes_one_to_a_hundred_different_items() {
        assert_eq!(bulk((1..=100).map(item).collect()).unwrap().items.len(), 100);
        assert!(bulk((1..=101).map(item).collect()).is_err());
        assert!(bulk(Vec::new()).is_err());
        let twice = bulk(vec![item(1), item(1)]).unwrap_err();
        assert_eq!(twice.violations[0].field, "items[1].discrepancy_id");
    }
}
