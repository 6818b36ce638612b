//! Writing a zip from its beginning to its end: sizes and checksums follow each file, so that one which grows or shrinks
//! while it is read is in it as it was read.

use std::io::{Read, Write};

use flate2::{Compression, write::DeflateEncoder};
use latchkey_protocol::FileFault;
use rawzip::{
    CompressionMethod, Header, ZipArchiveWriter, crc32, extra_fields::ExtraFieldId, path::EntryPath, time::UtcDateTime,
};
use rustix::fs::Stat;

use super::{
    limits::ZIP_ENTRIES_MAX,
    pack::Pack,
    stop::{fault_of_write, fault_of_zip},
};

/// As zip has it itself.
const DEFLATE: Compression = Compression::new(6);

/// The times that a zip can tell, in seconds since 1970: from 1980 to 2107.
const TIMES: (i64, i64) = (315_532_800, 4_354_819_198);

/// A zip that is being written.
pub(super) struct ZipPack<W> {
    zip: ZipArchiveWriter<W>,
}

impl<W: Write> ZipPack<W> {
    pub(super) fn new(into: W) -> Self {
        Self { zip: ZipArchiveWriter::new(into) }
    }
}

impl<W: Write> Pack for ZipPack<W> {
    type Written = W;

    const ENTRIES_MAX: u64 = ZIP_ENTRIES_MAX;

    fn directory(&mut self, name: &[u8], stat: &Stat) -> Result<(), FileFault> {
        let name = [name, b"/"].concat();
        let mut entry = self.zip.new_dir(path(&name)).last_modified(modified(stat)).unix_permissions(mode(stat));
        if let Some(text) = unicode_path(&name) {
            entry = entry
                .extra_field(ExtraFieldId::INFO_ZIP_UNICODE_PATH, &text, Header::default())
                .map_err(fault_of_zip)?;
        }
        entry.create().map(drop).map_err(fault_of_zip)
    }

    fn file(&mut self, name: &[u8], stat: &Stat, content: &mut impl Read) -> Result<(), FileFault> {
        let mut entry = self.zip.new_file(path(name)).compression_method(CompressionMethod::DEFLATE);
        entry = entry.last_modified(modified(stat)).unix_permissions(mode(stat));
        if let Some(text) = unicode_path(name) {
            entry = entry
                .extra_field(ExtraFieldId::INFO_ZIP_UNICODE_PATH, &text, Header::default())
                .map_err(fault_of_zip)?;
        }
        let (mut entry, data) = entry.start().map_err(fault_of_zip)?;
        let mut data = data.wrap(DeflateEncoder::new(&mut entry, DEFLATE));
        std::io::copy(content, &mut data).map_err(|error| fault_of_write(&error))?;
        let (encoder, descriptor) = data.finish().map_err(fault_of_zip)?;
        encoder.finish().map_err(|error| fault_of_write(&error))?;
        entry.finish(descriptor).map(drop).map_err(fault_of_zip)
    }

    fn finish(self) -> Result<W, FileFault> {
        self.zip.finish().map_err(fault_of_zip)
    }
}

/// What would be taken for something else than a byte of a name when text is made fit for a zip.
const PARTING: [u8; 2] = [b':', b'\\'];

/// Text is marked as such; other names are bytes.
fn path(name: &[u8]) -> EntryPath<'_> {
    match std::str::from_utf8(name) {
        Ok(text) if !text.is_ascii() && !holds_parting(name) => EntryPath::conformant(text),
        _ => EntryPath::verbatim(name),
    }
}

/// Text that cannot be marked is told beside the name (APPNOTE 4.6.9).
fn unicode_path(name: &[u8]) -> Option<Vec<u8>> {
    let is_unmarked = !name.is_ascii() && std::str::from_utf8(name).is_ok() && holds_parting(name);
    is_unmarked.then(|| [&[1], &crc32(name).to_le_bytes()[..], name].concat())
}

fn holds_parting(name: &[u8]) -> bool {
    name.iter().any(|byte| PARTING.contains(byte))
}

fn modified(stat: &Stat) -> UtcDateTime {
    UtcDateTime::from_unix(stat.st_mtime.clamp(TIMES.0, TIMES.1))
}

fn mode(stat: &Stat) -> u32 {
    stat.st_mode & 0o170_777
}
