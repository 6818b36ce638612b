//! A hosting whose home has an end: a disk of its own, or a quota on a larger one.

use std::fs;
use std::path::{Path, PathBuf};

use xtask::node::{Hosting, Node};
use xtask::process::Program;

const DISK_BYTES: u64 = 192 << 20;
/// Btrfs needs more than that to begin with.
const LARGER_DISK_BYTES: u64 = 512 << 20;

/// What ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The disk.
    Disk,
    /// The quota.
    Quota,
}

/// The home. While it lives, what the hosting had is a copy; dropped, the hosting has its own again.
pub struct SmallHome {
    hosting: Hosting,
    image: PathBuf,
}

impl SmallHome {
    /// Gives a hosting such a home, with all that it has.
    #[must_use]
    #[track_caller]
    pub fn of(node: &Node, hosting: &str, end: End) -> Self {
        let hosting = node.hosting(hosting).unwrap();
        let image = node.root().join(format!("{}.img", hosting.id));
        let small = Self { hosting, image };
        let (image, home) = (text(&small.image), text(&small.hosting.user.home));
        let bytes = if end == End::Disk { DISK_BYTES } else { LARGER_DISK_BYTES };
        fs::File::create(&small.image).unwrap().set_len(bytes).unwrap();
        let copy = node.root().join(format!("{}.tar", small.hosting.id));
        run("tar", &["--create", "--numeric-owner", "--directory", &home, "--file", &text(&copy), "."]);
        let made = if end == End::Disk { "mkfs.ext4" } else { "mkfs.btrfs" };
        run(made, &["-q", &image]);
        run("mount", &["-o", "loop", &image, &home]);
        run("tar", &["--extract", "--numeric-owner", "--directory", &home, "--file", &text(&copy)]);
        fs::remove_file(copy).unwrap();
        if end == End::Quota {
            run("sync", &["--file-system", &home]);
            run("btrfs", &["quota", "enable", &home]);
            run("btrfs", &["quota", "rescan", "--wait", &home]);
            run("btrfs", &["qgroup", "limit", &DISK_BYTES.to_string(), &home]);
        }
        small
    }

    /// Uses all of it up, as the system user; what that is told.
    #[must_use]
    #[track_caller]
    pub fn fill(&self) -> String {
        let home = self.filler().parent().unwrap().to_owned();
        let mut told = String::new();
        // Large pieces first, and then whatever still fits.
        for (bytes, name) in [("1M", "filler"), ("4096", "filler-2"), ("1", "filler-3")] {
            let dd = Program::new("dd").args(["if=/dev/zero", "oflag=sync"]).arg(format!("bs={bytes}"));
            let dd = dd.arg(format!("of={}", text(&home.join(name)))).run_as(self.hosting.user.identity());
            told = dd.text().unwrap_err().to_string();
        }
        told
    }

    /// How much the system user may write still, once all is written that was.
    #[must_use]
    #[track_caller]
    pub fn free_bytes(&self) -> u64 {
        let home = text(&self.hosting.user.home);
        run("sync", &["--file-system", &home]);
        let told = Program::new("df").args(["--block-size=1", "--output=avail"]).arg(home).text().unwrap();
        told.lines().last().unwrap().trim().parse().unwrap()
    }

    /// Uses all of it up but so many bytes, or a few more.
    #[track_caller]
    pub fn fill_but(&self, bytes: usize) {
        let spare = self.filler().with_file_name("spare");
        fs::write(&spare, vec![b'x'; bytes]).unwrap();
        let _told = self.fill();
        fs::remove_file(spare).unwrap();
        run("sync", &["--file-system", &text(&self.hosting.user.home)]);
    }

    /// Gives some back.
    #[track_caller]
    pub fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
        // Some filesystems give back a moment later, unless they are made to.
        run("sync", &["--file-system", &text(&self.hosting.user.home)]);
    }

    fn filler(&self) -> PathBuf {
        self.hosting.user.home.join("filler")
    }
}

impl Drop for SmallHome {
    fn drop(&mut self) {
        // PHP of the pool may stand in it; the node unmounts whatever stays.
        drop(Program::new("umount").arg("--lazy").arg(&self.hosting.user.home).text());
        drop(fs::remove_file(&self.image));
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[track_caller]
fn run(program: &str, arguments: &[&str]) {
    Program::new(program).args(arguments.iter().copied()).text().unwrap();
}
