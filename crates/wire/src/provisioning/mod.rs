//! The nouns of provisioning, and what its read streams are made of.

pub mod account;
pub mod conflict;
pub mod identity;
pub mod link;
pub mod operation;
pub mod reads;
