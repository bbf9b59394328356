//! Instants on the wire.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use pbjson_types::Timestamp;

/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, the ends of what a Timestamp may say.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

pub fn to_pb(at: DateTime<Utc>) -> Timestamp {
    at.into()
}

/// Whole microseconds, as the databases keep them. None where the instant is not one that a Timestamp may say.
pub fn of_pb(at: &Timestamp) -> Option<DateTime<Utc>> {
    let nanos = u32::try_from(at.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    let at = DateTime::from_timestamp(at.seconds, nanos).filter(|_| SECONDS.contains(&at.seconds))?;
    at.duration_trunc(TimeDelta::microseconds(1)).ok()
}
