//! What the broker asks for on the command line, parsed once.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Gid, Pid, Uid};

/// One PHP call, as the broker has checked it.
#[derive(Debug)]
pub(crate) struct Call {
    /// Process id of the broker; when it is not the parent, the broker is gone already.
    pub(crate) broker_pid: Pid,
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
    /// Absolute path of the home.
    pub(crate) home: PathBuf,
    /// Relative to the home; empty for the home itself.
    pub(crate) docroot: PathBuf,
    pub(crate) deadline: Duration,
    pub(crate) php: PathBuf,
    pub(crate) php_ini: Option<PathBuf>,
    pub(crate) bridge: PathBuf,
    /// Directory for compiled scripts, of this system user alone.
    pub(crate) cache: Option<PathBuf>,
    pub(crate) more: MorePaths,
    /// The highest Landlock ABI to use; absent: what the kernel has. For tests of what older kernels lack.
    pub(crate) landlock_at_most: Option<i32>,
}

/// Absolute paths that the operator lets PHP reach besides what every site needs.
#[derive(Debug, Default)]
pub(crate) struct MorePaths {
    pub(crate) read: Vec<PathBuf>,
    pub(crate) write: Vec<PathBuf>,
    pub(crate) execute: Vec<PathBuf>,
}

/// Why the command line is not a call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("expected --key=value, got {0:?}")]
    Shape(OsString),
    #[error("--{key} is given twice")]
    Twice { key: String },
    #[error("--{key} is missing or not what was expected")]
    Value { key: &'static str },
    #[error("unknown option --{0}")]
    Unknown(String),
    #[error("the user or the group is root")]
    Root,
}

impl Call {
    /// Parses `--key=value` arguments; every key but `php-ini`, `cache`, `landlock-at-most` and the
    /// repeatable `read`, `write` and `execute` must be there.
    pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Call, CallError> {
        let mut options = Options::collect(arguments)?;
        let call = Call {
            broker_pid: options.number("broker-pid").and_then(Pid::from_raw).ok_or(value("broker-pid"))?,
            uid: Uid::from_raw(options.number("uid").ok_or(value("uid"))?),
            gid: Gid::from_raw(options.number("gid").ok_or(value("gid"))?),
            home: options.path("home")?,
            docroot: options.take("docroot").map(PathBuf::from).ok_or(value("docroot"))?,
            deadline: options.number("deadline-ms").map(Duration::from_millis).ok_or(value("deadline-ms"))?,
            php: options.path("php")?,
            php_ini: options.optional_path("php-ini")?,
            bridge: options.path("bridge")?,
            cache: options.optional_path("cache")?,
            more: MorePaths {
                read: options.paths("read")?,
                write: options.paths("write")?,
                execute: options.paths("execute")?,
            },
            landlock_at_most: options.optional_number("landlock-at-most")?,
        };
        if let Some((key, _)) = options.0.into_iter().next() {
            return Err(CallError::Unknown(key));
        }
        if call.uid.is_root() || call.gid.is_root() {
            return Err(CallError::Root);
        }
        Ok(call)
    }

    /// Every absolute path of it.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        let one_each = [&self.home, &self.php, &self.bridge].into_iter().chain(&self.php_ini).chain(&self.cache);
        let more = self.more.read.iter().chain(&self.more.write).chain(&self.more.execute);
        one_each.chain(more).map(PathBuf::as_path)
    }
}

struct Options(Vec<(String, OsString)>);

/// The options that may be given more than once.
const REPEATABLE: &[&str] = &["read", "write", "execute"];

impl Options {
    fn collect(arguments: impl Iterator<Item = OsString>) -> Result<Options, CallError> {
        let mut options: Vec<(String, OsString)> = Vec::new();
        for argument in arguments {
            let text = argument.to_str().ok_or_else(|| CallError::Shape(argument.clone()))?;
            let (key, value) = text
                .strip_prefix("--")
                .and_then(|rest| rest.split_once('='))
                .ok_or_else(|| CallError::Shape(argument.clone()))?;
            if !REPEATABLE.contains(&key) && options.iter().any(|(known, _)| known == key) {
                return Err(CallError::Twice { key: key.to_owned() });
            }
            options.push((key.to_owned(), value.into()));
        }
        Ok(Options(options))
    }

