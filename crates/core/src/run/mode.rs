//! What a run becomes: a delta needs something to start from, else it is a full run and says why.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

use super::ReconciliationMode;

/// The most accounts and identities of one kind that a delta looks up one by one; with more it would ask more of the target
/// than a full run.
pub const MAX_REVISITED: i64 = 10_000;

/// What a delta would start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Basis {
    /// When the last completed full run ended, and the connector revision that it compared under.
    pub last_full: Option<(DateTime<Utc>, i32)>,
    /// What the last completed run left behind is not enough.
    pub hindrance: Option<Hindrance>,
    /// The connector's revision now.
    pub revision: i32,
    /// None: the age has been judged.
    pub full_every_days: Option<i32>,
}

/// Why what the last completed run left behind is not enough for a delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hindrance {
    /// A kind of account has no watermark of the target's.
    NoWatermark,
    /// A kind of account has no mark of the expected side.
    NoExpectedMark,
    /// So many accounts and identities are to be looked at again.
    Revisits(i64),
}

/// The mode of a run, and why it is not the requested one.
pub fn choose(
    requested: ReconciliationMode,
    basis: &Basis,
    now: DateTime<Utc>,
) -> (ReconciliationMode, Option<String>) {
    let full = |why: String| (ReconciliationMode::Full, Some(why));
    match (requested, basis.last_full) {
        (ReconciliationMode::Full, _) => (ReconciliationMode::Full, None),
        (ReconciliationMode::Delta, None) => full("no full run has completed yet".to_owned()),
        (ReconciliationMode::Delta, Some((_, revision))) if revision != basis.revision => full(format!(
            "the connector's revision is {}, that of the last full run was {revision}",
            basis.revision
        )),
        (ReconciliationMode::Delta, Some((ended, _))) => match (basis.full_every_days, basis.hindrance) {
            (Some(days), _) if now - ended >= TimeDelta::days(days.into()) => {
                full(format!("the last full run is {days} or more days ago"))
            }
            (_, Some(hindrance)) => full(hindrance.to_string()),
            (_, None) => (ReconciliationMode::Delta, None),
        },
    }
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWatermark => {
                f.write_str("the last run has no watermark of the target: it may not be able to say what changed")
            }
            Self::NoExpectedMark => f.write_str(
                "the last run has no mark of the expected side: a mapping may refer to accounts on other connectors",
            ),
            Self::Revisits(count) => {
                write!(f, "{count} accounts and identities would have to be looked up one by one")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_without_a_basis_is_a_full_run_and_says_why() {
        let ended = DateTime::UNIX_EPOCH;
        let sound =
            Basis { last_full: Some((ended, 4)), hindrance: None, revision: 4, full_every_days: Some(7) };
        let hindered = |hindrance| Basis { hindrance: Some(hindrance), ..sound };
        let now = ended + TimeDelta::days(6);
        for (basis, now, why) in [
            (sound, now, None),
            (Basis { last_full: None, ..sound }, now, Some("no full run")),
            (hindered(Hindrance::NoWatermark), now, Some("no watermark of the target")),
            (hindered(Hindrance::NoExpectedMark), now, Some("no mark of the expected side")),
            (hindered(Hindrance::Revisits(10_001)), now, Some("10001 accounts")),
            (Basis { revision: 5, ..sound }, now, Some("revision is 5")),
            (sound, ended + TimeDelta::days(7), Some("7 or more days")),
            (Basis { full_every_days: None, ..sound }, ended + TimeDelta::days(7), None),
        ] {
            let (mode, note) = choose(ReconciliationMode::Delta, &basis, now);
            assert_eq!(mode == ReconciliationMode::Delta, why.is_none());
            assert!(note.unwrap_or_default().contains(why.unwrap_or_default()), "{why:?}");
            assert_eq!(choose(ReconciliationMode::Full, &basis, now), (ReconciliationMode::Full, None));
        }
    }
}
