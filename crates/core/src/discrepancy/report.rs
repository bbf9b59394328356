//! Reports: what a run says at its end. Stored as JSON with the run; the counts are those of its rows (R7).

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::{discrepancy::DiscrepancyType, ids::RunId, remediation::RemediationAction};

/// How many attributes [`top_mismatched`] lists.
pub const TOP_ATTRIBUTES: usize = 10;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReconciliationReport {
    pub run_id: RunId,
    pub discrepancy_summary: DiscrepancySummary,
    /// What was done; for a dry run, what would have been.
    pub action_summary: ActionSummary,
    pub top_mismatched_attributes: Vec<MismatchedAttribute>,
    pub performance_metrics: PerformanceMetrics,
    pub set_apart: SetApart,
    /// Against the last completed full run; none where there is no earlier one.
    pub trend: Option<Trend>,
    pub evidence: Evidence,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscrepancySummary {
    pub total: i64,
    /// Every type, zeros included.
    pub by_type: BTreeMap<DiscrepancyType, i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionSummary {
    pub total: i64,
    /// Every action, zeros included.
    pub by_action: BTreeMap<RemediationAction, i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MismatchedAttribute {
    pub attribute_name: String,
    pub count: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PerformanceMetrics {
    pub total_duration_ms: i64,
    pub accounts_per_second: f64,
    /// Calls made on the target.
    pub api_calls_made: i64,
}

/// What was seen and is in no summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SetApart {
    /// Accounts that match the connector's protected-accounts expression.
    pub protected: i64,
    /// Accounts and identities with live operations, or changed since the run began.
    pub in_flight: i64,
    /// Identities and accounts for which an expression failed: neither in nor out of scope.
    pub unevaluable: i64,
    /// Absences that were not reported because a read was not provably complete.
    pub suppressed: i64,
    /// Findings that somebody chose to ignore.
    pub ignored: i64,
    /// Linked accounts whose uid changed; their links follow.
    pub renamed: i64,
}

/// How the findings compare with those of an earlier run, by fingerprint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trend {
    pub new: i64,
    pub persisting: i64,
    pub gone: i64,
}

/// Why both reads are taken to be complete, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    pub target: String,
    pub expected: String,
}

impl Default for DiscrepancySummary {
    fn default() -> Self {
        Self { total: 0, by_type: DiscrepancyType::ALL.into_iter().map(|key| (key, 0)).collect() }
    }
}

impl Default for ActionSummary {
    fn default() -> Self {
        Self { total: 0, by_action: RemediationAction::ALL.into_iter().map(|key| (key, 0)).collect() }
    }
}

impl DiscrepancySummary {
    pub fn add(&mut self, discrepancy_type: DiscrepancyType, count: i64) {
        self.total += count;
        *self.by_type.entry(discrepancy_type).or_default() += count;
    }
}

impl ActionSummary {
    pub fn add(&mut self, action: RemediationAction, count: i64) {
        self.total += count;
        *self.by_action.entry(action).or_default() += count;
    }
}

impl FromIterator<(DiscrepancyType, i64)> for DiscrepancySummary {
    fn from_iter<I: IntoIterator<Item = (DiscrepancyType, i64)>>(counts: I) -> Self {
        let mut summary = Self::default();
        for (discrepancy_type, count) in counts {
            summary.add(discrepancy_type, count);
        }
        summary
    }
}

impl FromIterator<(RemediationAction, i64)> for ActionSummary {
    fn from_iter<I: IntoIterator<Item = (RemediationAction, i64)>>(counts: I) -> Self {
        let mut summary = Self::default();
        for (action, count) in counts {
            summary.add(action, count);
        }
        summary
    }
}

impl PerformanceMetrics {
    /// A run of no measurable duration has a rate of 0.
    pub fn of(duration: TimeDelta, accounts_processed: i64, api_calls_made: i64) -> Self {
        let seconds = duration.as_seconds_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate; exact below 2^53 accounts")]
        let accounts = accounts_processed as f64;
        Self {
            total_duration_ms: duration.num_milliseconds(),
            accounts_per_second: if seconds > 0.0 { accounts / seconds } else { 0.0 },
            api_calls_made,
        }
    }
}

/// The attributes that differ most often, at most [`TOP_ATTRIBUTES`], equal counts by name.
pub fn top_mismatched(counts: impl IntoIterator<Item = (String, i64)>) -> Vec<MismatchedAttribute> {
    let mut attributes: Vec<MismatchedAttribute> = counts
        .into_iter()
        .map(|(attribute_name, count)| MismatchedAttribute { attribute_name, count })
        .collect();
    attributes.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.attribute_name.cmp(&b.attribute_name)));
    attributes.truncate(TOP_ATTRIBUTES);
    attributes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_hold_every_key_and_add_up() {
        let summary: DiscrepancySummary =
            [(DiscrepancyType::Orphan, 2), (DiscrepancyType::Orphan, 1)].into_iter().collect();
        assert_eq!((summary.total, summary.by_type.len()), (3, DiscrepancyType::ALL.len()));
        assert_eq!(summary.by_type[&DiscrepancyType::Orphan], 3);
        let json = serde_json::to_value(ActionSummary::default()).unwrap();
        assert_eq!(json["by_action"]["inactivate_identity"], 0);
    }

    #[test]
    fn the_top_ten_are_the_most_frequent_then_by_name() {
        let counts = (0..12).map(|n| (format!("a{n:02}"), if n == 11 { 9 } else { 1 }));
        let top: Vec<String> = top_mismatched(counts).into_iter().map(|it| it.attribute_name).collect();
        assert_eq!(top.len(), TOP_ATTRIBUTES);
        assert_eq!(top[..2], ["a11", "a00"]);
    }

    #[test]
    fn a_rate_needs_a_duration() {
        let rate =
            |millis| PerformanceMetrics::of(TimeDelta::milliseconds(millis), 500, 1).accounts_per_second;
        assert!((rate(250) - 2_000.0).abs() < f64::EPSILON);
        assert!(rate(0).abs() < f64::EPSILON);
    }
}
