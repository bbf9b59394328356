//! Mapping: how an identity becomes the account it should have, and an account the identity it belongs to.
//!
//! Rules are CEL, documented in docs/mapping.md. Begin with [`Program`]: an object type with all its expressions
//! compiled. An expression that fails is unknown: nothing is ever concluded from it.
//!
//! Never here: who may write what (see [`crate::connector::Policies`]), and what differs (see [`crate::comparison`]).
//! Expressions recurse in large frames: [`stack`] says how that is kept safe.

mod ast;
mod check;
mod compile;
mod context;
mod expression;
mod functions;
mod program;
mod record;
mod rewrite;
pub mod stack;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;

pub use expression::{Failure, Position};
pub use program::Program;
pub use record::References;

use crate::value::Value;

/// The longest source of an expression, in bytes.
pub const MAX_SOURCE: usize = 1_024;
/// The most expressions inside one another: what the stack of [`stack::BYTES`] holds in any build.
pub const MAX_DEPTH: usize = 128;
/// The most items that a loop goes over.
pub const MAX_ITEMS: usize = 1_000;
/// The longest text that a function makes, in bytes.
pub const MAX_TEXT: usize = 65_536;
/// The most attribute rules of an object type.
pub const MAX_RULES: usize = 200;
/// The most correlation rules of an object type.
pub const MAX_CORRELATION_RULES: usize = 16;
/// Names are tried with `iteration` 0 to this.
pub const MAX_ITERATION: u32 = 99;

/// Should the identity have an account?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evaluation {
    /// It is active and in scope.
    In,
    Out,
    /// The scope expression failed, with this message: neither in nor out.
    Unknown(String),
}

/// What the account of an identity should look like.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expected {
    /// By target attribute; those whose expression failed are not here.
    pub attributes: BTreeMap<String, ExpectedValue>,
    /// Target attribute and message.
    pub failures: Vec<(String, String)>,
}

/// What one attribute should hold.
#[derive(Clone, Debug, PartialEq)]
pub enum ExpectedValue {
    /// Never empty.
    Values(Vec<Value>),
    /// The attribute must be absent.
    Absent,
    /// Leave it alone: never compared, never written.
    Unmanaged,
}

impl ExpectedValue {
    /// The values to compare with or to write; none where the attribute is left alone.
    pub fn values(&self) -> Option<&[Value]> {
        match self {
            Self::Values(values) => Some(values),
            Self::Absent => Some(&[]),
            Self::Unmanaged => None,
        }
    }
}
