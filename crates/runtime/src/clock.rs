//! The time, and the ids that are made from it. The only place that asks the operating system for either: everybody
//! else is handed a [`Clock`], so that tests move time by hand.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use uuid::{ContextV7, Timestamp, Uuid};

/// Cheap to clone; clones show the same time and share one sequence of ids.
#[derive(Clone)]
pub struct Clock {
    source: Source,
    sequence: Arc<Mutex<ContextV7>>,
}

#[derive(Clone)]
enum Source {
    System,
    Manual(Arc<Mutex<DateTime<Utc>>>),
}

impl Clock {
    /// The operating system's time.
    pub fn system() -> Self {
        Self::of(Source::System)
    }

    /// A clock that stands still until it is moved: for tests.
    pub fn manual(at: DateTime<Utc>) -> Self {
        Self::of(Source::Manual(Arc::new(Mutex::new(at))))
    }

    fn of(source: Source) -> Self {
        Self { source, sequence: Arc::new(Mutex::new(ContextV7::new().with_additional_precision())) }
    }

    /// The time in whole microseconds, as Postgres keeps it: a time that is stored and read again is equal to itself.
    pub fn now(&self) -> DateTime<Utc> {
        let now = match &self.source {
            Source::System => system_time(),
            Source::Manual(at) => *lock(at),
        };
        now.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(now)
    }

    /// A new id (UUIDv7) that carries the clock's time. Ids of one process rise strictly, even while time stands still
    /// or goes back.
    pub fn new_id(&self) -> Uuid {
        let now = self.now();
        let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
        let sequence = lock(&self.sequence);
        Uuid::new_v7(Timestamp::from_unix(&*sequence, seconds, now.timestamp_subsec_nanos()))
    }

    /// Moves a manual clock, back too. The system's clock moves by itself: there this does nothing.
    pub fn advance(&self, by: TimeDelta) {
        if let Source::Manual(at) = &self.source {
            let mut at = lock(at);
            *at += by;
        }
    }

    /// Sets a manual clock; on the system's clock this does nothing.
    pub fn set(&self, to: DateTime<Utc>) {
        if let Source::Manual(at) = &self.source {
            *lock(at) = to;
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::System => f.write_str("Clock(system)"),
            Source::Manual(at) => write!(f, "Clock({})", lock(at)),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn system_time() -> DateTime<Utc> {
    Utc::now()
}

/// Whoever panicked while holding the lock left a whole value behind: nothing in here is changed in two steps.
fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> DateTime<Utc> {
        "2026-02-11T12:00:00.123456789Z".parse().unwrap()
    }

    #[test]
    fn time_is_in_whole_microseconds() {
        assert_eq!(Clock::manual(noon()).now().timestamp_subsec_nanos(), 123_456_000);
        assert_eq!(Clock::system().now().timestamp_subsec_nanos() % 1_000, 0);
    }

    #[test]
    fn a_manual_clock_moves_only_when_it_is_moved() {
        let clock = Clock::manual(noon());
        let before = clock.now();
        assert_eq!(clock.now(), before);

        clock.clone().advance(TimeDelta::seconds(90));

        assert_eq!(clock.now() - before, TimeDelta::seconds(90));
    }

    #[test]
    fn ids_rise_while_time_stands_still_and_while_it_goes_back() {
        let clock = Clock::manual(noon());
        let mut ids: Vec<Uuid> = (0..1_000).map(|_| clock.new_id()).collect();
        clock.advance(TimeDelta::hours(-1));
        ids.extend((0..1_000).map(|_| clock.clone().new_id()));
        clock.advance(TimeDelta::hours(2));
        ids.push(clock.new_id());

        assert!(ids.is_sorted_by(|earlier, later| earlier < later));
    }

    #[test]
    fn an_id_carries_the_time_of_the_clock() {
        let clock = Clock::manual(noon());

        let (seconds, nanoseconds) = clock.new_id().get_timestamp().unwrap().to_unix();

        assert_eq!(i64::try_from(seconds).unwrap(), noon().timestamp());
        assert_eq!(nanoseconds / 1_000_000, 123);
    }
}
