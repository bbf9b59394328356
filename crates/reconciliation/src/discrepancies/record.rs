//! A discrepancy as this service keeps it: core's, and what its row knows beside.

use xavyo_core::discrepancy::Discrepancy;

use crate::remediation::record::RemediationRecord;

#[derive(Clone, Debug, PartialEq)]
pub struct DiscrepancyRecord {
    pub discrepancy: Discrepancy,
    /// The last remediation that was not a dry run.
    pub remediation: Option<RemediationRecord>,
}
