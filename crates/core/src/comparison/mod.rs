//! Comparison: what of an account differs from what it should be, and the changes that bring it there.
//!
//! Begin with [`differences`]. Both sides are brought into the normal form of the attribute's matching rule first
//! ([`normalise`]), so that a target's spelling of the same value is no difference and no endless update. An attribute is
//! a set of values: order and repetition do not count, and an empty value is none.
//!
//! Never compared: write-only and on-create attributes, what is unmanaged, what failed to evaluate, and values of a
//! multi-valued attribute that are not ours.

mod difference;
mod normal;
#[cfg(test)]
mod tests;
mod time;

pub use difference::{Difference, changes_towards, differences, initial_attributes, is_compared};
pub(crate) use normal::{NormalSet, fold, phone, single_spaced};
pub use normal::{equal, normalise};
