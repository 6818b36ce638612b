//! SFTP version 3 in bytes: requests as they come in, replies as they go out.
//!
//! Nothing here opens a file or knows who asks. Names are bytes and stay bytes. What is not framed as the protocol says
//! ends the session: after one wrong length nothing that follows can be believed.

pub(crate) mod attributes;
pub(crate) mod fields;
pub(crate) mod input;
pub(crate) mod longname;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod status;

/// The longest packet in bytes, without its length field; what OpenSSH's client accepts and sends at most.
pub(crate) const PACKET_MAX_BYTES: usize = 256 * 1024;

/// The most that one read returns in bytes: with its header it fills [`PACKET_MAX_BYTES`].
pub(crate) const READ_MAX_BYTES: usize = PACKET_MAX_BYTES - 9;

/// What `limits@openssh.com` advertises for one read or write, in bytes: room for a header with a long handle is left.
pub(crate) const TRANSFER_ADVERTISED_BYTES: u64 = PACKET_MAX_BYTES as u64 - 1024;

/// The version that is spoken.
pub(crate) const VERSION: u32 = 3;

/// What is wrong with a packet. It ends the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FramingError {
    /// A length that no packet has.
    #[error("a packet of {0} bytes")]
    Length(usize),
    /// The packet ends before its fields do.
    #[error("a packet that ends within a field")]
    Truncated,
    /// More bytes to write than the packet has.
    #[error("a write of more bytes than its packet has")]
    WriteLength,
    /// The first packet is no INIT, or there is a second one.
    #[error("an INIT that is missing or comes twice")]
    Init,
}
