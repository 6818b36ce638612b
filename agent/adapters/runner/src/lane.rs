//! A lane: a socket on which serve has one call after another carried out.

use std::{
    net::Shutdown,
    os::{fd::AsFd as _, unix::net::UnixStream},
    sync::Arc,
    time::{Duration, Instant},
};

use latchkey_adapters::{
    Fault, FromRunner, HostFunction, Limits, ToRunner,
    call::LogLevel,
    frame::{self, FrameError},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{clock, component::Adapter, instance::Host, ticker::Ticker};

/// Serves a lane until the other side closes it or breaks the rules.
pub fn serve(stream: UnixStream, adapter: &Adapter, ticker: &Ticker) -> Result<(), FrameError> {
    let stream = Arc::new(stream);
    loop {
        let outcome = match frame::receive(&mut &*stream)? {
            ToRunner::Describe(limits) => {
                let _running = ticker.run();
                adapter.try_out(host(&stream, limits), limits).map_or_else(FromRunner::Ended, FromRunner::Described)
            }
            ToRunner::Call(call) => {
                let _running = ticker.run();
                ended(adapter.call(&call, host(&stream, call.limits)))
            }
            ToRunner::Measure(call) => {
                let _running = ticker.run();
                let (came, used) = adapter.measure(&call, host(&stream, call.limits));
                frame::send(&mut &*stream, &FromRunner::Used(used))?;
                ended(came)
            }
            ToRunner::Answer(_) | ToRunner::End(_) => {
                return stream.shutdown(Shutdown::Both).map_err(FrameError::from);
            }
        };
        frame::send(&mut &*stream, &outcome)?;
    }
}

fn ended(came: Result<Result<String, String>, Fault>) -> FromRunner {
    match came {
        Ok(Ok(value)) => FromRunner::Returned(value),
        Ok(Err(error)) => FromRunner::Failed(error),
        Err(fault) => FromRunner::Ended(fault),
    }
}

/// Answers every call of a lane with the reason why there is no adapter.
pub fn refuse(stream: &UnixStream, unfit: &Fault) -> Result<(), FrameError> {
    loop {
        let _asked: ToRunner = frame::receive(&mut &*stream)?;
        frame::send(&mut &*stream, &FromRunner::Ended(unfit.clone()))?;
    }
}

fn host(stream: &Arc<UnixStream>, limits: Limits) -> Box<dyn Host> {
    let until = clock::now() + Duration::from_millis(limits.wall_ms.into());
    Box::new(Serve { stream: Arc::clone(stream), limits, until })
}

/// Serve, at the other end of the lane.
#[derive(Debug)]
struct Serve {
    stream: Arc<UnixStream>,
    limits: Limits,
    until: Instant,
}

impl Host for Serve {
    fn ask(&mut self, function: HostFunction, arguments: Vec<u8>) -> Result<Vec<u8>, Fault> {
        frame::send(&mut &*self.stream, &FromRunner::Ask { function, arguments }).map_err(lost)?;
        // Serve knows the call's time as well; this is for one that does not answer.
        let left = self.until.saturating_duration_since(clock::now());
        if !self.is_ready(left) {
            return Err(Fault::Wall(self.limits.wall_ms));
        }
        match frame::receive(&mut &*self.stream).map_err(lost)? {
            ToRunner::Answer(answer) => Ok(answer),
            ToRunner::End(fault) => Err(fault),
            ToRunner::Call(_) | ToRunner::Measure(_) | ToRunner::Describe(_) => {
                Err(Fault::Protocol("a call inside of a call".into()))
            }
        }
    }

    fn log(&mut self, level: LogLevel, line: String) -> Result<(), Fault> {
        frame::send(&mut &*self.stream, &FromRunner::Log { level, line }).map_err(lost)
    }

    fn is_gone(&self) -> bool {
        // While a component runs, serve has nothing to say: what comes is the end.
        self.is_ready(Duration::ZERO)
    }
}

impl Serve {
    fn is_ready(&self, patience: Duration) -> bool {
        let until = clock::now() + patience;
        loop {
            let left = until.saturating_duration_since(clock::now());
            let mut watched = [PollFd::from_borrowed_fd(self.stream.as_fd(), PollFlags::IN)];
            match Timespec::try_from(left).map(|left| poll(&mut watched, Some(&left))) {
                Ok(Err(rustix::io::Errno::INTR)) => {}
                Ok(Ok(ready)) => return ready > 0,
                Ok(Err(_)) | Err(_) => return true,
            }
        }
    }
}

fn lost(error: FrameError) -> Fault {
    match error {
        FrameError::Closed => Fault::Cancelled,
        error => Fault::Protocol(error.to_string()),
    }
}
