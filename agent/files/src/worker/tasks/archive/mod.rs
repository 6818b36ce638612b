//! Archives: files are packed into one, and one is unpacked. All of its bytes are read and written here, in the confined
//! worker, as the hosting's system user: whoever made an archive can reach no more than whoever asks for it.
//!
//! `pack` and `unpack` know files and no format; the others know one format each.

mod limits;
mod name;
mod pack;
mod pack_tar;
mod pack_zip;
mod stop;
mod stream;
mod unpack;
mod unpack_tar;
mod unpack_zip;

use std::{
    fs::File,
    io::{BufReader, BufWriter, Read, Write},
    os::fd::OwnedFd,
};

use flate2::{Compression, bufread::MultiGzDecoder, write::GzEncoder};
use latchkey_protocol::{ArchiveFlaw, ArchiveFormat, BadArchive, FileFault, FileTaskDone, FileWork, Links};
use rustix::fs::{FileType, Mode, OFlags};

use self::{
    limits::{BUFFER_BYTES, Budget, WINDOW_LOG_MAX},
    pack::Pack,
    pack_tar::TarPack,
    pack_zip::ZipPack,
    stop::{Stop, fault_of_write},
    stream::Counted,
    unpack::Unpacking,
};
use super::{
    super::{
        fault::fault,
        resolve::{Rooted, look_at},
    },
    term::Term,
};

/// As gzip and zstd have it themselves.
const GZIP: Compression = Compression::new(6);
const ZSTD: i32 = 3;

/// Packs `from` into the new file `to`.
pub(super) fn archive(from: &[Rooted], to: &Rooted, format: ArchiveFormat, term: &Term) -> Result<FileWork, FileFault> {
    let (parent, name) = to.parent()?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // It may hold what others must not read.
    let file = rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600)).map_err(fault)?;
    let file = BufWriter::with_capacity(BUFFER_BYTES, File::from(file));
    let mut work = match format {
        ArchiveFormat::Zip => pack(from, ZipPack::new(file), term).map(|(work, _file)| work),
        ArchiveFormat::TarGz => {
            let (work, gzip) = pack(from, TarPack::new(GzEncoder::new(file, GZIP)), term)?;
            finish(gzip.finish()).map(|()| work)
        }
        ArchiveFormat::TarZst => {
            let budget = Budget::of_new(term);
            let encoder = zstd::stream::write::Encoder::new(Counted::packed(file, &budget), ZSTD);
            let encoder = Counted::unfolded(encoder.map_err(|error| fault_of_write(&error))?, &budget);
            let (work, zstd) = pack(from, TarPack::new(encoder), term)?;
            finish(zstd.into_inner().finish()).map(|()| work)
        }
    }?;
    let written = to.handle(Links::Meant)?;
    work.bytes = u64::try_from(look_at(&written)?.st_size).unwrap_or_default();
    Ok(work)
}

/// Packs all that is in the directory `from` as a zip into a pipe.
pub(super) fn zip(from: &Rooted, into: OwnedFd, term: &Term) -> Result<FileWork, FileFault> {
    if FileType::from_raw_mode(look_at(&into)?.st_mode) != FileType::Fifo {
        return Err(FileFault::Invalid);
    }
    let pipe = BufWriter::with_capacity(BUFFER_BYTES, File::from(into));
    let (work, _pipe) = pack(std::slice::from_ref(from), ZipPack::new(pipe), term)?;
    Ok(work)
}

fn pack<P: Pack>(from: &[Rooted], mut into: P, term: &Term) -> Result<(FileWork, P::Written), FileFault> {
    let work = pack::all(from, &mut into, term)?;
    Ok((work, into.finish()?))
}

fn finish(written: std::io::Result<impl Write>) -> Result<(), FileFault> {
    written.and_then(|mut file| file.flush()).map_err(|error| fault_of_write(&error))
}

/// Unpacks `from` into the new directory `to`. What is wrong with the archive is an answer; what is unpacked by then stays.
pub(super) fn extract(from: &Rooted, to: &Rooted, term: &Term) -> Result<FileTaskDone, FileFault> {
    let file = from.open(OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty())?;
    if FileType::from_raw_mode(look_at(&file)?.st_mode) != FileType::RegularFile {
        return Err(FileFault::NotRegular);
    }
    let mut unpacking = Unpacking::into(to, term)?;
    match unpack(File::from(file), &mut unpacking, term) {
        Ok(()) => Ok(FileTaskDone::Worked(unpacking.work())),
        Err(Stop::Flaw(flaw)) => Ok(FileTaskDone::Refused(BadArchive::of(unpacking.entry(), flaw))),
        Err(Stop::Fault(fault)) => Err(fault),
    }
}

/// The format is what the first bytes say: a name says what somebody called it.
fn unpack(file: File, into: &mut Unpacking<'_>, term: &Term) -> Result<(), Stop> {
    let budget = Budget::of(&file, term)?;
    begin_again(&file)?;
    let mut head = [0; 512];
    let known = read_head(&file, &mut head)?;
    match head.get(..known).unwrap_or_default() {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => unpack_zip::unpack(file, &budget, into),
        [0x1f, 0x8b, ..] => {
            let packed = BufReader::with_capacity(BUFFER_BYTES, Counted::packed(file, &budget));
            unpack_tar::unpack(Counted::unfolded(MultiGzDecoder::new(packed), &budget), into)
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let packed = BufReader::with_capacity(BUFFER_BYTES, Counted::packed(file, &budget));
            let mut decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(Stop::of_read)?;
            decoder.window_log_max(WINDOW_LOG_MAX).map_err(Stop::of_read)?;
            unpack_tar::unpack(Counted::unfolded(decoder, &budget), into)
        }
        plain if plain.get(257..262) == Some(b"ustar") => {
            let packed = BufReader::with_capacity(BUFFER_BYTES, Counted::packed(file, &budget));
            unpack_tar::unpack(Counted::unfolded(packed, &budget), into)
        }
        _ => Err(ArchiveFlaw::Unknown.into()),
    }
}

fn read_head(mut file: &File, head: &mut [u8]) -> Result<usize, Stop> {
    let mut known = 0;
    while let Some(rest) = head.get_mut(known..).filter(|rest| !rest.is_empty()) {
        match file.read(rest).map_err(Stop::of_read)? {
            0 => break,
            count => known += count,
        }
    }
    begin_again(file)?;
    Ok(known)
}

fn begin_again(file: &File) -> Result<(), FileFault> {
    rustix::fs::seek(file, rustix::fs::SeekFrom::Start(0)).map(drop).map_err(fault)
}
