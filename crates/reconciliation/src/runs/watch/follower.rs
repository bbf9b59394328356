//! What a watch tells of the states of a run that it sees one after the other. No I/O, no clock.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use xavyo_core::{
    report::DiscrepancySummary,
    run::{Phase, RunStatus},
};

use crate::runs::record::RunRecord;

/// Rates are of this long.
const WINDOW: TimeDelta = TimeDelta::seconds(5);
/// After this much quiet a bookmark says that the stream is alive.
const BOOKMARK_AFTER: TimeDelta = TimeDelta::seconds(15);

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// First, at every change of state or phase, and last.
    Run(Box<RunRecord>),
    Progress(Box<ProgressTold>),
    Bookmark(DateTime<Utc>),
}

/// How far the run is, and how fast.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgressTold {
    pub phase: Phase,
    pub accounts_processed: i64,
    pub expected_total: Option<i64>,
    pub found: DiscrepancySummary,
    pub accounts_per_second: f64,
    pub eta_seconds: Option<i64>,
    pub at: DateTime<Utc>,
}

#[derive(Debug)]
pub struct Follower {
    /// Up to here everything was told, by this watch or an earlier one.
    sequence: i64,
    state: Option<(RunStatus, Phase)>,
    /// Accounts processed at each look of the last [`WINDOW`], oldest first.
    samples: VecDeque<(DateTime<Utc>, i64)>,
    told_at: Option<DateTime<Utc>>,
}

impl Follower {
    pub fn new(after: Option<i64>) -> Self {
        Self { sequence: after.unwrap_or(-1), state: None, samples: VecDeque::new(), told_at: None }
    }

    pub fn sequence(&self) -> i64 {
        self.sequence.max(0)
    }

    /// The final state was told.
    pub fn has_ended(&self) -> bool {
        self.state.is_some_and(|(status, _)| status.is_final())
    }

    /// What is to be told of the run as it is at `now`.
    pub fn observe(&mut self, record: RunRecord, now: DateTime<Utc>) -> Vec<Event> {
        self.sample(&record, now);
        let state = (record.run.status, record.run.phase);
        let has_moved = self.state.replace(state) != Some(state);
        let has_progressed = record.progress.sequence > self.sequence;
        self.sequence = self.sequence.max(record.progress.sequence);
        let mut events = Vec::new();
        if has_progressed && record.run.status == RunStatus::Running {
            events.push(Event::Progress(Box::new(self.progress(&record, now))));
        }
        if has_moved {
            // The first message is the run.
            let at = if self.told_at.is_none() { 0 } else { events.len() };
            events.insert(at, Event::Run(Box::new(record)));
        }
        if events.is_empty() && self.told_at.is_some_and(|told| now - told >= BOOKMARK_AFTER) {
            events.push(Event::Bookmark(now));
        }
        if !events.is_empty() {
            self.told_at = Some(now);
        }
        events
    }

    fn sample(&mut self, record: &RunRecord, now: DateTime<Utc>) {
        let processed = record.run.accounts_processed;
        if self.samples.back().is_some_and(|(_, last)| *last > processed) {
            // It was taken over and reads again from the start.
            self.samples.clear();
        }
        // Before the second look there is only the beginning of the read to count from.
        if let Some(began) = record.progress.reading_started_at.filter(|_| self.samples.is_empty()) {
            self.samples.push_back((began, 0));
        }
        self.samples.push_back((now, processed));
        while self.samples.len() > 2 && self.samples.front().is_some_and(|(at, _)| now - *at > WINDOW) {
            self.samples.pop_front();
        }
    }

    fn progress(&self, record: &RunRecord, now: DateTime<Utc>) -> ProgressTold {
        let processed = record.run.accounts_processed;
        let rate = self.rate();
        let reads = record.run.phase == Phase::Read;
        let left = record.progress.accounts_expected.map(|expected| expected - processed);
        ProgressTold {
            phase: record.run.phase,
            accounts_processed: processed,
            expected_total: record.progress.accounts_expected,
            found: record.progress.found.clone(),
            accounts_per_second: rate,
            eta_seconds: left.filter(|left| reads && *left >= 0).and_then(|left| eta(left, rate)),
            at: now,
        }
    }

