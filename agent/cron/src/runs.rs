//! The next runs, also where the clock jumps.
//!
//! As `cron(8)` has it: what has a time, with no `*` in hour or minute, runs once. If its time is skipped it runs when the gap
//! is over; if it comes twice it runs the first time. What has a `*` there follows the clock: it runs at neither time of a
//! gap, and at both of a repeated hour. A jump of more than three hours is a correction, and nobody makes up for it.

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{Span, Timestamp};

use crate::Schedule;

/// The longest jump that is one between times, in seconds.
const JUMP_MAX_S: i64 = 3 * 3600;

/// Runs are looked for in so many days, which no day that comes is away.
const DAYS_MAX: usize = 41 * 366;

impl Schedule {
    /// The first `count` moments after this one at which it runs, in a time zone. Fewer only at the end of time.
    pub fn next(&self, after: Timestamp, zone: &TimeZone, count: usize) -> Vec<Timestamp> {
        // What is repeated now came before, by the clock; and what is skipped now would have.
        let from = zone.to_datetime(after).saturating_sub(Span::new().seconds(JUMP_MAX_S));
        let (mut found, mut again) = (Vec::new(), Vec::new());
        for minute in self.minutes(from) {
            let (first, second) = self.moments(minute, zone);
            again.extend(second.filter(|moment| *moment > after));
            if let Some(moment) = first.filter(|moment| *moment > after && !found.contains(moment)) {
                found.push(moment);
            }
            // Later minutes have later moments; only second ones of earlier minutes may lie between.
            if found.len() == count {
                break;
            }
        }
        found.extend(again);
        found.sort_unstable();
        found.dedup();
        found.truncate(count);
        found
    }

    /// The minutes by the clock on the wall, from one on.
    fn minutes(&self, from: DateTime) -> impl Iterator<Item = DateTime> + '_ {
        let days = from.date().series(Span::new().days(1)).take(DAYS_MAX).filter(|day| self.has_day(*day));
        days.flat_map(|day| self.times(day)).filter(move |minute| *minute >= from)
    }

    fn times(&self, day: Date) -> impl Iterator<Item = DateTime> + '_ {
        let at = move |hour: u8, minute: u8| day.at(hour.try_into().unwrap_or(0), minute.try_into().unwrap_or(0), 0, 0);
        self.hour.values().flat_map(move |hour| self.minute.values().map(move |minute| at(hour, minute)))
    }

    /// When it runs for a minute by the clock: once, never, or twice.
    fn moments(&self, minute: DateTime, zone: &TimeZone) -> (Option<Timestamp>, Option<Timestamp>) {
        let at = |offset: Offset| offset.to_timestamp(minute).ok();
        match zone.to_ambiguous_timestamp(minute).offset() {
            AmbiguousOffset::Unambiguous { offset } => (at(offset), None),
            AmbiguousOffset::Gap { before, after } => {
                let is_made_up_for = !self.is_wild() && is_jump(before, after);
                (at(before).filter(|_| is_made_up_for).and_then(|moment| end_of_gap(moment, zone)), None)
            }
            AmbiguousOffset::Fold { before, after } => {
                let is_repeated = self.is_wild() || !is_jump(before, after);
                (at(before), at(after).filter(|_| is_repeated))
            }
        }
    }
}

fn is_jump(before: Offset, after: Offset) -> bool {
    i64::from(after.seconds() - before.seconds()).abs() <= JUMP_MAX_S
}

