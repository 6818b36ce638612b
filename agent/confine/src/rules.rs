//! Rules of Landlock: which files a process reaches.
//!
//! Permissions of files stand beside it: this only takes away. Not kept by Landlock: `stat`, changes of mode or times of
//! what the user owns anyway, and connecting to a Unix socket.

use std::{os::fd::AsFd, path::Path};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus, PathBeneath, PathFd,
    Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError, Scope,
};

/// The newest ABI whose rights are all sorted out.
pub const NEWEST: ABI = ABI::V7;

/// Landlock refuses what it was asked for.
#[derive(Debug, thiserror::Error)]
#[error("cannot restrict the paths that are reached")]
pub struct RulesError(#[from] RulesetError);

/// What a process may reach; all else is refused when it is applied.
#[derive(Debug)]
pub struct Rules {
    ruleset: RulesetCreated,
    most: ABI,
}

impl Rules {
    /// Rules that allow nothing yet, on a kernel that knows `at_most`; `None`: as much as the kernel has.
    ///
    /// Refused is also: what `ports` says, to connect to an abstract Unix socket that is not the process's own, to signal
    /// a process that has not the same rules.
    pub fn new(at_most: Option<i32>, ports: BitFlags<AccessNet>) -> Result<Self, RulesError> {
        let most = at_most.map_or(NEWEST, |most| NEWEST.min(ABI::from(most)));
        let mut ruleset =
            Ruleset::default().set_compatibility(CompatLevel::BestEffort).handle_access(AccessFs::from_all(most))?;
        // Asking for none of a kind is an error.
        let (ports, scope) = (AccessNet::from_all(most) & ports, Scope::from_all(most));
        if !ports.is_empty() {
            ruleset = ruleset.handle_access(ports)?;
        }
        if !scope.is_empty() {
            ruleset = ruleset.scope(scope)?;
        }
        Ok(Self { ruleset: ruleset.create()?, most })
    }

    /// All rights to files that these rules are about.
    #[must_use]
    pub fn all(&self) -> BitFlags<AccessFs> {
        AccessFs::from_all(self.most)
    }

    /// Allows what lies at and beneath a path; one that is not there, or out of the user's reach, needs no rule.
    pub fn allow_path(&mut self, path: &Path, access: BitFlags<AccessFs>) -> Result<(), RulesError> {
        match PathFd::new(path) {
            Ok(opened) => self.allow(&opened, access),
            Err(_out_of_reach) => Ok(()),
        }
    }

    /// Allows what lies at and beneath what is open.
    pub fn allow(&mut self, opened: &impl AsFd, access: BitFlags<AccessFs>) -> Result<(), RulesError> {
        let access = if is_directory(opened) { access } else { access & AccessFs::from_file(NEWEST) };
        (&mut self.ruleset).add_rule(PathBeneath::new(opened, access))?;
        Ok(())
    }

    /// Restricts this thread and all that it starts. Returns the ABI in force; `None` when the kernel has no Landlock.
    ///
    /// What a kernel lacks is left out, which `latchkey-php --confinement` tells.
    pub fn apply(self) -> Result<Option<i32>, RulesError> {
        match self.ruleset.restrict_self()?.landlock {
            LandlockStatus::Available { effective_abi, .. } => Ok(Some((effective_abi as i32).min(self.most as i32))),
            _ => Ok(None),
        }
    }
}

fn is_directory(opened: &impl AsFd) -> bool {
    rustix::fs::fstat(opened).is_ok_and(|found| rustix::fs::FileType::from_raw_mode(found.st_mode).is_dir())
}
