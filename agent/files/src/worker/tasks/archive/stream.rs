//! Readers that count, and that stop where they have to.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
};

use super::{super::term::Term, limits::Budget};

/// Bytes of an archive.
pub(super) struct Counted<'b, R> {
    inner: R,
    budget: &'b Budget,
}

impl<'b, R> Counted<'b, R> {
    pub(super) const fn new(inner: R, budget: &'b Budget) -> Self {
        Self { inner, budget }
    }
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        self.budget.read(count);
        Ok(count)
    }
}

/// What an archive unfolds to; an error as soon as that is too much.
pub(super) struct Unfolded<'b, R> {
    inner: R,
    budget: &'b Budget,
}

impl<'b, R> Unfolded<'b, R> {
    pub(super) const fn new(inner: R, budget: &'b Budget) -> Self {
        Self { inner, budget }
    }

    pub(super) const fn get_ref(&self) -> &R {
        &self.inner
    }
}

impl<R: Read> Read for Unfolded<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        self.budget.unfolded(count).map_err(io::Error::other)?;
        Ok(count)
    }
}

/// A file that is packed; an error as soon as the task does not go on.
pub(super) struct Source<'t> {
    file: File,
    term: &'t Term,
    read: u64,
}

impl<'t> Source<'t> {
    pub(super) fn new(file: OwnedFd, term: &'t Term) -> Self {
        Self { file: file.into(), term, read: 0 }
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
        Ok(count)
    }
}
