//! Whether a read may be taken to be complete. Pure.

use xavyo_core::{Error, Reason, error::Result};

use crate::runs::record::Side;

/// What the comparison with the last complete read amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    pub is_complete: bool,
    pub evidence: String,
}

/// At most max(5 %, 3) accounts fewer than the last complete read saw count as complete; nothing at all never does where
/// there was something. Down to `accepted` somebody has vouched for it.
pub(super) fn against_baseline(count: i64, last: i64, accepted: Option<i64>) -> Judgement {
    let tolerated = (last / 20).max(3);
    let is_short = count < last - tolerated || (count == 0 && last > 0);
    let is_accepted = accepted.is_some_and(|least| count >= least);
    let verdict = match (is_short, is_accepted) {
        (false, _) => format!("at most {tolerated} fewer than the {last} of the last complete read"),
        (true, true) => {
            format!("far fewer than the {last} of the last complete read, and accepted in advance")
        }
        (true, false) => {
            format!("more than {tolerated} fewer than the {last} of the last complete read")
        }
    };
    Judgement { is_complete: !is_short || is_accepted, evidence: format!("{count} accounts: {verdict}") }
}

/// Identities come and go as the source says; that all of them are gone at once, nobody believes.
pub(super) fn of_identities(count: i64, last: i64) -> Judgement {
    let evidence = if count == 0 && last > 0 {
        format!("no identity, where the last complete run saw {last}")
    } else {
        format!("{count} identities")
    };
    Judgement { is_complete: count > 0 || last == 0, evidence }
}

/// More than 1 % failing expressions fail the run: the rules are broken, not the data.
pub(super) fn check_expressions(failed: i64, of: i64) -> Result<()> {
    if failed * 100 <= of {
        return Ok(());
    }
    let message = format!("the connector's expressions fail for {failed} of {of} identities");
    Err(Error::new(Reason::ExpressionFailed, message))
}

pub(super) fn incomplete(side: Side, evidence: &str) -> Error {
    let message = format!("the read of the {} side is not provably complete: {evidence}", side.name());
    Error::new(Reason::IncompleteRead, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_may_be_a_little_short_of_the_last_one_but_not_empty() {
        for (count, last, is_complete) in [
            (0, 0, true),
            (95, 100, true),
            (94, 100, false),
            (7, 10, true),
            (6, 10, false),
            (120, 100, true),
            (1, 3, true),
            (0, 3, false),
            (950_000, 1_000_000, true),
            (949_999, 1_000_000, false),
        ] {
            assert_eq!(against_baseline(count, last, None).is_complete, is_complete, "{count} of {last}");
        }
    }

    #[test]
    fn a_short_read_is_complete_down_to_what_somebody_accepted() {
        assert!(against_baseline(50, 100, Some(50)).is_complete);
        assert!(!against_baseline(49, 100, Some(50)).is_complete);
        assert!(against_baseline(0, 100, Some(0)).is_complete);
    }

    #[test]
    fn a_source_that_has_suddenly_nobody_is_not_believed() {
        assert!(of_identities(1, 1_000).is_complete);
        assert!(of_identities(0, 0).is_complete);
        assert!(!of_identities(0, 1).is_complete);
    }

    #[test]
    fn more_than_one_in_a_hundred_failing_expressions_fail_the_run() {
        assert!(check_expressions(0, 0).is_ok());
        assert!(check_expressions(1, 100).is_ok());
        assert!(check_expressions(2, 100).is_err());
        assert!(check_expressions(1, 99).is_err());
    }
}
