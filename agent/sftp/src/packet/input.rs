//! A stream of bytes as requests, one at a time and no sooner than they are asked for.
//!
//! A WRITE is handed on in the pieces in which it arrives, so that nobody needs memory for a whole one.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes, BytesMut};

use super::fields::Fields;
use super::request::{HandleId, Request, RequestId};
use super::{FramingError, PACKET_MAX_BYTES};

const INIT: u8 = 1;
const WRITE: u8 = 6;
/// Length and type.
const PREFIX_BYTES: usize = 5;
/// The longest handle that the protocol allows.
const HANDLE_MAX_BYTES: usize = 256;
/// What a WRITE has besides handle and payload: type, number, length of the handle, offset, length of the payload.
const WRITE_FIXED_BYTES: usize = 1 + 4 + 4 + 8 + 4;

/// What the stream holds next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    /// The beginning.
    Init { version: u32 },
    /// A request that is there as a whole.
    Request(RequestId, Request),
    /// Some bytes of a WRITE.
    Write(WritePiece),
}

/// Some bytes of a WRITE, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WritePiece {
    pub(crate) id: RequestId,
    pub(crate) handle: HandleId,
    /// Where these bytes go.
    pub(crate) offset: u64,
    pub(crate) bytes: Bytes,
    /// How many of the same request are still to come.
    pub(crate) left: usize,
}

/// Bytes that came in and what was begun with them.
#[derive(Debug, Default)]
pub(crate) struct Input {
    chunks: VecDeque<Bytes>,
    held: usize,
    write: Option<WriteUnderWay>,
    /// Bytes after the payload of a WRITE, still to be passed over. rclone 1.60 sends its whole buffer, however little of
    /// it is to be written, and OpenSSH's server takes no offence.
    surplus: usize,
    is_begun: bool,
}

#[derive(Debug, Clone, Copy)]
struct WriteUnderWay {
    id: RequestId,
    handle: HandleId,
    offset: u64,
    left: usize,
}

