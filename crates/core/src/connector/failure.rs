//! How a target can fail, in the only distinctions that decide what happens next.

use std::{fmt, time::Duration};

/// The kinds of failure. Every connector maps its protocol's errors to one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The target understood and said no, for good: a dead letter.
    Refused,
    /// The target asks for patience (busy, throttled, a time-out before anything was sent): retry.
    Busy,
    /// The target cannot be reached or serves nobody: wait for it, using no retry.
    Down,
    /// The call may or may not have taken effect: read first, never repeat blindly.
    Unknown,
    /// Refused because of our credentials: the connector stops at once.
    BadCredentials,
    /// Create met an object of that name.
    AlreadyExists,
    /// Update or delete met no such object.
    NotFound,
    /// The object is not in the state that the precondition names; nothing was written.
    PreconditionFailed,
}

/// A failed call on a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetFailure {
    pub kind: FailureKind,
    /// Stable and specific: `LDAP_50`, `SQL_23505`, `CONNECT_TIMEOUT`. Dead letters are grouped by it.
    pub code: String,
    /// For people. Never holds a secret or a written value.
    pub message: String,
    /// How long the target asks to be left alone.
    pub retry_after: Option<Duration>,
}

impl TargetFailure {
    pub fn new(kind: FailureKind, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, code: code.into(), message: message.into(), retry_after: None }
    }
}

impl fmt::Display for TargetFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for TargetFailure {}
