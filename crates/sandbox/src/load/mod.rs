//! Random load, from a seed, and the history that its clients keep: what they asked, and what they were told.
//!
//! Begin with [`Client`], who asks and remembers; [`plan`] is what is asked.

mod client;
mod plan;

pub use client::{Client, History, Patience};
pub use plan::{Account, Plan, Step};
