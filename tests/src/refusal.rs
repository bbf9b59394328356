//! Refusals as a client sees them.

use std::collections::BTreeMap;

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Code, stable reason, facts and the fields at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: Code,
    pub reason: String,
    pub facts: BTreeMap<String, String>,
    pub fields: Vec<String>,
}

impl Refusal {
    pub fn of(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info().cloned();
        let fields = details.bad_request().map(|bad| {
            bad.field_violations.iter().map(|violation| violation.field.clone()).collect::<Vec<_>>()
        });
        Self {
            code: status.code(),
            reason: info.as_ref().map(|info| info.reason.clone()).unwrap_or_default(),
            facts: info.map(|info| info.metadata.into_iter().collect()).unwrap_or_default(),
            fields: fields.unwrap_or_default(),
        }
    }

    /// Code and reason, to compare in one line.
    pub fn named(&self) -> (Code, &str) {
        (self.code, &self.reason)
    }
}

/// The refusal of a call that must not succeed.
///
/// # Panics
/// If it did.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(answer: Result<T, Status>) -> Refusal {
    Refusal::of(&answer.expect_err("the call should have been refused"))
}
