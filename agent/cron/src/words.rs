//! A schedule in words.

use crate::Schedule;
use crate::field::Field;
use crate::schedule::weekday_name;

/// So many times of a day are told one by one.
const TIMES_MAX: usize = 6;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl Schedule {
    /// What it means, in words: `at 04:05 on Monday to Friday`.
    pub fn in_words(&self) -> String {
        let months = match self.month.is_everything() {
            true => String::new(),
            false => format!(" in {}", list(&self.month, |month| month_name(month).to_owned())),
        };
        format!("{}{}{months}", self.times_in_words(), self.days_in_words())
    }

    fn times_in_words(&self) -> String {
        if self.minute.is_everything() || self.hour.is_star {
            return format!("{}{}", self.minutes_in_words(), self.hours_in_words());
        }
        let at = |hour| self.minute.values().map(move |minute| format!("{hour:02}:{minute:02}"));
        let times: Vec<String> = self.hour.values().flat_map(at).collect();
        match times.len() <= TIMES_MAX && !self.minute.is_star {
            true => format!("at {}", joined(&times)),
            false => format!("{}{}", self.minutes_in_words(), self.hours_in_words()),
        }
    }

    fn minutes_in_words(&self) -> String {
        match self.minute.every {
            Some(1) => "every minute".to_owned(),
            Some(step) if 60 % step == 0 => format!("every {step} minutes"),
            _ => format!("at minute {}", list(&self.minute, |minute| minute.to_string())),
        }
    }

    fn hours_in_words(&self) -> String {
        let is_often = self.minute.every.is_some_and(|step| 60 % step == 0);
        match self.hour.every {
            Some(1) if is_often => String::new(),
            Some(1) => " of every hour".to_owned(),
            _ => {
                let is_one = self.hour.values().nth(1).is_none();
                let hours = list(&self.hour, |hour| format!("{hour:02}"));
                format!(" of the {} {hours}", if is_one { "hour" } else { "hours" })
            }
        }
    }

    fn days_in_words(&self) -> String {
        let day = format!("on day {} of the month", list(&self.day, |day| day.to_string()));
        let weekday = list(&self.weekday, |day| weekday_name(day).to_owned());
        match (self.day.is_everything(), self.weekday.is_everything()) {
            (true, true) if self.minute.is_everything() || self.hour.is_everything() => String::new(),
            (true, true) => " every day".to_owned(),
            (true, false) => format!(" on {weekday}"),
            (false, true) => format!(" {day}"),
            (false, false) if self.is_either_day() => format!(" {day} and also on {weekday}"),
            (false, false) => format!(" {day} if that is {weekday}"),
        }
    }
}

fn month_name(number: u8) -> &'static str {
    MONTHS.get(usize::from(number.saturating_sub(1))).copied().unwrap_or_default()
}

/// Values one by one, three and more in a row as a range.
fn list(field: &Field, name: impl Fn(u8) -> String) -> String {
    let mut rows: Vec<(u8, u8)> = Vec::new();
    for value in field.values() {
        match rows.last_mut() {
            Some((_, last)) if *last + 1 == value => *last = value,
            _ => rows.push((value, value)),
        }
    }
    let told = |(first, last): (u8, u8)| match last - first {
        0 => vec![name(first)],
        1 => vec![name(first), name(last)],
        _ => vec![format!("{} to {}", name(first), name(last))],
    };
    joined(&rows.into_iter().flat_map(told).collect::<Vec<_>>())
}

fn joined(all: &[String]) -> String {
    match all {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_told_in_words() {
        for (text, words) in [
            ("* * * * *", "every minute"),
            ("*/5 * * * *", "every 5 minutes"),
            ("*/7 * * * *", "at minute 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour"),
            ("0 * * * *", "at minute 0 of every hour"),
            ("5 4 * * *", "at 04:05 every day"),
            ("0,30 8,20 * * *", "at 08:00, 08:30, 20:00 and 20:30 every day"),
            ("5 4 * * mon-fri", "at 04:05 on Monday to Friday"),
            ("5 4 * * 7", "at 04:05 on Sunday"),
            ("5 4 1,15 * *", "at 04:05 on day 1 and 15 of the month"),
            ("5 4 1 * mon", "at 04:05 on day 1 of the month and also on Monday"),
            ("5 4 1-7 * */7", "at 04:05 on day 1 to 7 of the month if that is Sunday"),
            ("5 4 1 1 *", "at 04:05 on day 1 of the month in January"),
            ("*/10 9-17 * * 1-5", "every 10 minutes of the hours 09 to 17 on Monday to Friday"),
            ("0 */6 * * *", "at minute 0 of the hours 00, 06, 12 and 18 every day"),
            ("* 3 * 6-8 *", "every minute of the hour 03 in June to August"),
        ] {
            assert_eq!(text.parse::<Schedule>().unwrap().in_words(), words, "{text}");
        }
    }
}
