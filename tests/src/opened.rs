//! What is open on the node: files that any process holds, FTP sessions that are let in.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use xtask::node::Node;

/// A regular file that a process holds open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFile {
    /// The process.
    pub pid: u32,
    /// Its path; of a file without a name the folder, a number and `(deleted)`.
    pub path: PathBuf,
    /// How large it is.
    pub bytes: u64,
}

/// The regular files beneath a folder that any process holds open, by whichever path, those without a name included.
#[must_use]
pub fn files_beneath(folder: &Path) -> Vec<OpenFile> {
    // An FTP session has them beneath a mount of its own.
    let named = identities_beneath(folder);
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    // Whatever ends meanwhile holds nothing.
    pids.filter_map(|pid| Some((pid, fs::read_dir(format!("/proc/{pid}/fd")).ok()?)))
        .flat_map(|(pid, descriptors)| descriptors.flatten().map(move |descriptor| (pid, descriptor.path())))
        .filter_map(|(pid, descriptor)| {
            let opened = fs::metadata(&descriptor).ok().filter(fs::Metadata::is_file)?;
            let path = fs::read_link(&descriptor).ok()?;
            let is_here = path.starts_with(folder) || named.contains(&(opened.dev(), opened.ino()));
            is_here.then_some(OpenFile { pid, path, bytes: opened.len() })
        })
        .collect()
}

fn identities_beneath(folder: &Path) -> BTreeSet<(u64, u64)> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(seen) if seen.is_dir() => found.extend(identities_beneath(&entry.path())),
            Ok(seen) => drop(found.insert((seen.dev(), seen.ino()))),
            Err(_) => {}
        }
    }
    found
}

/// The folders that FTP sessions have: one of each session that is let in, a mount or not.
#[must_use]
pub fn ftp_folders(node: &Node) -> Vec<PathBuf> {
    fs::read_dir(ftp_root(node)).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// What is mounted for FTP sessions.
#[must_use]
pub fn ftp_mounts(node: &Node) -> Vec<String> {
    let root = format!("{}/", ftp_root(node).display());
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    mounts.lines().filter(|line| line.contains(&root)).map(str::to_owned).collect()
}

/// The processes that are FTP sessions let in: those of the system user of a hosting.
#[must_use]
pub fn ftp_processes(node: &Node, hosting: &str) -> Vec<u32> {
    let uid = node.hosting(hosting).unwrap().user.uid.to_string();
    let is_one = |status: &str| {
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        field("Name:").is_some_and(|name| name.starts_with("pure-ftpd"))
            && field("Uid:").is_some_and(|ids| ids.split_whitespace().any(|id| id == uid))
    };
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| is_one(&status))).collect()
}

fn ftp_root(node: &Node) -> PathBuf {
    node.root().join("run/ftp")
}
