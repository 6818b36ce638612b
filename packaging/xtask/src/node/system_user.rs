//! The system users of a node: added with `useradd`, removed with it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::clock::Deadline;
use crate::process::{Identity, Program};
use crate::random;

/// A system user, as in `/etc/passwd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemUser {
    /// Its name.
    pub name: String,
    /// Its user id.
    pub uid: u32,
    /// Its primary group.
    pub gid: u32,
    /// Its home.
    pub home: PathBuf,
}

/// What a system user is for, which its name ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Runs `latchkey serve`.
    Serve,
    /// Owns a hosting.
    Hosting,
    /// Runs phpMyAdmin.
    Phpmyadmin,
}

impl SystemUser {
    /// What a program needs to run as this user.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity { uid: self.uid, gid: self.gid }
    }

    /// Whether the name is one that only this crate gives.
    pub(crate) fn is_a_nodes(&self) -> bool {
        let middle = self.name.strip_prefix("lk").and_then(|rest| rest.strip_suffix(['s', 'h', 'p']));
        middle.is_some_and(|middle| middle.len() == 6 && middle.bytes().all(|b| b.is_ascii_alphanumeric()))
    }

    /// Gives it a file or directory.
    ///
    /// # Errors
    /// When the file does not exist or we are not root.
    pub fn own(&self, path: &Path) -> Result<()> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
            .with_context(|| format!("give {} to {}", path.display(), self.name))
    }
}

/// All system users.
pub(crate) fn all() -> Vec<SystemUser> {
    let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
    text.lines().filter_map(parse).collect()
}

/// The system user with this name.
///
/// # Errors
/// When there is none.
pub(crate) fn named(name: &str) -> Result<SystemUser> {
    all().into_iter().find(|user| user.name == name).with_context(|| format!("there is no system user {name}"))
}

/// Adds a system user with a new name and an own group, and makes its home beneath `homes`, which others may pass
/// through but not list.
pub(crate) fn add(purpose: Purpose, homes: &Path) -> Result<SystemUser> {
    let name = match purpose {
        Purpose::Serve => format!("lk{}s", random::word(6)?),
        Purpose::Hosting => format!("lk{}h", random::word(6)?),
        Purpose::Phpmyadmin => format!("lk{}p", random::word(6)?),
    };
    let home = homes.join(&name);
    fs::create_dir_all(homes).with_context(|| format!("create {}", homes.display()))?;
    fs::create_dir(&home).with_context(|| format!("create {}", home.display()))?;
    fs::set_permissions(&home, fs::Permissions::from_mode(0o711)).context("set the mode of a home")?;
    let program = Program::new("useradd")
        .args(["--no-log-init", "--no-create-home", "--user-group", "--shell", "/usr/sbin/nologin", "--home-dir"])
        .arg(&home)
        .args((purpose != Purpose::Hosting).then_some("--system"))
        .arg(&name);
    despite_locks(&program)?;
    let user = named(&name)?;
    user.own(&home)?;
    Ok(user)
}

/// Removes a system user with its group and crontab. Its home stays. Safe to repeat.
pub(crate) fn remove(name: &str) -> Result<()> {
    let crontab = Path::new("/var/spool/cron/crontabs").join(name);
    if crontab.exists() {
        fs::remove_file(&crontab).with_context(|| format!("remove {}", crontab.display()))?;
    }
    if all().iter().any(|user| user.name == name) {
        despite_locks(&Program::new("userdel").arg(name))?;
    }
    Ok(())
}

/// The tools lock the user files and give up at once if somebody else holds the lock: repeats for up to 15 seconds.
fn despite_locks(program: &Program) -> Result<()> {
    let mut last = Ok(());
    Deadline::after(Duration::from_secs(15)).wait_until(|| {
        last = program.text().map(drop);
        last.as_ref().err().is_none_or(|error| !error.to_string().contains("lock"))
    });
    last
}

fn parse(line: &str) -> Option<SystemUser> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let home = fields.nth(1)?.into();
    Some(SystemUser { name, uid, gid, home })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> SystemUser {
        parse(&format!("{name}:x:1001:1002:,,,:/dev/shm/lk-abc234/home/{name}:/bin/sh")).unwrap()
    }

    #[test]
    fn a_line_of_the_user_file_is_parsed() {
        let found = user("www");
        assert_eq!((found.uid, found.gid), (1001, 1002));
        assert_eq!(found.home, Path::new("/dev/shm/lk-abc234/home/www"));
    }

    #[test]
    fn only_names_that_a_node_gives_are_a_nodes() {
        assert!(user("lkabc234h").is_a_nodes());
        assert!(user("lkabc234s").is_a_nodes());
        for other in ["lkabc234", "lkabc23h", "root", "lk-bc234h", "xlkabc234h", "lkabc234hh"] {
            assert!(!user(other).is_a_nodes(), "{other}");
        }
    }
}
