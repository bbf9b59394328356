//! The harness of the scenarios: both services as child processes on a real Postgres, a tenant of its own for each test,
//! clients by role, and verbs.
//!
//! Never here: a double of our own code. Only the target may be a fake, and the fake keeps a ledger.
//!
//! Begin with [`World`].

mod clients;
mod raw;
mod refusal;
mod runs;
mod verbs;
mod world;

pub use clients::{Bearer, Clients};
pub use raw::Raw;
pub use refusal::{Refusal, refused};
pub use verbs::{memory_connector, set, update_of};
pub use world::World;
