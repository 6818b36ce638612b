//! What the broker asks of a worker on the command line: `--key=value`, each key once and known.

use std::{ffi::OsString, str::FromStr};

use rustix::process::{Gid, Pid, Signal, Uid};

/// Arguments that were not looked at yet.
#[derive(Debug)]
pub struct Arguments(Vec<String>);

/// Who the worker works for, and becomes.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// Process id of the broker; when it is not the parent, the broker is gone already.
    pub broker_pid: Pid,
    /// Never root.
    pub uid: Uid,
    /// Never root's.
    pub gid: Gid,
    /// The highest Landlock ABI to use; absent: what the kernel has. For tests of what older kernels lack.
    pub landlock_at_most: Option<i32>,
}

/// Why the command line is not what the broker writes.
#[derive(Debug, thiserror::Error)]
pub enum AskedError {
    /// An argument that nobody took.
    #[error("expected --key=value, each key once and known, got {0:?}")]
    Shape(OsString),
    /// An argument that is not there, or wrong.
    #[error("--{0} is missing or not what was expected")]
    Value(&'static str),
    /// The broker ended before the worker had begun.
    #[error("the broker is gone already")]
    Gone,
    /// The end of the broker cannot be waited for.
    #[error("cannot ask for a signal when the broker ends")]
    Signal(#[source] rustix::io::Errno),
    /// Workers are never root.
    #[error("the user or the group is root")]
    Root,
}

impl Arguments {
    /// Takes the line as it is.
    pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Self, AskedError> {
        arguments.map(|argument| argument.into_string().map_err(AskedError::Shape)).collect::<Result<_, _>>().map(Self)
    }

    /// Takes `--key=value` out if it is there and its value is one.
    pub fn take<T: FromStr>(&mut self, key: &str) -> Option<T> {
        let value = |argument: &String| argument.strip_prefix("--")?.strip_prefix(key)?.strip_prefix('=')?.parse().ok();
        let (at, value) = self.0.iter().enumerate().find_map(|(at, argument)| Some((at, value(argument)?)))?;
        self.0.swap_remove(at);
        Some(value)
    }

    /// Takes who the worker works for and becomes; nothing may be left after that.
    pub fn identity(mut self) -> Result<Identity, AskedError> {
        let identity = Identity {
            broker_pid: self.take("broker-pid").and_then(Pid::from_raw).ok_or(AskedError::Value("broker-pid"))?,
            uid: Uid::from_raw(self.take("uid").ok_or(AskedError::Value("uid"))?),
            gid: Gid::from_raw(self.take("gid").ok_or(AskedError::Value("gid"))?),
            landlock_at_most: self.take("landlock-at-most"),
        };
        match self.0.into_iter().next() {
            Some(left) => Err(AskedError::Shape(left.into())),
            None if identity.uid.is_root() || identity.gid.is_root() => Err(AskedError::Root),
            None => Ok(identity),
        }
    }
}

impl Identity {
    /// Has this process end with the broker. After the user was changed, which clears that.
    pub fn end_with_broker(&self) -> Result<(), AskedError> {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(AskedError::Signal)?;
        if rustix::process::getppid() == Some(self.broker_pid) { Ok(()) } else { Err(AskedError::Gone) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &[&str] = &["--broker-pid=7", "--uid=1001", "--gid=1001"];

    fn parse(arguments: &[&str]) -> Result<Identity, AskedError> {
        Arguments::parse(arguments.iter().map(OsString::from)).and_then(Arguments::identity)
    }

    fn replaced(from: &str, to: &'static str) -> Vec<&'static str> {
        GOOD.iter().map(|argument| if argument.starts_with(from) { to } else { argument }).collect()
    }

    #[test]
    fn a_complete_line_is_taken() {
        assert_eq!(parse(GOOD).unwrap().landlock_at_most, None);
        assert_eq!(parse(&[GOOD, &["--landlock-at-most=2"]].concat()).unwrap().landlock_at_most, Some(2));
    }

    #[test]
    fn root_a_missing_an_unknown_and_a_repeated_option_are_refused() {
        assert!(matches!(parse(&replaced("--uid", "--uid=0")), Err(AskedError::Root)));
        assert!(matches!(parse(&replaced("--gid", "--gid=0")), Err(AskedError::Root)));
        assert!(matches!(parse(GOOD.get(1..).unwrap()), Err(AskedError::Value("broker-pid"))));
        assert!(matches!(parse(&[GOOD, &["--shell=yes"]].concat()), Err(AskedError::Shape(_))));
        assert!(matches!(parse(&[GOOD, &["--uid=1002"]].concat()), Err(AskedError::Shape(_))));
        assert!(matches!(parse(&[GOOD, &["--landlock-at-most=x"]].concat()), Err(AskedError::Shape(_))));
    }
}
