//! What a node leaves behind: nothing, which [`find`] checks, and [`sweep`] repairs after a crash.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal};

use super::root;
use super::system_user::{self, SystemUser};
use crate::clock::Deadline;
use crate::process::Program;

/// What is left of a node.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// Processes of its system users, or with a file name of its root on their command line: id and command line.
    pub processes: Vec<String>,
    /// Its system users.
    pub users: Vec<String>,
    /// Its root, its ready file.
    pub files: Vec<PathBuf>,
    /// Mounts beneath its root.
    pub mounts: Vec<PathBuf>,
    /// Loop devices on files of its root.
    pub loops: Vec<PathBuf>,
}

impl Leftovers {
    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty()
            && self.users.is_empty()
            && self.files.is_empty()
            && self.mounts.is_empty()
            && self.loops.is_empty()
    }
}

/// Looks for what is left of a node with this root, these system users and this ready file.
#[must_use]
pub(crate) fn find(root: &Path, users: &[SystemUser], ready_file: Option<&Path>) -> Leftovers {
    let known = system_user::all();
    // Once removed, a user id may be another node's by now.
    let given_away = |uid| known.iter().any(|k| k.uid == uid && !users.iter().any(|user| user.name == k.name));
    let is_theirs = |uid| users.iter().any(|user| user.uid == uid) && !given_away(uid);
    Leftovers {
        processes: processes()
            .filter(|process| is_theirs(process.uid) || process.mentions(root))
            .map(|process| format!("{} {}", process.pid, process.command))
            .collect(),
        users: users.iter().filter(|user| known.iter().any(|k| k.name == user.name)).map(|u| u.name.clone()).collect(),
        files: [Some(root), ready_file].into_iter().flatten().filter(|path| path.exists()).map(Into::into).collect(),
        mounts: mounts_beneath(root),
        loops: loops_beneath(root),
    }
}

/// Removes what crashed nodes left: users named `lk??????s` or `lk??????h` whose root's owner is dead, their
/// processes, and those roots. Never touches what belongs to a living one. Safe to repeat.
pub(crate) fn sweep() -> Vec<String> {
    let mut problems = Vec::new();
    let dead_roots = root::dead();
    for root in &dead_roots {
        end_recorded_processes(root);
    }
    for user in system_user::all().into_iter().filter(SystemUser::is_a_nodes) {
        let orphaned = root::of_home(&user.home).is_some_and(|root| !root.exists() || dead_roots.contains(&root));
        if orphaned {
            end_processes_of(user.uid);
            problems.extend(system_user::remove(&user.name).err().map(|error| format!("{error:#}")));
        }
    }
    for root in dead_roots {
        problems.extend(remove_tree(&root).err().map(|error| format!("{error:#}")));
    }
    problems
}

/// Kills every process of a user until there is none; gives up after 3 seconds.
pub(crate) fn end_processes_of(uid: u32) {
    Deadline::after(Duration::from_secs(3)).wait_until(|| {
        let pids: Vec<u32> = processes().filter(|process| process.uid == uid).map(|process| process.pid).collect();
        pids.iter().for_each(|pid| kill(*pid));
        pids.is_empty()
    });
}

/// Unmounts what is mounted beneath `root` and removes it with everything in it.
///
/// # Errors
/// When something cannot be removed within 3 seconds.
pub(crate) fn remove_tree(root: &Path) -> Result<()> {
    for mount in mounts_beneath(root) {
        Program::new("umount").arg("--lazy").arg(mount).text()?;
    }
    // A process that is just ending may still write into it.
    let mut last = Ok(());
    Deadline::after(Duration::from_secs(3)).wait_until(|| {
        last = if root.exists() { fs::remove_dir_all(root) } else { Ok(()) };
        last.is_ok()
    });
    last.with_context(|| format!("remove {}", root.display()))
}

/// When a process was started, in the kernel's clock ticks since boot: with its id, this names it for good.
pub(crate) fn start_time(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, the name in parentheses, may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19).map(str::to_owned)
}

fn end_recorded_processes(root: &Path) {
    let recorded = fs::read_to_string(root::pids_of(root)).unwrap_or_default();
    for (pid, started) in recorded.lines().filter_map(|line| line.split_once(' ')) {
        let Ok(pid) = pid.parse() else { continue };
        if start_time(pid).is_some_and(|time| time == started) {
            kill(pid);
            // It is no child of ours: whoever adopted it reaps it.
            Deadline::after(Duration::from_secs(1)).wait_until(|| start_time(pid).is_none_or(|time| time != started));
        }
    }
}

fn kill(pid: u32) {
    if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
        // An error means that it has ended.
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

struct Process {
    pid: u32,
    uid: u32,
    command: String,
}

impl Process {
    fn mentions(&self, root: &Path) -> bool {
        self.command.contains(root.to_string_lossy().as_ref()) && self.pid != std::process::id()
    }
}

/// All processes but zombies.
fn processes() -> impl Iterator<Item = Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if field("State:")?.starts_with('Z') {
            return None;
        }
        let uid = field("Uid:")?.split_whitespace().next()?.parse().ok()?;
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        Some(Process { pid, uid, command: String::from_utf8_lossy(&command).replace('\0', " ").trim().to_owned() })
    })
}

fn mounts_beneath(root: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from)
        .filter(|mount| mount.starts_with(root))
        .collect()
}

/// The files beneath `root` that a loop device is made of. The device goes with its last mount, also if that was a lazy one.
fn loops_beneath(root: &Path) -> Vec<PathBuf> {
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    devices
        .filter_map(|device| fs::read_to_string(device.path().join("loop/backing_file")).ok())
        .map(|file| PathBuf::from(file.trim()))
        .filter(|file| file.starts_with(root))
        .collect()
}