impl Input {
    /// More bytes of the stream. Who pushes only when [`Input::next`] has no more lets it hold less than one packet.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.held += bytes.len();
            self.chunks.push_back(bytes);
        }
    }

    /// The next that is there as a whole, or the next piece of a WRITE. `None`: more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Packet>, FramingError> {
        if let Some(write) = self.write {
            return Ok(self.write_piece(write));
        }
        while self.surplus > 0 {
            let Some(first) = self.chunks.front() else { return Ok(None) };
            let some = first.len().min(self.surplus);
            self.skip(some);
            self.surplus -= some;
        }
        let Some(length) = self.peek::<4>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length == 0 || length > PACKET_MAX_BYTES {
            return Err(FramingError::Length(length));
        }
        let Some([.., kind]) = self.peek::<PREFIX_BYTES>() else { return Ok(None) };
        if self.is_begun == (kind == INIT) {
            return Err(FramingError::Init);
        }
        if kind == WRITE {
            return self.begin_write(length);
        }
        if self.held < 4 + length {
            return Ok(None);
        }
        self.skip(PREFIX_BYTES);
        let mut fields = Fields::new(self.take(length - 1));
        if kind == INIT {
            self.is_begun = true;
            return Ok(Some(Packet::Init { version: fields.u32()? }));
        }
        let (id, request) = Request::parse(kind, &mut fields)?;
        Ok(Some(Packet::Request(id, request)))
    }

    /// Whether a packet has begun and is not over.
    pub(crate) const fn is_within_packet(&self) -> bool {
        self.held > 0 || self.surplus > 0 || self.write.is_some()
    }

    fn begin_write(&mut self, length: usize) -> Result<Option<Packet>, FramingError> {
        // Prefix, number, and the length of the handle, which says where the rest is.
        let Some(start) = self.peek::<{ PREFIX_BYTES + 8 }>() else { return Ok(None) };
        let [.., a, b, c, d] = start;
        let handle_bytes = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if handle_bytes > HANDLE_MAX_BYTES || length < WRITE_FIXED_BYTES + handle_bytes {
            return Err(FramingError::Truncated);
        }
        let header = WRITE_FIXED_BYTES + handle_bytes;
        if self.held < 4 + header {
            return Ok(None);
        }
        self.skip(PREFIX_BYTES);
        let mut fields = Fields::new(self.take(header - 1));
        let (id, handle, offset) = (fields.u32()?, HandleId::parse(&fields.string()?), fields.u64()?);
        let left = usize::try_from(fields.u32()?).unwrap_or(usize::MAX);
        self.surplus = (length - header).checked_sub(left).ok_or(FramingError::WriteLength)?;
        Ok(self.write_piece(WriteUnderWay { id, handle, offset, left }))
    }

    fn write_piece(&mut self, write: WriteUnderWay) -> Option<Packet> {
        let WriteUnderWay { id, handle, offset, left } = write;
        self.write = Some(write);
        let available = self.chunks.front().map_or(0, Bytes::len).min(left);
        if available == 0 && left > 0 {
            return None;
        }
        let bytes = self.take(available);
        let left = left - available;
        let next = offset.saturating_add(available as u64);
        self.write = (left > 0).then_some(WriteUnderWay { offset: next, left, ..write });
        Some(Packet::Write(WritePiece { id, handle, offset, bytes, left }))
    }

    /// The first `N` bytes, which stay.
    fn peek<const N: usize>(&self) -> Option<[u8; N]> {
        let mut first = self.chunks.iter().flatten().copied();
        let mut peeked = [0; N];
        for byte in &mut peeked {
            *byte = first.next()?;
        }
        Some(peeked)
    }

    fn skip(&mut self, count: usize) {
        drop(self.take(count));
    }

    /// The first `count` bytes, which have to be there. Copied only where they came in several chunks.
    fn take(&mut self, count: usize) -> Bytes {
        self.held -= count;
        if let Some(first) = self.chunks.front_mut()
            && first.len() > count
        {
            return first.split_to(count);
        }
        if self.chunks.front().is_some_and(|first| first.len() == count) {
            return self.chunks.pop_front().unwrap_or_default();
        }
        let mut taken = BytesMut::with_capacity(count);
        while taken.len() < count
            && let Some(first) = self.chunks.front_mut()
        {
            let some = first.len().min(count - taken.len());
            taken.extend_from_slice(&first.split_to(some));
            if !first.has_remaining() {
                self.chunks.pop_front();
            }
        }
        taken.freeze()
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut as _;

    use super::*;
    use crate::packet::fields::put_string;

    const INIT_PACKET: &[u8] = &[0, 0, 0, 5, INIT, 0, 0, 0, 3];

    fn packet(kind: u8, body: impl FnOnce(&mut BytesMut)) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(kind);
        body(&mut out);
        let mut whole = BytesMut::new();
        put_string(&mut whole, &out);
        whole.freeze()
    }

    fn begun() -> Input {
        let mut input = Input::default();
        input.push(Bytes::from_static(INIT_PACKET));
        assert_eq!(input.next(), Ok(Some(Packet::Init { version: 3 })));
        input
    }

    #[test]
    fn a_request_is_given_out_when_it_is_whole_and_not_before() {
        let mut input = begun();
        let close = packet(4, |out| {
            out.put_u32(7);
            put_string(out, &9_u32.to_be_bytes());
        });
        for byte in close.slice(..close.len() - 1) {
            input.push(Bytes::copy_from_slice(&[byte]));
            assert_eq!(input.next(), Ok(None));
        }
        input.push(close.slice(close.len() - 1..));
        assert_eq!(input.next(), Ok(Some(Packet::Request(7, Request::Close { handle: HandleId(9) }))));
        assert!(!input.is_within_packet());
    }

    #[test]
    fn a_write_is_given_out_in_the_pieces_in_which_it_arrives() {
        let mut input = begun();
        let write = packet(WRITE, |out| {
            out.put_u32(7);
            put_string(out, &9_u32.to_be_bytes());
            out.put_u64(1000);
            put_string(out, b"abcdef");
        });
        let (first, second) = (write.slice(..write.len() - 2), write.slice(write.len() - 2..));
        let piece = |offset, bytes: &'static [u8], left| {
            let bytes = Bytes::from_static(bytes);
            Ok(Some(Packet::Write(WritePiece { id: 7, handle: HandleId(9), offset, bytes, left })))
        };
        input.push(first);
        assert_eq!(input.next(), piece(1000, b"abcd", 2));
        assert_eq!(input.next(), Ok(None));
        assert!(input.is_within_packet());
        input.push(second);
        assert_eq!(input.next(), piece(1004, b"ef", 0));
        assert_eq!(input.next(), Ok(None));
    }

    #[test]
    fn a_write_of_nothing_is_one_piece() {
        let mut input = begun();
        input.push(packet(WRITE, |out| {
            out.put_u32(7);
            put_string(out, &[]);
            out.put_u64(0);
            put_string(out, b"");
        }));
        let piece = WritePiece { id: 7, handle: HandleId(0), offset: 0, bytes: Bytes::new(), left: 0 };
        assert_eq!(input.next(), Ok(Some(Packet::Write(piece))));
    }

    #[test]
    fn what_follows_the_bytes_to_write_is_passed_over_however_it_arrives() {
        let write = packet(WRITE, |out| {
            out.put_u32(7);
            put_string(out, &[]);
            out.put_u64(0);
            put_string(out, b"ab");
            out.put_slice(b"surplus");
        });
        let stat = packet(17, |out| {
            out.put_u32(8);
            put_string(out, b"x");
        });
        for size in [1, 5, 1000] {
            let mut input = begun();
            let mut understood = Vec::new();
            for message in [&write[..], &stat].concat().chunks(size) {
                input.push(Bytes::copy_from_slice(message));
                while let Some(packet) = input.next().unwrap() {
                    understood.push(packet);
                }
            }
            let last = Packet::Request(8, Request::Stat { path: Bytes::from_static(b"x") });
            assert_eq!(understood.last(), Some(&last), "{size}");
        }
    }

    #[track_caller]
    fn refused(bytes: &[u8], error: FramingError) {
        let mut input = begun();
        input.push(Bytes::copy_from_slice(bytes));
        assert_eq!(input.next(), Err(error));
    }

    #[test]
    fn what_is_framed_otherwise_ends_it() {
        refused(&[0, 0, 0, 0], FramingError::Length(0));
        refused(&[0, 4, 0, 1, 4], FramingError::Length(PACKET_MAX_BYTES + 1));
        refused(&[0xff, 0xff, 0xff, 0xff, 4], FramingError::Length(u32::MAX as usize));
        refused(INIT_PACKET, FramingError::Init);
        // A handle that is longer than its packet.
        refused(&packet(4, |out| out.put_slice(&[0, 0, 0, 1, 0, 0, 0, 9])), FramingError::Truncated);
        // One that is longer than any may be.
        refused(&packet(WRITE, |out| out.put_slice(&[0, 0, 0, 1, 0, 0, 1, 1])), FramingError::Truncated);
        let longer = packet(WRITE, |out| {
            out.put_u32(1);
            put_string(out, b"hand");
            out.put_u64(0);
            out.put_u32(5);
            out.put_slice(b"four");
        });
        refused(&longer, FramingError::WriteLength);
        let mut silent = Input::default();
        silent.push(packet(4, |out| out.put_u32(0)));
        assert_eq!(silent.next(), Err(FramingError::Init));
    }

    #[test]
    fn the_longest_packet_is_not_too_long() {
        let mut input = begun();
        let path = vec![b'x'; PACKET_MAX_BYTES - 9];
        input.push(packet(17, |out| {
            out.put_u32(1);
            put_string(out, &path);
        }));
        assert_eq!(input.next(), Ok(Some(Packet::Request(1, Request::Stat { path: path.into() }))));
    }
}
