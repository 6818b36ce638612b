//! Reading a zip: what its directory says has to be what is there, in each entry's own header too, and no two entries
//! may share bytes. Stored and deflated files, 64-bit sizes; nothing encrypted.

use std::{
    fs::File,
    io::{self, BufReader, Read},
};

use flate2::bufread::DeflateDecoder;
use latchkey_protocol::ArchiveFlaw;
use rawzip::{
    CompressionMethod, Crc32, CreatorSystem, FileReader, MAX_CENTRAL_DIRECTORY_RECORD_SIZE, ZipArchive, ZipEntry,
    ZipFileHeaderRecord,
};

use super::{
    limits::{BUFFER_BYTES, Budget, ENTRIES_MAX},
    name::EntryName,
    stop::Stop,
    stream::Counted,
    unpack::{Attributes, Unpacking},
};

/// The longest name with the longest extra field.
const LOCAL_MAX_BYTES: usize = 2 * 65_535;

/// What follows an entry whose sizes come after it, at least.
const DESCRIPTOR_BYTES: u64 = 12;

const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const LINK: u32 = 0o120_000;

type Zip = ZipArchive<FileReader>;

/// Unpacks all of it.
pub(super) fn unpack(file: File, budget: &Budget<'_>, into: &mut Unpacking<'_>) -> Result<(), Stop> {
    let length = file.metadata().map_err(Stop::of_read)?.len();
    let mut buffer = vec![0; MAX_CENTRAL_DIRECTORY_RECORD_SIZE.max(BUFFER_BYTES)];
    let zip = ZipArchive::from_file(file, &mut buffer).map_err(Stop::of_zip)?;
    check_bounds(&zip, length, &mut buffer, into)?;
    let mut local = vec![0; LOCAL_MAX_BYTES];
    let mut entries = zip.entries(&mut buffer);
    while let Some(record) = entries.next_entry().map_err(Stop::of_zip)? {
        unpack_entry(&zip, &record, (budget, &mut local), into)?;
    }
    // What comes now is about the archive as a whole.
    into.about(b"")
}

/// The archive is the whole file, and its entries are apart from each other.
fn check_bounds(zip: &Zip, length: u64, buffer: &mut [u8], into: &mut Unpacking<'_>) -> Result<(), Stop> {
    if zip.end_offset() != length {
        return Err(ArchiveFlaw::Surrounded.into());
    }
    if zip.entries_hint() > ENTRIES_MAX {
        return Err(ArchiveFlaw::Entries.into());
    }
    let mut parts = Vec::new();
    let mut entries = zip.entries(buffer);
    while let Some(record) = entries.next_entry().map_err(Stop::of_zip)? {
        into.about(record.file_path().as_bytes())?;
        let (_, end) = zip.get_entry(record.wayfinder()).map_err(Stop::of_zip)?.compressed_data_range();
        let after = if record.flags().has_data_descriptor() { DESCRIPTOR_BYTES } else { 0 };
        let end = end.checked_add(after).filter(|end| *end <= zip.directory_offset()).ok_or(ArchiveFlaw::Overlaps)?;
        parts.push((record.local_header_offset(), end));
        if parts.len() as u64 > ENTRIES_MAX {
            return Err(ArchiveFlaw::Entries.into());
        }
    }
    into.about(b"")?;
    if parts.len() as u64 != zip.entries_hint() {
        return Err(ArchiveFlaw::Ambiguous.into());
    }
    parts.sort_unstable();
    if parts.first().map_or(zip.directory_offset(), |(begin, _)| *begin) != 0 {
        return Err(ArchiveFlaw::Surrounded.into());
    }
    let share = |pair: &[(u64, u64)]| matches!(pair, [(_, end), (begin, _)] if begin < end);
    if parts.windows(2).any(share) { Err(ArchiveFlaw::Overlaps.into()) } else { Ok(()) }
}

