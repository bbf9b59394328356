//! All SQL of the service: free functions `noun::verb(&mut PgConnection, …)`, so that the caller's transaction shows.
//!
//! Every statement names the tenant, besides row-level security. Lock order, everywhere: identity → connector → lanes
//! (by id) → operations → conflict.

pub mod account;
pub mod audit;
pub mod conflict;
pub mod connector;
pub mod connector_work;
pub mod feed;
pub mod history;
pub mod identity;
pub mod lane;
pub mod lane_alias;
pub mod link;
pub mod log;
pub mod operation;
pub mod operation_list;
mod operation_row;
pub mod partition;
pub mod queue_state;
pub mod request;
pub mod secret;
pub mod statistics;
pub mod worker;
