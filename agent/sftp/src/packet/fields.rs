//! The fields that packets consist of: numbers and strings, big-endian, each string with its length before it.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::FramingError;

/// Takes fields off the front of a packet.
#[derive(Debug)]
pub(crate) struct Fields {
    rest: Bytes,
}

impl Fields {
    pub(crate) const fn new(packet: Bytes) -> Self {
        Self { rest: packet }
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FramingError> {
        self.rest.try_get_u32().map_err(|_| FramingError::Truncated)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, FramingError> {
        self.rest.try_get_u64().map_err(|_| FramingError::Truncated)
    }

    /// A string; it shares the packet's memory.
    pub(crate) fn string(&mut self) -> Result<Bytes, FramingError> {
        let length = usize::try_from(self.u32()?).map_err(|_| FramingError::Truncated)?;
        if length > self.rest.len() { Err(FramingError::Truncated) } else { Ok(self.rest.split_to(length)) }
    }
}

/// Appends a string with its length before it.
pub(crate) fn put_string(out: &mut BytesMut, string: &[u8]) {
    out.put_u32(u32::try_from(string.len()).unwrap_or(u32::MAX));
    out.put_slice(string);
}
