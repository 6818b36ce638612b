//! Becoming a system user for good, and proving it; limits of what is used up.

use rustix::{
    io::Errno,
    process::{DumpableBehavior, Gid, Resource, Rlimit, Uid},
    thread::{CapabilitySet, CapabilitySets},
};

/// How far a process steps back that others shall go before: 19 is the most.
const NICE: i32 = 10;

/// Why something was not given up.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegesError {
    /// A system call failed.
    #[error("cannot {action}")]
    System {
        /// What was attempted.
        action: &'static str,
        /// The system's reason.
        #[source]
        source: Errno,
    },
    /// They were dropped and are there all the same.
    #[error("privileges remain after they were dropped: {0}")]
    Remaining(&'static str),
}

/// Keeps the memory of this process from other processes of its user and from core dumps, until it executes a program.
pub fn hide_memory() -> Result<(), PrivilegesError> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(system("hide the memory"))
}

/// Bounds what is used up, for good; a limit that is lower already stays.
pub fn limit(limits: &[(Resource, u64)]) -> Result<(), PrivilegesError> {
    for (resource, limit) in limits {
        let hard = rustix::process::getrlimit(*resource).maximum.map_or(*limit, |hard| hard.min(*limit));
        let new = Rlimit { current: Some(hard), maximum: Some(hard) };
        rustix::process::setrlimit(*resource, new).map_err(system("set a resource limit"))?;
    }
    Ok(())
}

/// Lets others go first where the processor is short. In the packaged unit the call is refused and makes no difference:
/// there the weights of units do it.
pub fn let_others_go_first() {
    let _ = rustix::process::setpriority_process(None, NICE);
}

/// Becomes the system user for good, and proves it. Only in a process of one thread.
pub fn drop_all(uid: Uid, gid: Gid) -> Result<(), PrivilegesError> {
    empty_bounding_set()?;
    rustix::thread::set_no_new_privs(true).map_err(system("set no_new_privs"))?;
    rustix::thread::set_thread_groups(&[]).map_err(system("drop supplementary groups"))?;
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(system("change the group"))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(system("change the user"))?;
    keep_capabilities(CapabilitySet::empty())?;
    verify_dropped(uid, gid)
}

/// As [`drop_all`]; where the process is that user already, who cannot become another one, it gives up all but that.
///
/// Supplementary groups stay then, and what the user's files are is for Landlock to keep away.
pub fn drop_all_or_stay(uid: Uid, gid: Gid) -> Result<(), PrivilegesError> {
    if rustix::process::getuid() != uid || uid.is_root() {
        return drop_all(uid, gid);
    }
    rustix::thread::set_no_new_privs(true).map_err(system("set no_new_privs"))?;
    keep_capabilities(CapabilitySet::empty())?;
    verify_identity(uid, gid)
}

/// Stays root by number, and keeps of root's rights only the one to kill.
pub fn keep_only_killing() -> Result<(), PrivilegesError> {
    empty_bounding_set()?;
    rustix::thread::set_no_new_privs(true).map_err(system("set no_new_privs"))?;
    keep_capabilities(CapabilitySet::KILL)
}

fn empty_bounding_set() -> Result<(), PrivilegesError> {
    for bit in 0..64 {
        match rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << bit)) {
            Ok(()) => {}
            // The first number that the kernel does not know.
            Err(Errno::INVAL) => break,
            Err(source) => return Err(system("empty the bounding set")(source)),
        }
    }
    Ok(())
}

fn keep_capabilities(kept: CapabilitySet) -> Result<(), PrivilegesError> {
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).map_err(system("drop capabilities"))
}

fn verify_dropped(uid: Uid, gid: Gid) -> Result<(), PrivilegesError> {
    if !rustix::process::getgroups().map_err(system("read the groups"))?.is_empty() {
        return Err(PrivilegesError::Remaining("supplementary groups"));
    }
    verify_identity(uid, gid)
}

fn verify_identity(uid: Uid, gid: Gid) -> Result<(), PrivilegesError> {
    let remaining = |what| Err(PrivilegesError::Remaining(what));
    if rustix::process::getuid() != uid || rustix::process::geteuid() != uid {
        return remaining("the user");
    }
    if rustix::process::getgid() != gid || rustix::process::getegid() != gid {
        return remaining("the group");
    }
    let held = rustix::thread::capabilities(None).map_err(system("read the capabilities"))?;
    if !(held.effective.is_empty() && held.permitted.is_empty() && held.inheritable.is_empty()) {
        return remaining("capabilities");
    }
    if rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).is_ok() {
        return remaining("the way back to root");
    }
    Ok(())
}

fn system(action: &'static str) -> impl Fn(Errno) -> PrivilegesError {
    move |source| PrivilegesError::System { action, source }
}
