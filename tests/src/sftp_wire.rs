//! A session of SFTP (version 3) whose every packet is the test's, over OpenSSH's `ssh`: for what no client does.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout};

use crate::file_accounts::Account;

/// Flags of OPEN.
pub mod flags {
    /// For reading.
    pub const READ: u32 = 0x01;
    /// For writing.
    pub const WRITE: u32 = 0x02;
    /// Made if there is none.
    pub const CREATE: u32 = 0x08;
    /// Emptied.
    pub const TRUNCATE: u32 = 0x10;
    /// What clients upload with.
    pub const UPLOAD: u32 = WRITE | CREATE | TRUNCATE;
}

/// Codes of STATUS.
pub mod status {
    /// There is no more.
    pub const EOF: u32 = 1;
    /// There is no such file.
    pub const NO_SUCH_FILE: u32 = 2;
    /// It is not allowed.
    pub const PERMISSION_DENIED: u32 = 3;
    /// It cannot be done.
    pub const FAILURE: u32 = 4;
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server says so: code and words.
    Refused(u32, String),
    /// The session is over.
    Over,
}

impl Fault {
    /// The code that the server gave.
    #[must_use]
    pub const fn code(&self) -> Option<u32> {
        match self {
            Self::Refused(code, _) => Some(*code),
            Self::Over => None,
        }
    }
}

/// A session.
pub struct Wire {
    ssh: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
    next: u32,
}

/// What a request is made of.
#[derive(Clone, Debug, Default)]
pub struct Body(Vec<u8>);

impl Body {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A text, with its length.
    #[must_use]
    pub fn text(mut self, text: impl AsRef<[u8]>) -> Self {
        let text = text.as_ref();
        self.0.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
        self.0.extend(text);
        self
    }

    /// A number of 32 bits.
    #[must_use]
    pub fn number(mut self, number: u32) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    /// A number of 64 bits.
    #[must_use]
    pub fn large(mut self, number: u64) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }
}

impl Wire {
    /// Signs in with the account's key.
    #[must_use]
    #[track_caller]
    pub fn open(account: &Account<'_>) -> Self {
        let mut ssh = account.subsystem().piped().unwrap();
        let (input, output) = (ssh.stdin.take(), ssh.stdout.take().unwrap());
        let mut wire = Self { ssh, input, output, next: 3 };
        // INIT has its version where others have their number.
        let (kind, _) = wire.ask(1, &Body::new()).expect("an answer to INIT");
        assert_eq!(kind, 2);
        wire
    }

    /// Sends a request and waits for its answer: the type, and what follows the number.
    ///
    /// # Errors
    /// When the answer is a STATUS that is not OK, or there is none.
    pub fn ask(&mut self, kind: u8, body: &Body) -> Result<(u8, Vec<u8>), Fault> {
        let mut packet = Vec::new();
        packet.extend(u32::try_from(body.0.len() + 5).unwrap().to_be_bytes());
        packet.push(kind);
        packet.extend(self.next.to_be_bytes());
        packet.extend(&body.0);
        self.next += 1;
        let sent = self.input.as_mut().ok_or(Fault::Over)?.write_all(&packet);
        sent.map_err(|_| Fault::Over)?;
        let mut length = [0; 4];
        self.output.read_exact(&mut length).map_err(|_| Fault::Over)?;
        let mut reply = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        self.output.read_exact(&mut reply).map_err(|_| Fault::Over)?;
        let (kind, rest) = (reply[0], reply[5..].to_vec());
        match (kind, number(&rest)) {
            (101, code) if code != 0 => {
                let words = &rest[8..][..usize::try_from(number(&rest[4..])).unwrap()];
                Err(Fault::Refused(code, String::from_utf8_lossy(words).into_owned()))
            }
            _ => Ok((kind, rest)),
        }
    }

    /// OPEN; the handle.
    ///
    /// # Errors
    /// As [`Wire::ask`].
    pub fn file(&mut self, path: &str, flags: u32) -> Result<Vec<u8>, Fault> {
        self.handle(3, &Body::new().text(path).number(flags).number(0))
    }

    /// OPENDIR; the handle.
    ///
    /// # Errors
    /// As [`Wire::ask`].
    pub fn directory(&mut self, path: &str) -> Result<Vec<u8>, Fault> {
        self.handle(11, &Body::new().text(path))
    }

    fn handle(&mut self, kind: u8, body: &Body) -> Result<Vec<u8>, Fault> {
        self.ask(kind, body).map(|(_, rest)| rest[4..].to_vec())
    }

    /// WRITE.
    ///
    /// # Errors
    /// As [`Wire::ask`].
    pub fn write(&mut self, handle: &[u8], offset: u64, bytes: &[u8]) -> Result<(), Fault> {
        self.ask(6, &Body::new().text(handle).large(offset).text(bytes)).map(drop)
    }

    /// READ of up to 32 KiB.
    ///
    /// # Errors
    /// As [`Wire::ask`].
    pub fn read(&mut self, handle: &[u8], offset: u64) -> Result<Vec<u8>, Fault> {
        let body = Body::new().text(handle).large(offset).number(32 << 10);
        self.ask(5, &body).map(|(_, rest)| rest[4..].to_vec())
    }

    /// READDIR; how many entries came.
    ///
    /// # Errors
    /// As [`Wire::ask`]; EOF when there are no more.
    pub fn entries(&mut self, handle: &[u8]) -> Result<u32, Fault> {
        self.ask(12, &Body::new().text(handle)).map(|(_, rest)| number(&rest))
    }

    /// CLOSE.
    ///
    /// # Errors
    /// As [`Wire::ask`].
    pub fn close(&mut self, handle: &[u8]) -> Result<(), Fault> {
        self.ask(4, &Body::new().text(handle)).map(drop)
    }

    /// A request about one path and nothing else.
    ///
    /// # Errors
    /// As [`Wire::ask`].
    pub fn about(&mut self, kind: u8, path: &str) -> Result<(), Fault> {
        self.ask(kind, &Body::new().text(path)).map(drop)
    }

    /// Waits until the client has seen the end, without having asked for anything.
    #[track_caller]
    pub fn sees_the_end(mut self) {
        let mut more = Vec::new();
        // An error is an end, too.
        drop(self.output.read_to_end(&mut more));
        assert!(more.is_empty(), "the server said something that nobody asked for: {more:?}");
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Without input it ends; the one who started it waits for it.
        drop(self.input.take());
        drop(self.ssh.wait());
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.get(..4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_be_bytes)
}
