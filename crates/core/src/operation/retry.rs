//! When a failed operation is tried again.

use std::time::Duration;

use crate::connector::RetryPolicy;

/// How far a delay may stray from its nominal length, so that what failed together does not return together.
const JITTER: f64 = 0.25;

/// The pause before retry `retry_count` (1 = the first): min(base · 2^(n−1), cap) ± 25 %. `jitter` is in −1..=1 and
/// chosen by the caller. A Retry-After of the target wins, however long.
pub fn delay(policy: &RetryPolicy, retry_count: i32, jitter: f64, retry_after: Option<Duration>) -> Duration {
    if let Some(retry_after) = retry_after {
        return retry_after;
    }
    let doublings = retry_count.saturating_sub(1).clamp(0, 62);
    let nominal = policy.base_ms.max(0).saturating_mul(1_i64 << doublings).min(policy.cap_ms.max(0));
    let nominal = Duration::from_millis(u64::try_from(nominal).unwrap_or(0));
    nominal.mul_f64(1.0 + JITTER * jitter.clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(retry_count: i32, jitter: f64) -> u128 {
        delay(&RetryPolicy::default(), retry_count, jitter, None).as_millis()
    }

    #[test]
    fn delays_double_from_thirty_seconds_to_an_hour() {
        let delays = [1, 2, 3, 4, 5, 6, 7, 8, 20, i32::MAX].map(|count| millis(count, 0.0) / 1_000);
        assert_eq!(delays, [30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600]);
    }

    #[test]
    fn jitter_is_at_most_a_quarter() {
        assert_eq!([millis(1, -1.0), millis(1, 1.0), millis(1, 9.0)], [22_500, 37_500, 37_500]);
    }

    #[test]
    fn the_targets_own_wish_wins() {
        let wish = Duration::from_hours(2);
        assert_eq!(delay(&RetryPolicy::default(), 1, 1.0, Some(wish)), wish);
    }
}
