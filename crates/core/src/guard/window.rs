//! What the guard has let through of late, counted by the hour: a day of a busy connector is a small row.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Effect, Effects, Excess, WINDOW, most};
use crate::connector::GuardPolicy;

/// The last 24 hours of one connector. An hour is kept whole until all of it is older: an effect counts for a day at
/// least, and less than an hour longer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Window {
    /// Oldest first.
    hours: Vec<Hour>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Hour {
    began_at: DateTime<Utc>,
    /// Of the connector, when the hour began.
    live_links: i64,
    #[serde(flatten)]
    effects: Effects,
}

impl Window {
    /// Forgets what is older than the window.
    pub fn slide(&mut self, now: DateTime<Utc>) {
        self.hours.retain(|hour| hour.began_at + TimeDelta::hours(1) > now - WINDOW);
    }

    /// Whether the connector's live links have to be counted: nothing is admitted before [`Self::begin_hour`].
    pub fn is_new_hour(&self, now: DateTime<Utc>) -> bool {
        self.hours.last().is_none_or(|last| last.began_at < hour_of(now))
    }

    pub fn begin_hour(&mut self, now: DateTime<Utc>, live_links: i64) {
        self.hours.push(Hour { began_at: hour_of(now), live_links, effects: Effects::default() });
    }

    /// What it has let through.
    pub fn used(&self) -> Effects {
        self.hours.iter().fold(Effects::default(), |sum, hour| Effects {
            destructive: sum.destructive + hour.effects.destructive,
            constructive: sum.constructive + hour.effects.constructive,
        })
    }

    /// The live links when the window began: of these the limits are a share, so that a mass deletion does not move its
    /// own limit. None before the first effect.
    pub fn live_links(&self) -> Option<i64> {
        self.hours.first().map(|hour| hour.live_links)
    }

    /// Counts an effect, if there is room for it. What has no limit passes uncounted.
    pub fn admit(&mut self, policy: &GuardPolicy, effect: Effect) -> Result<(), Excess> {
        let in_window = self.used().of(effect);
        let Some(limit) = most(policy.limit(effect), self.live_links().unwrap_or(0)) else { return Ok(()) };
        match self.hours.last_mut() {
            Some(hour) if in_window < limit => {
                hour.effects.add(effect);
                Ok(())
            }
            Some(_) | None => Err(Excess { effect, planned: 1, in_window, limit }),
        }
    }
}

fn hour_of(at: DateTime<Utc>) -> DateTime<Utc> {
    at.duration_trunc(TimeDelta::hours(1)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::GuardLimit;

    fn noon() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn opened(live_links: i64) -> Window {
        let mut window = Window::default();
        window.begin_hour(noon(), live_links);
        window
    }

    /// How many of a hundred deletes pass.
    fn admitted(window: &mut Window) -> usize {
        let policy = GuardPolicy::default();
        (0..100).filter(|_| window.admit(&policy, Effect::Destructive).is_ok()).count()
    }

    #[test]
    fn exactly_the_limit_passes_and_the_excess_says_how_much_r3() {
        let mut window = opened(1_000);
        assert_eq!(admitted(&mut window), 50);
        let excess = window.admit(&GuardPolicy::default(), Effect::Destructive).unwrap_err();
        assert_eq!((excess.in_window, excess.limit), (50, 50));
        assert!(window.admit(&GuardPolicy::default(), Effect::Constructive).is_ok(), "the rest goes on");
    }

    #[test]
    fn what_passed_is_forgotten_when_all_of_its_hour_is_a_day_old() {
        let mut window = opened(1_000);
        admitted(&mut window);
        window.slide(noon() + TimeDelta::minutes(24 * 60 + 59));
        assert_eq!(window.used().destructive, 50);
        window.slide(noon() + TimeDelta::hours(25));
        assert_eq!((window.used().destructive, window.live_links()), (0, None));
    }

    #[test]
    fn the_share_is_of_the_links_when_the_window_began_however_many_are_gone_since() {
        let mut window = opened(1_000);
        assert_eq!(admitted(&mut window), 50);
        let later = noon() + TimeDelta::hours(3);
        assert!(window.is_new_hour(later) && !window.is_new_hour(noon() + TimeDelta::minutes(59)));
        window.begin_hour(later, 950_000);
        assert_eq!(admitted(&mut window), 0);
        window.slide(noon() + TimeDelta::hours(25));
        assert_eq!(window.live_links(), Some(950_000));
    }

    #[test]
    fn a_clock_that_is_behind_counts_in_the_latest_hour() {
        let mut window = opened(1_000);
        assert!(!window.is_new_hour(noon() - TimeDelta::hours(1)));
        assert_eq!(admitted(&mut window), 50);
    }

    #[test]
    fn what_has_no_limit_is_not_counted() {
        let policy = GuardPolicy { destructive: GuardLimit::None, ..GuardPolicy::default() };
        let mut window = opened(1_000);
        window.admit(&policy, Effect::Destructive).unwrap();
        assert_eq!(window.used(), Effects::default());
    }

    #[test]
    fn it_is_kept_as_it_was() {
        let mut window = opened(1_000);
        admitted(&mut window);
        let kept = serde_json::to_value(&window).unwrap();
        assert_eq!(serde_json::from_value::<Window>(kept).unwrap(), window);
    }
}
