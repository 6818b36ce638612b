//! Which files PHP may reach, kept by Landlock: the site's own home, what a PHP program itself consists of, no other home.
//!
//! Permissions of files stand beside it: this only takes away. Not kept by Landlock: `stat`, changes of mode or times of
//! what the user owns anyway, and connecting to a Unix socket, which a site needs for its database.

use std::{os::fd::OwnedFd, path::Path};

use landlock::{AccessFs, AccessNet, BitFlags};
use latchkey_confine::rules::{Rules, RulesError};

use crate::call::Call;

/// What PHP, its extensions and the C library read on any node. Nothing in it belongs to one site.
const READ: &[&str] = &[
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/sbin",
    // Where panels keep their PHP.
    "/opt",
    "/etc",
    // The call's own, with its own processes in it.
    "/proc",
    "/sys/devices/system/cpu",
    // What /etc/resolv.conf is a link to.
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/var/cache/fontconfig",
    "/dev/random",
    "/dev/urandom",
];

const READ_AND_WRITE: &[&str] = &["/tmp", "/dev/null", "/dev/zero", "/dev/full"];

/// The loaders of dynamic programs: executing PHP executes one of them.
const LOADERS: &[&str] = &[
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-musl-x86_64.so.1",
    "/lib/ld-musl-aarch64.so.1",
];

/// Restricts this process and all that it starts. Returns the ABI in force; `None` when the kernel has no Landlock.
///
/// What a kernel lacks is left out, which `latchkey-php --confinement` tells.
pub(crate) fn restrict(call: &Call, home: &OwnedFd) -> Result<Option<i32>, RulesError> {
    let mut rules = Rules::new(call.landlock_at_most, listening())?;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    // Neither programs nor devices: what a site brings along is not executed.
    let write = rules.all() & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock);
    let execute = read | AccessFs::Execute;

    rules.allow(home, write)?;
    for path in READ.iter().map(Path::new).chain(call.more.read.iter().map(AsRef::as_ref)) {
        rules.allow_path(path, read)?;
    }
    // The bridge is a file with others beside it.
    for path in call.bridge.parent().into_iter().chain(call.php_ini.as_deref()) {
        rules.allow_path(path, read)?;
    }
    for path in READ_AND_WRITE.iter().map(Path::new).chain(call.more.write.iter().map(AsRef::as_ref)) {
        rules.allow_path(path, write)?;
    }
    if let Some(cache) = &call.cache {
        rules.allow_path(cache, write)?;
    }
    for path in LOADERS.iter().map(Path::new).chain([&*call.php]).chain(call.more.execute.iter().map(AsRef::as_ref)) {
        rules.allow_path(path, execute)?;
    }
    rules.apply()
}

/// Restricts this process to nothing at all; returns the ABI in force.
pub(crate) fn restrict_to_nothing() -> Result<Option<i32>, RulesError> {
    Rules::new(None, listening())?.apply()
}

/// PHP connects to databases and caches, and listens nowhere.
fn listening() -> BitFlags<AccessNet> {
    AccessNet::BindTcp.into()
}
