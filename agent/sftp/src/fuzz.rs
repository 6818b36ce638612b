//! What an SFTP client can send, as a function of bytes: the fuzz target of this crate.
//!
//! `cargo xtask fuzz` drives it; the tests replay what is kept in `fuzz/corpus`.

use bytes::Bytes;

use crate::packet::PACKET_MAX_BYTES;
use crate::packet::input::{Input, Packet};

/// A target: any bytes, and a panic if something is wrong.
pub type Target = fn(&[u8]);

/// Every target of this crate, by the name of its folder in `fuzz/corpus`.
pub const TARGETS: [(&str, Target); 1] = [("sftp-packets", packets)];

/// A client's stream. However it is cut into messages, the same requests come out, and the same bytes to write.
fn packets(bytes: &[u8]) {
    let whole = read(std::iter::once(bytes));
    for size in [1, 7, 4096] {
        assert!(read(bytes.chunks(size)) == whole, "in messages of {size} bytes something else was understood");
    }
}

/// Everything that a stream holds, WRITEs put together; and how it ended.
fn read<'a>(messages: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, Option<String>) {
    let mut input = Input::default();
    let mut understood = Vec::new();
    let mut written = Vec::new();
    for message in messages {
        input.push(Bytes::copy_from_slice(message));
        loop {
            match input.next() {
                Ok(None) => break,
                Ok(Some(Packet::Write(piece))) => {
                    written.extend_from_slice(&piece.bytes);
                    assert!(written.len() + piece.left <= PACKET_MAX_BYTES, "more is written than a packet holds");
                    if piece.left == 0 {
                        let start = piece.offset.wrapping_add(piece.bytes.len() as u64);
                        let start = start.wrapping_sub(written.len() as u64);
                        let is_at_the_end = piece.offset == u64::MAX || start > u64::MAX - written.len() as u64;
                        let start = if is_at_the_end { "the end".to_owned() } else { start.to_string() };
                        understood.push(format!("{} {:?} {start} {written:?}", piece.id, piece.handle));
                        written.clear();
                    }
                }
                Ok(Some(packet)) => understood.push(format!("{packet:?}")),
                Err(error) => return (understood, Some(error.to_string())),
            }
        }
    }
    (understood, None)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_is_kept_of_each_target_holds() {
        let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
        for (name, target) in TARGETS {
            let kept = std::fs::read_dir(corpora.join(name)).unwrap().map(|entry| entry.unwrap().path());
            let inputs: Vec<_> = kept.map(|path| std::fs::read(path).unwrap()).collect();
            assert!(inputs.len() >= 5, "the corpus of {name} is too small");
            inputs.iter().for_each(|input| target(input));
        }
    }

    #[test]
    fn what_was_understood_before_an_error_does_not_depend_on_the_messages() {
        packets(b"\0\0\0\x05\x01\0\0\0\x03\0\0\0\x05\x10\0\0\0\x01\xff");
    }
}
