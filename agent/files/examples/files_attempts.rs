//! What tests run to try from inside what a files worker must not be able to do: confines itself as the worker does, then
//! makes system calls, and tells how each ended.
//!
//! Arguments: uid, gid, home, and a bound of Landlock's ABI if there is one. Standard input names the attempts, one per
//! line; standard output gets `NAME OUTCOME`, the outcome `ok` or the number of the error.
#![allow(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a program of tests that makes system calls nobody wraps"
)]

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::Path,
};

use latchkey_files::{
    confinement,
    worker::{Home, Worker},
};
use latchkey_protocol::FrameSocket;
use rustix::{
    fs::{CWD, Mode},
    process::{Gid, Uid},
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut wanted = String::new();
    io::stdin().read_to_string(&mut wanted).unwrap();
    confinement::forget_inherited().unwrap();
    let (uid, gid) = (arguments[0].parse().unwrap(), arguments[1].parse().unwrap());
    confinement::become_user(Uid::from_raw(uid), Gid::from_raw(gid)).unwrap();
    let home = Home::open(Path::new(&arguments[2])).unwrap();
    confinement::keep_to(&home, arguments.get(3).map(|most| most.parse().unwrap())).unwrap();
    let (_near, far) = FrameSocket::pair().unwrap();
    let _worker = Worker::start(home, far).unwrap();
    confinement::keep_to_calls().unwrap();
    for line in wanted.lines() {
        let outcome = match attempt(line) {
            Ok(()) => "ok".to_owned(),
            Err(error) => error.raw_os_error().map_or_else(|| error.to_string(), |number| number.to_string()),
        };
        io::stdout().write_all(format!("{line} {outcome}\n").as_bytes()).unwrap();
    }
}

fn attempt(line: &str) -> io::Result<()> {
    let (what, argument) = line.split_once(' ').unwrap_or((line, ""));
    match what {
        "read" => File::open(argument).map(drop),
        "list" => File::open(argument).and_then(|directory| {
            Ok(rustix::fs::Dir::new(directory)?.read().map_or(Ok(()), |entry| entry.map(drop))?)
        }),
        "write" => fs::write(argument, "x"),
        "make_directory" => Ok(rustix::fs::mkdirat(CWD, argument, Mode::RWXU)?),
        "link_here" => {
            let (from, to) = argument.split_once(' ').unwrap();
            Ok(rustix::fs::linkat(CWD, from, CWD, to, rustix::fs::AtFlags::empty())?)
        }
        "grow" => {
            let (path, size) = argument.split_once(' ').unwrap();
            let file = File::options().write(true).open(path)?;
            Ok(rustix::fs::ftruncate(file, size.parse().unwrap())?)
        }
        "become" => call(libc::SYS_setresuid, [0, 0, 0, 0, 0]),
        "signal" => call(libc::SYS_kill, [argument.parse().unwrap(), 0, 0, 0, 0]),
        "socket" => call(libc::SYS_socket, [argument.parse().unwrap(), libc::SOCK_STREAM.into(), 0, 0, 0]),
        "call" => {
            let number = CALLS.iter().find(|(name, _)| *name == argument).unwrap().1;
            call(number, [0; 5])
        }
        other => panic!("unknown attempt {other}"),
    }
}

/// With nothing as arguments: EFAULT, EINVAL or a success from a kernel that looks at them.
const CALLS: &[(&str, i64)] = &[
    ("execve", libc::SYS_execve),
    ("execveat", libc::SYS_execveat),
    ("clone", libc::SYS_clone),
    ("clone3", libc::SYS_clone3),
    ("ptrace", libc::SYS_ptrace),
    ("process_vm_readv", libc::SYS_process_vm_readv),
    ("pidfd_open", libc::SYS_pidfd_open),
    ("io_uring_setup", libc::SYS_io_uring_setup),
    ("bpf", libc::SYS_bpf),
    ("unshare", libc::SYS_unshare),
    ("mount", libc::SYS_mount),
    ("chroot", libc::SYS_chroot),
    ("mknodat", libc::SYS_mknodat),
    ("fchownat", libc::SYS_fchownat),
    ("setxattr", libc::SYS_setxattr),
    ("open_by_handle_at", libc::SYS_open_by_handle_at),
    ("socketpair", libc::SYS_socketpair),
    ("connect", libc::SYS_connect),
    ("prctl", libc::SYS_prctl),
    ("setrlimit", libc::SYS_setrlimit),
    ("keyctl", libc::SYS_keyctl),
];

fn call(number: i64, [a, b, c, d, e]: [i64; 5]) -> io::Result<()> {
    let result = unsafe { libc::syscall(number, a, b, c, d, e) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
