//! Five fields, and the days and minutes that they mean.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Weekday, date};

use crate::field::{DAY, Field, HOUR, MINUTE, MONTH, WEEKDAY};

/// A day that comes at all comes within so many years: weekdays and leap days begin anew after them.
const CYCLE_YEARS: i16 = 28;

/// When a line of a crontab runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    text: String,
    pub(crate) minute: Field,
    pub(crate) hour: Field,
    pub(crate) day: Field,
    pub(crate) month: Field,
    pub(crate) weekday: Field,
}

/// What was expected of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Not five fields with one space between them.
    #[error("expected five fields with one space between them: minute, hour, day of the month, month, day of the week")]
    Fields,
    /// A part of a field is none.
    #[error(
        "{field}: {part:?}: expected {low} to {high}, ranges with the lower end first, lists with commas, and steps after a \
         range or *; names for months and days of the week have three letters"
    )]
    Value {
        /// Which field.
        field: &'static str,
        /// What stands there, shortened.
        part: String,
        /// The lowest value.
        low: u8,
        /// The highest one.
        high: u8,
    },
    /// A day that no month has.
    #[error("expected a day that comes: no month of these has such a day")]
    Never,
}

impl Schedule {
    /// The five fields, as they were written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is told by the hands of a clock, and not by a time: such a one is not made up for when the clock jumps.
    pub(crate) const fn is_wild(&self) -> bool {
        self.minute.is_star || self.hour.is_star
    }

    /// Whether both day fields say something, so that one of them is enough.
    pub(crate) const fn is_either_day(&self) -> bool {
        !self.day.is_star && !self.weekday.is_star
    }

    /// Whether it runs on that day at all.
    pub(crate) fn has_day(&self, day: Date) -> bool {
        let has = |field: &Field, value: i8| u8::try_from(value).is_ok_and(|value| field.has(value));
        let by_day = has(&self.day, day.day());
        let by_weekday = has(&self.weekday, day.weekday().to_sunday_zero_offset());
        let is_one = if self.is_either_day() { by_day || by_weekday } else { by_day && by_weekday };
        is_one && has(&self.month, day.month())
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let fields: Vec<&str> = text.split(' ').collect();
        let &[minute, hour, day, month, weekday] = fields.as_slice() else { return Err(ScheduleError::Fields) };
        if fields.iter().any(|field| field.is_empty()) {
            return Err(ScheduleError::Fields);
        }
        let schedule = Self {
            text: text.to_owned(),
            minute: Field::parse(&MINUTE, minute)?,
            hour: Field::parse(&HOUR, hour)?,
            day: Field::parse(&DAY, day)?,
            month: Field::parse(&MONTH, month)?,
            weekday: Field::parse(&WEEKDAY, weekday)?.with_one_sunday(),
        };
        let begin = date(2000, 1, 1);
        let mut days =
            begin.series(jiff::Span::new().days(1)).take_while(|day| day.year() < begin.year() + CYCLE_YEARS);
        if days.any(|day| schedule.has_day(day)) { Ok(schedule) } else { Err(ScheduleError::Never) }
    }
}

/// The name of a weekday, 0 being Sunday.
pub(crate) fn weekday_name(number: u8) -> &'static str {
    match i8::try_from(number).ok().and_then(|number| Weekday::from_sunday_zero_offset(number).ok()) {
        None | Some(Weekday::Sunday) => "Sunday",
        Some(Weekday::Monday) => "Monday",
        Some(Weekday::Tuesday) => "Tuesday",
        Some(Weekday::Wednesday) => "Wednesday",
        Some(Weekday::Thursday) => "Thursday",
        Some(Weekday::Friday) => "Friday",
        Some(Weekday::Saturday) => "Saturday",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cron_takes_is_taken() {
        for text in [
            "* * * * *",
            "*/5 * * * *",
            "0 0 * * mon-fri",
            "0 0 * jan,MAR-dec Sun",
            "0-59/15,7 */2 1,15 * *",
            "0 0 * * 7",
            "0 0 * * 5-7",
            "0 0 * * 0-7",
            "05 04 29 2 *",
            "5-5 1-23/2 31 1 *",
            "0 0 30,31 2 1",
            "59 23 31 12 6",
        ] {
            assert_eq!(text.parse::<Schedule>().map(|schedule| schedule.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_cron_does_not_know_or_takes_for_something_else_is_refused() {
        for text in [
            "",
            "* * * *",
            "* * * * * *",
            "*  * * * *",
            " * * * * *",
            "* * * * * ",
            "*\t* * * *",
            "*\n* * * *",
            "@daily",
            "@reboot",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * 32 * *",
            "* * * 13 *",
            "* * * 0 *",
            "* * * * 8",
            "* * L * *",
            "* * 15W * *",
            "* * * * 5#2",
            "* * * * 5L",
            "0 0 ? * *",
            "H * * * *",
            "~ * * * *",
            "*/0 * * * *",
            "*/60 * * * *",
            "5/10 * * * *",
            "30-10 * * * *",
            "0 0 * * fri-sun",
            "*-5 * * * *",
            "** * * * *",
            "*/5/2 * * * *",
            "*/5-10 * * * *",
            "1,,2 * * * *",
            "1, * * * *",
            ",1 * * * *",
            "+5 * * * *",
            "-5 * * * *",
            "1-5/ * * * *",
            "005 * * * *",
            "\u{661} * * * *",
            "* * * * \u{430}\u{440}",
            "mon * * * *",
            "* * mon * *",
            "* * * mon *",
            "* * * * jan",
            "* * * january *",
            "* * * * monday",
            "0 0 31 2 *",
            "0 0 30-31 feb *",
            "0 0 31 4,6,9,11 *",
            "* * * * *\u{0}",
            "% * * * *",
        ] {
            assert!(text.parse::<Schedule>().is_err(), "{text:?}");
        }
    }

    #[track_caller]
    fn days(text: &str, expected: &[i8]) {
        let schedule: Schedule = text.parse().unwrap();
        // June 2026 begins on a Monday.
        let found: Vec<i8> = (1..=30).filter(|day| schedule.has_day(date(2026, 6, *day))).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn one_of_two_day_fields_is_enough_unless_one_begins_with_a_star() {
        days("0 0 1,15 * *", &[1, 15]);
        days("0 0 * * sun", &[7, 14, 21, 28]);
        days("0 0 * * 7", &[7, 14, 21, 28]);
        days("0 0 1,15 * sun", &[1, 7, 14, 15, 21, 28]);
        days("0 0 */10 * mon", &[1]);
        days("0 0 1-7 * */7", &[7]);
        days("0 0 * * 5-7", &[5, 6, 7, 12, 13, 14, 19, 20, 21, 26, 27, 28]);
        days("0 0 * 5 *", &[]);
    }
}
