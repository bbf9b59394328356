//! The services of the contract. A handler says who calls, parses, asks one use case, and answers; nothing else.

pub mod account;
pub mod audit;
pub mod conflict;
pub mod connector;
pub mod identity;
pub mod operation;
