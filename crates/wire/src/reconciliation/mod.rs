//! The nouns of reconciliation.

pub mod discrepancy;
pub mod remediation;
pub mod report;
pub mod run;
pub mod schedule;
