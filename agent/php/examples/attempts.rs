//! What tests execute in place of PHP: makes the system calls that PHP cannot be made to, and tells how each ended.
//!
//! Standard input names them, one per line; descriptor 3 (with `--plain` standard output) gets `NAME OUTCOME`, the outcome `ok` or the number of the
//! error. Arguments are such that a kernel without the refusal answers something else than EPERM where it can.
#![allow(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a program of tests that makes system calls nobody wraps"
)]

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::{fd::FromRawFd as _, linux::net::SocketAddrExt as _, unix::net},
    process::Command,
    ptr,
};

fn main() {
    let mut wanted = String::new();
    io::stdin().read_to_string(&mut wanted).unwrap();
    let plain = std::env::args().nth(1).is_some_and(|argument| argument == "--plain");
    let mut told = unsafe { File::from_raw_fd(if plain { 1 } else { 3 }) };
    for line in wanted.lines() {
        let outcome = match attempt(line) {
            Ok(()) => "ok".to_owned(),
            Err(error) => error.raw_os_error().map_or_else(|| error.to_string(), |number| number.to_string()),
        };
        writeln!(told, "{line} {outcome}").unwrap();
    }
}

fn attempt(line: &str) -> io::Result<()> {
    let (what, argument) = line.split_once(' ').unwrap_or((line, ""));
    match what {
        "read" => File::open(argument).map(drop),
        "list" => std::fs::read_dir(argument).map(drop),
        "write" => std::fs::write(argument, "x"),
        "make_directory" => std::fs::create_dir(argument),
        "execute" => Command::new(argument).arg("-v").stdout(io::stderr()).status().map(drop),
        "connect_tcp" => TcpStream::connect(argument).map(drop),
        "connect_unix" => net::UnixStream::connect(argument).map(drop),
        "connect_abstract" => {
            net::UnixStream::connect_addr(&net::SocketAddr::from_abstract_name(argument.as_bytes())?).map(drop)
        }
        "listen_tcp" => TcpListener::bind("127.0.0.1:0").map(drop),
        "resolve" => std::net::ToSocketAddrs::to_socket_addrs(&(argument, 80)).map(drop),
        "start_thread" => std::thread::Builder::new().spawn(|| ()).map(|thread| thread.join().unwrap()),
        "signal" => call(libc::SYS_kill, [argument.parse().unwrap(), 0, 0, 0, 0]),
        "become" => call(libc::SYS_setresuid, [0, 0, 0, 0, 0]),
        "socket" => {
            let mut numbers = argument.split(' ').map(|number| number.parse().unwrap());
            let (family, kind) = (numbers.next().unwrap(), numbers.next().unwrap());
            call(libc::SYS_socket, [family, kind, numbers.next().unwrap_or_default(), 0, 0])
        }
        "clone" => clone(argument.parse().unwrap()),
        "type_into_terminal" => call(libc::SYS_ioctl, [0, libc::TIOCSTI.cast_signed(), 0, 0, 0]),
        "call" => {
            let (number, how) = CALLS.iter().find(|(name, ..)| *name == argument).map(|(_, n, a)| (*n, *a)).unwrap();
            call(number, how)
        }
        // By its second number, which the kernel may not have: then the answer is ENOSYS.
        "call_x32" => call(libc::SYS_getpid | 0x4000_0000, [0; 5]),
        other => panic!("unknown attempt {other}"),
    }
}

/// Null pointers and numbers of nothing: EFAULT, EINVAL, EBADF or ESRCH from a kernel that looks at them.
const CALLS: &[(&str, i64, [i64; 5])] = &[
    ("ptrace", libc::SYS_ptrace, [0, 0, 0, 0, 0]),
    ("process_vm_readv", libc::SYS_process_vm_readv, [1, 0, 0, 0, 0]),
    ("pidfd_getfd", libc::SYS_pidfd_getfd, [-1, 0, 0, 0, 0]),
    ("kcmp", libc::SYS_kcmp, [1, 1, 0, 0, 0]),
    ("keyctl", libc::SYS_keyctl, [0, -3, 1, 0, 0]),
    ("add_key", libc::SYS_add_key, [0, 0, 0, 0, 0]),
    ("io_uring_setup", libc::SYS_io_uring_setup, [1, 0, 0, 0, 0]),
    ("userfaultfd", libc::SYS_userfaultfd, [1, 0, 0, 0, 0]),
    ("perf_event_open", libc::SYS_perf_event_open, [0, 0, 0, 0, 0]),
    ("bpf", libc::SYS_bpf, [-1, 0, 0, 0, 0]),
    ("unshare", libc::SYS_unshare, [libc::CLONE_NEWUSER as i64, 0, 0, 0, 0]),
    ("setns", libc::SYS_setns, [-1, 0, 0, 0, 0]),
    ("mount", libc::SYS_mount, [0, 0, 0, 0, 0]),
    ("chroot", libc::SYS_chroot, [0, 0, 0, 0, 0]),
    ("name_to_handle_at", libc::SYS_name_to_handle_at, [-1, 0, 0, 0, 0]),
    ("personality", libc::SYS_personality, [0x004_0000, 0, 0, 0, 0]),
    ("init_module", libc::SYS_init_module, [0, 0, 0, 0, 0]),
    ("kexec_load", libc::SYS_kexec_load, [0, 0, 0, 0, 0]),
    ("clone3", libc::SYS_clone3, [0, 0, 0, 0, 0]),
    ("ask_personality", libc::SYS_personality, [0xffff_ffff, 0, 0, 0, 0]),
];

fn call(number: i64, [a, b, c, d, e]: [i64; 5]) -> io::Result<()> {
    let result = unsafe { libc::syscall(number, a, b, c, d, e) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A child that ends at once, made with these flags.
fn clone(flags: i64) -> io::Result<()> {
    let child = unsafe {
        libc::syscall(libc::SYS_clone, flags | i64::from(libc::SIGCHLD), 0, ptr::null::<u8>(), ptr::null::<u8>(), 0)
    };
    match child {
        0 => unsafe { libc::_exit(0) },
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
