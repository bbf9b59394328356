//! Errors of MySQL and MariaDB by kind of failure (the servers' error references). Numbers are told apart, not SQLSTATEs:
//! most are the general one.

use sqlx::{error::DatabaseError, mysql::MySqlDatabaseError};
use xavyo_core::connector::{FailureKind, TargetFailure};

use crate::{redaction::Redaction, sql::failure::Stage};

pub(super) fn of_database(error: &dyn DatabaseError, stage: Stage, redaction: &Redaction) -> TargetFailure {
    let number = error.try_downcast_ref::<MySqlDatabaseError>().map_or(0, MySqlDatabaseError::number);
    let state = error.code().unwrap_or_default();
    TargetFailure::new(
        kind(number, &state, stage),
        format!("SQL_{number}"),
        message(number, error.message(), redaction),
    )
}

fn kind(number: u16, state: &str, stage: Stage) -> FailureKind {
    match number {
        // Access denied; a password that has expired; an account that is locked.
        1045 | 1698 | 1820 | 1862 | 3118 | 4151 => FailureKind::BadCredentials,
        // Too many connections; lock wait time-out, deadlock, a snapshot overtaken; time-outs and kills of a statement;
        // memory, disk and table full.
        1040 | 1203 | 1226 | 1205 | 1213 | 1020 | 1969 | 3024 | 1317 | 1021 | 1037 | 1038 | 1041 | 1114 => {
            FailureKind::Busy
        }
        // Shutting down, read-only, a cluster's node that is not ready, a killed connection; an error while committing.
        1053 | 1077 | 1079 | 1290 | 1792 | 1836 | 1047 | 1927 | 4031 | 1180 => gone(stage),
        _ if state.starts_with("08") => gone(stage),
        _ if stage == Stage::Connecting => FailureKind::Down,
        _ => FailureKind::Refused,
    }
}

fn gone(stage: Stage) -> FailureKind {
    match stage {
        Stage::Connecting | Stage::Working => FailureKind::Down,
        Stage::Committing => FailureKind::Unknown,
    }
}

/// What the server says, unless its text quotes values that we cannot know: then what we know about it.
fn message(number: u16, text: &str, redaction: &Redaction) -> String {
    match number {
        1062 | 1586 => {
            let key = text.rsplit_once("for key ").map_or("", |(_, key)| key);
            format!("another row has such a value (key {key})")
        }
        1292 | 1366 | 1367 | 1411 | 1525 | 1904 => {
            let column = text.rsplit_once("for column ").map_or("", |(_, column)| column);
            format!("the database refused a value {column}").trim_end().to_owned()
        }
        _ => redaction.apply(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_of_the_kind_that_decides_what_happens_next() {
        for (number, state, stage, expected) in [
            (1045, "28000", Stage::Connecting, FailureKind::BadCredentials),
            (1049, "42000", Stage::Connecting, FailureKind::Down),
            (1040, "08004", Stage::Connecting, FailureKind::Busy),
            (1205, "HY000", Stage::Working, FailureKind::Busy),
            (1213, "40001", Stage::Committing, FailureKind::Busy),
            (1969, "70100", Stage::Working, FailureKind::Busy),
            (1053, "08S01", Stage::Working, FailureKind::Down),
            (1053, "08S01", Stage::Committing, FailureKind::Unknown),
            (1290, "HY000", Stage::Working, FailureKind::Down),
            (1180, "HY000", Stage::Committing, FailureKind::Unknown),
            (1062, "23000", Stage::Working, FailureKind::Refused),
            (1406, "22001", Stage::Working, FailureKind::Refused),
            (4025, "23000", Stage::Working, FailureKind::Refused),
            (1142, "42000", Stage::Working, FailureKind::Refused),
        ] {
            assert_eq!(kind(number, state, stage), expected, "{number} {stage:?}");
        }
    }

    #[test]
    fn values_that_the_server_quotes_are_left_out() {
        let none = Redaction::default();
        assert_eq!(
            message(1062, "Duplicate entry 'canary' for key 'login'", &none),
            "another row has such a value (key 'login')"
        );
        assert_eq!(
            message(1366, "Incorrect integer value: 'canary' for column `a`.`b`.`c` at row 1", &none),
            "the database refused a value `a`.`b`.`c` at row 1"
        );
        assert_eq!(
            message(1292, "Truncated incorrect DOUBLE value: 'canary'", &none),
            "the database refused a value"
        );
    }
}
