//! All SQL of the service: free functions `noun::verb(&mut PgConnection, …)`, so that the caller's transaction shows.
//!
//! Every statement names the tenant, besides row-level security. Lock order, everywhere: identity → connector → lanes
//! (by id) → operations → conflict → the guard's window.

pub mod account;
pub mod audit;
pub mod audit_seal;
pub mod conflict;
pub mod connector;
pub mod guard;
pub mod identity;
pub mod lane;
pub mod link;
pub mod operation;
pub mod partition;
pub mod request;
pub mod worker;
