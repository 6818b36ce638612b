//! The bytes of one bridge call: request in, one line out, the log beside it, until PHP and all its children are gone.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use latchkey_protocol::{FrameError, FrameSocket, PhpCall, PhpEnd, Reply, Request};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::broker::{BrokerError, asked};

/// A site says no more than this in one answer.
const LONGEST_ANSWER: usize = 1 << 20;
/// This much of a site's log is kept, its end.
const KEPT_LOG: usize = 16 << 10;

/// What came of a call.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The first line that came out, if one came.
    pub(crate) line: Option<Vec<u8>>,
    /// The end of the log.
    pub(crate) log: Vec<u8>,
    /// How PHP ended.
    pub(crate) end: PhpEnd,
}

/// Runs one call over a fresh connection to the broker. Blocks until PHP has ended.
pub(crate) fn run(connection: &FrameSocket, call: PhpCall, request: &[u8]) -> Result<Outcome, BrokerError> {
    let (request_read, request_write) = pipe()?;
    let (reply_read, reply_write) = pipe()?;
    let (log_read, log_write) = pipe()?;
    for ours in [&request_write, &reply_read, &log_read] {
        rustix::io::ioctl_fionbio(ours, true).map_err(system)?;
    }
    let theirs = [request_read.as_fd(), reply_write.as_fd(), log_write.as_fd()];
    connection.send(&asked(Request::StartPhp(call)), &theirs)?;
    drop((request_read, reply_write, log_write));
    let mut streams = Streams {
        unsent: request,
        request: Some(request_write),
        reply: Some(reply_read),
        log: Some(log_read),
        answer: Vec::new(),
        said: Vec::new(),
    };
    streams.pump(connection)?;
    let reply = connection.receive::<Reply>()?.0;
    streams.drain();
    match reply {
        Reply::PhpEnded { end } => Ok(Outcome { line: first_line(streams.answer), log: streams.said, end }),
        Reply::Refused { code, field, message } => Err(BrokerError::Refused { code, field, message }),
        _ => Err(BrokerError::Unexpected),
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), BrokerError> {
    pipe_with(PipeFlags::CLOEXEC).map_err(system)
}

fn system(errno: Errno) -> BrokerError {
    BrokerError::Unreachable(FrameError::System { action: "exchange bytes with PHP", source: errno.into() })
}

fn first_line(mut answer: Vec<u8>) -> Option<Vec<u8>> {
    let end = answer.iter().position(|byte| *byte == b'\n')?;
    answer.truncate(end);
    Some(answer)
}

struct Streams<'r> {
    unsent: &'r [u8],
    request: Option<OwnedFd>,
    reply: Option<OwnedFd>,
    log: Option<OwnedFd>,
    answer: Vec<u8>,
    said: Vec<u8>,
}

impl Streams<'_> {
    /// Moves bytes until the broker has something to say.
    fn pump(&mut self, connection: &FrameSocket) -> Result<(), BrokerError> {
        loop {
            let mut watched = vec![PollFd::new(connection, PollFlags::IN)];
            let open = [(&self.request, PollFlags::OUT), (&self.reply, PollFlags::IN), (&self.log, PollFlags::IN)];
            watched.extend(open.into_iter().filter_map(|(fd, flags)| Some(PollFd::new(fd.as_ref()?, flags))));
            match poll(&mut watched, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(system(errno)),
            }
            let broker_spoke = watched.first().is_some_and(|fd| !fd.revents().is_empty());
            drop(watched);
            if broker_spoke {
                return Ok(());
            }
            self.write_request();
            self.drain();
        }
    }

    fn write_request(&mut self) {
        let Some(request) = &self.request else { return };
        match rustix::io::write(request, self.unsent) {
            Ok(count) => self.unsent = self.unsent.get(count..).unwrap_or_default(),
            Err(Errno::AGAIN | Errno::INTR) => return,
            // PHP does not want to read it; its answer will tell.
            Err(_) => self.unsent = &[],
        }
        if self.unsent.is_empty() {
            self.request = None;
        }
    }

    /// Reads what is there. What a site says beyond its limits is thrown away.
    fn drain(&mut self) {
        read_available(&mut self.reply, |bytes| {
            let room = (LONGEST_ANSWER + 1).saturating_sub(self.answer.len());
            self.answer.extend(bytes.iter().take(room));
        });
        read_available(&mut self.log, |bytes| {
            self.said.extend_from_slice(bytes);
            let excess = self.said.len().saturating_sub(KEPT_LOG);
            self.said.drain(..excess);
        });
    }
}

fn read_available(stream: &mut Option<OwnedFd>, mut take: impl FnMut(&[u8])) {
    let mut buffer = [0; 16 << 10];
    // Bounded, so that a site that never stops talking does not keep the broker waiting.
    for _ in 0..64 {
        let Some(fd) = stream.as_ref().map(AsFd::as_fd) else { return };
        match read_some(fd, &mut buffer) {
            Ok(0) => *stream = None,
            Ok(count) => take(buffer.get(..count).unwrap_or_default()),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return,
            Err(_) => *stream = None,
        }
    }
}

fn read_some(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> rustix::io::Result<usize> {
    rustix::io::read(fd, buffer)
}
