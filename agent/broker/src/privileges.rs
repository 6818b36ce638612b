//! What the broker needs no more once it runs, given up at start. The unit takes away more.

use rustix::{io::Errno, process::DumpableBehavior};

/// Keeps its memory out of core dumps and away from tracing, and lets no program that it starts gain rights.
///
/// Call it before any thread is started.
pub fn give_up() -> Result<(), Errno> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::thread::set_no_new_privs(true)
}
