//! Entries for the systemd journal, in its native protocol: one datagram of `KEY=value` lines.
//!
//! <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>. The journal is a second copy, which a node can forward; the broker's own
//! file is the one that is compared with, because a journal is rotated and may live in memory only.

use std::{io, path::PathBuf};

use latchkey_protocol::RecordedHead;
use rustix::{
    io::Errno,
    net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType},
};

/// Where the journal listens.
#[derive(Debug, Clone)]
pub struct Journal {
    socket: PathBuf,
}

impl Journal {
    /// The journal behind this socket, which need not exist.
    pub fn at(socket: PathBuf) -> Journal {
        Journal { socket }
    }

    /// Writes a head down, where there is a journal. Never blocks: a journal that is stuck gets nothing.
    pub fn note(&self, head: &RecordedHead) -> io::Result<()> {
        let RecordedHead { seq, hash, .. } = head;
        // None of the values can hold a line break: they are numbers and hexadecimal digits.
        let entry = format!(
            "MESSAGE=audit head {head}\nPRIORITY=5\nSYSLOG_IDENTIFIER=latchkey-broker\nLATCHKEY_AUDIT_SEQ={seq}\n\
             LATCHKEY_AUDIT_HASH={hash}\n"
        );
        let address = SocketAddrUnix::new(&self.socket)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
        match rustix::net::sendto(&socket, entry.as_bytes(), SendFlags::NOSIGNAL, &address) {
            Ok(_) | Err(Errno::NOENT | Errno::CONNREFUSED) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    fn head() -> RecordedHead {
        RecordedHead { seq: 7, hash: "a".repeat(64), set_back_to: None }
    }

    #[test]
    fn an_entry_is_fields_that_a_journal_can_be_searched_by() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = UnixDatagram::bind(&path).unwrap();
        Journal::at(path).note(&head()).unwrap();
        let mut bytes = [0; 1024];
        let length = listener.recv(&mut bytes).unwrap();
        let text = String::from_utf8(bytes[..length].to_vec()).unwrap();
        let fields: Vec<_> = text.lines().map(|line| line.split_once('=').unwrap()).collect();
        let hash = "a".repeat(64);
        assert!(fields.contains(&("LATCHKEY_AUDIT_SEQ", "7")), "{text}");
        assert!(fields.contains(&("LATCHKEY_AUDIT_HASH", hash.as_str())), "{text}");
        assert!(fields.contains(&("SYSLOG_IDENTIFIER", "latchkey-broker")), "{text}");
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn no_journal_is_no_fault_and_a_stuck_one_does_not_block() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let journal = Journal::at(path.clone());
        journal.note(&head()).unwrap();
        let _never_read = UnixDatagram::bind(&path).unwrap();
        let stuck = (0..10_000).find_map(|_| journal.note(&head()).err());
        assert_eq!(stuck.unwrap().kind(), io::ErrorKind::WouldBlock);
    }
}
