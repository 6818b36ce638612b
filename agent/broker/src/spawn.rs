//! Starting `latchkey-php` and staying with it until all of the call is gone; shorter programs, too.
//!
//! The one place of the broker that starts a program. What PHP may do is confined in `latchkey-php`.

use std::{
    ffi::OsString,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use latchkey_protocol::{Confinement, FrameSocket, PhpEnd};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    io::Errno,
    process::{Pid, PidfdFlags, Signal},
    time::ClockId,
};

use crate::{config::PhpPaths, registry::Hosting};

/// Tools of util-linux, which every Debian has.
const SETPRIV: &str = "/usr/bin/setpriv";
const UNSHARE: &str = "/usr/bin/unshare";
const PRLIMIT: &str = "/usr/bin/prlimit";

/// The namespace's first process waits for the second: signals of its own namespace do not end it. What a signal ended it
/// tells as shells do.
const FIRST_PROCESS: [&str; 4] = ["/bin/sh", "-c", "exec 3>&2 2>/dev/null; (\"$@\" 2>&3 3>&-); exit $?", "sh"];

/// As `latchkey-php` has them: processes of the user, address space and files in bytes, descriptors.
const LIMITS: [&str; 5] = ["--nproc=512", "--as=4294967296", "--fsize=4294967296", "--nofile=1024", "--core=0"];

/// How long `latchkey-php` may take beyond the deadline, and to kill its namespace when it is told to stop.
const GRACE: Duration = Duration::from_secs(3);

/// One PHP call, checked.
#[derive(Debug)]
pub struct PhpStart<'a> {
    /// The program `latchkey-php`.
    pub worker: &'a Path,
    /// The script that PHP runs.
    pub bridge: &'a Path,
    /// Root's directory for compiled scripts; absent: none are used.
    pub cache_root: Option<&'a Path>,
    /// What PHP may reach besides.
    pub more: &'a PhpPaths,
    /// The hosting.
    pub hosting: &'a Hosting,
    /// Relative to the hosting's home.
    pub docroot: PathBuf,
    /// Wall-clock time.
    pub deadline: Duration,
}

/// The three descriptors of a call.
#[derive(Debug)]
pub struct PhpDescriptors {
    /// Read end of the request.
    pub request: OwnedFd,
    /// Write end of the reply.
    pub reply: OwnedFd,
    /// Write end of the log.
    pub log: OwnedFd,
}

