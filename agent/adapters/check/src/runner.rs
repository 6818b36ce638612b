//! A runner as the kit sees it: the agent's end of its lanes, one call after another.

use std::{
    io,
    os::{fd::AsFd as _, unix::net::UnixStream},
    process::Child,
    time::Duration,
};

use latchkey_adapters::{
    Call, Description, Fault, FromRunner, Limits, ToRunner, Used,
    frame::{self, FrameError},
};
use latchkey_protocol::FrameSocket;
use serde_json::Value;

use crate::{
    programs::{Compiled, Programs, ProgramsError},
    world::{Answered, World},
};

/// How much longer than a call may take its runner may take to say so.
const GRACE: Duration = Duration::from_secs(2);

/// A runner that runs. Dropped, it ends.
#[derive(Debug)]
pub struct Runner {
    child: Child,
    control: Option<FrameSocket>,
    lane: Option<UnixStream>,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Came {
    /// The function returned that.
    Returned(Value),
    /// The function answered with that error of the interface.
    Failed(Value),
    /// It did not come to its own end.
    Ended(Fault),
    /// The kit closed the lane in the middle.
    Cut,
}

/// The runner does not do its part: nothing more can be said about the component.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// It cannot be started.
    #[error(transparent)]
    Start(#[from] ProgramsError),
    /// It is gone.
    #[error("the runner ended")]
    Gone(#[source] io::Error),
    /// It does not answer, or something else.
    #[error("the runner does not answer as it should")]
    Lane(#[from] FrameError),
    /// It ended a call for a reason that the kit is to blame for.
    #[error("the check has made a call that is none")]
    Unexpected(#[source] Fault),
    /// It says something that is no answer.
    #[error("the runner answers something else")]
    Misunderstood,
}

impl Runner {
    /// Starts one.
    pub fn start(programs: &Programs, compiled: &Compiled) -> Result<Self, RunnerError> {
        let (child, control) = programs.start(compiled)?;
        Ok(Self { child, control: Some(control), lane: None })
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the component is, once an instance was made and its types were looked at.
    pub fn describe(&mut self, limits: Limits) -> Result<Result<Description, Fault>, RunnerError> {
        let mut lane = self.lane(limits)?;
        frame::send(&mut lane, &ToRunner::Describe(limits))?;
        let answer = frame::receive(&mut lane)?;
        self.lane = Some(lane);
        match answer {
            FromRunner::Described(description) => Ok(Ok(description)),
            FromRunner::Ended(fault) => Ok(Err(fault)),
            _ => Err(RunnerError::Misunderstood),
        }
    }

    /// Makes a call in that world, as the agent does; says how it ended.
    pub fn call(&mut self, call: Call, world: &mut World) -> Result<Came, RunnerError> {
        let limits = call.limits;
        self.exchange(&ToRunner::Call(call), limits, world).map(|(came, _)| came)
    }

    /// Makes a call in that world; says how it ended, and what it used up unless it was cut.
    pub fn measure(&mut self, call: Call, world: &mut World) -> Result<(Came, Used), RunnerError> {
        let limits = call.limits;
        self.exchange(&ToRunner::Measure(call), limits, world)
    }

    fn exchange(&mut self, ask: &ToRunner, limits: Limits, world: &mut World) -> Result<(Came, Used), RunnerError> {
        let mut used = Used::default();
        let mut lane = self.lane(limits)?;
        frame::send(&mut lane, ask)?;
        let came = loop {
            match frame::receive(&mut lane)? {
                FromRunner::Ask { function, arguments } => match world.answer(function, &arguments) {
                    Answered::With(answer) => frame::send(&mut lane, &ToRunner::Answer(answer))?,
                    Answered::Misunderstood(why) => frame::send(&mut lane, &ToRunner::End(Fault::Protocol(why)))?,
                    // The lane is closed.
                    Answered::Cut => return Ok((Came::Cut, used)),
                },
                FromRunner::Log { .. } => {}
                FromRunner::Used(told) => used = told,
                FromRunner::Returned(value) => break Came::Returned(parsed(&value)?),
                FromRunner::Failed(error) => break Came::Failed(parsed(&error)?),
                FromRunner::Ended(fault) => break Came::Ended(fault),
                FromRunner::Described(_) => return Err(RunnerError::Misunderstood),
            }
        };
        self.lane = Some(lane);
        Ok((came, used))
    }

    fn lane(&mut self, limits: Limits) -> Result<UnixStream, RunnerError> {
        let lane = match self.lane.take() {
            Some(lane) => lane,
            None => self.new_lane()?,
        };
        let patience = Duration::from_millis(limits.wall_ms.into()) + GRACE;
        lane.set_read_timeout(Some(patience)).map_err(RunnerError::Gone)?;
        Ok(lane)
    }

    fn new_lane(&self) -> Result<UnixStream, RunnerError> {
        let (ours, theirs) = UnixStream::pair().map_err(RunnerError::Gone)?;
        let control = self.control.as_ref().ok_or(RunnerError::Misunderstood)?;
        let gone = |error: latchkey_protocol::FrameError| RunnerError::Gone(io::Error::other(error));
        control.send(&(), &[theirs.as_fd()]).map_err(gone)?;
        Ok(ours)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.control = None;
        // It ends by itself then; one that hangs does not.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parsed(json: &str) -> Result<Value, RunnerError> {
    serde_json::from_str(json).map_err(|_| RunnerError::Misunderstood)
}
