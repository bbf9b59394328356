//! What a run becomes: a delta needs something to start from, else it is a full run and says why.

use chrono::{DateTime, TimeDelta, Utc};

use super::ReconciliationMode;

/// What a delta would start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Basis {
    /// Whoever runs it can compare what changed without comparing everything.
    pub compares_changes: bool,
    /// A completed non-dry run stored the target's watermark, and the target still takes it.
    pub has_watermark: bool,
    /// When the last completed full run ended, and the connector revision that it compared under.
    pub last_full: Option<(DateTime<Utc>, i32)>,
    /// The connector's revision now.
    pub revision: i32,
    pub full_every_days: i32,
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
        (ReconciliationMode::Delta, _) if !basis.compares_changes => {
            full("there are no delta runs yet: everything is read".to_owned())
        }
        (ReconciliationMode::Delta, None) => full("no full run has completed yet".to_owned()),
        (ReconciliationMode::Delta, Some(_)) if !basis.has_watermark => {
            full("the watermark of the last run is lost or expired".to_owned())
        }
        (ReconciliationMode::Delta, Some((_, revision))) if revision != basis.revision => full(format!(
            "the connector's revision is {}, that of the last full run was {revision}",
            basis.revision
        )),
        (ReconciliationMode::Delta, Some((ended, _)))
            if now - ended >= TimeDelta::days(basis.full_every_days.into()) =>
        {
            full(format!("the last full run is {} or more days ago", basis.full_every_days))
        }
        (ReconciliationMode::Delta, Some(_)) => (ReconciliationMode::Delta, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_without_a_basis_is_a_full_run_and_says_why() {
        let ended = DateTime::UNIX_EPOCH;
        let sound = Basis {
            compares_changes: true,
            has_watermark: true,
            last_full: Some((ended, 4)),
            revision: 4,
            full_every_days: 7,
        };
        let now = ended + TimeDelta::days(6);
        for (basis, now, why) in [
            (sound, now, None),
            (Basis { compares_changes: false, ..sound }, now, Some("no delta runs yet")),
            (Basis { last_full: None, ..sound }, now, Some("no full run")),
            (Basis { has_watermark: false, ..sound }, now, Some("watermark")),
            (Basis { revision: 5, ..sound }, now, Some("revision is 5")),
            (sound, ended + TimeDelta::days(7), Some("7 or more days")),
        ] {
            let (mode, note) = choose(ReconciliationMode::Delta, &basis, now);
            assert_eq!(mode == ReconciliationMode::Delta, why.is_none());
            assert!(note.unwrap_or_default().contains(why.unwrap_or_default()), "{why:?}");
            assert_eq!(choose(ReconciliationMode::Full, &basis, now), (ReconciliationMode::Full, None));
        }
    }
}