/// Why a call did not run.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The program could not be started.
    #[error("cannot start {program:?}")]
    Start {
        /// The program.
        program: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The program did not come as far as PHP.
    #[error("PHP was not started; the log of the call has the reason")]
    NotStarted,
    /// The worker did not tell what confines a call.
    #[error("the worker did not tell what confines a call; it said: {said}")]
    Untold {
        /// What it wrote to its log.
        said: String,
    },
    /// The program cannot be watched; it was killed.
    #[error("cannot {action}")]
    Watch {
        /// What was attempted.
        action: &'static str,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// Runs one call. Blocks until it has ended; ends it when `connection` has anything to read, its end above all.
pub fn run_php(
    start: &PhpStart<'_>,
    descriptors: PhpDescriptors,
    connection: &FrameSocket,
) -> Result<PhpEnd, SpawnError> {
    let mut command = worker(start.worker);
    command
        .args(arguments(start))
        // The worker moves the reply to descriptor 3. Everything else here is close-on-exec, and it checks that.
        .stdin(Stdio::from(descriptors.request))
        .stdout(Stdio::from(descriptors.reply))
        .stderr(Stdio::from(descriptors.log));
    let spawned = command.spawn();
    // Holds the descriptors still; the peer must see their end when PHP is gone.
    drop(command);
    let child = spawned.map_err(|source| SpawnError::Start { program: start.worker.to_owned(), source })?;
    Worker(child).watch(start.deadline, connection)
}

/// Asks the worker what the kernel has of what confines a call. Blocks for some milliseconds.
pub fn ask_confinement(program: &Path) -> Result<Confinement, SpawnError> {
    let started = worker(program).arg("--confinement").stdin(Stdio::null()).output();
    let output = started.map_err(|source| SpawnError::Start { program: program.to_owned(), source })?;
    let told = output.status.success().then(|| serde_json::from_slice(&output.stdout).ok()).flatten();
    told.ok_or_else(|| SpawnError::Untold { said: String::from_utf8_lossy(&output.stderr).into_owned() })
}

/// Runs a program that ends by itself; `None` when it did not in that time, or before serve hung up, and was killed with
/// all of its process group: nothing of it does anything any more when this returns. Blocks.
pub(crate) fn run_short(
    mut command: Command,
    patience: Duration,
    connection: Option<&FrameSocket>,
) -> Result<Option<ExitStatus>, SpawnError> {
    let spawned = command.process_group(0).spawn();
    let program = command.get_program().to_owned();
    // Holds the program's descriptors.
    drop(command);
    let mut worker = Worker(spawned.map_err(|source| SpawnError::Start { program: program.into(), source })?);
    let pidfd = worker.pidfd()?;
    match wait_for(&pidfd, connection, now() + patience)? {
        First::End => worker.wait().map(Some),
        First::Cancelled | First::Overdue => {
            worker.kill_group();
            Ok(None)
        }
    }
}

/// Whether serve waits for no answer any more.
pub(crate) fn has_hung_up(connection: &FrameSocket) -> Result<bool, SpawnError> {
    let mut watched = [PollFd::from_borrowed_fd(connection.as_fd(), PollFlags::RDHUP)];
    let polled = rustix::event::poll(&mut watched, Some(&Timespec::default()));
    polled.map(|ready| ready > 0).map_err(|source| watching("look at the connection", source))
}

#[expect(clippy::disallowed_methods, reason = "the one spawner of the broker, with a cleared environment")]
pub(crate) fn worker(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir("/");
    command
}

/// A program that runs as a user of the node's, with one group, in a PID namespace, which ends with its first process, and
/// within the limits that PHP of the sites has. What has left its process group ends with it, too.
///
/// `setpriv` becomes that user and then the program. Were it done between fork and exec, as the standard library does, that
/// user could stop the child there, and whoever started it would wait for ever.
pub(crate) fn bounded_worker_as((uid, gid): (u32, u32), program: &Path) -> Command {
    let mut command = worker(Path::new(UNSHARE));
    command
        .args(["--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--"])
        .args(FIRST_PROCESS)
        .arg(PRLIMIT)
        .args(LIMITS)
        .args(["--", SETPRIV]);
    command.args(as_user((uid, gid), program));
    command
}

fn as_user((uid, gid): (u32, u32), program: &Path) -> Vec<OsString> {
    // The signal is for a parent that is killed: the kernel forgets the one that unshare set when the user changes.
    let mut arguments: Vec<OsString> = vec![format!("--reuid={uid}").into(), format!("--regid={gid}").into()];
    arguments.extend(["--clear-groups", "--no-new-privs", "--pdeathsig=KILL", "--"].map(OsString::from));
    arguments.push(program.into());
    arguments
}

fn arguments(start: &PhpStart<'_>) -> Vec<OsString> {
    let hosting = start.hosting;
    let mut arguments = vec![
        format!("--broker-pid={}", std::process::id()).into(),
        format!("--uid={}", hosting.uid).into(),
        format!("--gid={}", hosting.gid).into(),
        format!("--deadline-ms={}", start.deadline.as_millis()).into(),
    ];
    let mut path = |key: &str, value: &Path| {
        let mut argument = OsString::from(key);
        argument.push(value);
        arguments.push(argument);
    };
    path("--home=", &hosting.home);
    path("--docroot=", &start.docroot);
    path("--php=", &hosting.php_binary);
    path("--bridge=", start.bridge);
    if let Some(ini) = &hosting.php_ini {
        path("--php-ini=", ini);
    }
    if let Some(root) = start.cache_root {
        path("--cache=", &root.join(hosting.uid.to_string()));
    }
    for (key, more) in
        [("--read=", &start.more.read), ("--write=", &start.more.write), ("--execute=", &start.more.execute)]
    {
        more.iter().for_each(|value| path(key, value));
    }
    arguments
}

/// A started worker; killed and reaped on drop if it still runs.
struct Worker(Child);

impl Worker {
    fn watch(mut self, deadline: Duration, connection: &FrameSocket) -> Result<PhpEnd, SpawnError> {
        let pidfd = self.pidfd()?;
        // The worker keeps the deadline itself; this one is for a worker that does not.
        let overdue = now() + deadline + GRACE;
        let first = wait_for(&pidfd, Some(connection), overdue)?;
        if !matches!(first, First::End) {
            // Told to stop, it kills the namespace and sees it gone. Killed itself, the kernel does so, unseen.
            let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::TERM);
            if !matches!(wait_for(&pidfd, None, now() + GRACE)?, First::End) {
                let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
            }
        }
        let status = self.wait()?;
        match (first, status.code()) {
            (First::Overdue, _) => Ok(PhpEnd::TimedOut),
            (_, Some(code)) => PhpEnd::from_exit_code(code).ok_or(SpawnError::NotStarted),
            // The worker itself was killed: by the site if it could, by the kernel for want of memory, or just now.
            (_, None) => Ok(PhpEnd::Signalled { signal: Signal::KILL.as_raw() }),
        }
    }

    fn pidfd(&self) -> Result<OwnedFd, SpawnError> {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        // Not reaped yet, so the number still means this process.
        pid.ok_or(Errno::SRCH)
            .and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()))
            .map_err(|source| watching("open the worker's pidfd", source))
    }

    /// Kills the group that it is the first of. It is not reaped yet, so the number still means this group.
    fn kill_group(&self) {
        if let Some(first) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ = rustix::process::kill_process_group(first, Signal::KILL);
        }
    }

    fn wait(&mut self) -> Result<ExitStatus, SpawnError> {
        self.0.wait().map_err(|source| SpawnError::Watch { action: "wait for the worker", source })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Both do nothing when it was reaped already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

enum First {
    End,
    Cancelled,
    Overdue,
}

fn wait_for(pidfd: &OwnedFd, connection: Option<&FrameSocket>, until: Duration) -> Result<First, SpawnError> {
    loop {
        let left = until.saturating_sub(now());
        if left.is_zero() {
            return Ok(First::Overdue);
        }
        let left = Timespec::try_from(left).map_err(|_range| watching("wait that long", Errno::INVAL))?;
        let mut watched = vec![PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
        watched.extend(
            connection.map(|socket| PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN | PollFlags::RDHUP)),
        );
        match rustix::event::poll(&mut watched, Some(&left)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) if watched.first().is_some_and(|end| !end.revents().is_empty()) => {
                return Ok(First::End);
            }
            Ok(_) => return Ok(First::Cancelled),
            Err(source) => return Err(watching("wait for the worker", source)),
        }
    }
}

fn now() -> Duration {
    Duration::try_from(rustix::time::clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

fn watching(action: &'static str, source: Errno) -> SpawnError {
    SpawnError::Watch { action, source: source.into() }
}
