//! Readers and writers that count, and that stop where they have to.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::OwnedFd,
};

use latchkey_protocol::FileFault;

use super::{super::term::Term, limits::Budget, stop::Stop};

/// Bytes that pass, each counted in a budget; an error as soon as they are too many.
pub(super) struct Counted<'b, T> {
    inner: T,
    budget: &'b Budget<'b>,
    count: Count<'b>,
}

type Count<'b> = fn(&Budget<'b>, usize) -> Result<(), Stop>;

impl<'b, T> Counted<'b, T> {
    /// Those of an archive.
    pub(super) fn packed(inner: T, budget: &'b Budget<'b>) -> Self {
        Self { inner, budget, count: Budget::packed }
    }

    /// Those that it unfolds to.
    pub(super) fn unfolded(inner: T, budget: &'b Budget<'b>) -> Self {
        Self { inner, budget, count: Budget::unfolded }
    }

    pub(super) const fn get_ref(&self) -> &T {
        &self.inner
    }

    pub(super) fn into_inner(self) -> T {
        self.inner
    }

    fn counted(&self, bytes: usize) -> io::Result<usize> {
        (self.count)(self.budget, bytes).map_err(Stop::within)?;
        Ok(bytes)
    }
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.read(into)?;
        self.counted(bytes)
    }
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.counted(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A file that is packed; an error as soon as the task does not go on, or it has become too long.
pub(super) struct Source<'t> {
    file: File,
    term: &'t Term,
    read: u64,
    most: u64,
}

impl<'t> Source<'t> {
    pub(super) fn new(file: OwnedFd, term: &'t Term, most: u64) -> Self {
        Self { file: file.into(), term, read: 0, most }
    }

    /// How many bytes were read.
    pub(super) const fn read_bytes(&self) -> u64 {
        self.read
    }
}

impl Read for Source<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.term.goes_on().map_err(io::Error::other)?;
        let count = self.file.read(into)?;
        self.read += count as u64;
        if self.read > self.most { Err(io::Error::other(FileFault::TooMuch)) } else { Ok(count) }
    }
}
