//! Writing a tar as GNU tar does.

use std::io::{Read, Write};

use latchkey_protocol::FileFault;
use rustix::fs::Stat;
use tar::{Builder, EntryType, Header};

use super::{pack::Pack, stop::fault_of_write};

/// What goes before an entry whose name has no room in its own header.
const LONG_NAME: &[u8] = b"././@LongLink";

/// How long a name in a header may be.
const NAME_BYTES: usize = 100;

/// A tar that is being written.
pub(super) struct TarPack<W: Write> {
    tar: Builder<W>,
}

impl<W: Write> TarPack<W> {
    pub(super) fn new(into: W) -> Self {
        Self { tar: Builder::new(into) }
    }

    fn append(&mut self, name: &[u8], header: &mut Header, content: impl Read) -> Result<(), FileFault> {
        if name.len() > NAME_BYTES {
            let mut long = Header::new_gnu();
            write_name(&mut long, LONG_NAME);
            long.set_entry_type(EntryType::GNULongName);
            long.set_mode(0o644);
            long.set_size(name.len() as u64 + 1);
            long.set_cksum();
            self.tar.append(&long, name.chain(&[0][..])).map_err(|error| fault_of_write(&error))?;
        }
        write_name(header, name);
        header.set_cksum();
        self.tar.append(header, content).map_err(|error| fault_of_write(&error))
    }
}

impl<W: Write> Pack for TarPack<W> {
    type Written = W;

    fn directory(&mut self, name: &[u8], stat: &Stat) -> Result<(), FileFault> {
        let mut header = header(stat, EntryType::Directory, 0);
        self.append(&[name, b"/"].concat(), &mut header, std::io::empty())
    }

    fn file(&mut self, name: &[u8], stat: &Stat, content: &mut impl Read) -> Result<(), FileFault> {
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        let mut header = header(stat, EntryType::Regular, size);
        // What it grows by meanwhile is not in it.
        let mut content = content.take(size);
        self.append(name, &mut header, &mut content)?;
        if content.limit() > 0 { Err(FileFault::Changed) } else { Ok(()) }
    }

    fn finish(self) -> Result<W, FileFault> {
        self.tar.into_inner().map_err(|error| fault_of_write(&error))
    }
}

fn header(stat: &Stat, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(stat.st_mode & 0o777);
    header.set_uid(stat.st_uid.into());
    header.set_gid(stat.st_gid.into());
    header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or_default());
    header.set_size(size);
    header
}

fn write_name(header: &mut Header, name: &[u8]) {
    for (into, byte) in header.as_old_mut().name.iter_mut().zip(name) {
        *into = *byte;
    }
}
