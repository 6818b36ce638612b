//! What happens on Ctrl-C, SIGTERM and SIGHUP: every node of this process is taken down, then the process ends.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::mutex::lock;
use crate::node::ground::Ground;

/// What a signal leads to. There is one per process, because signals are.
struct Termination {
    grounds: Mutex<Vec<Weak<Ground>>>,
    exit: Mutex<Exit>,
    begun: AtomicBool,
}

/// The exit code after a signal took everything down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 128 and the signal's number: the work was interrupted.
    Interrupted,
    /// 0: running until a signal is what the program is for.
    Expected,
}

/// From now on a signal ends the process with this.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub fn set_exit(exit: Exit) -> Result<()> {
    *lock(&installed()?.exit) = exit;
    Ok(())
}

/// Whether a signal has come: the process is about to end, and what fails now fails for that reason.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub fn has_begun() -> Result<bool> {
    Ok(installed()?.begun.load(Ordering::SeqCst))
}

/// From now on a signal takes `ground` down first.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub(crate) fn watch(ground: &Arc<Ground>) -> Result<()> {
    let termination = installed()?;
    let mut grounds = lock(&termination.grounds);
    grounds.retain(|ground| ground.strong_count() > 0);
    grounds.push(Arc::downgrade(ground));
    Ok(())
}

fn installed() -> Result<&'static Termination> {
    static TERMINATION: Termination = Termination {
        grounds: Mutex::new(Vec::new()),
        exit: Mutex::new(Exit::Interrupted),
        begun: AtomicBool::new(false),
    };
    static INSTALLED: OnceLock<std::result::Result<(), String>> = OnceLock::new();
    INSTALLED
        .get_or_init(|| {
            let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|error| error.to_string())?;
            thread::spawn(move || {
                if let Some(signal) = signals.forever().next() {
                    end(&TERMINATION, signal);
                }
            });
            Ok(())
        })
        .clone()
        .map_err(anyhow::Error::msg)
        .context("install the signal handlers")?;
    Ok(&TERMINATION)
}

fn end(termination: &Termination, signal: i32) -> ! {
    termination.begun.store(true, Ordering::SeqCst);
    let grounds: Vec<_> = lock(&termination.grounds).drain(..).filter_map(|ground| ground.upgrade()).collect();
    let problems: Vec<String> = grounds.iter().flat_map(|ground| ground.take_down()).collect();
    for problem in &problems {
        eprintln!("taking the node down: {problem}");
    }
    process::exit(match *lock(&termination.exit) {
        Exit::Expected if problems.is_empty() => 0,
        Exit::Expected => 1,
        Exit::Interrupted => 128 + signal,
    })
}
