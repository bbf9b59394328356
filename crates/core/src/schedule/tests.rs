//! Slots around the edges of calendars and clocks.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use proptest::prelude::{Strategy, any, prop, proptest};
use uuid::Uuid;

use super::{Due, Fields, Recurrence, Schedule, ScheduleFrequency, time_zone};
use crate::{
    ids::{ConnectorId, ScheduleId, SubjectId},
    run::ReconciliationMode,
};

fn utc(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn cron(expression: &str) -> Recurrence {
    let fields = Fields {
        frequency: ScheduleFrequency::Cron,
        minute_of_hour: 0,
        hour_of_day: 0,
        day_of_week: None,
        day_of_month: None,
        cron_expression: Some(expression.to_owned()),
    };
    Recurrence::parse(&fields).unwrap()
}

/// The next slots, as local times with their offset.
fn slots(recurrence: &Recurrence, zone: Tz, after: &str, count: usize) -> Vec<String> {
    let first = recurrence.next_after(utc(after), zone);
    let slots = std::iter::successors(first, |slot| recurrence.next_after(*slot, zone));
    slots.take(count).map(|slot| slot.with_timezone(&zone).format("%m-%d %H:%M %z").to_string()).collect()
}

#[test]
fn each_frequency_has_its_slots() {
    let zone = Tz::Europe__Berlin;
    for (recurrence, expected) in [
        (Recurrence::Hourly { minute: 15 }, ["01-31 12:15 +0100", "01-31 13:15 +0100"]),
        (Recurrence::Daily { hour: 12, minute: 0 }, ["02-01 12:00 +0100", "02-02 12:00 +0100"]),
        (Recurrence::Weekly { day: 0, hour: 2, minute: 30 }, ["02-04 02:30 +0100", "02-11 02:30 +0100"]),
        (Recurrence::Monthly { day: 5, hour: 0, minute: 5 }, ["02-05 00:05 +0100", "03-05 00:05 +0100"]),
        (cron("30 6 * * MON-FRI"), ["02-01 06:30 +0100", "02-02 06:30 +0100"]),
    ] {
        assert_eq!(slots(&recurrence, zone, "2024-01-31T11:00:00Z", 2), expected, "{recurrence:?}");
    }
}

#[test]
fn the_days_29_to_31_are_the_last_of_a_shorter_month() {
    let monthly = |day| Recurrence::Monthly { day, hour: 1, minute: 0 };
    let of = |day| slots(&monthly(day), Tz::UTC, "2023-01-30T00:00:00Z", 4);
    assert_eq!(of(31), ["01-31 01:00 +0000", "02-28 01:00 +0000", "03-31 01:00 +0000", "04-30 01:00 +0000"]);
    assert_eq!(of(29), ["02-28 01:00 +0000", "03-29 01:00 +0000", "04-29 01:00 +0000", "05-29 01:00 +0000"]);
    let leap = slots(&monthly(30), Tz::UTC, "2024-02-01T00:00:00Z", 1);
    assert_eq!(leap, ["02-29 01:00 +0000"]);
}

#[test]
fn a_local_time_that_does_not_exist_is_the_next_instant_that_does() {
    let zone = Tz::Europe__Berlin;
    for recurrence in [Recurrence::Daily { hour: 2, minute: 30 }, cron("30 2 * * *")] {
        let found = slots(&recurrence, zone, "2024-03-30T00:00:00Z", 3);
        assert_eq!(found, ["03-30 02:30 +0100", "03-31 03:00 +0200", "04-01 02:30 +0200"], "{recurrence:?}");
    }
    let samoa =
        slots(&Recurrence::Daily { hour: 12, minute: 0 }, Tz::Pacific__Apia, "2011-12-29T20:00:00Z", 3);
    assert_eq!(samoa, ["12-29 12:00 -1000", "12-31 00:00 +1400", "12-31 12:00 +1400"]);
}

#[test]
fn a_local_time_that_exists_twice_is_the_first() {
    let zone = Tz::Europe__Berlin;
    for recurrence in [Recurrence::Daily { hour: 2, minute: 30 }, cron("30 2 * * *")] {
        let found = slots(&recurrence, zone, "2024-10-26T12:00:00Z", 2);
        assert_eq!(found, ["10-27 02:30 +0200", "10-28 02:30 +0100"], "{recurrence:?}");
        let between = slots(&recurrence, zone, "2024-10-27T01:10:00Z", 1);
        assert_eq!(between, ["10-28 02:30 +0100"], "{recurrence:?}");
    }
}

#[test]
fn hourly_is_every_real_hour() {
    let hourly = Recurrence::Hourly { minute: 0 };
    let back = slots(&hourly, Tz::Europe__Berlin, "2024-10-26T23:30:00Z", 3);
    assert_eq!(back, ["10-27 02:00 +0200", "10-27 02:00 +0100", "10-27 03:00 +0100"]);
    let half = slots(&hourly, Tz::Australia__Lord_Howe, "2024-04-06T13:50:00Z", 3);
    assert_eq!(half, ["04-07 01:00 +1100", "04-07 02:00 +1030", "04-07 03:00 +1030"]);
}

#[test]
fn fields_out_of_range_are_refused_by_name() {
    let fields = |frequency| Fields {
        frequency,
        minute_of_hour: 60,
        hour_of_day: -1,
        day_of_week: None,
        day_of_month: Some(0),
        cron_expression: Some("* * * *".to_owned()),
    };
    for (frequency, refused) in [
        (ScheduleFrequency::Hourly, vec!["minute_of_hour"]),
        (ScheduleFrequency::Daily, vec!["hour_of_day", "minute_of_hour"]),
        (ScheduleFrequency::Weekly, vec!["day_of_week", "hour_of_day", "minute_of_hour"]),
        (ScheduleFrequency::Monthly, vec!["day_of_month", "hour_of_day", "minute_of_hour"]),
        (ScheduleFrequency::Cron, vec!["cron_expression"]),
    ] {
        let error = Recurrence::parse(&fields(frequency)).unwrap_err();
        let named: Vec<&str> = error.violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(named, refused, "{frequency}");
    }
    assert_eq!(time_zone("Mars/Olympus").unwrap_err().violations[0].field, "time_zone");
    assert_eq!(time_zone("").unwrap(), Tz::UTC);
}

#[test]
fn cron_takes_five_fields_that_mean_something() {
    for refused in ["", "@daily", "* * * * * *", "61 * * * *", "a b c d e", "* * * * 9"] {
        let mut fields = cron("0 0 * * *").fields();
        fields.cron_expression = Some(refused.to_owned());
        assert!(Recurrence::parse(&fields).is_err(), "{refused}");
    }
}

#[test]
fn a_cron_expression_that_never_fires_is_refused() {
    let now = utc("2024-01-01T00:00:00Z");
    assert!(cron("0 0 30 2 *").check_fires(now, Tz::UTC).is_err());
    assert!(cron("0 0 29 2 *").check_fires(now, Tz::UTC).is_ok());
}

fn schedule(next_run_at: &str) -> Schedule {
    Schedule {
        id: ScheduleId(Uuid::nil()),
        connector_id: ConnectorId(Uuid::nil()),
        connector_name: None,
        mode: ReconciliationMode::Full,
        recurrence: Recurrence::Hourly { minute: 0 },
        time_zone: Tz::UTC,
        full_every_days: 7,
        enabled: true,
        last_run_at: None,
        last_run_id: None,
        next_run_at: Some(utc(next_run_at)),
        created_by: SubjectId(Uuid::nil()),
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
        version: 1,
    }
}

#[test]
fn slots_missed_while_down_make_one_run_at_once() {
    let schedule = schedule("2024-01-01T03:00:00Z");
    let (slot, next) = (utc("2024-01-01T03:00:00Z"), |text| Some(utc(text)));
    assert_eq!(schedule.due(utc("2024-01-01T02:59:59Z")), None);
    let in_time = Due { slot, was_missed: false, next: next("2024-01-01T04:00:00Z") };
    assert_eq!(schedule.due(utc("2024-01-01T03:00:00Z")), Some(in_time));
    let late = Due { slot, was_missed: true, next: next("2024-01-01T10:00:00Z") };
    assert_eq!(schedule.due(utc("2024-01-01T09:15:00Z")), Some(late));
}

#[test]
fn a_disabled_schedule_has_no_slot() {
    let disabled = Schedule { enabled: false, ..schedule("2024-01-01T03:00:00Z") };
    assert_eq!(disabled.due(utc("2024-01-02T00:00:00Z")), None);
    assert_eq!(disabled.next_slot(utc("2024-01-02T00:00:00Z")), None);
}

fn some_recurrence() -> impl Strategy<Value = Recurrence> {
    (0..5_u8, 0..60_u32, 0..24_u32, any::<u32>()).prop_map(|(kind, minute, hour, day)| match kind {
        0 => Recurrence::Hourly { minute },
        1 => Recurrence::Daily { hour, minute },
        2 => Recurrence::Weekly { day: day % 7, hour, minute },
        3 => Recurrence::Monthly { day: day % 31 + 1, hour, minute },
        _ => cron(&format!("{minute} {hour} */2 * *")),
    })
}

proptest! {
    #[test]
    fn slots_rise_are_never_skipped_and_survive_their_fields(
        recurrence in some_recurrence(),
        zone in prop::sample::select(vec![Tz::UTC, Tz::Europe__Berlin, Tz::America__New_York, Tz::Pacific__Apia, Tz::Asia__Kathmandu]),
        seconds in 1_300_000_000_i64..1_800_000_000,
    ) {
        let after = DateTime::from_timestamp(seconds, 0).unwrap();
        let next = recurrence.next_after(after, zone).unwrap();
        proptest::prop_assert!(next > after);
        let just_before = recurrence.next_after(next - TimeDelta::seconds(1), zone);
        proptest::prop_assert_eq!(just_before, Some(next));
        proptest::prop_assert_eq!(Recurrence::parse(&recurrence.fields()).unwrap(), recurrence);
    }
}
