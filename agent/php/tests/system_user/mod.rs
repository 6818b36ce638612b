//! A temporary system user of the node, removed again even when the test fails.

use std::{
    process::Command,
    sync::{Mutex, PoisonError, atomic::AtomicU32, atomic::Ordering},
    time::{Duration, Instant},
};

/// `useradd` locks `/etc/passwd` and gives up at once when it is locked.
static PASSWD: Mutex<()> = Mutex::new(());
static COUNT: AtomicU32 = AtomicU32::new(0);

/// An account made for one test.
pub(crate) struct SystemUser {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl SystemUser {
    pub(crate) fn new() -> SystemUser {
        SystemUser::with(&[])
    }

    pub(crate) fn with(options: &[&str]) -> SystemUser {
        let name = format!("lk{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let base = ["--no-create-home", "--user-group", "--shell", "/usr/sbin/nologin"];
        change_accounts("useradd", &[&base[..], options, &[name.as_str()]].concat());
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name.as_str())).unwrap();
        let fields: Vec<&str> = line.split(':').collect();
        SystemUser { uid: fields[2].parse().unwrap(), gid: fields[3].parse().unwrap(), name }
    }

    /// Adds the account to a group of the node.
    pub(crate) fn join(&self, group: &str) {
        change_accounts("usermod", &["--append", "--groups", group, &self.name]);
    }

    /// Leaves it in this group of the node and its own.
    pub(crate) fn move_to(&self, group: &str) {
        change_accounts("usermod", &["--groups", group, &self.name]);
    }

    /// Process ids of this user, as the node sees them.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let pids =
            std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let of_user = |pid: &u32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().next());
            let zombie = status.lines().any(|line| line.starts_with("State:\tZ"));
            uid.is_some_and(|uid| uid == self.uid.to_string()) && !zombie
        };
        pids.filter(of_user).collect()
    }
}

impl Drop for SystemUser {
    fn drop(&mut self) {
        // One that was being started when its parent ended sees that at once, but not in no time.
        let ended = Instant::now() + Duration::from_secs(2);
        while !self.processes().is_empty() && Instant::now() < ended {
            std::thread::sleep(Duration::from_millis(10));
        }
        let left = self.processes();
        for pid in &left {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
        change_accounts("userdel", &[&self.name]);
        assert!(left.is_empty() || std::thread::panicking(), "processes of {} were left over: {left:?}", self.name);
    }
}

/// Waits until a condition holds; the tests' only way of waiting.
#[track_caller]
pub(crate) fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited 10 s for: {what}");
}

fn change_accounts(program: &str, arguments: &[&str]) {
    let _guard = PASSWD.lock().unwrap_or_else(PoisonError::into_inner);
    // Another test program may hold the lock of the file.
    for _ in 0..200 {
        let output = Command::new(program).args(arguments).output().unwrap();
        if output.status.success() {
            return;
        }
        assert!(String::from_utf8_lossy(&output.stderr).contains("lock"), "{program} {arguments:?}: {output:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{program} {arguments:?}: the accounts stay locked");
}
