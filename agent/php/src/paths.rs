//! Which files PHP may reach, kept by Landlock: the site's own home, what a PHP program itself consists of, no other home.
//!
//! Permissions of files stand beside it: this only takes away. Not kept by Landlock: `stat`, changes of mode or times of
//! what the user owns anyway, and connecting to a Unix socket, which a site needs for its database.

use std::{
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus, PathBeneath, PathFd,
    Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError, Scope,
};

use crate::call::Call;

/// The newest ABI whose rights are all sorted out below.
const NEWEST: ABI = ABI::V7;

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

/// Landlock refuses what it was asked for.
#[derive(Debug, thiserror::Error)]
#[error("cannot restrict the paths that PHP reaches")]
pub(crate) struct PathsError(#[from] RulesetError);

/// Restricts this process and all that it starts. Returns the ABI in force; `None` when the kernel has no Landlock.
///
/// What a kernel lacks is left out, which `latchkey-php --confinement` tells.
pub(crate) fn restrict(call: &Call, home: &OwnedFd) -> Result<Option<i32>, PathsError> {
    let most = call.landlock_at_most.map_or(NEWEST, |most| NEWEST.min(ABI::from(most)));
    let all = AccessFs::from_all(most);
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    // Neither programs nor devices: what a site brings along is not executed.
    let write = all & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock);
    let execute = read | AccessFs::Execute;

    let mut rules = Rules(ruleset(most)?);
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
    Ok(effective_abi(rules.0.restrict_self()?.landlock).map(|abi| abi.min(most as i32)))
}

/// Restricts this process to nothing at all; returns the ABI in force.
pub(crate) fn restrict_to_nothing() -> Result<Option<i32>, PathsError> {
    Ok(effective_abi(ruleset(NEWEST)?.restrict_self()?.landlock))
}

/// Refuses everything that is not allowed afterwards, and also: to listen on a TCP port, to connect to an abstract Unix
/// socket that is not the call's own, to signal a process outside the call.
fn ruleset(most: ABI) -> Result<RulesetCreated, RulesetError> {
    let mut ruleset =
        Ruleset::default().set_compatibility(CompatLevel::BestEffort).handle_access(AccessFs::from_all(most))?;
    // Asking for none of a kind is an error.
    let (ports, scope) = (AccessNet::from_all(most) & AccessNet::BindTcp, Scope::from_all(most));
    if !ports.is_empty() {
        ruleset = ruleset.handle_access(ports)?;
    }
    if !scope.is_empty() {
        ruleset = ruleset.scope(scope)?;
    }
    ruleset.create()
}

struct Rules(RulesetCreated);

impl Rules {
    /// Allows what lies at and beneath a path; one that is not there, or out of the user's reach, needs no rule.
    fn allow_path(&mut self, path: &Path, access: BitFlags<AccessFs>) -> Result<(), RulesetError> {
        match PathFd::new(path) {
            Ok(opened) => self.allow(&opened, access),
            Err(_out_of_reach) => Ok(()),
        }
    }

    fn allow(&mut self, opened: &impl AsFd, access: BitFlags<AccessFs>) -> Result<(), RulesetError> {
        let access = if is_directory(opened) { access } else { access & AccessFs::from_file(NEWEST) };
        (&mut self.0).add_rule(PathBeneath::new(opened, access))?;
        Ok(())
    }
}

fn is_directory(opened: &impl AsFd) -> bool {
    rustix::fs::fstat(opened).is_ok_and(|found| rustix::fs::FileType::from_raw_mode(found.st_mode).is_dir())
}

fn effective_abi(status: LandlockStatus) -> Option<i32> {
    match status {
        LandlockStatus::Available { effective_abi, .. } => Some(effective_abi as i32),
        _ => None,
    }
}
