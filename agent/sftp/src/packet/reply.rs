//! Replies, gathered in one buffer until they are worth a message on the channel.

use bytes::{BufMut as _, Bytes, BytesMut};
use latchkey_protocol::{FileAttributes, FileSystemSpace};

use super::attributes::put_attributes;
use super::fields::put_string;
use super::longname::longname;
use super::request::{EXTENSIONS, HandleId, RequestId};
use super::status::Status;
use super::{PACKET_MAX_BYTES, TRANSFER_ADVERTISED_BYTES, VERSION};

const VERSION_REPLY: u8 = 2;
const STATUS: u8 = 101;
const HANDLE: u8 = 102;
const DATA: u8 = 103;
const NAME: u8 = 104;
const ATTRIBUTES: u8 = 105;
const EXTENDED: u8 = 201;

/// Length, type, number and length of the bytes.
pub(crate) const DATA_HEADER_BYTES: usize = 4 + 1 + 4 + 4;

/// A name of a directory, with what is known of it.
#[derive(Debug)]
pub(crate) struct Listed<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) attributes: &'a FileAttributes,
}

/// Replies that were not sent yet.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    out: BytesMut,
}

impl Replies {
    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// All of them, to be sent; none are left.
    pub(crate) fn take(&mut self) -> Bytes {
        self.out.split().freeze()
    }

    pub(crate) fn version(&mut self) {
        self.packet(VERSION_REPLY, |out| {
            out.put_u32(VERSION);
            for (name, version) in EXTENSIONS {
                put_string(out, name.as_bytes());
                put_string(out, version.as_bytes());
            }
        });
    }

    pub(crate) fn status(&mut self, id: RequestId, status: Status) {
        self.packet(STATUS, |out| {
            out.put_u32(id);
            out.put_u32(status.code());
            put_string(out, status.text().as_bytes());
            put_string(out, b"en");
        });
    }

    pub(crate) fn handle(&mut self, id: RequestId, handle: HandleId) {
        self.packet(HANDLE, |out| {
            out.put_u32(id);
            put_string(out, &handle.0.to_be_bytes());
        });
    }

    pub(crate) fn attributes(&mut self, id: RequestId, attributes: &FileAttributes) {
        self.packet(ATTRIBUTES, |out| {
            out.put_u32(id);
            put_attributes(out, attributes);
        });
    }

    /// One name without attributes: what REALPATH and READLINK say.
    pub(crate) fn name(&mut self, id: RequestId, name: &[u8]) {
        self.packet(NAME, |out| {
            out.put_u32(id);
            out.put_u32(1);
            put_string(out, name);
            put_string(out, name);
            out.put_u32(0);
        });
    }

    /// Names of a directory; `now` in seconds since 1970.
    pub(crate) fn names<'a>(&mut self, id: RequestId, listed: impl ExactSizeIterator<Item = Listed<'a>>, now: i64) {
        self.packet(NAME, |out| {
            out.put_u32(id);
            out.put_u32(u32::try_from(listed.len()).unwrap_or(u32::MAX));
            for Listed { name, attributes } in listed {
                put_string(out, name);
                put_string(out, &longname(name, attributes, now));
                put_attributes(out, attributes);
            }
        });
    }

    pub(crate) fn limits(&mut self, id: RequestId, handles: usize) {
        self.packet(EXTENDED, |out| {
            out.put_u32(id);
            out.put_u64(PACKET_MAX_BYTES as u64);
            out.put_u64(TRANSFER_ADVERTISED_BYTES);
            out.put_u64(TRANSFER_ADVERTISED_BYTES);
            out.put_u64(handles as u64);
        });
    }

    pub(crate) fn space(&mut self, id: RequestId, space: &FileSystemSpace) {
        const READ_ONLY: u64 = 1;
        const NO_SET_UID: u64 = 2;
        self.packet(EXTENDED, |out| {
            out.put_u32(id);
            for number in [
                space.block_size,
                space.fragment_size,
                space.blocks,
                space.blocks_free,
                space.blocks_available,
                space.files,
                space.files_free,
                space.files_available,
                0,
                NO_SET_UID | if space.read_only { READ_ONLY } else { 0 },
                space.name_max,
            ] {
                out.put_u64(number);
            }
        });
    }

    /// DATA of at most `length` bytes that `read` puts into the buffer it is given, saying how many. When it says none
    /// or fails nothing is added: its answer goes back.
    pub(crate) fn read_into<E>(
        &mut self,
        id: RequestId,
        length: usize,
        read: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let start = self.out.len();
        self.out.put_bytes(0, DATA_HEADER_BYTES);
        self.out.put_bytes(0, length);
        let count = read(self.out.get_mut(start + DATA_HEADER_BYTES..).unwrap_or_default());
        match count {
            Ok(count) if count > 0 => {
                self.out.truncate(start + DATA_HEADER_BYTES + count);
                let header = data_header(id, count);
                self.out.iter_mut().skip(start).zip(header).for_each(|(byte, value)| *byte = value);
            }
            _ => self.out.truncate(start),
        }
        count
    }

    /// DATA that was read elsewhere.
    pub(crate) fn data(&mut self, id: RequestId, bytes: &[u8]) {
        self.out.put_slice(&data_header(id, bytes.len()));
        self.out.put_slice(bytes);
    }

    fn packet(&mut self, kind: u8, body: impl FnOnce(&mut BytesMut)) {
        let start = self.out.len();
        self.out.put_u32(0);
        self.out.put_u8(kind);
        body(&mut self.out);
        let length = u32::try_from(self.out.len() - start - 4).unwrap_or(u32::MAX);
        self.out.iter_mut().skip(start).zip(length.to_be_bytes()).for_each(|(byte, value)| *byte = value);
    }
}

fn data_header(id: RequestId, count: usize) -> [u8; DATA_HEADER_BYTES] {
    let mut header = [0; DATA_HEADER_BYTES];
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let mut out = header.as_mut_slice();
    out.put_u32(count + 9);
    out.put_u8(DATA);
    out.put_u32(id);
    out.put_u32(count);
    header
}
