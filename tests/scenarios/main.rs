//! Scenarios through gRPC, one file a noun.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod account;
mod audit;
mod connector;
mod contract;
mod discrepancy;
mod identity;
mod operation;
mod queue;
mod remediation;
mod run;
mod secrets;
mod strangers;
mod target;
mod tenancy;
mod token;
