//! Starts programs: the one place of this crate that calls `Command::new`, with a cleared environment.
//!
//! What runs for long and must be restarted is `node::supervise`'s business.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use anyhow::{Context, Result, bail, ensure};

/// Where Debian keeps programs; the search path of everything that is started with a cleared environment.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A Unix identity that a program runs as. No supplementary groups come with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user id.
    pub uid: u32,
    /// The primary group id.
    pub gid: u32,
}

/// A program with everything it is started with.
#[derive(Clone, Debug)]
pub struct Program {
    path: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    keeps_environment: bool,
    identity: Option<Identity>,
    directory: Option<PathBuf>,
    input: Vec<u8>,
}

impl Program {
    /// A program by its path or, searched on Debian's usual path, its name.
    pub fn new(path: impl Into<OsString>) -> Self {
        Self {
            path: path.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            keeps_environment: false,
            identity: None,
            directory: None,
            input: Vec::new(),
        }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// One more environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Keeps the environment that this process was started with (cargo, npm and apt need it).
    #[must_use]
    pub fn with_our_environment(mut self) -> Self {
        self.keeps_environment = true;
        self
    }

    /// Runs it as somebody else. Needs root.
    #[must_use]
    pub fn run_as(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Runs it in `directory`.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// What it reads on standard input; nothing unless given.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Runs it to its end and returns what it wrote to standard output. Blocks.
    ///
    /// # Errors
    /// When it cannot be started or does not exit with 0; the error quotes its standard error.
    pub fn text(&self) -> Result<String> {
        let mut command = self.command();
        if let Some(identity) = self.identity {
            command.uid(identity.uid).gid(identity.gid);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {}", self.name()))?;
        let stdin = child.stdin.take();
        let output = thread::scope(|scope| {
            // A program that ends without reading its input makes this write fail; its status tells the story.
            scope.spawn(move || stdin.map(|mut pipe| pipe.write_all(&self.input)));
            child.wait_with_output()
        })
        .with_context(|| format!("wait for {}", self.name()))?;
        ensure!(
            output.status.success(),
            "{} ended with {}: {}",
            self.name(),
            output.status,
            tail(&String::from_utf8_lossy(&output.stderr))
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs it to its end on our own terminal. Blocks.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn status(&self) -> Result<ExitStatus> {
        self.command().stdin(Stdio::null()).status().with_context(|| format!("start {}", self.name()))
    }

    /// Runs it to its end, hands `line` every line of its standard output and leaves it our standard error. Blocks.
    ///
    /// # Errors
    /// When it cannot be started or read from.
    pub fn lines(&self, mut line: impl FnMut(&str)) -> Result<ExitStatus> {
        let mut child = self
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", self.name()))?;
        if let Some(pipe) = child.stdout.take() {
            for bytes in BufReader::new(pipe).split(b'\n') {
                line(&String::from_utf8_lossy(&bytes.with_context(|| format!("read from {}", self.name()))?));
            }
        }
        child.wait().with_context(|| format!("wait for {}", self.name()))
    }

    /// Starts it in the background, with our standard error and without input and output.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn background(&self) -> Result<Child> {
        self.command()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("start {}", self.name()))
    }

    /// Starts it in the background; its standard input and output are the caller's to write to and to read from.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn piped(&self) -> Result<Child> {
        self.command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("start {}", self.name()))
    }

    /// Starts it as a daemon that writes to the end of `log`: in a process group of its own (a Ctrl-C on the terminal
    /// is ours to handle), told to stop when the calling thread ends, and without capabilities if it is not root.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn daemon(&self, log: &Path) -> Result<Child> {
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("open {}", log.display()))?;
        let errors = output.try_clone().with_context(|| format!("share {}", log.display()))?;
        let mut command = self.in_own_environment("setpriv");
        command.args(["--pdeathsig", "TERM"]);
        if let Some(identity) = self.identity {
            command.arg(format!("--reuid={}", identity.uid)).arg(format!("--regid={}", identity.gid)).args([
                "--clear-groups",
                "--inh-caps=-all",
                "--bounding-set=-all",
                "--no-new-privs",
            ]);
        }
        command
            .arg("--")
            .arg(&self.path)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {}", self.name()))
    }

    /// Becomes that program. Returns only if that failed.
    ///
    /// # Errors
    /// When the program cannot be executed.
    pub fn replace_us(&self) -> Result<()> {
        let error = self.command().exec();
        bail!("execute {}: {error}", self.name())
    }

    fn name(&self) -> String {
        Path::new(&self.path).file_name().unwrap_or(&self.path).to_string_lossy().into_owned()
    }

    fn command(&self) -> Command {
        let mut command = self.in_own_environment(&self.path);
        command.args(&self.arguments);
        command
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one spawner")]
    fn in_own_environment(&self, path: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(path);
        if !self.keeps_environment {
            command.env_clear().env("PATH", SEARCH_PATH).env("LC_ALL", "C.UTF-8");
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command
    }
}

/// The last lines of `text`, enough to see what went wrong.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines.iter().skip(lines.len().saturating_sub(15)).copied().collect::<Vec<_>>().join("\n")
}
/// Our own program, to start it again.
///
/// Cargo may have built it anew meanwhile: then what runs is a deleted file, and its successor lies at the same path.
///
/// # Errors
/// When the system does not tell.
pub fn ourselves() -> Result<PathBuf> {
    let path = std::env::current_exe().context("find our own program")?;
    let name = path.to_string_lossy();
    Ok(name.strip_suffix(" (deleted)").map_or_else(|| path.clone(), PathBuf::from))
}
