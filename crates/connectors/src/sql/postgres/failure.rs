//! Errors of Postgres by kind of failure (SQLSTATE: PostgreSQL documentation, appendix A).

use sqlx::{error::DatabaseError, postgres::PgDatabaseError};
use xavyo_core::connector::{FailureKind, TargetFailure};

use crate::{redaction::Redaction, sql::failure::Stage};

pub(super) fn of_database(error: &dyn DatabaseError, stage: Stage, redaction: &Redaction) -> TargetFailure {
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
