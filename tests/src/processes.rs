//! Processes of the node, as the kernel tells of them.

use std::fs;
use std::path::PathBuf;

use xtask::node::Daemon;

/// A process, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process(pub u32);

/// An open descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// A path, or the kernel's name of what is no file.
    pub to: PathBuf,
    /// Whether it was opened for reading and nothing else.
    pub is_for_reading_only: bool,
}

impl Process {
    /// A line of its `status`, without its name.
    #[must_use]
    #[track_caller]
    pub fn status(self, name: &str) -> String {
        let status = self.read("status");
        let line = status.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
        line.unwrap_or_else(|| panic!("no {name}: {status}")).trim().to_owned()
    }

    /// How far it lets others go first: 0 as usual, up to 19.
    #[must_use]
    #[track_caller]
    pub fn nice(self) -> i32 {
        let stat = self.read("stat");
        // The name, in parentheses, may hold anything; from then on it is the 17th.
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        rest.split(' ').nth(16).unwrap().parse().unwrap()
    }

    /// What is mapped into its memory; nothing once it has ended.
    #[must_use]
    pub fn maps(self) -> String {
        self.read("maps")
    }

    /// What its descriptors are open to.
    #[must_use]
    pub fn descriptors(self) -> Vec<Descriptor> {
        let all = fs::read_dir(format!("/proc/{}/fd", self.0)).into_iter().flatten().flatten();
        let opened = all.filter_map(|entry| {
            let number = entry.file_name().into_string().ok()?;
            let info = self.read(&format!("fdinfo/{number}"));
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
            let is_for_reading_only = flags.trim().ends_with('0');
            Some(Descriptor { to: fs::read_link(entry.path()).ok()?, is_for_reading_only })
        });
        opened.collect()
    }

    /// Whether it is there, ended and not yet noticed included.
    #[must_use]
    pub fn is_there(self) -> bool {
        fs::exists(format!("/proc/{}", self.0)).unwrap()
    }

    /// Kills it (SIGKILL).
    #[track_caller]
    pub fn kill(self) {
        xtask::process::Program::new("kill").args(["-KILL".to_owned(), self.0.to_string()]).text().unwrap();
    }

    fn read(self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.0)).unwrap_or_default()
    }
}

/// The children of a process, of all of its threads.
#[must_use]
pub fn children(parent: u32) -> Vec<Process> {
    let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let listed = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let mut children: Vec<Process> = listed
        .flat_map(|line| line.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>())
        .map(Process)
        .collect();
    children.sort();
    children
}

/// The processes that have these words in their command line.
#[must_use]
#[track_caller]
pub fn with_words(words: &str) -> Vec<Process> {
    let numbers = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let has_them = |process: &Process| process.read("cmdline").replace('\0', " ").contains(words);
    numbers.map(Process).filter(has_them).collect()
}

/// What a daemon holds: its descriptors, counted, and its children.
#[must_use]
#[track_caller]
pub fn held(daemon: &Daemon) -> (usize, Vec<Process>) {
    let pid = daemon.pid().unwrap();
    (Process(pid).descriptors().len(), children(pid))
}
