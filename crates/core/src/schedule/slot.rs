//! When a recurrence happens.
//!
//! Slots are local times. One that does not exist (clocks went forward) is the next instant that does; one that exists
//! twice (clocks went back) is the first. Only hourly slots are counted in real hours: clocks that go back repeat one.

use chrono::{
    DateTime, Datelike, Days, MappedLocalTime, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Timelike, Utc,
};
use chrono_tz::Tz;

use super::{Cron, Recurrence};

/// More days than lie between two slots: a month, and one that a zone left out.
const HORIZON_DAYS: u64 = 64;

impl Recurrence {
    /// The first slot after an instant; none where a cron expression has no further one.
    pub fn next_after(&self, after: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        match self {
            Self::Hourly { minute } => next_minute(after, zone, *minute),
            Self::Daily { hour, minute } => next_day(after, zone, *hour, *minute, |_| true),
            Self::Weekly { day, hour, minute } => {
                next_day(after, zone, *hour, *minute, |date| date.weekday().num_days_from_sunday() == *day)
            }
            Self::Monthly { day, hour, minute } => {
                next_day(after, zone, *hour, *minute, |date| date.day() == (*day).min(days_of_month(date)))
            }
            Self::Cron(cron) => next_of_cron(after, zone, cron),
        }
    }
}

/// The next instant at which the local clock shows this minute.
fn next_minute(after: DateTime<Utc>, zone: Tz, minute: u32) -> Option<DateTime<Utc>> {
    let start = after.with_nanosecond(0)?.with_second(0)?;
    let instants = (1..=120).map(|minutes| start + TimeDelta::minutes(minutes));
    instants.into_iter().find(|at| at.with_timezone(&zone).minute() == minute)
}

fn next_day(
    after: DateTime<Utc>,
    zone: Tz,
    hour: u32,
    minute: u32,
    is_wanted: impl Fn(NaiveDate) -> bool,
) -> Option<DateTime<Utc>> {
    let today = after.with_timezone(&zone).date_naive();
    let dates = (0..HORIZON_DAYS).filter_map(|days| today.checked_add_days(Days::new(days)));
    dates
        .filter(|date| is_wanted(*date))
        .filter_map(|date| instant(date.and_hms_opt(hour, minute, 0)?, zone))
        .find(|at| *at > after)
}

/// Walks over the expression's local times, which the pattern sees as if they were UTC.
fn next_of_cron(after: DateTime<Utc>, zone: Tz, cron: &Cron) -> Option<DateTime<Utc>> {
    let mut local = after.with_timezone(&zone).naive_local();
    loop {
        local = cron.pattern.find_next_occurrence(&local.and_utc(), false).ok()?.naive_utc();
        match instant(local, zone)? {
            at if at > after => return Some(at),
            _ => {}
        }
    }
}

/// The instant of a local time.
fn instant(local: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    match zone.from_local_datetime(&local) {
        MappedLocalTime::Single(at) | MappedLocalTime::Ambiguous(at, _) => Some(at.to_utc()),
        MappedLocalTime::None => {
            // The longest gap so far is the day that Samoa left out.
            let later =
                (1..=48 * 60).filter_map(|minutes| local.checked_add_signed(TimeDelta::minutes(minutes)));
            later
                .into_iter()
                .find_map(|local| zone.from_local_datetime(&local).earliest())
                .map(|at| at.to_utc())
        }
    }
}

fn days_of_month(date: NaiveDate) -> u32 {
    date.num_days_in_month().into()
}
