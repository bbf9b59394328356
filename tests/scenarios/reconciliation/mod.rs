//! What reconciliation's services answer, one file a noun.

mod action;
mod completeness;
mod delta;
mod discrepancy;
mod ignore;
mod matching;
mod plan;
mod remediation;
mod run;
mod schedule;
mod steering;
