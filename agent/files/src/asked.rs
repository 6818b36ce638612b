//! What the broker asks for on the command line, parsed once.

use std::{ffi::OsString, path::PathBuf, str::FromStr};

use rustix::process::{Gid, Pid, Uid};

/// One worker, as the broker has checked it.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Process id of the broker; when it is not the parent, the broker is gone already.
    pub(crate) broker_pid: Pid,
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
    /// Absolute path of the home.
    pub(crate) home: PathBuf,
    /// The highest Landlock ABI to use; absent: what the kernel has. For tests of what older kernels lack.
    pub(crate) landlock_at_most: Option<i32>,
}

/// Why the command line is not what the broker writes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskedError {
    #[error("expected --key=value, each key once and known, got {0:?}")]
    Shape(OsString),
    #[error("--{0} is missing or not what was expected")]
    Value(&'static str),
    #[error("the user or the group is root")]
    Root,
}

impl Asked {
    /// Parses `--key=value` arguments; every key but `landlock-at-most` must be there.
    pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Self, AskedError> {
        let mut given: Vec<String> = Vec::new();
        for argument in arguments {
            given.push(argument.into_string().map_err(AskedError::Shape)?);
        }
        let asked = Self {
            broker_pid: take(&mut given, "broker-pid")
                .and_then(Pid::from_raw)
                .ok_or(AskedError::Value("broker-pid"))?,
            uid: Uid::from_raw(take(&mut given, "uid").ok_or(AskedError::Value("uid"))?),
            gid: Gid::from_raw(take(&mut given, "gid").ok_or(AskedError::Value("gid"))?),
            home: take(&mut given, "home")
                .filter(|home: &PathBuf| home.is_absolute())
                .ok_or(AskedError::Value("home"))?,
            landlock_at_most: take(&mut given, "landlock-at-most"),
        };
        match given.into_iter().next() {
            Some(left) => Err(AskedError::Shape(left.into())),
            None if asked.uid.is_root() || asked.gid.is_root() => Err(AskedError::Root),
            None => Ok(asked),
        }
    }
}

/// Takes `--key=value` out if it is there and its value is one.
fn take<T: FromStr>(given: &mut Vec<String>, key: &str) -> Option<T> {
    let value = |argument: &String| argument.strip_prefix("--")?.strip_prefix(key)?.strip_prefix('=')?.parse().ok();
    let (at, value) = given.iter().enumerate().find_map(|(at, argument)| Some((at, value(argument)?)))?;
    given.swap_remove(at);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &[&str] = &["--broker-pid=7", "--uid=1001", "--gid=1001", "--home=/home/h"];

    fn parse(arguments: &[&str]) -> Result<Asked, AskedError> {
        Asked::parse(arguments.iter().map(OsString::from))
    }

    fn replaced(from: &str, to: &'static str) -> Vec<&'static str> {
        GOOD.iter().map(|argument| if argument.starts_with(from) { to } else { argument }).collect()
    }

    #[test]
    fn a_complete_line_is_taken() {
        let asked = parse(GOOD).unwrap();
        assert_eq!((asked.home, asked.landlock_at_most), (PathBuf::from("/home/h"), None));
        assert_eq!(parse(&[GOOD, &["--landlock-at-most=2"]].concat()).unwrap().landlock_at_most, Some(2));
    }

    #[test]
    fn root_a_missing_an_unknown_and_a_repeated_option_are_refused() {
        assert!(matches!(parse(&replaced("--uid", "--uid=0")), Err(AskedError::Root)));
        assert!(matches!(parse(&replaced("--gid", "--gid=0")), Err(AskedError::Root)));
        assert!(matches!(parse(GOOD.get(1..).unwrap()), Err(AskedError::Value("broker-pid"))));
        assert!(matches!(parse(&replaced("--home", "--home=home/h")), Err(AskedError::Value("home"))));
        assert!(matches!(parse(&[GOOD, &["--shell=yes"]].concat()), Err(AskedError::Shape(_))));
        assert!(matches!(parse(&[GOOD, &["--uid=1002"]].concat()), Err(AskedError::Shape(_))));
        assert!(matches!(parse(&[GOOD, &["--landlock-at-most=x"]].concat()), Err(AskedError::Shape(_))));
    }
}
