//! What ended a piece of work, and what follows from how far it had come.
//!
//! Nothing is written before COMMIT, so an outcome is unknown only when the answer to a COMMIT is missing.

use xavyo_core::connector::{FailureKind, TargetFailure};

use super::dialect::Dialect;
use crate::redaction::Redaction;

/// Where in a call an error came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Connecting,
    /// Statements whose effect, if any, is rolled back when the call fails.
    Working,
    Committing,
}

/// A failure of our own making, or an error whose meaning depends on the database and the stage.
#[derive(Debug)]
pub(super) enum Trouble {
    Known(TargetFailure),
    Database(sqlx::Error),
}

impl Trouble {
    pub fn at(self, stage: Stage, dialect: &dyn Dialect, redaction: &Redaction) -> TargetFailure {
        match self {
            Self::Known(failure) => failure,
            Self::Database(error) => failure(&error, stage, dialect, redaction),
        }
    }
}

impl From<TargetFailure> for Trouble {
    fn from(failure: TargetFailure) -> Self {
        Self::Known(failure)
    }
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// The failure that an error means.
pub(super) fn failure(
    error: &sqlx::Error,
    stage: Stage,
    dialect: &dyn Dialect,
    redaction: &Redaction,
) -> TargetFailure {
    match error {
        sqlx::Error::Database(error) => dialect.failure(error.as_ref(), stage, redaction),
        sqlx::Error::Tls(error) => TargetFailure::new(
            FailureKind::Down,
            "SQL_TLS",
            format!("TLS failed: {}", redaction.apply(&error.to_string())),
        ),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            refused("SQL_VALUE", "a value of the table cannot be read")
        }
        other => {
            let kind = if stage == Stage::Committing { FailureKind::Unknown } else { FailureKind::Down };
            TargetFailure::new(
                kind,
                "SQL_CONNECTION",
                format!("the connection failed: {}", redaction.apply(&other.to_string())),
            )
        }
    }
}

/// The call was given up: what of it happened follows from how far it had come.
pub(super) fn timed_out(stage: Stage) -> TargetFailure {
    match stage {
        Stage::Connecting => {
            TargetFailure::new(FailureKind::Down, "SQL_CONNECT_TIMEOUT", "no connection in time")
        }
        Stage::Working => {
            TargetFailure::new(FailureKind::Busy, "SQL_TIMEOUT", "no answer in time; nothing was written")
        }
        Stage::Committing => {
            TargetFailure::new(FailureKind::Unknown, "SQL_TIMEOUT", "no answer to the commit in time")
        }
    }
}

pub(super) fn refused(code: &str, message: impl Into<String>) -> TargetFailure {
    TargetFailure::new(FailureKind::Refused, code, message)
}

pub(super) fn not_one(rows: u64) -> TargetFailure {
    refused("SQL_ROWS", format!("the statement touched {rows} rows and not one; it was rolled back"))
}
