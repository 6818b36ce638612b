//! The directories whose files are logs, as the operator lists them, and where beneath one a path lies.

use std::{
    ffi::OsStr,
    path::{Component, Path, PathBuf},
};

use serde::Deserialize;

use crate::{config::is_plain_absolute, registry::Hosting};

/// A directory with logs: of one hosting each where its path has a place, of any hosting where it has none.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct LogRoot {
    /// As far as the operator wrote it out. What comes below is found without following a link.
    fixed: PathBuf,
    below: Vec<Name>,
}

/// One directory of a root's path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Plain(String),
    Hosting,
    SystemUser,
}

/// What is no root.
#[derive(Debug, thiserror::Error)]
#[error(
    "log_roots: expected directories below '/', absolute and without '.', '..' or a trailing slash, in which {{hosting}} or \
     {{system_user}} is at most once the whole name of a directory, and not of the first"
)]
pub struct LogRootError;

impl TryFrom<String> for LogRoot {
    type Error = LogRootError;

    fn try_from(written: String) -> Result<Self, LogRootError> {
        let names: Option<Vec<Name>> = written.split('/').skip(1).map(Name::parse).collect();
        let mut names = names.filter(|_| is_plain_absolute(Path::new(&written))).ok_or(LogRootError)?;
        let is_place = |name: &Name| !matches!(name, Name::Plain(_));
        let first = names.iter().position(is_place).unwrap_or(names.len());
        if first == 0 || names.iter().filter(|name| is_place(name)).count() > 1 {
            return Err(LogRootError);
        }
        let below = names.split_off(first);
        let mut fixed = PathBuf::from("/");
        fixed.extend(names.iter().filter_map(|name| match name {
            Name::Plain(name) => Some(name),
            Name::Hosting | Name::SystemUser => None,
        }));
        Ok(Self { fixed, below })
    }
}

impl Name {
    /// A place stands alone: with something around it, two hostings could have one directory.
    fn parse(written: &str) -> Option<Self> {
        match written {
            "" => None,
            "{hosting}" => Some(Self::Hosting),
            "{system_user}" => Some(Self::SystemUser),
            other if other.contains(['{', '}']) => None,
            other => Some(Self::Plain(other.to_owned())),
        }
    }

    fn of<'n>(&'n self, hosting: &'n Hosting) -> &'n OsStr {
        OsStr::new(match self {
            Self::Plain(name) => name,
            Self::Hosting => &hosting.hosting,
            Self::SystemUser => &hosting.system_user,
        })
    }
}

impl LogRoot {
    /// What to open first, and where beneath that the path lies; `None` for a path that is not beneath this hosting's root.
    ///
    /// Names are compared as wholes: `s1` is no part of `s10`.
    pub(crate) fn split<'p>(&self, hosting: &Hosting, path: &'p Path) -> Option<(&Path, &'p Path)> {
        let beneath = path.strip_prefix(&self.fixed).ok()?;
        let mut names = beneath.components();
        let is_of_hosting = self
            .below
            .iter()
            .all(|name| names.next().is_some_and(|found| found == Component::Normal(name.of(hosting))));
        (is_of_hosting && names.next().is_some()).then_some((self.fixed.as_path(), beneath))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(written: &str) -> Option<LogRoot> {
        LogRoot::try_from(written.to_owned()).ok()
    }

    fn hosting(id: &str, user: &str) -> Hosting {
        Hosting {
            hosting: id.into(),
            system_user: user.into(),
            uid: 1001,
            gid: 1001,
            home: "/home/x".into(),
            php_binary: "/usr/bin/php8.2".into(),
            php_ini: None,
        }
    }

    #[track_caller]
    fn check(written: &str, path: &str, split: Option<(&str, &str)>) {
        let found = root(written).unwrap();
        let found = found
            .split(&Hosting { ..hosting("s1", "alice") }, Path::new(path))
            .map(|(fixed, beneath)| (fixed.to_str().unwrap().to_owned(), beneath.to_str().unwrap().to_owned()));
        assert_eq!(found, split.map(|(fixed, beneath)| (fixed.to_owned(), beneath.to_owned())), "{written} {path}");
    }

    #[test]
    fn a_path_lies_beneath_the_root_of_its_own_hosting_only() {
        check("/logs/{hosting}", "/logs/s1/access.log", Some(("/logs", "s1/access.log")));
        check("/logs/{hosting}", "/logs/s1/a/b.log", Some(("/logs", "s1/a/b.log")));
        check("/logs/{system_user}/web", "/logs/alice/web/x", Some(("/logs", "alice/web/x")));
        check("/logs", "/logs/x", Some(("/logs", "x")));
        for path in ["/logs/s1", "/logs/s10/access.log", "/logs/s/access.log", "/logs/alice/x", "/logs", "/logsx/s1/x"]
        {
            check("/logs/{hosting}", path, None);
        }
        check("/logs/{system_user}/web", "/logs/alice/webx/x", None);
        check("/logs/{system_user}/web", "/logs/alice/web", None);
        check("/logs", "/logs", None);
        check("/logs", "/log/x", None);
    }

    #[test]
    fn what_is_no_directory_below_the_root_or_holds_half_a_place_is_refused() {
        assert!(root("/var/log").is_some());
        for written in [
            "",
            "/",
            "logs",
            "/logs/",
            "/logs//x",
            "/logs/../etc",
            "/./logs",
            "/{hosting}",
            "/logs/{hosting}/{hosting}",
            "/logs/{hosting}/{system_user}",
            "/logs/{hosting}-x",
            "/logs/x{hosting}",
            "/logs/{domain}",
            "/logs/{",
        ] {
            assert_eq!(root(written), None, "{written}");
        }
    }
}
