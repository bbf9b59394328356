//! A field on which things go wrong: replicas of provisioning over targets behind proxies, what strikes them, and the
//! judgement afterwards.
//!
//! A [`Field`] is laid out, worked on by a load, struck, healed, drained and judged. Nothing here decides what is right:
//! that is the [checker](crate::checker)'s.
//!
//! Begin with [`Field::lay`]; [`chaos`] strikes at random, [`crash`] at the crash points. [`Drifted`] is the field of
//! reconciliation.

pub mod chaos;
mod connector;
pub mod crash;
mod drifted;
mod field;
pub mod known;
mod people;
mod replica;
mod snapshot;
mod target;

pub use drifted::{Drifted, Found, Wrong};
pub use field::{Field, Layout};
pub use replica::{Counts, Replica};
pub use target::{Kind, Target, memory_fault};