fn unpack_entry(
    zip: &Zip,
    record: &ZipFileHeaderRecord<'_>,
    (budget, local): (&Budget<'_>, &mut [u8]),
    into: &mut Unpacking<'_>,
) -> Result<(), Stop> {
    let name = record.file_path().as_bytes();
    into.begin(name)?;
    let at = EntryName::parse(name)?;
    check_record(record)?;
    let entry = zip.get_entry(record.wayfinder()).map_err(Stop::of_zip)?;
    check_local(record, &entry, local)?;
    let attributes = Attributes { mode: record.mode().permissions(), modified: Some(modified(record)) };
    if at.is_folder {
        let is_empty = record.uncompressed_size_hint() == 0;
        return if is_empty { into.directory(&at, attributes) } else { Err(ArchiveFlaw::Ambiguous.into()) };
    }
    let packed = BufReader::with_capacity(BUFFER_BYTES, Counted::packed(entry.reader(), budget));
    match record.compression_method() {
        CompressionMethod::STORE => {
            let mut content = Checked::new(Counted::unfolded(packed, budget), record);
            into.file(&at, attributes, &mut content).map(drop)
        }
        CompressionMethod::DEFLATE => {
            let mut content = Checked::new(Counted::unfolded(DeflateDecoder::new(packed), budget), record);
            into.file(&at, attributes, &mut content)?;
            let read = content.inner.get_ref().total_in();
            if read == record.compressed_size_hint() { Ok(()) } else { Err(ArchiveFlaw::Size.into()) }
        }
        _ => Err(ArchiveFlaw::Unsupported.into()),
    }
}

/// What the directory alone says.
fn check_record(record: &ZipFileHeaderRecord<'_>) -> Result<(), ArchiveFlaw> {
    let name = record.file_path();
    if record.flags().is_encrypted() || record.compression_method() == CompressionMethod::AES {
        return Err(ArchiveFlaw::Encrypted);
    }
    let is_of_unix = matches!(record.version_made_by().creator_system(), CreatorSystem::UNIX | CreatorSystem::MACOS);
    if name.as_bytes().contains(&b'\\') && !is_of_unix {
        return Err(ArchiveFlaw::Backslash);
    }
    if record.flags().is_utf8() && std::str::from_utf8(name.as_bytes()).is_err() {
        return Err(ArchiveFlaw::Damaged);
    }
    // Of a folder the name decides: with it, the mode says that it is one, whatever else it says.
    match record.mode().value() & KIND {
        _ if name.is_dir() => {}
        // Nothing is said by systems that are not known.
        REGULAR | 0 => {}
        LINK => return Err(ArchiveFlaw::Link),
        DIRECTORY => return Err(ArchiveFlaw::Ambiguous),
        _ => return Err(ArchiveFlaw::Special),
    }
    let is_stored = record.compression_method() == CompressionMethod::STORE;
    let sizes_differ = record.compressed_size_hint() != record.uncompressed_size_hint();
    if is_stored && sizes_differ { Err(ArchiveFlaw::Size) } else { Ok(()) }
}

/// An entry's own header says the same as the directory, or that it is said after it.
fn check_local(
    record: &ZipFileHeaderRecord<'_>,
    entry: &ZipEntry<'_, FileReader>,
    buffer: &mut [u8],
) -> Result<(), Stop> {
    let local = entry.local_header(buffer).map_err(Stop::of_zip)?;
    let is_said_after = record.flags().has_data_descriptor();
    let agrees = |here: u64, there: u64| here == there || (is_said_after && here == 0);
    let is_same = local.file_path().as_bytes() == record.file_path().as_bytes()
        && local.compression_method() == record.compression_method()
        && local.flags().is_encrypted() == record.flags().is_encrypted()
        && local.flags().has_data_descriptor() == is_said_after
        && agrees(local.crc32().into(), record.crc32().into())
        && agrees(local.compressed_size_hint(), record.compressed_size_hint())
        && agrees(local.uncompressed_size_hint(), record.uncompressed_size_hint());
    if is_same { Ok(()) } else { Err(ArchiveFlaw::Ambiguous.into()) }
}

fn modified(record: &ZipFileHeaderRecord<'_>) -> i64 {
    use rawzip::time::{UtcDateTime, ZipDateTimeKind};
    match record.last_modified() {
        ZipDateTimeKind::Utc(time) => time.to_unix(),
        // Without a time zone: taken as if it were UTC.
        ZipDateTimeKind::Local(time) => {
            let parts = UtcDateTime::from_components(
                time.year(),
                time.month(),
                time.day(),
                time.hour(),
                time.minute(),
                time.second(),
                0,
            );
            parts.map_or(0, |time| time.to_unix())
        }
    }
}

/// A file of an archive: an error where it is not what the directory says.
struct Checked<R> {
    inner: R,
    sum: Crc32,
    length: u64,
    said: (u64, u32),
}

impl<R> Checked<R> {
    fn new(inner: R, record: &ZipFileHeaderRecord<'_>) -> Self {
        Self { inner, sum: Crc32::new(), length: 0, said: (record.uncompressed_size_hint(), record.crc32()) }
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        self.sum.update(into.get(..count).unwrap_or_default());
        self.length += count as u64;
        let (length, sum) = self.said;
        if self.length > length || (count == 0 && self.length < length) {
            return Err(io::Error::other(ArchiveFlaw::Size));
        }
        if count == 0 && self.sum.checksum() != sum {
            return Err(io::Error::other(ArchiveFlaw::Checksum));
        }
        Ok(count)
    }
}
