//! What a short program says to its standard error, kept in memory: neither side can make the other wait.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use rustix::fs::{MemfdFlags, SealFlags};

/// There is room for so much. A write that goes beyond is lost as a whole.
const MAX_BYTES: usize = 16 * 1024;

/// So much is told.
const TOLD_BYTES: usize = 2048;

/// A file for it.
pub(crate) fn paper() -> io::Result<File> {
    let paper = rustix::fs::memfd_create("said", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    rustix::fs::ftruncate(&paper, MAX_BYTES as u64)?;
    rustix::fs::fcntl_add_seals(&paper, SealFlags::GROW)?;
    Ok(File::from(paper))
}

/// What stands on it.
pub(crate) fn words(paper: &File) -> io::Result<String> {
    let mut words = vec![0; MAX_BYTES];
    paper.read_exact_at(&mut words, 0)?;
    let words: Vec<u8> = words.into_iter().take_while(|byte| *byte != 0).take(TOLD_BYTES).collect();
    Ok(String::from_utf8_lossy(&words).trim().to_owned())
}