    fn rate(&self) -> f64 {
        let (Some((from, before)), Some((to, after))) = (self.samples.front(), self.samples.back()) else {
            return 0.0;
        };
        let seconds = (*to - *from).as_seconds_f64();
        if seconds > 0.0 { float(after - before) / seconds } else { 0.0 }
    }
}

/// Whole seconds, rounded up. None at a standstill, and where it would be years.
fn eta(left: i64, rate: f64) -> Option<i64> {
    let seconds = (float(left) / rate).ceil();
    #[expect(clippy::cast_possible_truncation, reason = "checked: at most a year of seconds")]
    (rate > 0.0 && seconds < 31_536_000.0).then_some(seconds as i64)
}

#[expect(clippy::cast_precision_loss, reason = "a rate; exact below 2^53 accounts")]
fn float(count: i64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::record::example;

    fn running(sequence: i64, processed: i64) -> RunRecord {
        let mut record = example();
        record.run.status = RunStatus::Running;
        record.run.phase = Phase::Read;
        record.run.accounts_processed = processed;
        record.progress.sequence = sequence;
        record.progress.accounts_expected = Some(1_000);
        record
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    #[test]
    fn the_run_comes_first_then_its_progress_then_its_end() {
        let mut follower = Follower::new(None);
        let first = follower.observe(running(1, 0), at(0));
        assert!(matches!(first.as_slice(), [Event::Run(_), Event::Progress(_)]), "{first:?}");
        assert!(matches!(follower.observe(running(2, 100), at(1)).as_slice(), [Event::Progress(_)]));

        let mut completed = running(3, 1_000);
        completed.run.status = RunStatus::Completed;
        assert!(matches!(follower.observe(completed, at(2)).as_slice(), [Event::Run(_)]));
        assert!(follower.has_ended());
    }

    #[test]
    fn rate_and_eta_are_those_of_the_last_seconds() {
        let mut follower = Follower::new(None);
        follower.observe(running(1, 0), at(0));
        follower.observe(running(2, 10), at(10));
        let events = follower.observe(running(3, 210), at(12));
        let [Event::Progress(progress)] = events.as_slice() else { panic!("{events:?}") };
        assert!((progress.accounts_per_second - 100.0).abs() < 1e-9);
        assert_eq!(progress.eta_seconds, Some(8));
    }

    #[test]
    fn a_watch_that_begins_in_the_middle_knows_the_rate_at_once() {
        let mut record = running(9, 300);
        record.progress.reading_started_at = Some(at(0));
        let events = Follower::new(None).observe(record, at(3));
        let [Event::Run(_), Event::Progress(progress)] = events.as_slice() else { panic!("{events:?}") };
        assert!((progress.accounts_per_second - 100.0).abs() < 1e-9);
        assert_eq!(progress.eta_seconds, Some(7));
    }

    #[test]
    fn a_resumed_watch_tells_the_state_and_only_progress_that_is_new() {
        let mut follower = Follower::new(Some(7));
        assert!(matches!(follower.observe(running(7, 10), at(0)).as_slice(), [Event::Run(_)]));
        assert!(matches!(follower.observe(running(8, 20), at(1)).as_slice(), [Event::Progress(_)]));
    }

    #[test]
    fn a_quiet_run_is_bookmarked() {
        let mut follower = Follower::new(None);
        follower.observe(running(1, 0), at(0));
        assert!(follower.observe(running(1, 0), at(14)).is_empty());
        assert_eq!(follower.observe(running(1, 0), at(15)), [Event::Bookmark(at(15))]);
        assert!(follower.observe(running(1, 0), at(16)).is_empty());
    }
}
