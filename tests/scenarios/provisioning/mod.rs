//! What provisioning's services answer, one file a noun.

mod account;
mod connector;
mod dead_letter;
mod health;
mod identity;
mod operation;
mod queue;
pub mod target;
