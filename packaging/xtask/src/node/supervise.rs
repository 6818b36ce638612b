//! Keeps a daemon running: a direct child that is waited for, and started again whenever it ends, without a limit.
//!
//! Each daemon has a thread of its own, which starts it and waits for it: the kernel tells the daemon to stop when that
//! thread ends, so that not even a killed xtask leaves daemons behind.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Child;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};

use super::readiness::Readiness;
use crate::clock::{Deadline, Stopwatch};
use crate::mutex::lock;
use crate::process::Program;

/// How long a daemon may take from SIGTERM to its end before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// How long a daemon may take from its start until it serves.
const START: Duration = Duration::from_secs(20);

/// What one has to know to keep a daemon running.
pub(crate) struct DaemonSpec {
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    pub(crate) log: PathBuf,
    pub(crate) readiness: Readiness,
    /// Gets a line `pid start-time` at each start.
    pub(crate) pids: PathBuf,
    /// Called, from the daemon's thread, each time it serves.
    pub(crate) when_ready: Box<dyn Fn(u32) + Send + Sync>,
}

/// A daemon that is kept running until this value is dropped, which ends it and waits for it.
pub struct Daemon {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    spec: DaemonSpec,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    wanted: Wanted,
    run: Option<Run>,
    starts: u64,
    last_end: String,
}

struct Run {
    pid: u32,
    handle: OwnedFd,
    ready: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Up,
    Down,
    Gone,
}

impl Daemon {
    /// Starts it. Does not wait until it serves: see [`Daemon::wait_ready`].
    pub(crate) fn launch(spec: DaemonSpec) -> Self {
        let state = State { wanted: Wanted::Up, run: None, starts: 0, last_end: String::new() };
        let shared = Arc::new(Shared { spec, state: Mutex::new(state), changed: Condvar::new() });
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.keep_running()
        });
        Self { shared, thread: Mutex::new(Some(thread)) }
    }

    /// The daemon's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.shared.spec.name
    }

    /// The file that its output goes to.
    #[must_use]
    pub fn log(&self) -> &std::path::Path {
        &self.shared.spec.log
    }

    /// Its process id, if it runs now.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        lock(&self.shared.state).run.as_ref().map(|run| run.pid)
    }

    /// How often it was started so far.
    #[must_use]
    pub fn starts(&self) -> u64 {
        lock(&self.shared.state).starts
    }

    /// Waits until it serves. Blocks.
    ///
    /// # Errors
    /// When it does not within 20 seconds; the error quotes the end of its log.
    pub fn wait_ready(&self) -> Result<()> {
        self.wait_for(START, |state| state.run.as_ref().is_some_and(|run| run.ready))
            .with_context(|| format!("wait until {} serves", self.name()))
    }

    /// Kills it (SIGKILL), as a crash would, and waits until it serves again. Blocks.
    ///
    /// # Errors
    /// When it does not run, or does not come back.
    pub fn crash(&self) -> Result<()> {
        let before = self.starts();
        self.signal(Signal::KILL)?;
        self.wait_for(START, |state| state.starts > before && state.run.as_ref().is_some_and(|run| run.ready))
            .with_context(|| format!("wait until {} serves again", self.name()))
    }

    /// Ends it (SIGTERM) and starts it again at once. Blocks until it serves.
    ///
    /// # Errors
    /// When it does not end or does not come back.
    pub fn restart(&self) -> Result<()> {
        self.stop()?;
        self.start()
    }

    /// Ends it (SIGTERM) and leaves it down. Blocks until it has ended. Safe to repeat.
    ///
    /// # Errors
    /// When it runs on after 5 seconds; it has been killed then.
    pub fn stop(&self) -> Result<()> {
        self.want(Wanted::Down);
        self.wait_end()
    }

    /// Kills it (SIGKILL) and leaves it down. Blocks until it has ended. Safe to repeat.
    ///
    /// # Errors
    /// When it does not end.
    pub fn kill(&self) -> Result<()> {
        lock(&self.shared.state).wanted = Wanted::Down;
        if self.pid().is_some() {
            self.signal(Signal::KILL)?;
        }
        self.wait_for(GRACE, |state| state.run.is_none())
    }

    /// Starts it after [`Daemon::stop`] or [`Daemon::kill`]. Blocks until it serves. Safe to repeat.
    ///
    /// # Errors
    /// When it does not serve within 20 seconds.
    pub fn start(&self) -> Result<()> {
        self.want(Wanted::Up);
        self.wait_ready()
    }

    /// Freezes its main process (SIGSTOP): it hangs, its connections stay open.
    ///
    /// # Errors
    /// When it does not run.
    pub fn hang(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on after [`Daemon::hang`].
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Has it read its configuration and certificates again.
    ///
    /// # Errors
    /// When it does not run.
    pub fn reload(&self) -> Result<()> {
        self.signal(Signal::HUP)
    }

    /// Freezes all of its processes (SIGSTOP), its workers included.
    ///
    /// # Errors
    /// When it does not run.
    pub fn hang_whole(&self) -> Result<()> {
        self.signal_group(Signal::STOP)
    }

    /// Lets all of its processes go on after [`Daemon::hang_whole`].
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume_whole(&self) -> Result<()> {
        self.signal_group(Signal::CONT)
    }

    fn signal_group(&self, signal: Signal) -> Result<()> {
        let state = lock(&self.shared.state);
        let run = state.run.as_ref().with_context(|| format!("{} does not run", self.shared.spec.name))?;
        // It leads a group of its own, and cannot be reaped while the lock is held.
        let leader = Pid::from_raw(run.pid.cast_signed()).context("it has a process id")?;
        rustix::process::kill_process_group(leader, signal)
            .with_context(|| format!("signal {} and its workers", self.shared.spec.name))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let state = lock(&self.shared.state);
        let run = state.run.as_ref().with_context(|| format!("{} does not run", self.shared.spec.name))?;
        rustix::process::pidfd_send_signal(&run.handle, signal)
            .with_context(|| format!("signal {}", self.shared.spec.name))
    }

    /// Asks it to end for good, without waiting.
    pub(crate) fn ask_to_end(&self) {
        self.want(Wanted::Gone);
    }

    /// Ends it for good and waits for it; kills it if it does not end in time. Safe to repeat.
    pub(crate) fn end(&self) -> Result<()> {
        self.ask_to_end();
        let ended = self.wait_end();
        if let Some(thread) = lock(&self.thread).take() {
            drop(thread.join());
        }
        ended
    }

    fn want(&self, wanted: Wanted) {
        let mut state = lock(&self.shared.state);
        if state.wanted != Wanted::Gone {
            state.wanted = wanted;
        }
        if let (Wanted::Down | Wanted::Gone, Some(run)) = (wanted, &state.run) {
            // A daemon that hangs in SIGSTOP could not act on SIGTERM. Errors mean that it has ended already.
            let _ = rustix::process::pidfd_send_signal(&run.handle, Signal::TERM);
            let _ = rustix::process::pidfd_send_signal(&run.handle, Signal::CONT);
        }
        self.shared.changed.notify_all();
    }

    fn wait_end(&self) -> Result<()> {
        if self.wait_for(GRACE, |state| state.run.is_none()).is_ok() {
            return Ok(());
        }
        drop(self.signal(Signal::KILL));
        self.wait_for(GRACE, |state| state.run.is_none())?;
        bail!("{} did not end within {} s of SIGTERM and was killed", self.name(), GRACE.as_secs())
    }

    fn wait_for(&self, patience: Duration, condition: impl Fn(&State) -> bool) -> Result<()> {
        let deadline = Deadline::after(patience);
        let mut state = lock(&self.shared.state);
        while !condition(&state) {
            ensure!(
                !deadline.passed(),
                "{} is not as wanted after {} s; {}; its log ends:\n{}",
                self.name(),
                patience.as_secs(),
                state.last_end,
                end_of(&self.shared.spec.log)
            );
            state = self.shared.wait(state, deadline.left());
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("{error:#}");
        }
    }
}