/// When the clock jumped, of a moment that it would have shown a skipped time at.
fn end_of_gap(moment: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    zone.preceding(moment.checked_add(Span::new().seconds(1)).ok()?).next().map(|transition| transition.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(schedule: &str, zone: &str, after: &str, expected: &[&str]) {
        let zone = TimeZone::get(zone).unwrap();
        let found = schedule.parse::<Schedule>().unwrap().next(after.parse().unwrap(), &zone, expected.len());
        let told = |moment: &Timestamp| moment.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %:z").to_string();
        assert_eq!(found.iter().map(told).collect::<Vec<_>>(), expected, "{schedule} after {after}");
    }

    #[test]
    fn the_next_runs_are_after_now() {
        let now = "2026-06-10T10:15:30Z";
        check(
            "*/5 * * * *",
            "UTC",
            now,
            &["2026-06-10 10:20 +00:00", "2026-06-10 10:25 +00:00", "2026-06-10 10:30 +00:00"],
        );
        check("15 10 * * *", "UTC", now, &["2026-06-11 10:15 +00:00", "2026-06-12 10:15 +00:00"]);
        check("15 10 * * *", "UTC", "2026-06-10T10:14:59Z", &["2026-06-10 10:15 +00:00"]);
        check("15 10 * * *", "UTC", "2026-06-10T10:15:00Z", &["2026-06-11 10:15 +00:00"]);
        check("0 4 * * mon", "Asia/Kolkata", now, &["2026-06-15 04:00 +05:30", "2026-06-22 04:00 +05:30"]);
        check(
            "0 0 29 2 *",
            "UTC",
            now,
            &["2028-02-29 00:00 +00:00", "2032-02-29 00:00 +00:00", "2036-02-29 00:00 +00:00"],
        );
        check("0 0 29 2 */7", "UTC", now, &["2032-02-29 00:00 +00:00", "2060-02-29 00:00 +00:00"]);
    }

    /// 2026-03-29 02:00 becomes 03:00 in Vienna.
    #[test]
    fn what_has_a_time_that_is_skipped_runs_when_the_gap_is_over() {
        let before = "2026-03-28T12:00:00Z";
        let expected = ["2026-03-29 03:00 +02:00", "2026-03-30 02:30 +02:00"];
        check("30 2 * * *", "Europe/Vienna", before, &expected);
        check("30 2 * * *", "Europe/Vienna", "2026-03-29T00:59:59Z", &expected);
        check("30 2 * * *", "Europe/Vienna", "2026-03-29T01:00:00Z", &expected[1..]);
        // Two times of one gap are one moment, and so is the first time after it.
        check("0,30 2,3 * * *", "Europe/Vienna", before, &["2026-03-29 03:00 +02:00", "2026-03-29 03:30 +02:00"]);
    }

    #[test]
    fn what_follows_the_clock_leaves_out_what_is_skipped() {
        let before = "2026-03-29T00:50:00Z";
        check("30 * * * *", "Europe/Vienna", before, &["2026-03-29 03:30 +02:00", "2026-03-29 04:30 +02:00"]);
        check("*/30 2 * * *", "Europe/Vienna", before, &["2026-03-30 02:00 +02:00", "2026-03-30 02:30 +02:00"]);
        check("*/30 * * * *", "Europe/Vienna", before, &["2026-03-29 03:00 +02:00", "2026-03-29 03:30 +02:00"]);
    }

    /// 2026-10-25 03:00 becomes 02:00 in Vienna.
    #[test]
    fn what_has_a_time_that_is_repeated_runs_once_and_the_first_time() {
        let before = "2026-10-24T12:00:00Z";
        check("30 2 * * *", "Europe/Vienna", before, &["2026-10-25 02:30 +02:00", "2026-10-26 02:30 +01:00"]);
        let between = "2026-10-25T00:45:00Z";
        check("30 2 * * *", "Europe/Vienna", between, &["2026-10-26 02:30 +01:00"]);
    }

    #[test]
    fn what_follows_the_clock_runs_in_both_of_a_repeated_hour() {
        let expected = ["2026-10-25 02:30 +02:00", "2026-10-25 02:30 +01:00", "2026-10-25 03:30 +01:00"];
        check("30 * * * *", "Europe/Vienna", "2026-10-25T00:10:00Z", &expected);
        check("30 * * * *", "Europe/Vienna", "2026-10-25T00:40:00Z", &expected[1..]);
        let expected = ["2026-10-25 02:40 +02:00", "2026-10-25 02:00 +01:00", "2026-10-25 02:20 +01:00"];
        check("*/20 2 * * *", "Europe/Vienna", "2026-10-25T00:30:00Z", &expected);
    }

    #[test]
    fn other_zones_jump_by_half_an_hour_at_midnight_or_a_whole_day() {
        // Lord Howe: 02:00 becomes 02:30 on 2026-10-04, and 02:00 becomes 01:30 on 2026-04-05.
        check(
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T12:00:00Z",
            &["2026-10-04 02:30 +11:00", "2026-10-05 02:15 +11:00"],
        );
        check(
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T12:00:00Z",
            &["2026-04-05 01:45 +11:00", "2026-04-06 01:45 +10:30"],
        );
        // Santiago: midnight itself is skipped on 2026-09-06, and the day has another one on 2026-04-05.
        check(
            "0 0 * * *",
            "America/Santiago",
            "2026-09-05T12:00:00Z",
            &["2026-09-06 01:00 -03:00", "2026-09-07 00:00 -03:00"],
        );
        check(
            "30 23 4 4 *",
            "America/Santiago",
            "2026-04-04T12:00:00Z",
            &["2026-04-04 23:30 -03:00", "2027-04-04 23:30 -04:00"],
        );
        // Apia had no 30 December 2011: nobody makes up for a day.
        check(
            "0 12 * * *",
            "Pacific/Apia",
            "2011-12-29T23:00:00Z",
            &["2011-12-31 12:00 +14:00", "2012-01-01 12:00 +14:00"],
        );
    }
}
