//! What reconciliation's services answer, one file a noun.

mod discrepancy;
mod remediation;
mod run;