    fn take(&mut self, key: &'static str) -> Option<OsString> {
        let at = self.0.iter().position(|(known, _)| known == key)?;
        Some(self.0.swap_remove(at).1)
    }

    fn number<T: std::str::FromStr>(&mut self, key: &'static str) -> Option<T> {
        self.take(key)?.to_str()?.parse().ok()
    }

    fn optional_number<T: std::str::FromStr>(&mut self, key: &'static str) -> Result<Option<T>, CallError> {
        let Some(text) = self.take(key) else { return Ok(None) };
        text.to_str().and_then(|text| text.parse().ok()).map(Some).ok_or(value(key))
    }

    fn paths(&mut self, key: &'static str) -> Result<Vec<PathBuf>, CallError> {
        std::iter::from_fn(|| self.optional_path(key).transpose()).collect()
    }

    fn path(&mut self, key: &'static str) -> Result<PathBuf, CallError> {
        self.optional_path(key)?.ok_or(value(key))
    }

    fn optional_path(&mut self, key: &'static str) -> Result<Option<PathBuf>, CallError> {
        match self.take(key).map(PathBuf::from) {
            Some(path) if path.is_absolute() => Ok(Some(path)),
            Some(_) => Err(value(key)),
            None => Ok(None),
        }
    }
}

fn value(key: &'static str) -> CallError {
    CallError::Value { key }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &[&str] = &[
        "--broker-pid=7",
        "--uid=1001",
        "--gid=1001",
        "--home=/home/h",
        "--docroot=public",
        "--deadline-ms=5000",
        "--php=/usr/bin/php8.2",
        "--bridge=/usr/lib/latchkey/bridge.php",
    ];

    fn parse(arguments: &[&str]) -> Result<Call, CallError> {
        Call::parse(arguments.iter().map(OsString::from))
    }

    fn replaced(from: &str, to: &'static str) -> Vec<&'static str> {
        GOOD.iter().map(|argument| if argument.starts_with(from) { to } else { argument }).collect()
    }

    #[test]
    fn a_complete_call_is_taken() {
        let call = parse(GOOD).unwrap();
        assert_eq!(call.deadline, Duration::from_secs(5));
        assert_eq!(call.docroot, PathBuf::from("public"));
        assert!(call.cache.is_none());
    }

    #[test]
    fn paths_of_the_operator_may_be_several() {
        let call = parse(&[GOOD, &["--read=/srv/a", "--execute=/opt/php", "--read=/srv/b"]].concat()).unwrap();
        assert_eq!((call.more.read.len(), call.more.write.len(), call.more.execute.len()), (2, 0, 1));
        assert!(matches!(parse(&[GOOD, &["--read=srv"]].concat()), Err(CallError::Value { key: "read" })));
    }

    #[test]
    fn root_a_missing_an_unknown_and_a_repeated_option_are_refused() {
        assert!(matches!(parse(&replaced("--uid", "--uid=0")), Err(CallError::Root)));
        assert!(matches!(parse(&replaced("--gid", "--gid=0")), Err(CallError::Root)));
        assert!(matches!(parse(GOOD.get(1..).unwrap()), Err(CallError::Value { key: "broker-pid" })));
        assert!(matches!(parse(&[GOOD, &["--shell=yes"]].concat()), Err(CallError::Unknown(_))));
        assert!(matches!(parse(&[GOOD, &["--uid=1002"]].concat()), Err(CallError::Twice { .. })));
        assert!(matches!(parse(&replaced("--home", "--home=home/h")), Err(CallError::Value { key: "home" })));
        assert!(matches!(parse(&["uid"]), Err(CallError::Shape(_))));
    }
}
