//! Frames on a lane: a length of four bytes, little-endian, and as many bytes of postcard.
//!
//! The length is bounded before anything is allocated. Serve does the same without blocking.

use std::io::{self, Read, Write};

use serde::{Serialize, de::DeserializeOwned};

/// The longest frame in bytes, without its length: an answer to an HTTP request with what is around it.
pub const FRAME_MAX_BYTES: usize = 20 * 1024 * 1024;

/// A frame that is not longer is received in one piece.
const USUAL_BYTES: usize = 16 * 1024;

/// Bytes of a length.
pub const LENGTH_BYTES: usize = 4;

/// Why a frame was not sent or received. The lane is of no use afterwards.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other side closed the lane.
    #[error("the other side closed the lane")]
    Closed,
    /// Longer than [`FRAME_MAX_BYTES`].
    #[error("a frame is longer than {FRAME_MAX_BYTES} bytes")]
    TooLong,
    /// Not what was expected.
    #[error("a frame is malformed")]
    Malformed(#[source] postcard::Error),
    /// A value that cannot be written as a frame.
    #[error("a value cannot be written as a frame")]
    Encode(#[source] postcard::Error),
    /// The socket fails.
    #[error("the lane fails")]
    Socket(#[source] io::Error),
}

/// The bytes of a frame, its length first.
pub fn encode(value: &impl Serialize) -> Result<Vec<u8>, FrameError> {
    let bytes = postcard::to_extend(value, vec![0; LENGTH_BYTES]).map_err(FrameError::Encode)?;
    let length = bytes.len() - LENGTH_BYTES;
    let length = u32::try_from(length).ok().filter(|_| length <= FRAME_MAX_BYTES).ok_or(FrameError::TooLong)?;
    let mut bytes = bytes;
    if let Some(place) = bytes.first_chunk_mut::<LENGTH_BYTES>() {
        *place = length.to_le_bytes();
    }
    Ok(bytes)
}

/// How many bytes follow a length.
pub fn length(prefix: [u8; LENGTH_BYTES]) -> Result<usize, FrameError> {
    let length = usize::try_from(u32::from_le_bytes(prefix)).unwrap_or(usize::MAX);
    if length <= FRAME_MAX_BYTES { Ok(length) } else { Err(FrameError::TooLong) }
}

/// A value from the bytes that followed a length.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FrameError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(FrameError::Malformed(postcard::Error::DeserializeBadEncoding)),
        Err(error) => Err(FrameError::Malformed(error)),
    }
}

/// Sends one frame. Blocks.
pub fn send(stream: &mut impl Write, value: &impl Serialize) -> Result<(), FrameError> {
    stream.write_all(&encode(value)?).map_err(FrameError::from)
}

/// Receives one frame. Blocks.
pub fn receive<T: DeserializeOwned>(stream: &mut impl Read) -> Result<T, FrameError> {
    let mut prefix = [0; LENGTH_BYTES];
    stream.read_exact(&mut prefix)?;
    let expected = length(prefix)?;
    // At once what is usual; a longer one grows with what really comes.
    let mut bytes = vec![0; expected.min(USUAL_BYTES)];
    stream.read_exact(&mut bytes)?;
    let rest = expected - bytes.len();
    if rest > 0 && stream.take(rest as u64).read_to_end(&mut bytes)? < rest {
        return Err(FrameError::Closed);
    }
    decode(&bytes)
}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Self::Closed,
            _ => Self::Socket(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_received() {
        let mut bytes = Vec::new();
        send(&mut bytes, &("a", 7_u32)).unwrap();
        let received: (String, u32) = receive(&mut bytes.as_slice()).unwrap();
        assert_eq!(received, ("a".to_owned(), 7));
    }

    #[test]
    fn one_that_is_longer_than_usual_comes_whole() {
        for length in [USUAL_BYTES - 1, USUAL_BYTES, USUAL_BYTES + 1, 3 * USUAL_BYTES] {
            let value = vec![7_u8; length];
            let bytes = encode(&value).unwrap();
            assert_eq!(receive::<Vec<u8>>(&mut bytes.as_slice()).unwrap(), value);
            let cut = bytes.get(..bytes.len() - 1).unwrap();
            assert!(matches!(receive::<Vec<u8>>(&mut &*cut), Err(FrameError::Closed)), "{length}");
        }
    }

    #[test]
    fn a_frame_that_is_too_long_cut_or_followed_by_more_is_refused() {
        let long = u32::try_from(FRAME_MAX_BYTES + 1).unwrap().to_le_bytes();
        assert!(matches!(receive::<u8>(&mut long.as_slice()), Err(FrameError::TooLong)));
        assert!(matches!(receive::<u8>(&mut [5, 0, 0, 0, 1].as_slice()), Err(FrameError::Closed)));
        assert!(matches!(receive::<u8>(&mut [2, 0, 0, 0, 1, 1].as_slice()), Err(FrameError::Malformed(_))));
        assert!(matches!(encode(&vec![0_u8; FRAME_MAX_BYTES + 1]), Err(FrameError::TooLong)));
    }
}
