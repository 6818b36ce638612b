//! Cron entries that are run at once, as cron would run them: by `/bin/sh`, in the home, with cron's few variables.
//!
//! serve may write whatever it likes into these crontabs where the operator says so, and cron runs it. Only there does this
//! run anything, for the same users, and more confined than cron does: in a PID namespace, within limits.

use std::{ffi::OsString, os::fd::OwnedFd, path::Path, time::Duration};

use latchkey_protocol::{
    CRON_COMMAND_MAX_BYTES, CRON_RUN_DEADLINE_MAX_MS, CommandEnd, CronRun, FrameSocket, seal_text,
};

use crate::{
    log,
    process::{self, ProcessError, Start},
    refusal::Refusal,
    registry::Hosting,
    slots::{Full, Slots},
};

/// So many run at a time, and so many of one hosting.
const AT_A_TIME: usize = 16;
const AT_A_TIME_PER_HOSTING: usize = 4;

const SHELL: &str = "/bin/sh";

/// The directory is entered by the user, not by root.
const IN_THE_HOME: &str = "cd -- \"$HOME\" && exec \"$SHELL\" -c \"$1\"";

/// As cron has it.
const PATH: &str = "/usr/bin:/bin";

/// Those that run.
#[derive(Debug)]
pub(crate) struct CronRuns(Slots);

/// One that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// How.
    pub(crate) end: CommandEnd,
    /// How much of the file is standard output.
    pub(crate) stdout_bytes: u32,
    /// What it wrote, also when it was killed.
    pub(crate) written: OwnedFd,
}

impl Default for CronRuns {
    fn default() -> Self {
        Self(Slots::new(AT_A_TIME, AT_A_TIME_PER_HOSTING))
    }
}

impl CronRuns {
    /// Runs one on a hosting whose account was just looked at. Blocks until it has ended; ends it when `connection` does.
    /// Everything of it is gone when this returns.
    pub(crate) fn run(&self, run: &CronRun, hosting: &Hosting, connection: &FrameSocket) -> Result<Ended, Refusal> {
        if !is_line(&run.command) {
            let expected =
                format!("expected one line of 1 to {CRON_COMMAND_MAX_BYTES} bytes without control characters");
            return Err(Refusal::invalid("command", expected));
        }
        if !(1..=CRON_RUN_DEADLINE_MAX_MS).contains(&run.deadline_ms) {
            let expected = format!("expected 1 to {CRON_RUN_DEADLINE_MAX_MS} milliseconds");
            return Err(Refusal::invalid("deadline_ms", expected));
        }
        let slot = self.0.take(&hosting.hosting).map_err(|full| match full {
            Full::Total => Refusal::busy("as many cron entries as the broker allows are running"),
            Full::Name => Refusal::busy("as many cron entries as one hosting may have are running"),
        });
        let _slot = slot?;
        let start = Start {
            program: Path::new(SHELL),
            arguments: ["-c", IN_THE_HOME, SHELL, &run.command].map(str::to_owned).to_vec(),
            environment: environment(hosting),
            stdin: Vec::new(),
            user: Some((hosting.uid, hosting.gid)),
            time: Duration::from_millis(run.deadline_ms.into()),
        };
        let came = match process::run(start, Some(connection)) {
            Ok(came) => came,
            // Nobody is there to be told.
            Err(error @ ProcessError::HungUp) => return Err(Refusal::busy(error.to_string())),
            Err(error) => return Err(Refusal::internal(&error)),
        };
        log::info("a cron entry ended", &[("hosting", &hosting.hosting), ("end", &format!("{:?}", came.end))]);
        let written = seal_text(&[&came.stdout[..], &came.stderr].concat());
        let stdout_bytes = u32::try_from(came.stdout.len()).unwrap_or(u32::MAX);
        Ok(Ended { end: came.end, stdout_bytes, written: written.map_err(|errno| Refusal::internal(&errno))? })
    }
}

fn environment(hosting: &Hosting) -> Vec<(&'static str, OsString)> {
    let user = OsString::from(&hosting.system_user);
    let home = hosting.home.clone().into_os_string();
    vec![("PATH", PATH.into()), ("HOME", home), ("LOGNAME", user.clone()), ("USER", user), ("SHELL", SHELL.into())]
}

fn is_line(command: &str) -> bool {
    let is_control = |sign: char| sign.is_control() && sign != '\t';
    (1..=CRON_COMMAND_MAX_BYTES).contains(&command.len()) && !command.contains(is_control)
}
