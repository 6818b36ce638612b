//! Which hosting may be registered: the rules that even a taken-over serve cannot get around.

use std::{
    os::fd::OwnedFd,
    path::{Component, Path, PathBuf},
};

use latchkey_protocol::HostingRegistration;
use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags},
    io::Errno,
};

use crate::{
    config::{Config, is_plain_absolute},
    refusal::Refusal,
    registry::{Hosting, Registry},
    system_users::{Accounts, SystemUser},
};

/// Groups whose members reach more than their own files: devices, passwords, other users' data, root.
const PRIVILEGED_GROUPS: &[&str] = &[
    "root",
    "daemon",
    "bin",
    "sys",
    "adm",
    "tty",
    "disk",
    "lp",
    "mail",
    "kmem",
    "mem",
    "shadow",
    "utmp",
    "staff",
    "sudo",
    "wheel",
    "admin",
    "operator",
    "backup",
    "docker",
    "podman",
    "lxc",
    "lxd",
    "incus",
    "incus-admin",
    "libvirt",
    "libvirt-qemu",
    "kvm",
    "systemd-journal",
    "systemd-network",
    "systemd-resolve",
    "messagebus",
    "netdev",
    "crontab",
    "ssl-cert",
    "mysql",
    "postgres",
    "redis",
    "memcache",
    "www-data",
    "nginx",
    "apache",
    "http",
    "caddy",
    "postfix",
    "dovecot",
    "proftpd",
    "pdns",
    "latchkey",
    "nogroup",
    "nobody",
];

/// The user id and group id that the kernel uses for nobody.
const NOBODY: u32 = 65534;

const PATH_MAX_BYTES: usize = 4096;

/// Checks a registration against the operator's configuration, the node's accounts and the hostings known so far.
///
/// Looks at the home (its owner), opening nothing in it. The refusal names the field and what was expected.
pub fn admit(
    request: &HostingRegistration,
    config: &Config,
    accounts: &Accounts,
    registry: &Registry,
) -> Result<Hosting, Refusal> {
    if !is_id(&request.hosting) {
        return Err(Refusal::invalid(
            "hosting",
            "expected a lower-case letter or digit, then up to 30 of a-z, 0-9 and -",
        ));
    }
    let user = admit_user(&request.system_user, config, accounts)?;
    let home = admit_home(&request.home, &user, config)?;
    let hosting = Hosting {
        hosting: request.hosting.clone(),
        system_user: user.name,
        uid: user.uid,
        gid: user.gid,
        home,
        php_binary: admit_php(&request.php_binary, config)?,
        php_ini: request.php_ini.as_deref().map(admit_php_ini).transpose()?,
    };
    admit_beside(&hosting, registry)?;
    Ok(hosting)
}

/// Checks again, before it is used, that a registered hosting's account is the one that was registered.
pub fn readmit(hosting: &Hosting, config: &Config, accounts: &Accounts) -> Result<(), Refusal> {
    let user = admit_user(&hosting.system_user, config, accounts)?;
    if user.uid != hosting.uid || user.gid != hosting.gid {
        return Err(Refusal::invalid(
            "hosting",
            "the ids of its system user have changed since it was registered; register it again",
        ));
    }
    admit_php(text(&hosting.php_binary), config).map(drop)
}

/// Parses a path beneath the home: empty, or components without `.` and `..`.
pub fn parse_docroot(text: &str) -> Result<PathBuf, Refusal> {
    let path = PathBuf::from(text);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)))
        && path.components().collect::<PathBuf>().as_os_str() == path.as_os_str();
    if plain && is_path_text(text) {
        Ok(path)
    } else {
        Err(Refusal::invalid("docroot", "expected a path relative to the home, without '.', '..' or a trailing slash"))
    }
}

/// What ids of hostings and names of adapters are made of: `[a-z0-9][a-z0-9-]{0,30}`, so no path.
pub(crate) fn is_id(text: &str) -> bool {
    let letter_or_digit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    (1..=31).contains(&bytes.len())
        && bytes.first().copied().is_some_and(letter_or_digit)
        && bytes.iter().all(|byte| letter_or_digit(*byte) || *byte == b'-')
}

fn admit_user(name: &str, config: &Config, accounts: &Accounts) -> Result<SystemUser, Refusal> {
    let refuse = |message: String| Err(Refusal::invalid("system_user", message));
    let Some(user) = accounts.find(name) else {
        return refuse("expected an account that stands once in /etc/passwd, with a user id of its own".to_owned());
    };
    if user.uid < config.min_uid || user.uid == NOBODY || user.uid == u32::MAX {
        return refuse(format!("expected a user id from {} that is not a service account's", config.min_uid));
    }
    if user.name == config.serve_user {
        return refuse("expected another account than the agent's own".to_owned());
    }
    if user.gid == 0 || user.gid == NOBODY || user.gid == u32::MAX {
        return refuse("expected a primary group that is not a privileged one".to_owned());
    }
    if let Some(group) = user.groups.iter().find(|group| PRIVILEGED_GROUPS.contains(&group.as_str())) {
        return refuse(format!("expected an account in no privileged group; it is in {group}"));
    }
    Ok(user)
}

