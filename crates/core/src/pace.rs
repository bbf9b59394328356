//! How fast a target may be called by all processes together: one row a connector says who may make how many calls at
//! once, and when the next call may begin (Q11).
//!
//! Begin with [`Shares::lease`]. Shares never sum above the limit: who wants more gets it when others have come down.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::WorkerId;

/// How long a share lasts: so soon the others have theirs.
pub const LEASE: TimeDelta = TimeDelta::seconds(1);

/// Calls that are let begin by one lease, in seconds of the rate.
const AHEAD: f64 = 0.25;

/// How long the ramp stands on each of its steps.
const STEP: TimeDelta = TimeDelta::seconds(5);

/// Steps of the ramp; the one after the last is no limit any more.
const STEPS: u32 = 14;

/// What the connector allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Calls under way at once; at least 1.
    pub at_once: u32,
    /// Calls begun a second; None = no limit.
    pub per_second: Option<f64>,
    /// The longest that a call takes: so long a share of a process that does not speak any more counts.
    pub call_timeout: TimeDelta,
}

/// What a process needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    pub under_way: u32,
    /// Calls that wait to begin.
    pub waiting: u32,
    /// It has no moment left at which a call may begin.
    pub needs_moments: bool,
}

/// What it gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Granted {
    /// Calls under way at once, until the lease ends.
    pub places: u32,
    pub until: DateTime<Utc>,
    /// When calls may begin, where the rate is limited.
    pub moments: Option<Moments>,
}

/// Evenly spread moments, nobody else's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    pub first: DateTime<Utc>,
    pub count: u32,
    pub interval: TimeDelta,
}

/// The row of a connector.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shares {
    of: BTreeMap<WorkerId, Share>,
    next_call_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Share {
    places: u32,
    /// Calls under way or waiting, when it last spoke.
    wanted: u32,
    until: DateTime<Utc>,
}

impl Shares {
    /// Gives a process its share. What others hold is theirs until they lease again, leave, die, or have been silent for so
    /// long that none of their calls can be under way.
    pub fn lease(&mut self, worker: WorkerId, wish: Wish, limits: Limits, now: DateTime<Utc>) -> Granted {
        self.of.retain(|_, share| now < share.until + limits.call_timeout);
        let wanted = wish.under_way + wish.waiting;
        let until = now + LEASE;
        let held = self.of.get(&worker).map_or(0, |share| share.places);
        self.of.insert(worker, Share { places: held, wanted, until });
        let others: u32 =
            self.of.iter().filter(|(id, _)| **id != worker).map(|(_, share)| share.places).sum();
        let free = limits.at_once.max(1).saturating_sub(others);
        let places = self.due(worker, limits.at_once.max(1), now).min(free).max(wish.under_way);
        self.of.insert(worker, Share { places, wanted, until });
        let moments = limits.per_second.filter(|_| wish.needs_moments && places > 0);
        Granted { places, until, moments: moments.map(|rate| self.moments(rate, now)) }
    }

    /// The process has no call under way and wants none.
    pub fn leave(&mut self, worker: WorkerId) {
        self.of.remove(&worker);
    }

    /// Forgets processes that are dead: their calls died with them.
    pub fn forget_dead(&mut self, is_alive: impl Fn(WorkerId) -> bool) {
        self.of.retain(|worker, _| is_alive(*worker));
    }

    pub fn workers(&self) -> impl Iterator<Item = WorkerId> {
        self.of.keys().copied()
    }

    /// Places handed out one by one in turn: first as wanted, then what is left. Where there are fewer than processes, the
    /// turn moves on every second.
    fn due(&self, worker: WorkerId, at_once: u32, now: DateTime<Utc>) -> u32 {
        let mut due: Vec<(WorkerId, u32, u32)> =
            self.of.iter().map(|(id, share)| (*id, share.wanted, 0)).collect();
        let turns = usize::try_from(now.timestamp().unsigned_abs()).unwrap_or_default();
        let first = turns % due.len().max(1);
        due.rotate_left(first);
        let mut left = at_once;
        while left > 0 && due.iter().any(|(_, wanted, places)| places < wanted) {
            for (_, wanted, places) in &mut due {
                if left > 0 && *places < *wanted {
                    *places += 1;
                    left -= 1;
                }
            }
        }
        for _ in 0..left.div_ceil(u32::try_from(due.len()).unwrap_or(1).max(1)) {
            for (_, _, places) in &mut due {
                if left > 0 {
                    *places += 1;
                    left -= 1;
                }
            }
        }
        due.iter().find(|(id, ..)| *id == worker).map_or(0, |(.., places)| *places)
    }

    fn moments(&mut self, rate: f64, now: DateTime<Utc>) -> Moments {
        let rate = rate.max(0.01);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1..=10,000")]
        let count = (rate * AHEAD).floor().clamp(1.0, 10_000.0) as u32;
        let interval = TimeDelta::from_std(std::time::Duration::from_secs_f64(1.0 / rate)).unwrap_or(LEASE);
        let first = self.next_call_at.map_or(now, |next| next.max(now));
        self.next_call_at = Some(first + interval * i32::try_from(count).unwrap_or(i32::MAX));
        Moments { first, count, interval }
    }
}

/// Calls a second so long after an outage: one, and twice as many every five seconds. None = the ramp is over.
pub fn ramp(since_it_ended: TimeDelta) -> Option<f64> {
    let steps = since_it_ended.num_seconds().max(0) / STEP.num_seconds();
    let step = u32::try_from(steps).unwrap_or(u32::MAX);
    (step < STEPS).then(|| f64::from(1_u32 << step))
}

