//! What the broker asks for on the command line, parsed once.

use std::{ffi::OsString, path::PathBuf};

use latchkey_confine::asked::{Arguments, AskedError, Identity};

/// One worker, as the broker has checked it.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Who it works for, and becomes.
    pub(crate) identity: Identity,
    /// Absolute path of the home.
    pub(crate) home: PathBuf,
}

impl Asked {
    /// Parses `--key=value` arguments; every key but `landlock-at-most` must be there.
    pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Self, AskedError> {
        let mut arguments = Arguments::parse(arguments)?;
        let home = arguments.take("home").filter(|home: &PathBuf| home.is_absolute());
        Ok(Self { home: home.ok_or(AskedError::Value("home"))?, identity: arguments.identity()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(home: &str) -> Result<Asked, AskedError> {
        Asked::parse(["--broker-pid=7", "--uid=1001", home, "--gid=1001"].into_iter().map(OsString::from))
    }

    #[test]
    fn a_complete_line_is_taken_and_a_home_that_is_not_absolute_refused() {
        assert_eq!(parse("--home=/home/h").unwrap().home, PathBuf::from("/home/h"));
        assert!(matches!(parse("--home=home/h"), Err(AskedError::Value("home"))));
    }
}
