//! A case: what must hold of every target that has it at all.

use anyhow::{Result, bail};
use futures::future::LocalBoxFuture;
use xavyo_core::connector::{FailureKind, TargetFailure};

use crate::Target;

/// One thing that every target must do.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// `reads`, `writes` …
    pub group: &'static str,
    /// The name of its function: a sentence with underscores.
    pub name: &'static str,
    pub run: for<'a> fn(&'a Target) -> LocalBoxFuture<'a, Result<()>>,
}

/// Why a case says nothing of a target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotOffered(pub String);

impl Case {
    /// `reads: a read shows every account and proves it`.
    pub fn sentence(&self) -> String {
        format!("{}: {}", self.group, self.name.replace('_', " "))
    }
}

/// Ends a case of which the target has nothing.
pub fn not_offered<T>(why: impl Into<String>) -> Result<T> {
    Err(NotOffered(why.into()).into())
}

/// A call that must fail, and in that way.
pub fn failed<T>(answer: Result<T, TargetFailure>, expected: FailureKind) -> Result<TargetFailure> {
    match answer {
        Err(failure) if failure.kind == expected => Ok(failure),
        Err(failure) => bail!("expected a failure of kind {expected:?}, got {:?}: {failure}", failure.kind),
        Ok(_) => bail!("expected a failure of kind {expected:?}, and it succeeded"),
    }
}
