//! Why packing or unpacking stops. Faults and flaws also travel through readers and writers, within their errors.

use std::io::{self, ErrorKind};

use latchkey_protocol::{ArchiveFlaw, FileFault};
use rustix::io::Errno;

use super::super::super::fault::fault;

/// Why unpacking stops.
#[derive(Debug)]
pub(super) enum Stop {
    /// Something about the node, or the task.
    Fault(FileFault),
    /// Something about the archive.
    Flaw(ArchiveFlaw),
}

impl From<FileFault> for Stop {
    fn from(fault: FileFault) -> Self {
        Self::Fault(fault)
    }
}

impl From<ArchiveFlaw> for Stop {
    fn from(flaw: ArchiveFlaw) -> Self {
        Self::Flaw(flaw)
    }
}

impl Stop {
    /// Of reading an archive.
    #[expect(clippy::needless_pass_by_value, reason = "as `map_err` has it")]
    pub(super) fn of_read(error: io::Error) -> Self {
        let within = error.get_ref();
        if let Some(fault) = within.and_then(|within| within.downcast_ref::<FileFault>()) {
            return Self::Fault(*fault);
        }
        if let Some(flaw) = within.and_then(|within| within.downcast_ref::<ArchiveFlaw>()) {
            return Self::Flaw(*flaw);
        }
        if let Some(code) = error.raw_os_error() {
            return Self::Fault(fault(Errno::from_raw_os_error(code)));
        }
        Self::Flaw(match error.kind() {
            ErrorKind::UnexpectedEof => ArchiveFlaw::Truncated,
            // The library has no other word for it.
            _ if error.to_string().contains("memory") => ArchiveFlaw::Memory,
            _ => ArchiveFlaw::Damaged,
        })
    }

    /// Within a reader or a writer.
    pub(super) fn within(self) -> io::Error {
        match self {
            Self::Fault(fault) => io::Error::other(fault),
            Self::Flaw(flaw) => io::Error::other(flaw),
        }
    }

    /// Of looking for the parts of a zip.
    pub(super) fn of_zip(error: rawzip::Error) -> Self {
        match error.into_kind() {
            rawzip::ErrorKind::IO(error) => Self::of_read(error),
            rawzip::ErrorKind::Eof | rawzip::ErrorKind::MissingEndOfCentralDirectory => {
                Self::Flaw(ArchiveFlaw::Truncated)
            }
            _ => Self::Flaw(ArchiveFlaw::Damaged),
        }
    }
}

/// Of writing an archive, and of reading what goes into it. One that would not be unpacked here is too much.
pub(super) fn fault_of_write(error: &io::Error) -> FileFault {
    let within = error.get_ref();
    if let Some(fault) = within.and_then(|within| within.downcast_ref::<FileFault>()) {
        return *fault;
    }
    if within.is_some_and(|within| within.is::<ArchiveFlaw>()) {
        return FileFault::TooMuch;
    }
    error.raw_os_error().map_or(FileFault::Io, |code| fault(Errno::from_raw_os_error(code)))
}

/// The same of a zip.
pub(super) fn fault_of_zip(error: rawzip::Error) -> FileFault {
    match error.into_kind() {
        rawzip::ErrorKind::IO(error) => fault_of_write(&error),
        _ => FileFault::Invalid,
    }
}
