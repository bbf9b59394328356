//! The trend on the wire.

use chrono::NaiveDate;
use xavyo_core::{discrepancy::DiscrepancyType, error::Result};
use xavyo_wire::{Fields, pb::reconciliation as pb, report};

use crate::trend::{TrendPoint, TrendQuery};

pub(super) fn query_of(request: &pb::GetDiscrepancyTrendRequest) -> Result<TrendQuery> {
    let mut fields = Fields::default();
    let query = TrendQuery {
        connector_id: fields.optional_id("connector_id", request.connector_id.as_deref()),
        start: date(&mut fields, "start_date", request.start_date.as_deref()),
        end: date(&mut fields, "end_date", request.end_date.as_deref()),
    };
    fields.finish(query)
}

/// Only the form that is answered: `2026-02-11`.
fn date(fields: &mut Fields, field: &str, text: Option<&str>) -> Option<NaiveDate> {
    let text = text.filter(|text| !text.is_empty())?;
    let parsed = text.parse::<NaiveDate>().ok().filter(|date| text.len() == 10 && date.to_string() == text);
    if parsed.is_none() {
        fields.refuse(field, "an ISO 8601 day, like 2026-02-11");
    }
    parsed
}

pub(super) fn to_pb(point: &TrendPoint) -> pb::DiscrepancyTrendPoint {
    pb::DiscrepancyTrendPoint {
        date: point.date.to_string(),
        total: point.found.total,
        by_type: report::named(&point.found.by_type, DiscrepancyType::name),
        runs: point.runs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_days_are_dates() {
        for text in ["2026-2-1", "2026-02-30", "2026-02-11T00:00:00Z", "11.02.2026", "+99999-01-01", "today"]
        {
            let request =
                pb::GetDiscrepancyTrendRequest { end_date: Some(text.to_owned()), ..Default::default() };
            assert_eq!(query_of(&request).unwrap_err().violations[0].field, "end_date", "{text}");
        }
        let request = pb::GetDiscrepancyTrendRequest {
            start_date: Some("2026-02-11".to_owned()),
            end_date: Some(String::new()),
            ..Default::default()
        };
        let query = query_of(&request).unwrap();
        assert_eq!(
            (query.start.map(|day| day.to_string()).as_deref(), query.end),
            (Some("2026-02-11"), None)
        );
    }
}
