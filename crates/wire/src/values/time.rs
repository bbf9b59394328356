//! Instants on the wire.

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use pbjson_types::Timestamp;

/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, the ends of what a Timestamp may say.
const SECONDS: RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
const NANOS_PER_MICRO: u32 = 1_000;

pub fn to_pb(at: DateTime<Utc>) -> Timestamp {
    at.into()
}

/// Whole microseconds, as the databases keep them. None where the instant is not one that a Timestamp may say.
pub fn of_pb(at: &Timestamp) -> Option<DateTime<Utc>> {
    let nanos = u32::try_from(at.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    let seconds = Some(at.seconds).filter(|seconds| SECONDS.contains(seconds))?;
    DateTime::from_timestamp(seconds, nanos - nanos % NANOS_PER_MICRO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_timestamp_may_say_is_taken_to_the_microsecond() {
        let at = |seconds, nanos| of_pb(&Timestamp { seconds, nanos });
        assert_eq!(at(0, 1_999).unwrap().timestamp_subsec_nanos(), 1_000);
        assert!(at(*SECONDS.start(), 0).is_some() && at(*SECONDS.end(), 999_999_999).is_some());
        for (seconds, nanos) in
            [(SECONDS.start() - 1, 0), (SECONDS.end() + 1, 0), (0, -1), (0, 1_000_000_000)]
        {
            assert!(at(seconds, nanos).is_none(), "{seconds} {nanos}");
        }
    }
}
