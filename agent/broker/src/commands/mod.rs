//! Commands that the operator wrote down for an adapter: read here from the operator's own file, and run.
//!
//! serve says which adapter, hosting and command it is about, and the values for the places that the operator left. The
//! program, its other arguments and its user come from the file alone.

mod kinds;
mod line;

use std::{io, os::fd::OwnedFd, path::PathBuf, time::Duration};

use latchkey_protocol::{COMMAND_DEADLINE_MAX_MS, CommandCall, CommandEnd, FrameSocket, seal_text};

use crate::{
    adapters::{component, config::AdaptersConfig},
    log,
    operators_file::{self, FileError, Grant},
    process::{self, ProcessError, Start},
    registry::Hosting,
    roots_own::{self, NotRoots},
    slots::{Full, Slots},
};
pub(crate) use line::Line;
use line::{Expected, RunsAs};

/// The operator's commands on this node.
#[derive(Debug)]
pub(crate) struct Commands {
    adapters: PathBuf,
    operators: PathBuf,
    slots: Slots,
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// How.
    pub(crate) end: CommandEnd,
    /// How much of the file is standard output.
    pub(crate) stdout_bytes: u32,
    /// What it wrote; none when it was killed.
    pub(crate) written: Option<OwnedFd>,
}

/// Why a command was not run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// There is none.
    #[error("no adapter of this name is installed")]
    Adapter,
    /// The time for it is out of its bounds.
    #[error("expected 1 to {COMMAND_DEADLINE_MAX_MS} milliseconds")]
    Deadline,
    /// The operator has no command of that name for the adapter.
    #[error("{} has no command {name:?}", file.display())]
    Missing { file: PathBuf, name: String },
    /// The operator's file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Somebody else than root could have written the program.
    #[error(transparent)]
    Program(#[from] NotRoots),
    /// A value is not what its place expects.
    #[error(transparent)]
    Arguments(#[from] Expected),
    /// As many as are allowed run.
    #[error("as many commands as the broker allows are running")]
    Full(Full),
    /// It cannot be started, or watched.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// What it wrote cannot be handed over.
    #[error("cannot hand over what a command wrote")]
    HandOver(#[source] io::Error),
}

impl Commands {
    /// Those of the operator's files in a folder. None runs yet.
    pub(crate) fn new(config: &AdaptersConfig) -> Self {
        let slots = Slots::new(config.commands, config.commands_per_hosting);
        Self { adapters: config.directory.clone(), operators: config.operators.clone(), slots }
    }

    /// Runs one about a hosting whose account was just looked at. Blocks until it has ended; ends it when `connection`
    /// does. What it started and what stayed in its process group is gone when it returns.
    pub(crate) fn run(
        &self,
        call: &CommandCall,
        hosting: &Hosting,
        connection: &FrameSocket,
    ) -> Result<Ended, CommandError> {
        // What the operator's file says is for an adapter that is there.
        component::open(&self.adapters, &call.adapter).map_err(|_| CommandError::Adapter)?;
        if !(1..=COMMAND_DEADLINE_MAX_MS).contains(&call.deadline_ms) {
            return Err(CommandError::Deadline);
        }
        let file = self.operators.join(format!("{}.toml", call.adapter));
        let line = operators_file::section::<Line>(&file, Grant::Command, &call.command)?;
        let line = line.ok_or_else(|| CommandError::Missing { file, name: call.command.clone() })?;
        let filled = line.filled(hosting, &call.arguments)?;
        roots_own::look_at(&line.program)?;
        let _slot = self.slots.take(&hosting.hosting).map_err(CommandError::Full)?;
        let start = Start {
            program: &line.program,
            arguments: filled.arguments,
            environment: Start::operators_environment(),
            stdin: filled.stdin,
            user: match line.runs_as {
                RunsAs::Root => None,
                RunsAs::Hosting => Some((hosting.uid, hosting.gid)),
            },
            time: line.timeout.min(Duration::from_millis(call.deadline_ms.into())),
        };
        let came = process::run(start, Some(connection))?;
        let (named, end) = (format!("{}: {}", call.adapter, call.command), format!("{:?}", came.end));
        log::info("a command ended", &[("hosting", &hosting.hosting), ("command", &named), ("end", &end)]);
        let killed = matches!(came.end, CommandEnd::TimedOut | CommandEnd::TooMuch);
        let written = (!killed).then(|| seal_text(&[&came.stdout[..], &came.stderr].concat()));
        let stdout_bytes = u32::try_from(came.stdout.len()).unwrap_or(u32::MAX);
        Ok(Ended {
            end: came.end,
            stdout_bytes,
            written: written.transpose().map_err(|errno| CommandError::HandOver(errno.into()))?,
        })
    }
}