impl Shared {
    /// The life of the daemon's thread.
    fn keep_running(&self) {
        while self.wait_until_wanted() {
            let lived = Stopwatch::start();
            // Before the start: afterwards it could be this run's own word that is forgotten.
            self.spec.readiness.forget();
            let end = match self.spec.program.daemon(&self.spec.log) {
                Ok(child) => self.accompany(child),
                Err(error) => format!("{error:#}"),
            };
            let mut state = lock(&self.state);
            state.run = None;
            state.last_end = format!("its last end: {end}");
            self.changed.notify_all();
            // No start limit, but no busy loop either.
            if state.wanted == Wanted::Up && lived.elapsed() < Duration::from_secs(1) {
                drop(self.wait(state, Duration::from_millis(50)));
            }
        }
    }

    fn wait_until_wanted(&self) -> bool {
        let mut state = lock(&self.state);
        loop {
            match state.wanted {
                Wanted::Up => return true,
                Wanted::Gone => return false,
                Wanted::Down => state = self.wait(state, Duration::from_secs(3600)),
            }
        }
    }

    /// From the start of the process to its end, which is returned in words.
    fn accompany(&self, mut child: Child) -> String {
        let pid = child.id();
        let Some(known) = Pid::from_raw(pid.cast_signed()) else { return "no process id".into() };
        match rustix::process::pidfd_open(known, PidfdFlags::empty()) {
            Ok(handle) => {
                self.record(pid);
                let mut state = lock(&self.state);
                if state.wanted != Wanted::Up {
                    let _ = rustix::process::pidfd_send_signal(&handle, Signal::TERM);
                }
                state.starts += 1;
                state.run = Some(Run { pid, handle, ready: false });
                self.changed.notify_all();
            }
            Err(error) => eprintln!("{}: no handle on its process: {error}", self.spec.name),
        }
        let mut ended = has_ended(known);
        while !ended && !self.spec.readiness.is_reached(pid) {
            thread::sleep(Duration::from_millis(3));
            ended = has_ended(known);
        }
        if !ended {
            if let Some(run) = lock(&self.state).run.as_mut() {
                run.ready = true;
            }
            self.changed.notify_all();
            (self.spec.when_ready)(pid);
            wait_for_end(known);
        }
        // The process is a zombie still, so its group cannot be somebody else's: what it left behind goes with it,
        // as under systemd.
        let _ = rustix::process::kill_process_group(known, Signal::KILL);
        match child.wait() {
            Ok(status) => status.to_string(),
            Err(error) => format!("not waited for: {error}"),
        }
    }

    fn record(&self, pid: u32) {
        let line = format!("{pid} {}\n", super::leftovers::start_time(pid).unwrap_or_default());
        let file = OpenOptions::new().create(true).append(true).open(&self.spec.pids);
        if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
            eprintln!("{}: its process id was not recorded: {error}", self.spec.name);
        }
    }

    fn wait<'a>(&'a self, state: MutexGuard<'a, State>, patience: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Waits until a child has ended, and leaves it to be reaped.
fn wait_for_end(pid: Pid) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while matches!(rustix::process::waitid(WaitId::Pid(pid), options), Err(rustix::io::Errno::INTR)) {}
}

fn has_ended(pid: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    !matches!(rustix::process::waitid(WaitId::Pid(pid), options), Ok(None))
}

fn end_of(log: &std::path::Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(12)).copied().collect::<Vec<_>>().join("\n")
}
