//! The line that a client shows of a file, as `ls -l` writes it and OpenSSH's server does.

use std::fmt::Write as _;

use latchkey_protocol::FileAttributes;

/// Half a year: what is older, or in the future, is shown with its year instead of its time.
const RECENT_S: i64 = 365 * 24 * 3600 / 2;
const DAY_S: i64 = 24 * 3600;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The line of `name`; `now` in seconds since 1970. Owners are numbers: their names are nobody's business here.
pub(crate) fn longname(name: &[u8], of: &FileAttributes, now: i64) -> Vec<u8> {
    let mut line = permissions(of.mode);
    // Writing into a string does not fail.
    let _ = write!(line, " {:3} {:<8} {:<8} {:8} ", of.links, of.uid, of.gid, of.size);
    let (year, month, day) = civil(of.modified.div_euclid(DAY_S));
    let month = MONTHS.get(month).copied().unwrap_or_default();
    let _ = if of.modified > now || of.modified < now - RECENT_S {
        write!(line, "{month} {day:2}  {year:4} ")
    } else {
        let minutes = of.modified.rem_euclid(DAY_S) / 60;
        write!(line, "{month} {day:2} {:02}:{:02} ", minutes / 60, minutes % 60)
    };
    let mut line = line.into_bytes();
    line.extend_from_slice(name);
    line
}

/// As `strmode(3)`, without its trailing blank.
fn permissions(mode: u32) -> String {
    let kind = match mode & 0o170_000 {
        0o040_000 => 'd',
        0o120_000 => 'l',
        0o020_000 => 'c',
        0o060_000 => 'b',
        0o010_000 => 'p',
        0o140_000 => 's',
        _ => '-',
    };
    let mut letters = String::from(kind);
    for (shift, special, executable, not) in [(6, 0o4000, 's', 'S'), (3, 0o2000, 's', 'S'), (0, 0o1000, 't', 'T')] {
        let bits = mode >> shift;
        letters.push(if bits & 4 != 0 { 'r' } else { '-' });
        letters.push(if bits & 2 != 0 { 'w' } else { '-' });
        letters.push(match (bits & 1 != 0, mode & special != 0) {
            (true, true) => executable,
            (false, true) => not,
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    letters
}

/// Year, month from 0, and day of the month of a day since 1970 in UTC (Howard Hinnant, "days_from_civil", inverted).
fn civil(days: i64) -> (i64, usize, i64) {
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 2 } else { from_march - 10 };
    let year = year + era * 400 + i64::from(month < 2);
    (year, usize::try_from(month).unwrap_or_default(), of_year - (153 * from_march + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_763_730_000; // 2025-11-21 13:00 UTC

    #[track_caller]
    fn check(mode: u32, modified: i64, line: &str) {
        let of = FileAttributes { mode, size: 4096, uid: 1001, gid: 33, accessed: 0, modified, links: 2 };
        assert_eq!(String::from_utf8(longname(b"a b", &of, NOW)).unwrap(), line);
    }

    #[test]
    fn lines_are_those_of_ls() {
        check(0o100_644, NOW - 60, "-rw-r--r--   2 1001     33           4096 Nov 21 12:59 a b");
        check(0o040_755, NOW - RECENT_S - 1, "drwxr-xr-x   2 1001     33           4096 May 23  2025 a b");
        check(0o120_777, NOW + 1, "lrwxrwxrwx   2 1001     33           4096 Nov 21  2025 a b");
        check(0o041_777, 951_782_400, "drwxrwxrwt   2 1001     33           4096 Feb 29  2000 a b");
        check(0o106_640, 0, "-rwSr-S---   2 1001     33           4096 Jan  1  1970 a b");
        check(0o100_600, -1, "-rw-------   2 1001     33           4096 Dec 31  1969 a b");
    }
}
