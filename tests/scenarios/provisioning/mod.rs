//! What provisioning's services answer, one file a noun.

mod account;
mod conflict;
mod connector;
mod dead_letter;
mod explain;
mod guard;
mod health;
mod identity;
mod input;
mod operation;
mod pacing;
mod preview;
mod queue;
mod run_facts;
mod story;
pub mod target;
mod watch;