/// The slower of the two; None = no limit.
pub fn slower(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (only, None) | (None, only) => only,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const BUSY: Wish = Wish { under_way: 0, waiting: 100, needs_moments: true };

    fn worker(number: u128) -> WorkerId {
        WorkerId(Uuid::from_u128(number))
    }

    fn start() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn limits(at_once: u32, per_second: Option<f64>) -> Limits {
        Limits { at_once, per_second, call_timeout: TimeDelta::seconds(30) }
    }

    /// The places of all after each has leased so many times, a tenth of a second between any two leases.
    fn settled(workers: u128, at_once: u32, rounds: u32) -> Vec<u32> {
        let mut shares = Shares::default();
        let mut now = start();
        for _ in 0..rounds {
            for number in 0..workers {
                let held = shares.of.get(&worker(number)).map_or(0, |share| share.places);
                let granted = shares.lease(worker(number), BUSY, limits(at_once, None), now);
                let sum: u32 = shares.of.values().map(|share| share.places).sum();
                assert!(sum <= at_once, "{sum} of {at_once}, {held} → {}", granted.places);
                now += TimeDelta::milliseconds(100);
            }
        }
        shares.of.values().map(|share| share.places).collect()
    }

    #[test]
    fn shares_never_sum_above_the_limit_and_become_even_q11() {
        assert_eq!(settled(1, 8, 1), [8]);
        assert_eq!(settled(2, 8, 3), [4, 4]);
        let mut three = settled(3, 8, 4);
        three.sort_unstable();
        assert_eq!(three, [2, 3, 3]);
    }

    #[test]
    fn one_place_goes_round_q10() {
        let mut shares = Shares::default();
        let mut turns = [0; 3];
        for lease in 0..300 {
            // Each call has ended when the lease is renewed.
            let now = start() + TimeDelta::milliseconds(lease * 100);
            let number = usize::try_from(lease % 3).unwrap();
            turns[number] += shares.lease(worker(number as u128), BUSY, limits(1, None), now).places;
        }
        assert!(turns.iter().all(|turns| *turns >= 20), "{turns:?}");
    }

    #[test]
    fn what_is_under_way_keeps_its_place_until_it_has_ended() {
        let mut shares = Shares::default();
        shares.lease(worker(1), BUSY, limits(4, None), start());
        let calling = Wish { under_way: 4, waiting: 9, needs_moments: false };
        assert_eq!(shares.lease(worker(2), BUSY, limits(4, None), start()).places, 0);
        assert_eq!(shares.lease(worker(1), calling, limits(4, None), start()).places, 4);
        assert_eq!(shares.lease(worker(2), BUSY, limits(4, None), start()).places, 0);
        let ending = Wish { under_way: 1, ..calling };
        assert_eq!(shares.lease(worker(1), ending, limits(4, None), start()).places, 2);
        assert_eq!(shares.lease(worker(2), BUSY, limits(4, None), start()).places, 2);
    }

    #[test]
    fn a_share_is_free_when_its_process_leaves_dies_or_has_been_silent_for_a_call() {
        let taken = || {
            let mut shares = Shares::default();
            shares.lease(worker(1), BUSY, limits(4, None), start());
            shares
        };
        let get = |mut shares: Shares, now| shares.lease(worker(2), BUSY, limits(4, None), now).places;
        assert_eq!(get(taken(), start() + TimeDelta::seconds(30)), 0, "a call of it may be under way");
        assert_eq!(get(taken(), start() + TimeDelta::seconds(31)), 4);
        let mut left = taken();
        left.leave(worker(1));
        assert_eq!(get(left, start()), 4);
        let mut dead = taken();
        dead.forget_dead(|_| false);
        assert_eq!(get(dead, start()), 4);
    }

    #[test]
    fn moments_are_never_anybody_elses_q11() {
        let mut shares = Shares::default();
        let mut begun = Vec::new();
        for round in 0..40_u8 {
            let now = start() + TimeDelta::milliseconds(i64::from(round) * 50);
            let granted = shares.lease(worker(u128::from(round % 3)), BUSY, limits(64, Some(20.0)), now);
            let mut next = granted.moments;
            while let Some(moments) = next {
                begun.push(moments.first);
                let rest =
                    Moments { first: moments.first + moments.interval, count: moments.count - 1, ..moments };
                next = (rest.count > 0).then_some(rest);
            }
        }
        assert!(begun.len() > 20);
        assert!(begun.is_sorted_by(|one, next| *next - *one >= TimeDelta::milliseconds(50)), "20 a second");
    }

    #[test]
    fn who_may_not_call_takes_no_moment() {
        let mut shares = Shares::default();
        let granted = shares.lease(worker(1), BUSY, limits(1, Some(1.0)), start());
        assert_eq!(granted.moments.map(|moments| (moments.first, moments.count)), Some((start(), 1)));
        assert_eq!(shares.lease(worker(2), BUSY, limits(1, Some(1.0)), start()).moments, None);
    }

    #[test]
    fn the_ramp_starts_at_one_call_a_second_and_doubles_every_five() {
        let rates: Vec<_> = [0, 4, 5, 9, 10, 15, 65, 69, 70].map(TimeDelta::seconds).map(ramp).into();
        let expected = [1.0, 1.0, 2.0, 2.0, 4.0, 8.0, 8_192.0, 8_192.0].map(Some);
        assert_eq!(rates[..8], expected);
        assert_eq!(rates[8], None);
        assert_eq!(ramp(TimeDelta::seconds(-3_600)), Some(1.0), "a clock that is behind");
        assert_eq!(
            (slower(Some(3.0), Some(2.0)), slower(None, Some(2.0)), slower(None, None)),
            (Some(2.0), Some(2.0), None)
        );
    }
}
