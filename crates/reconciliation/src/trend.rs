//! The trend: what runs found, day by day.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use xavyo_core::{Error, error::Result, ids::ConnectorId, report::DiscrepancySummary};
use xavyo_runtime::{Caller, Clock, Database};

use crate::store;

/// A range has this many days, unless it says otherwise.
const DEFAULT_DAYS: u64 = 30;
pub const MAX_DAYS: i64 = 366;

#[derive(Clone, Debug)]
pub struct Trends {
    pub database: Database,
    pub clock: Clock,
}

/// GetDiscrepancyTrend: UTC days, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrendQuery {
    /// None = all connectors.
    pub connector_id: Option<ConnectorId>,
    pub start: Option<NaiveDate>,
    pub end: Option<NaiveDate>,
}

/// One day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrendPoint {
    pub date: NaiveDate,
    /// Of each connector's last completed full run that day.
    pub found: DiscrepancySummary,
    /// Completed full runs that day.
    pub runs: i64,
}

impl Trends {
    /// A point for each day of the range, the oldest first.
    pub async fn get(&self, caller: &Caller, query: TrendQuery) -> Result<Vec<TrendPoint>> {
        let (start, end) = query.range(self.clock.now().date_naive())?;
        let mut tx = self.database.begin(caller.tenant).await?;
        let with_runs =
            store::trend::find_all(&mut tx, caller.tenant, query.connector_id, (start, end)).await?;
        Ok(every_day((start, end), with_runs))
    }
}

impl TrendQuery {
    /// First and last day. Without a start it is as many days as are usual; without an end it ends today.
    fn range(&self, today: NaiveDate) -> Result<(NaiveDate, NaiveDate)> {
        let end = self.end.unwrap_or(today);
        let start = match self.start {
            Some(start) => start,
            None => end.checked_sub_days(Days::new(DEFAULT_DAYS - 1)).unwrap_or(end),
        };
        if start > end {
            return Err(Error::invalid("start_date", format!("not after the end, {end}")));
        }
        if (end - start).num_days() >= MAX_DAYS {
            return Err(Error::invalid(
                "start_date",
                format!("at most {MAX_DAYS} days before the end, {end}"),
            ));
        }
        Ok((start, end))
    }
}

/// The points of days with runs, and those without any between them.
fn every_day((start, end): (NaiveDate, NaiveDate), with_runs: Vec<TrendPoint>) -> Vec<TrendPoint> {
    let mut with_runs: BTreeMap<NaiveDate, TrendPoint> =
        with_runs.into_iter().map(|point| (point.date, point)).collect();
    let quiet = |date| TrendPoint { date, found: DiscrepancySummary::default(), runs: 0 };
    let days = start.iter_days().take_while(|date| *date <= end);
    days.map(|date| with_runs.remove(&date).unwrap_or_else(|| quiet(date))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn range(start: Option<&str>, end: Option<&str>) -> Result<(NaiveDate, NaiveDate)> {
        let query = TrendQuery { connector_id: None, start: start.map(day), end: end.map(day) };
        query.range(day("2026-03-01"))
    }

    #[test]
    fn a_range_is_the_last_thirty_days_unless_it_says_otherwise() {
        assert_eq!(range(None, None).unwrap(), (day("2026-01-31"), day("2026-03-01")));
        assert_eq!(range(None, Some("2025-01-30")).unwrap(), (day("2025-01-01"), day("2025-01-30")));
        assert_eq!(range(Some("2026-02-28"), None).unwrap(), (day("2026-02-28"), day("2026-03-01")));
        assert_eq!(range(Some("2026-03-01"), None).unwrap(), (day("2026-03-01"), day("2026-03-01")));
    }

    #[test]
    fn inverted_and_huge_ranges_are_refused() {
        assert!(range(Some("2024-01-01"), Some("2024-12-31")).is_ok(), "a leap year");
        for (start, end) in [
            (Some("2026-03-02"), None),
            (Some("2026-02-02"), Some("2026-02-01")),
            (Some("2024-01-01"), Some("2025-01-01")),
            (Some("0001-01-01"), Some("9999-12-31")),
        ] {
            let error = range(start, end).unwrap_err();
            assert_eq!(error.violations[0].field, "start_date");
        }
    }

    #[test]
    fn days_without_a_run_are_there_with_none() {
        let busy = TrendPoint {
            date: day("2024-02-29"),
            found: DiscrepancySummary { total: 3, ..DiscrepancySummary::default() },
            runs: 2,
        };
        let points = every_day((day("2024-02-28"), day("2024-03-01")), vec![busy.clone()]);
        let seen: Vec<_> = points.iter().map(|point| (point.date.to_string(), point.runs)).collect();
        assert_eq!(
            seen,
            [("2024-02-28".to_owned(), 0), ("2024-02-29".to_owned(), 2), ("2024-03-01".to_owned(), 0)]
        );
        assert_eq!((&points[1], points[0].found.by_type.len()), (&busy, 6));
    }
}
