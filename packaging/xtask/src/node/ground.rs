//! What a node stands on and must not leave behind: its root, its system users and its daemons, with the one way to
//! take all of it down.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};

use super::leftovers::{self, Leftovers};
use super::options::Storage;
use super::readiness::Readiness;
use super::ready::ReadyFile;
use super::root::{self, Root};
use super::supervise::{Daemon, DaemonSpec};
use super::system_user::{self, Purpose, SystemUser};
use crate::mutex::lock;
use crate::process::Program;

/// See the module. Taking it down twice is safe; whatever is made afterwards is refused.
pub(crate) struct Ground {
    root: Root,
    ready_file: ReadyFile,
    holdings: Mutex<Holdings>,
}

#[derive(Default)]
struct Holdings {
    closed: bool,
    users: Vec<SystemUser>,
    daemons: Vec<Arc<Daemon>>,
}

impl Ground {
    /// Makes the root and has signals take it down from now on.
    pub(crate) fn make(ready_file: Option<PathBuf>, storage: Storage) -> Result<Arc<Self>> {
        let root = Root::make(storage)?;
        let ready_file = ReadyFile::new(ready_file);
        let ground = Arc::new(Self { root, ready_file, holdings: Mutex::default() });
        crate::termination::watch(&ground)?;
        Ok(ground)
    }

    pub(crate) fn root(&self) -> &Root {
        &self.root
    }

    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn ready_file(&self) -> &ReadyFile {
        &self.ready_file
    }

    /// Adds a system user whose home is in the root.
    pub(crate) fn add_user(&self, purpose: Purpose) -> Result<SystemUser> {
        // Held while the user is added: taking down waits until it is known.
        let mut holdings = lock(&self.holdings);
        holdings.refuse_if_closed()?;
        let user = system_user::add(purpose, &self.path().join("home"))?;
        holdings.users.push(user.clone());
        Ok(user)
    }

    /// Starts a daemon, which is restarted until the ground is taken down. Its output goes to `log/<name>.log`.
    pub(crate) fn launch(
        self: &Arc<Self>,
        name: &'static str,
        program: Program,
        readiness: Readiness,
    ) -> Result<Arc<Daemon>> {
        let log = self.root.directory("log", 0o755)?.join(format!("{name}.log"));
        let pids = root::pids_of(self.path());
        let mut holdings = lock(&self.holdings);
        holdings.refuse_if_closed()?;
        let ground = Arc::downgrade(self);
        let when_ready = Box::new(move |pid| {
            if let Some(ground) = ground.upgrade()
                && let Err(error) = ground.ready_file.record_pid(name, pid)
            {
                eprintln!("{error:#}");
            }
        });
        let daemon = Arc::new(Daemon::launch(DaemonSpec { name, program, log, readiness, pids, when_ready }));
        holdings.daemons.push(Arc::clone(&daemon));
        Ok(daemon)
    }

    /// Takes everything down, the last started daemon first, and returns what went wrong on the way. Safe to repeat.
    pub(crate) fn take_down(&self) -> Vec<String> {
        let mut holdings = lock(&self.holdings);
        if holdings.closed {
            return Vec::new();
        }
        holdings.closed = true;
        let mut problems = Vec::new();
        let mut note = |result: Result<()>| problems.extend(result.err().map(|error| format!("{error:#}")));
        note(self.ready_file.remove());
        for daemon in holdings.daemons.drain(..).rev() {
            note(daemon.end());
        }
        for user in &holdings.users {
            leftovers::end_processes_of(user.uid);
            note(system_user::remove(&user.name).with_context(|| format!("remove the system user {}", user.name)));
        }
        note(leftovers::remove_tree(self.path()));
        problems
    }

    /// Looks for what is left of it. Only meaningful after it was taken down.
    pub(crate) fn leftovers(&self) -> Leftovers {
        leftovers::find(self.path(), &lock(&self.holdings).users, self.ready_file.path())
    }
}

/// Takes a ground down when dropped. (The ground itself cannot: its daemons' threads, which it waits for, hold it too.)
pub(crate) struct Standing(Arc<Ground>);

impl Standing {
    pub(crate) fn on(ground: Arc<Ground>) -> Self {
        Self(ground)
    }
}

impl std::ops::Deref for Standing {
    type Target = Arc<Ground>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        for problem in self.take_down() {
            eprintln!("taking the node down: {problem}");
        }
    }
}

impl Holdings {
    fn refuse_if_closed(&self) -> Result<()> {
        anyhow::ensure!(!self.closed, "the node is being taken down");
        Ok(())
    }
}
