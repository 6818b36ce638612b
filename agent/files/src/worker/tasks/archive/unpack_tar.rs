//! Reading a tar: old, POSIX and GNU headers, with long names. Links, sparse files and parts of several volumes are not.

use std::io::Read;

use latchkey_protocol::{ArchiveFlaw, SITE_PATH_MAX_BYTES};
use tar::{EntryType, Header};

use super::{
    limits::EXTENSION_MAX_BYTES,
    name::EntryName,
    stop::Stop,
    unpack::{Attributes, Unpacking},
};

const BLOCK: usize = 512;

/// What headers before that of an entry say of it.
#[derive(Default)]
struct Said {
    name: Option<Vec<u8>>,
    size: Option<u64>,
    modified: Option<i64>,
}

/// Unpacks all of it.
pub(super) fn unpack(mut tar: impl Read, into: &mut Unpacking<'_>) -> Result<(), Stop> {
    let mut said = Said::default();
    loop {
        let mut block = [0; BLOCK];
        tar.read_exact(&mut block).map_err(Stop::of_read)?;
        if block.iter().all(|byte| *byte == 0) {
            into.about(b"")?;
            return only_zeros(tar);
        }
        let header = Header::from_byte_slice(&block);
        if !has_its_checksum(header) {
            return Err(ArchiveFlaw::Damaged.into());
        }
        let size = header.entry_size().map_err(Stop::of_read)?;
        match header.entry_type() {
            EntryType::GNULongName => said.name = Some(long_name(&mut tar, size)?),
            EntryType::XHeader => said.read(&extension(&mut tar, size)?)?,
            // What is said of all entries: a comment, as of git.
            EntryType::XGlobalHeader => Said::default().read_none(&extension(&mut tar, size)?)?,
            _ => unpack_entry(&mut tar, header, std::mem::take(&mut said), into)?,
        }
    }
}

fn unpack_entry(tar: &mut impl Read, header: &Header, said: Said, into: &mut Unpacking<'_>) -> Result<(), Stop> {
    let name = said.name.unwrap_or_else(|| header.path_bytes().into_owned());
    into.begin(&name)?;
    let at = EntryName::parse(&name)?;
    let size = said.size.map_or_else(|| header.entry_size().map_err(Stop::of_read), Ok)?;
    let modified = said.modified.or_else(|| i64::try_from(header.mtime().ok()?).ok());
    let attributes = Attributes { mode: header.mode().map_err(Stop::of_read)?, modified };
    let mut content = tar.take(size);
    match header.entry_type() {
        EntryType::Directory => into.directory(&at, attributes)?,
        // As tar wrote it before there was a type for directories.
        EntryType::Regular if at.is_folder => into.directory(&at, attributes)?,
        EntryType::Regular | EntryType::Continuous => {
            if into.file(&at, attributes, &mut content)? < size {
                return Err(ArchiveFlaw::Truncated.into());
            }
        }
        EntryType::Link | EntryType::Symlink | EntryType::GNULongLink => return Err(ArchiveFlaw::Link.into()),
        EntryType::Char | EntryType::Block | EntryType::Fifo => return Err(ArchiveFlaw::Special.into()),
        _ => return Err(ArchiveFlaw::Unsupported.into()),
    }
    let left = content.limit();
    skip(tar, left.saturating_add(padding(size)))
}

impl Said {
    /// Reads an extended header (pax): `LENGTH KEY=VALUE\n`, as often as there is room.
    fn read(&mut self, mut records: &[u8]) -> Result<(), Stop> {
        while !records.is_empty() {
            let (key, value, rest) = record(records).ok_or(ArchiveFlaw::Damaged)?;
            let text = std::str::from_utf8(value).ok();
            match key {
                b"path" => self.name = Some(value.to_vec()),
                b"size" => {
                    let size = text.and_then(|text| text.parse().ok());
                    self.size = Some(size.ok_or(ArchiveFlaw::Damaged)?);
                }
                b"mtime" => {
                    let whole = text.and_then(|text| text.split('.').next());
                    self.modified = whole.and_then(|text| text.parse().ok());
                }
                sparse if sparse.starts_with(b"GNU.sparse.") => return Err(ArchiveFlaw::Unsupported.into()),
                _ => {}
            }
            records = rest;
        }
        Ok(())
    }

    /// The same where nothing may be said that decides what an entry is.
    fn read_none(mut self, records: &[u8]) -> Result<(), Stop> {
        self.read(records)?;
        if self.name.is_some() || self.size.is_some() { Err(ArchiveFlaw::Unsupported.into()) } else { Ok(()) }
    }
}

fn record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(records.get(..space)?).ok()?.parse().ok()?;
    let (whole, rest) = records.split_at_checked(length)?;
    let said = whole.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = said.iter().position(|byte| *byte == b'=')?;
    Some((said.get(..equals)?, said.get(equals + 1..)?, rest))
}

fn long_name(tar: &mut impl Read, size: u64) -> Result<Vec<u8>, Stop> {
    if size > SITE_PATH_MAX_BYTES as u64 + 1 {
        return Err(ArchiveFlaw::LongName.into());
    }
    let mut name = extension(tar, size)?;
    if name.last() == Some(&0) {
        name.pop();
    }
    Ok(name)
}

/// What follows a header that is about the next one.
fn extension(tar: &mut impl Read, size: u64) -> Result<Vec<u8>, Stop> {
    if size > EXTENSION_MAX_BYTES {
        return Err(ArchiveFlaw::Unsupported.into());
    }
    let mut said = vec![0; usize::try_from(size).unwrap_or_default()];
    tar.read_exact(&mut said).map_err(Stop::of_read)?;
    skip(tar, padding(size))?;
    Ok(said)
}

const fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64).saturating_sub(size)
}

fn skip(tar: &mut impl Read, bytes: u64) -> Result<(), Stop> {
    let skipped = std::io::copy(&mut tar.take(bytes), &mut std::io::sink()).map_err(Stop::of_read)?;
    if skipped < bytes { Err(ArchiveFlaw::Truncated.into()) } else { Ok(()) }
}

fn only_zeros(mut tar: impl Read) -> Result<(), Stop> {
    let mut block = [0; BLOCK];
    loop {
        match tar.read(&mut block).map_err(Stop::of_read)? {
            0 => return Ok(()),
            count if block.iter().take(count).all(|byte| *byte == 0) => {}
            _ => return Err(ArchiveFlaw::Surrounded.into()),
        }
    }
}

/// The sum of all bytes of the header, with spaces where the sum is.
fn has_its_checksum(header: &Header) -> bool {
    let sum = |(at, byte): (usize, &u8)| u32::from(if (148..156).contains(&at) { b' ' } else { *byte });
    let found: u32 = header.as_bytes().iter().enumerate().map(sum).sum();
    header.cksum().is_ok_and(|said| said == found)
}
