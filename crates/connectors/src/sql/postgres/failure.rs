//! Errors of Postgres by kind of failure (SQLSTATE: PostgreSQL documentation, appendix A).
//!
//! Nothing is written before COMMIT, so an outcome is unknown only when the answer to a COMMIT is missing.

use sqlx::{error::DatabaseError, postgres::PgDatabaseError};
use xavyo_core::connector::{FailureKind, TargetFailure};

use crate::redaction::Redaction;

/// Where in a call an error came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Connecting,
    /// Statements whose effect, if any, is rolled back when the call fails.
    Working,
    Committing,
}

/// What ended a piece of work: a failure of our own making, or an error whose meaning depends on the stage.
#[derive(Debug)]
pub(super) enum Trouble {
    Known(TargetFailure),
    Database(sqlx::Error),
}

impl Trouble {
    pub fn at(self, stage: Stage, redaction: &Redaction) -> TargetFailure {
        match self {
            Self::Known(failure) => failure,
            Self::Database(error) => failure(&error, stage, redaction),
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
pub(super) fn failure(error: &sqlx::Error, stage: Stage, redaction: &Redaction) -> TargetFailure {
    match error {
        sqlx::Error::Database(error) => of_database(error.as_ref(), stage, redaction),
        sqlx::Error::Tls(error) => TargetFailure::new(
            FailureKind::Down,
            "SQL_TLS",
            format!("TLS failed: {}", redaction.apply(&error.to_string())),
        ),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            let message = "a value of the table cannot be read";
            TargetFailure::new(FailureKind::Refused, "SQL_VALUE", message)
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

/// A write ran into a uniqueness.
pub(super) const DUPLICATE: &str = "SQL_23505";

/// A key's text is no value of its column's type: it names no row.
pub(super) fn is_no_key(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    code.is_some_and(|code| matches!(code.as_ref(), "22P02" | "22003" | "22007" | "22008" | "22001"))
}

/// The table may have changed since it was described.
pub(super) fn doubts_catalogue(failure: &TargetFailure) -> bool {
    failure.code == "SQL_COLUMN" || failure.code.starts_with("SQL_42") || failure.code.starts_with("SQL_0A")
}

fn of_database(error: &dyn DatabaseError, stage: Stage, redaction: &Redaction) -> TargetFailure {
    let code = error.code().unwrap_or_default().into_owned();
    let kind = kind(&code, stage);
    TargetFailure::new(kind, format!("SQL_{code}"), message(error, &code, redaction))
}

fn kind(code: &str, stage: Stage) -> FailureKind {
    match (code, code.get(..2).unwrap_or_default()) {
        (_, "28") => FailureKind::BadCredentials,
        ("57014" | "55P03", _) | (_, "40" | "53") => FailureKind::Busy,
        // 25006: the server became a standby. 57P0x, 58: it is going down or broken.
        ("25006", _) | (_, "08" | "57" | "58") => match stage {
            Stage::Connecting | Stage::Working => FailureKind::Down,
            Stage::Committing => FailureKind::Unknown,
        },
        _ if stage == Stage::Connecting => FailureKind::Down,
        (_, "XX") => FailureKind::Busy,
        _ => FailureKind::Refused,
    }
}

/// What the server says, unless its text quotes values that we cannot know: then what we know about it.
fn message(error: &dyn DatabaseError, code: &str, redaction: &Redaction) -> String {
    let quotes_values = matches!(code.get(..2), Some("22"));
    let mut message = if quotes_values {
        format!("the database refused a value (SQLSTATE {code})")
    } else {
        redaction.apply(error.message())
    };
    if let Some(error) = error.try_downcast_ref::<PgDatabaseError>()
        && let Some(column) = error.column()
    {
        message = format!("{message} (column {column})");
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_of_the_kind_that_decides_what_happens_next() {
        for (code, stage, expected) in [
            ("28P01", Stage::Connecting, FailureKind::BadCredentials),
            ("28000", Stage::Connecting, FailureKind::BadCredentials),
            ("3D000", Stage::Connecting, FailureKind::Down),
            ("53300", Stage::Connecting, FailureKind::Busy),
            ("57P03", Stage::Connecting, FailureKind::Down),
            ("57014", Stage::Working, FailureKind::Busy),
            ("40001", Stage::Working, FailureKind::Busy),
            ("40P01", Stage::Working, FailureKind::Busy),
            ("55P03", Stage::Working, FailureKind::Busy),
            ("57P01", Stage::Working, FailureKind::Down),
            ("57P01", Stage::Committing, FailureKind::Unknown),
            ("25006", Stage::Working, FailureKind::Down),
            ("23505", Stage::Working, FailureKind::Refused),
            ("23514", Stage::Committing, FailureKind::Refused),
            ("22P02", Stage::Working, FailureKind::Refused),
            ("42501", Stage::Working, FailureKind::Refused),
            ("P0001", Stage::Working, FailureKind::Refused),
        ] {
            assert_eq!(kind(code, stage), expected, "{code} {stage:?}");
        }
    }
}
