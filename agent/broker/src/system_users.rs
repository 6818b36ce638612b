//! Facts about Unix accounts, read from `/etc/passwd` and `/etc/group`.
//!
//! Accounts that exist only in a directory service (LDAP) are not seen: resolving those would load foreign code into
//! this process. No password is read.

use std::{fs, io, path::Path};

/// A Unix account with the names of all its groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemUser {
    /// The account's name.
    pub name: String,
    /// Its user id.
    pub uid: u32,
    /// Its primary group id.
    pub gid: u32,
    /// Names of the groups it is in, the primary one included.
    pub groups: Vec<String>,
}

/// The accounts of the node at one moment.
#[derive(Debug, Clone)]
pub struct Accounts {
    passwd: String,
    group: String,
}

/// The files of the accounts cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}")]
pub struct AccountsError {
    path: &'static str,
    #[source]
    source: io::Error,
}

impl Accounts {
    /// Reads them from `/etc`.
    pub fn read() -> Result<Accounts, AccountsError> {
        let read = |path| fs::read_to_string(Path::new(path)).map_err(|source| AccountsError { path, source });
        Ok(Accounts { passwd: read("/etc/passwd")?, group: read("/etc/group")? })
    }

    /// The account of that name. A name or user id that stands in the file twice gives nothing.
    pub fn find(&self, name: &str) -> Option<SystemUser> {
        let mut named = self.users().filter(|(known, ..)| *known == name);
        let (name, uid, gid) = named.next()?;
        let alone = named.next().is_none() && self.users().filter(|(_, other, _)| *other == uid).count() == 1;
        alone.then(|| SystemUser { name: name.to_owned(), uid, gid, groups: self.groups_of(name, gid) })
    }

    /// Whether an account has this user id.
    pub fn has_uid(&self, uid: u32) -> bool {
        self.users().any(|(_, known, _)| known == uid)
    }

    fn users(&self) -> impl Iterator<Item = (&str, u32, u32)> {
        self.passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let (name, _password) = (fields.next()?, fields.next()?);
            Some((name, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        })
    }

    fn groups_of(&self, user: &str, primary: u32) -> Vec<String> {
        let groups = self.group.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let (name, _password, gid) = (fields.next()?, fields.next()?, fields.next()?);
            let member = fields.next().unwrap_or_default().split(',').any(|member| member == user);
            (member || gid.parse() == Ok(primary)).then(|| name.to_owned())
        });
        groups.collect()
    }
}

#[cfg(test)]
impl Accounts {
    pub(crate) fn of(passwd: &str, group: &str) -> Accounts {
        Accounts { passwd: passwd.to_owned(), group: group.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nalice:x:1001:1001::/home/alice:\nbob:x:1002:100::/home/bob:\n\
                          twin:x:1003:1003::/a:\ntwin:x:1004:1004::/b:\nshadow1:x:1005:1005::/a:\nshadow2:x:1005:1005::/a:\nbroken\n";
    const GROUP: &str = "root:x:0:\nusers:x:100:\nsudo:x:27:alicea,alice\nalice:x:1001:\nbroken\n";

    #[test]
    fn an_account_comes_with_its_primary_and_supplementary_groups() {
        let accounts = Accounts::of(PASSWD, GROUP);
        let alice = accounts.find("alice").unwrap();
        assert_eq!((alice.uid, alice.gid), (1001, 1001));
        assert_eq!(alice.groups, ["sudo", "alice"]);
        assert_eq!(accounts.find("bob").unwrap().groups, ["users"]);
    }

    #[test]
    fn an_absent_an_ambiguous_and_a_broken_account_are_not_found() {
        let accounts = Accounts::of(PASSWD, GROUP);
        for name in ["alicea", "twin", "shadow1", "broken", "", "alice:x"] {
            assert_eq!(accounts.find(name), None, "{name}");
        }
    }

    #[test]
    fn the_nodes_own_accounts_are_readable() {
        assert_eq!(Accounts::read().unwrap().find("root").unwrap().uid, 0);
    }
}
