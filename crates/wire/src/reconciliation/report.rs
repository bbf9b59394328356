//! Reports.

use std::collections::BTreeMap;

use xavyo_core::{
    discrepancy::DiscrepancyType,
    remediation::RemediationAction,
    report::{MismatchedAttribute, ReconciliationReport},
};

use crate::pb::reconciliation as pb;

pub fn to_pb(report: &ReconciliationReport) -> pb::ReconciliationReport {
    let ReconciliationReport { performance_metrics: speed, set_apart, evidence, .. } = report;
    pb::ReconciliationReport {
        run_id: report.run_id.to_string(),
        discrepancy_summary: Some(pb::DiscrepancySummary {
            total: report.discrepancy_summary.total,
            by_type: named(&report.discrepancy_summary.by_type, DiscrepancyType::name),
        }),
        action_summary: Some(pb::ActionSummary {
            total: report.action_summary.total,
            by_action: named(&report.action_summary.by_action, RemediationAction::name),
        }),
        top_mismatched_attributes: report.top_mismatched_attributes.iter().map(mismatched).collect(),
        performance_metrics: Some(pb::PerformanceMetrics {
            total_duration_ms: speed.total_duration_ms,
            accounts_per_second: speed.accounts_per_second,
            api_calls_made: speed.api_calls_made,
        }),
        set_apart: Some(pb::SetApart {
            protected: set_apart.protected,
            in_flight: set_apart.in_flight,
            unevaluable: set_apart.unevaluable,
            suppressed: set_apart.suppressed,
            ignored: set_apart.ignored,
            renamed: set_apart.renamed,
        }),
        trend: report.trend.map(|trend| pb::Trend {
            new: trend.new,
            persisting: trend.persisting,
            gone: trend.gone,
        }),
        evidence: Some(pb::Evidence { target: evidence.target.clone(), expected: evidence.expected.clone() }),
    }
}

/// Counts under the names that the contract gives to their keys.
pub fn named<K: Copy>(counts: &BTreeMap<K, i64>, name: impl Fn(K) -> &'static str) -> BTreeMap<String, i64> {
    counts.iter().map(|(key, count)| (name(*key).to_owned(), *count)).collect()
}

fn mismatched(attribute: &MismatchedAttribute) -> pb::MismatchedAttribute {
    pb::MismatchedAttribute { attribute_name: attribute.attribute_name.clone(), count: attribute.count }
}
