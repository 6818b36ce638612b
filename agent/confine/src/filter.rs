//! Filters of system calls, installed by seccomp.

use std::collections::BTreeMap;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, SeccompRule, TargetArch};

#[cfg(target_arch = "x86_64")]
const ARCH: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCH: TargetArch = TargetArch::aarch64;

/// A filter cannot be made or installed.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// It cannot be made.
    #[error("cannot write the filter of system calls")]
    Write(#[from] seccompiler::BackendError),
    /// The kernel does not take it.
    #[error("cannot install the filter of system calls")]
    Install(#[from] seccompiler::Error),
}

/// What a program takes that computes: memory, threads that run already, signals, the end.
pub const COMPUTING: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_getrandom,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// What happens to a call that is not on a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otherwise {
    /// It is answered with EPERM.
    Refused,
    /// The process ends.
    Killed,
}

/// Leaves this thread, and all that it starts, these calls and no others. Sets no_new_privs.
pub fn allow_only(calls: &[i64], otherwise: Otherwise) -> Result<(), FilterError> {
    Ok(seccompiler::apply_filter(&list(calls, otherwise)?)?)
}

/// Leaves all threads of this process these calls and no others. Sets no_new_privs.
pub fn allow_only_for_all_threads(calls: &[i64], otherwise: Otherwise) -> Result<(), FilterError> {
    Ok(seccompiler::apply_filter_all_threads(&list(calls, otherwise)?)?)
}

/// Installs rules for this thread and all that it starts: `matching` for what one of them fits, else `otherwise`.
pub fn install(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matching: SeccompAction,
) -> Result<(), FilterError> {
    let program: BpfProgram = SeccompFilter::new(rules, otherwise, matching, ARCH)?.try_into()?;
    Ok(seccompiler::apply_filter(&program)?)
}

fn list(calls: &[i64], otherwise: Otherwise) -> Result<BpfProgram, FilterError> {
    let otherwise = match otherwise {
        Otherwise::Refused => SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        Otherwise::Killed => SeccompAction::KillProcess,
    };
    let allowed = calls.iter().map(|number| (*number, vec![])).collect();
    Ok(SeccompFilter::new(allowed, otherwise, SeccompAction::Allow, ARCH)?.try_into()?)
}
