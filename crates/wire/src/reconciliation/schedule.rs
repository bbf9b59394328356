//! Schedules.

use xavyo_core::schedule::{self, Recurrence, Schedule, ScheduleFrequency};

use crate::{fields::Fields, numbers::Numbered, pb::reconciliation as pb, time};

pub fn to_pb(schedule: &Schedule) -> pb::ReconciliationSchedule {
    let recurrence = schedule.recurrence.fields();
    pb::ReconciliationSchedule {
        id: schedule.id.to_string(),
        connector_id: schedule.connector_id.to_string(),
        connector_name: schedule.connector_name.clone(),
        mode: schedule.mode.number(),
        frequency: recurrence.frequency.number(),
        day_of_week: recurrence.day_of_week,
        day_of_month: recurrence.day_of_month,
        hour_of_day: recurrence.hour_of_day,
        cron_expression: recurrence.cron_expression,
        enabled: schedule.enabled,
        last_run_at: schedule.last_run_at.map(time::to_pb),
        next_run_at: schedule.next_run_at.map(time::to_pb),
        created_at: Some(time::to_pb(schedule.created_at)),
        updated_at: Some(time::to_pb(schedule.updated_at)),
        minute_of_hour: recurrence.minute_of_hour,
        time_zone: schedule.time_zone.name().to_owned(),
        full_every_days: schedule.full_every_days,
        last_run_id: schedule.last_run_id.map(|id| id.to_string()),
        etag: schedule.version.to_string(),
    }
}

/// How often the request says. None only where that was refused.
pub fn recurrence_of_pb(fields: &mut Fields, request: &pb::PutScheduleRequest) -> Option<Recurrence> {
    let frequency = fields.choice::<ScheduleFrequency>("frequency", request.frequency)?;
    let parsed = Recurrence::parse(&schedule::Fields {
        frequency,
        minute_of_hour: request.minute_of_hour.unwrap_or_default(),
        hour_of_day: request.hour_of_day.unwrap_or_default(),
        day_of_week: request.day_of_week,
        day_of_month: request.day_of_month,
        cron_expression: request.cron_expression.clone(),
    });
    fields.take(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(request: &pb::PutScheduleRequest) -> Result<Option<Recurrence>, Vec<String>> {
        let mut fields = Fields::default();
        let parsed = recurrence_of_pb(&mut fields, request);
        let paths = |error: xavyo_core::Error| error.violations.into_iter().map(|it| it.field).collect();
        fields.finish(parsed).map_err(paths)
    }

    #[test]
    fn a_recurrence_is_read_and_its_bad_fields_are_named() {
        let weekly = pb::PutScheduleRequest {
            frequency: ScheduleFrequency::Weekly.number(),
            day_of_week: Some(0),
            hour_of_day: Some(3),
            ..Default::default()
        };
        assert_eq!(parse(&weekly), Ok(Some(Recurrence::Weekly { day: 0, hour: 3, minute: 0 })));

        let bad = pb::PutScheduleRequest { day_of_week: None, minute_of_hour: Some(60), ..weekly };
        assert_eq!(parse(&bad), Err(vec!["day_of_week".to_owned(), "minute_of_hour".to_owned()]));
        assert_eq!(parse(&pb::PutScheduleRequest::default()), Err(vec!["frequency".to_owned()]));
    }
}
