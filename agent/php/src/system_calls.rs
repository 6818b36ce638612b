//! Which system calls PHP and its watcher may make, kept by seccomp.
//!
//! PHP has a list of what no site needs, each answered with EPERM: libraries try some of these and go on without, so
//! that killing would break sites that work. The units' own filters, an allow-list, stand above it. The watcher is
//! our own code of which all is known: it has an allow-list, and dies of anything else.

use std::collections::BTreeMap;

use latchkey_confine::filter::{self, FilterError, Otherwise};
use seccompiler::{BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

/// What no site needs, whatever its arguments.
const REFUSED: &[i64] = &[
    // Other processes: look into them, change them, take their descriptors.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    // Keys of the kernel.
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
    // Parts of the kernel that are large and of use to attackers above all.
    libc::SYS_bpf,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_lookup_dcookie,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_vmsplice,
    // Namespaces, mounts and roots.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    // The machine.
    libc::SYS_acct,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_settimeofday,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_nfsservctl,
    libc::SYS_reboot,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ustat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_sysfs,
];

/// New namespaces, asked for with `clone`. (A new time namespace comes with `unshare` and `clone3` only.)
const NAMESPACES: &[i32] = &[
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// The only kinds of sockets that a site needs: its database, caches, and the network.
const FAMILIES: &[i32] = &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];

#[expect(deprecated, reason = "deprecated is what is refused")]
/// Kinds of sockets that see or make whole packets.
const RAW: &[i32] = &[libc::SOCK_RAW, libc::SOCK_PACKET];

/// The kind stands in the low bits of the argument, flags above it.
const SOCKET_KIND: u64 = 0xf;

/// Orders to a terminal that type or paste for its user.
const TERMINAL_INPUT: &[u64] = &[libc::TIOCSTI, libc::TIOCLINUX];

/// `personality` with this only asks.
const PERSONALITY_QUERY: u64 = 0xffff_ffff;

/// All that waiting for a child, killing it and ending take.
const WATCHING: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fcntl,
    libc::SYS_futex,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_read,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_write,
];

/// Refuses this process, and all that it starts, what no site needs. Sets no_new_privs.
pub(crate) fn refuse_what_no_site_needs() -> Result<(), FilterError> {
    let every = |number: &i64| (*number, vec![]);
    let mut refused: BTreeMap<i64, Vec<SeccompRule>> = REFUSED.iter().map(every).collect();
    refused.insert(libc::SYS_clone, NAMESPACES.iter().map(|flag| has_flag(*flag)).collect::<Result<_, _>>()?);
    refused.insert(libc::SYS_socket, refused_sockets()?);
    refused.insert(libc::SYS_ioctl, TERMINAL_INPUT.iter().map(|order| is(1, *order)).collect::<Result<_, _>>()?);
    refused.insert(libc::SYS_personality, vec![is_not(0, &[PERSONALITY_QUERY])?]);
    // Its flags lie in memory, where a filter cannot look. The C library takes ENOSYS for an old kernel and uses clone.
    let unknown = BTreeMap::from([(libc::SYS_clone3, vec![])]);
    filter::install(unknown, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS.unsigned_abs()))?;
    filter::install(refused, SeccompAction::Allow, SeccompAction::Errno(libc::EPERM.unsigned_abs()))?;
    #[cfg(target_arch = "x86_64")]
    seccompiler::apply_filter(&x32_refused())?;
    Ok(())
}

/// Leaves this process nothing but waiting for its child; anything else ends it.
pub(crate) fn allow_only_watching() -> Result<(), FilterError> {
    filter::allow_only(WATCHING, Otherwise::Killed)
}

fn refused_sockets() -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let families: Vec<u64> = FAMILIES.iter().map(|family| u64::from(family.unsigned_abs())).collect();
    let mut rules = vec![is_not(0, &families)?];
    for kind in RAW {
        let kind = u64::from(kind.unsigned_abs());
        rules.push(rule(vec![condition(1, SeccompCmpOp::MaskedEq(SOCKET_KIND), kind)?])?);
    }
    Ok(rules)
}

fn has_flag(flag: i32) -> Result<SeccompRule, seccompiler::BackendError> {
    let flag = u64::from(flag.unsigned_abs());
    rule(vec![condition(0, SeccompCmpOp::MaskedEq(flag), flag)?])
}

fn is(argument: u8, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    rule(vec![condition(argument, SeccompCmpOp::Eq, value)?])
}

fn is_not(argument: u8, values: &[u64]) -> Result<SeccompRule, seccompiler::BackendError> {
    rule(values.iter().map(|value| condition(argument, SeccompCmpOp::Ne, *value)).collect::<Result<_, _>>()?)
}

fn condition(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    // The kernel looks at the low half of these arguments only, so the filter does too.
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
}

fn rule(conditions: Vec<SeccompCondition>) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(conditions)
}

/// Refuses the second set of numbers that x86-64 kernels may have for all these calls, by which a list is got around.
#[cfg(target_arch = "x86_64")]
fn x32_refused() -> BpfProgram {
    const X32: u32 = 0x4000_0000;
    let statement = |code: u32, jt, jf, k| seccompiler::sock_filter { code: code as u16, jt, jf, k };
    vec![
        // The number of the call is the first word of what a filter looks at.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, X32),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs()),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}
