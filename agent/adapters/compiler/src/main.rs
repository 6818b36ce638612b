//! `latchkey-compiler`: compiles the component of descriptor 0 into descriptor 1, and ends.
//!
//! The broker starts it as root. It becomes a user without files, and what it reads was written by somebody unknown: it
//! reaches nothing but these two descriptors, for a limited time and with limited memory.

use std::{
    error::Error,
    ffi::OsString,
    io::{Read as _, Write as _},
    process::ExitCode,
};

use landlock::AccessNet;
use latchkey_confine::{
    asked::Arguments,
    descriptors,
    filter::{self, Otherwise},
    privileges,
    rules::Rules,
};
use latchkey_protocol::{COMPONENT_MAX_BYTES, chain};
use latchkey_runner::engine;
use rustix::process::Resource;

const MIB: u64 = 1024 * 1024;

/// Processor time in seconds.
const SECONDS: u64 = 60;

/// Memory in bytes.
const MEMORY_BYTES: u64 = 2048 * MIB;

/// The longest compiled component in bytes.
const COMPILED_MAX_BYTES: u64 = 256 * MIB;

/// All that compiling in one thread takes beside computing.
const CALLS: &[i64] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_clock_gettime,
    libc::SYS_sched_getaffinity,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_tgkill,
];

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whoever installs the adapter reads it.
            let _ = writeln!(std::io::stderr(), "{}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: impl Iterator<Item = OsString>) -> Result<(), Box<dyn Error>> {
    descriptors::close_strays()?;
    privileges::hide_memory()?;
    let identity = Arguments::parse(arguments)?.identity()?;
    privileges::limit(&[
        (Resource::Cpu, SECONDS),
        (Resource::Data, MEMORY_BYTES),
        (Resource::Fsize, COMPILED_MAX_BYTES),
        (Resource::Core, 0),
        (Resource::Nofile, 16),
    ])?;
    privileges::let_others_go_first();
    privileges::drop_all_or_stay(identity.uid, identity.gid)?;
    identity.end_with_broker()?;
    let engine = engine::engine()?;
    Rules::new(identity.landlock_at_most, AccessNet::BindTcp | AccessNet::ConnectTcp)?.apply()?;
    filter::allow_only(&[filter::COMPUTING, CALLS].concat(), Otherwise::Killed)?;
    let mut component = Vec::new();
    std::io::stdin().take(COMPONENT_MAX_BYTES + 1).read_to_end(&mut component)?;
    if component.len() as u64 > COMPONENT_MAX_BYTES {
        return Err(format!("the component is longer than {COMPONENT_MAX_BYTES} bytes").into());
    }
    let compiled = engine.precompile_component(&component)?;
    Ok(std::io::stdout().write_all(&compiled)?)
}
