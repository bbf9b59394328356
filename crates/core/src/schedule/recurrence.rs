//! What a schedule can say, parsed from its flat fields and refused where it makes no sense.

use std::fmt;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::parser::{CronParser, Seconds, Year};

use super::ScheduleFrequency;
use crate::error::{Error, Violation};

/// The longest cron expression, in bytes.
const MAX_CRON: usize = 256;

/// How often, at local times of the schedule's zone.
#[derive(Clone, Debug, PartialEq)]
pub enum Recurrence {
    Hourly {
        minute: u32,
    },
    Daily {
        hour: u32,
        minute: u32,
    },
    /// 0 = Sunday.
    Weekly {
        day: u32,
        hour: u32,
        minute: u32,
    },
    /// Days 29 to 31 are the last day of a shorter month.
    Monthly {
        day: u32,
        hour: u32,
        minute: u32,
    },
    Cron(Cron),
}

/// A cron expression of five fields that fires at some time.
#[derive(Clone)]
pub struct Cron {
    pub(super) pattern: Box<croner::Cron>,
    source: String,
}

/// A recurrence as the contract and the database have it. What a frequency does not use is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    pub frequency: ScheduleFrequency,
    pub minute_of_hour: i32,
    pub hour_of_day: i32,
    pub day_of_week: Option<i32>,
    pub day_of_month: Option<i32>,
    pub cron_expression: Option<String>,
}

impl Recurrence {
    /// Reads the fields; the violations name them.
    pub fn parse(fields: &Fields) -> Result<Self, Error> {
        let mut reader = Reader { violations: Vec::new() };
        let minute =
            |reader: &mut Reader| reader.number("minute_of_hour", Some(fields.minute_of_hour), 0, 59);
        let hour = |reader: &mut Reader| reader.number("hour_of_day", Some(fields.hour_of_day), 0, 23);
        let recurrence = match fields.frequency {
            ScheduleFrequency::Hourly => Some(Self::Hourly { minute: minute(&mut reader) }),
            ScheduleFrequency::Daily => {
                Some(Self::Daily { hour: hour(&mut reader), minute: minute(&mut reader) })
            }
            ScheduleFrequency::Weekly => Some(Self::Weekly {
                day: reader.number("day_of_week", fields.day_of_week, 0, 6),
                hour: hour(&mut reader),
                minute: minute(&mut reader),
            }),
            ScheduleFrequency::Monthly => Some(Self::Monthly {
                day: reader.number("day_of_month", fields.day_of_month, 1, 31),
                hour: hour(&mut reader),
                minute: minute(&mut reader),
            }),
            ScheduleFrequency::Cron => reader.cron(fields.cron_expression.as_deref().unwrap_or_default()),
        };
        match recurrence {
            Some(recurrence) if reader.violations.is_empty() => Ok(recurrence),
            Some(_) | None => Err(Error::all_invalid(reader.violations)),
        }
    }

    /// The same as flat fields.
    pub fn fields(&self) -> Fields {
        let none = |frequency| Fields {
            frequency,
            minute_of_hour: 0,
            hour_of_day: 0,
            day_of_week: None,
            day_of_month: None,
            cron_expression: None,
        };
        let signed = |number: &u32| i32::try_from(*number).expect("minutes, hours and days are small");
        let at = |frequency, hour, minute| Fields {
            hour_of_day: signed(hour),
            minute_of_hour: signed(minute),
            ..none(frequency)
        };
        match self {
            Self::Hourly { minute } => at(ScheduleFrequency::Hourly, &0, minute),
            Self::Daily { hour, minute } => at(ScheduleFrequency::Daily, hour, minute),
            Self::Weekly { day, hour, minute } => {
                Fields { day_of_week: Some(signed(day)), ..at(ScheduleFrequency::Weekly, hour, minute) }
            }
            Self::Monthly { day, hour, minute } => {
                Fields { day_of_month: Some(signed(day)), ..at(ScheduleFrequency::Monthly, hour, minute) }
            }
            Self::Cron(cron) => {
                Fields { cron_expression: Some(cron.source.clone()), ..none(ScheduleFrequency::Cron) }
            }
        }
    }

    /// Refuses, when it is stored, what will never happen: `0 0 30 2 *`.
    pub fn check_fires(&self, now: DateTime<Utc>, zone: Tz) -> Result<(), Error> {
        match self.next_after(now, zone) {
            Some(_) => Ok(()),
            None => Err(Error::invalid("cron_expression", "an expression that fires at some time")),
        }
    }
}

struct Reader {
    violations: Vec<Violation>,
}

impl Reader {
    fn refuse(&mut self, field: &str, expected: String) {
        self.violations.push(Violation { field: field.to_owned(), expected });
    }

    fn number(&mut self, field: &str, given: Option<i32>, least: u32, most: u32) -> u32 {
        match given.and_then(|number| u32::try_from(number).ok()) {
            Some(number) if (least..=most).contains(&number) => number,
            Some(_) | None => {
                self.refuse(field, format!("from {least} to {most}"));
                least
            }
        }
    }

    fn cron(&mut self, source: &str) -> Option<Recurrence> {
        let five_fields = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let is_plain = source.len() <= MAX_CRON && source.split_whitespace().count() == 5;
        let parsed = if is_plain {
            five_fields.parse(source).map_err(|error| error.to_string())
        } else {
            Err(String::new())
        };
        match parsed {
            Ok(pattern) => {
                Some(Recurrence::Cron(Cron { pattern: Box::new(pattern), source: source.to_owned() }))
            }
            Err(why) => {
                let expected = "five fields: minute, hour, day of month, month, day of week";
                let because = if why.is_empty() { String::new() } else { format!(" ({why})") };
                self.refuse("cron_expression", format!("{expected}{because}"));
                None
            }
        }
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cron").field(&self.source).finish()
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}
