//! Scenarios through gRPC, one file a noun.

mod audit;
mod connector;
mod contract;
mod discrepancy;
mod identity;
mod operation;
mod run;
mod tenancy;
mod token;
