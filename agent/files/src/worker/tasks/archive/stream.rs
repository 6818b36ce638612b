//! Readers and writers that count, and that stop where they have to.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::OwnedFd,
};

use latchkey_protocol::FileFault;

use super::{super::term::Term, limits::Budget, stop::Stop};

/// Bytes of an archive.
pub(super) struct Counted<'b, R> {
    inner: R,
    budget: &'b Budget<'b>,
}

impl<'b, R> Counted<'b, R> {
    pub(super) const fn new(inner: R, budget: &'b Budget<'b>) -> Self {
        Self { inner, budget }
    }
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        self.budget.packed(count).map_err(Stop::within)?;
        Ok(count)
    }
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.budget.packed(count).map_err(Stop::within)?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// What an archive unfolds to; an error as soon as that is too much.
pub(super) struct Unfolded<'b, R> {
    inner: R,
    budget: &'b Budget<'b>,
}

impl<'b, R> Unfolded<'b, R> {
    pub(super) const fn new(inner: R, budget: &'b Budget<'b>) -> Self {
        Self { inner, budget }
    }

    pub(super) const fn get_ref(&self) -> &R {
        &self.inner
    }

    pub(super) fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: Read> Read for Unfolded<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        self.budget.unfolded(count).map_err(Stop::within)?;
        Ok(count)
    }
}

impl<W: Write> Write for Unfolded<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.budget.unfolded(count).map_err(Stop::within)?;
        Ok(count)
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