fn admit_home(home: &str, user: &SystemUser, config: &Config) -> Result<PathBuf, Refusal> {
    let refuse = |message: &str| Err(Refusal::invalid("home", message));
    let path = PathBuf::from(home);
    if !is_path_text(home) || !is_plain_absolute(&path) {
        return refuse("expected an absolute path without '.', '..' or a trailing slash");
    }
    // Component by component, so that /home does not hold /home2; and never the root itself.
    if !config.home_roots.iter().any(|root| path.starts_with(root) && path != *root) {
        return refuse("expected a directory beneath one of the home_roots of the broker's configuration");
    }
    let opened = match open_without_links(&path) {
        Ok(opened) => opened,
        Err(Errno::LOOP) => return refuse("expected a path without symbolic links"),
        Err(Errno::NOENT | Errno::NOTDIR) => return refuse("expected a directory that exists"),
        Err(error) => return Err(Refusal::internal(&std::io::Error::from(error))),
    };
    match rustix::fs::fstat(&opened) {
        Ok(found) if found.st_uid == user.uid => Ok(path),
        Ok(_) => refuse("expected a directory that belongs to the system user"),
        Err(error) => Err(Refusal::internal(&std::io::Error::from(error))),
    }
}

/// Opens a directory, following no link in any part of its path.
pub(crate) fn open_without_links(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS)
}

fn admit_php(binary: &str, config: &Config) -> Result<PathBuf, Refusal> {
    let listed = config.php_binaries.iter().find(|listed| listed.as_os_str() == binary);
    listed
        .cloned()
        .ok_or_else(|| Refusal::invalid("php_binary", "expected one of the php_binaries of the broker's configuration"))
}

/// The file is opened by PHP itself, as the system user.
fn admit_php_ini(ini: &str) -> Result<PathBuf, Refusal> {
    if is_path_text(ini) && is_plain_absolute(Path::new(ini)) {
        Ok(PathBuf::from(ini))
    } else {
        Err(Refusal::invalid("php_ini", "expected an absolute path without '.', '..' or a trailing slash"))
    }
}

/// A system user and a home belong to one hosting; homes do not lie in each other.
fn admit_beside(new: &Hosting, registry: &Registry) -> Result<(), Refusal> {
    for other in registry.hostings().filter(|other| other.hosting != new.hosting) {
        if other.uid == new.uid || other.system_user == new.system_user {
            return Err(Refusal::invalid(
                "system_user",
                format!("it belongs to the hosting {} already", other.hosting),
            ));
        }
        if other.home.starts_with(&new.home) || new.home.starts_with(&other.home) {
            let message = format!("it is, holds or lies in the home of the hosting {}", other.hosting);
            return Err(Refusal::invalid("home", message));
        }
    }
    Ok(())
}

fn is_path_text(text: &str) -> bool {
    // Control characters are allowed by the kernel, and meant by nobody.
    text.len() < PATH_MAX_BYTES && !text.contains(char::is_control)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosting_id_is_short_lower_case_and_starts_with_a_letter_or_digit() {
        for id in ["a", "0", "shop-1", "a23456789012345678901234567890a"] {
            assert!(is_id(id), "{id}");
        }
        for id in ["", "-a", "A", "a_b", "a/b", "a.b", "ä", "a\n", "a234567890123456789012345678901b"] {
            assert!(!is_id(id), "{id}");
        }
    }

    #[test]
    fn a_docroot_is_checked_component_by_component() {
        for path in ["", "public", "sites/live/public_html", "a b", "..a", "ü"] {
            assert!(parse_docroot(path).is_ok(), "{path}");
        }
        for path in ["/", "/etc", "..", "a/../b", "a/..", "./a", "a/.", "a//b", "a/", "a\0b", "a\nb"] {
            assert!(parse_docroot(path).is_err(), "{path}");
        }
    }

    fn config() -> Config {
        toml::from_str(
            r#"socket = "/s"
               state_dir = "/d"
               serve_user = "keeper"
               min_uid = 1000
               home_roots = ["/home"]
               php_worker = "/w"
               bridge = "/b"
               php_binaries = ["/usr/bin/php8.2"]"#,
        )
        .unwrap()
    }

    #[test]
    fn a_privileged_account_is_refused_beside_an_ordinary_one() {
        let passwd = "root:x:0:0:::\nmysql:x:105:105:::\nkeeper:x:1500:1500:::\nalice:x:1001:1001:::\nbob:x:1002:1002:::\n\
                      carol:x:1003:0:::\ndave:x:1004:33:::\nnobody:x:65534:65534:::\nerin:x:1006:1006:::\n";
        let group = "alice:x:1001:\nsudo:x:27:bob\nwww-data:x:33:\ndocker:x:998:erin\n";
        let accounts = Accounts::of(passwd, group);
        assert_eq!(admit_user("alice", &config(), &accounts).unwrap().uid, 1001);
        for name in ["root", "mysql", "keeper", "bob", "carol", "dave", "nobody", "erin", "missing"] {
            let refusal = admit_user(name, &config(), &accounts).unwrap_err();
            assert_eq!(refusal.field, Some("system_user"), "{name}");
        }
    }

    #[test]
    fn a_home_root_does_not_hold_its_namesakes_and_not_itself() {
        let user = SystemUser { name: "alice".into(), uid: 0, gid: 0, groups: vec![] };
        for home in ["/home", "/home2/alice", "/homer", "/home/../etc", "/home/alice/", "home/alice", "/home/missing-x"]
        {
            assert_eq!(admit_home(home, &user, &config()).unwrap_err().field, Some("home"), "{home}");
        }
    }

    #[test]
    fn an_unlisted_php_is_refused_beside_a_listed_one() {
        assert!(admit_php("/usr/bin/php8.2", &config()).is_ok());
        for binary in ["/bin/sh", "/usr/bin/../bin/php8.2", "/usr/bin/php8.2/", "php8.2", ""] {
            assert_eq!(admit_php(binary, &config()).unwrap_err().field, Some("php_binary"), "{binary}");
        }
    }
}
