//! Scenarios through gRPC, one file a noun.

mod account;
mod audit;
mod connector;
mod contract;
mod discrepancy;
mod identity;
mod operation;
mod queue;
mod run;
mod tenancy;
mod token;
