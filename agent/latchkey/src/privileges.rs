//! What serve needs no more once it runs, given up at start. The unit takes away more.

use rustix::io::Errno;
use rustix::process::DumpableBehavior;

/// Keeps keys and tokens out of core dumps and away from other processes of its user, and lets no program that it would
/// start gain rights.
///
/// Call it before any thread is started.
pub(crate) fn give_up() -> Result<(), Errno> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::thread::set_no_new_privs(true)
}
