//! Scenarios through gRPC: what holds for every call here, and a folder for each service.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod audit;
mod contract;
mod guide;
mod provisioning;
mod reconciliation;
mod secrets;
mod strangers;
mod tenancy;
mod token;
