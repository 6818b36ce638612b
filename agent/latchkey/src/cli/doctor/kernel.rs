//! What the kernel has of that which confines the processes.

use std::path::Path;

use latchkey_protocol::Confinement;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};

use super::{Finding, Patient, failure, warning, well};

pub(super) fn features(patient: &Patient) -> Finding {
    let confinement = match patient.broker() {
        Ok(broker) => broker.confinement().ok(),
        Err(not_looked) => return not_looked.into(),
    };
    let namespaces = present("PID namespaces", Path::new("/proc/self/ns/pid"));
    Finding::worst_of([openat2(), namespaces, judge(confinement)])
}

fn openat2() -> Finding {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::openat2(CWD, ".", flags, Mode::empty(), ResolveFlags::BENEATH) {
        Ok(_) => well("openat2"),
        Err(error) => failure(format!("no openat2 ({error})"), "run a kernel from 5.14 on"),
    }
}

fn present(what: &str, path: &Path) -> Finding {
    if path.exists() { well(what) } else { failure(format!("no {what}"), "run a kernel from 5.14 on that has it") }
}

/// What a process that was confined like a PHP call found.
fn judge(confinement: Option<Confinement>) -> Finding {
    match confinement {
        None => warning("the broker does not say what confines a PHP call", "see `broker`"),
        Some(Confinement { seccomp: false, .. }) => {
            failure("no seccomp: system calls of a PHP call are not filtered", "run a kernel from 5.14 on that has it")
        }
        Some(Confinement { landlock_abi: None, .. }) => warning(
            "no Landlock: a PHP call is confined by its uid and seccomp only",
            "run a kernel that has it, with landlock in lsm= on its command line",
        ),
        Some(Confinement { landlock_abi: Some(abi), .. }) => well(format!("seccomp, Landlock ABI {abi}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kernel_lacks_is_shown() {
        let told = |landlock_abi, seccomp| judge(Some(Confinement { landlock_abi, seccomp }));
        assert_eq!(told(Some(2), true), well("seccomp, Landlock ABI 2"));
        assert!(matches!(told(None, true), Finding::Warning { .. }));
        assert!(matches!(told(Some(2), false), Finding::Failure { .. }));
        assert!(matches!(judge(None), Finding::Warning { .. }));
        assert!(matches!(present("seccomp", Path::new("/proc/none")), Finding::Failure { .. }));
        assert_eq!(present("seccomp", Path::new("/proc/self/ns/pid")), well("seccomp"));
        assert_eq!(openat2(), well("openat2"));
    }
}
