//! The compiler and the runner: where they are, and starting them confined.
//!
//! Started by root they become `nobody`, whose number no file belongs to; started by anybody else they stay that user and
//! give up all but that. Files, ports and system calls are taken away from them in either case, by themselves.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use latchkey_protocol::FrameSocket;
use rustix::fs::MemfdFlags;

/// Where packages put them.
const PACKAGED: &str = "/usr/lib/latchkey";

/// What the kernel gives to files of users that it does not know: `nobody` of every distribution.
const NOBODY: u32 = 65_534;

/// What a program says is kept up to so many bytes.
const SAID_MAX_BYTES: u64 = 2_000;

/// The two programs.
#[derive(Debug, Clone)]
pub struct Programs {
    compiler: PathBuf,
    runner: PathBuf,
}

/// Why a program did not run.
#[derive(Debug, thiserror::Error)]
pub enum ProgramsError {
    /// They are in none of the places.
    #[error("there is no latchkey-runner and latchkey-compiler in {0}; --programs names the folder that has them")]
    Missing(String),
    /// The system refuses.
    #[error("cannot {action} {}", path.display())]
    System {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The socket of a runner cannot be made.
    #[error("cannot make the socket of the runner")]
    Socket(#[from] latchkey_protocol::FrameError),
}

/// A component that was compiled.
#[derive(Debug)]
pub struct Compiled {
    pub(crate) file: File,
    /// How long that is.
    pub bytes: u64,
    /// How long it took.
    pub took: Duration,
}

impl Programs {
    /// Those in `folder`; without one those beside the program that runs, or else the packaged ones.
    pub fn find(folder: Option<&Path>) -> Result<Self, ProgramsError> {
        let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.to_owned()));
        let usual = || beside.into_iter().chain([PACKAGED.into()]).collect::<Vec<_>>();
        let folders = folder.map_or_else(usual, |folder| vec![folder.to_owned()]);
        let of = |folder: &PathBuf| Self {
            compiler: folder.join("latchkey-compiler"),
            runner: folder.join("latchkey-runner"),
        };
        let found = folders.iter().map(of).find(|found| found.compiler.is_file() && found.runner.is_file());
        let named = folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(" or ");
        found.ok_or(ProgramsError::Missing(named))
    }

    /// Compiles a component, or answers with what the compiler says about it. Blocks for up to a minute.
    pub fn compile(&self, component: &[u8]) -> Result<Result<Compiled, String>, ProgramsError> {
        let system = |action| failed(action, &self.compiler);
        let input = in_memory(component).map_err(system("give the component to"))?;
        let output = in_memory(&[]).map_err(system("make room for what comes of"))?;
        let began = now();
        let mut command = program(&self.compiler);
        command.stdin(input).stdout(output.try_clone().map_err(system("start"))?).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(system("start"))?;
        drop(command);
        let mut said = Vec::new();
        if let Some(pipe) = child.stderr.take() {
            pipe.take(SAID_MAX_BYTES).read_to_end(&mut said).map_err(system("hear"))?;
        }
        let ended = child.wait().map_err(system("wait for"))?;
        if !ended.success() {
            let said = String::from_utf8_lossy(&said).trim().to_owned();
            return Ok(Err(if said.is_empty() { format!("the compiler ended ({ended})") } else { said }));
        }
        let bytes = output.metadata().map_err(system("read what came of"))?.len();
        Ok(Ok(Compiled { file: output, bytes, took: now() - began }))
    }

    /// Starts a runner with a compiled component; it ends when the socket is closed, or with this thread.
    pub(crate) fn start(&self, compiled: &Compiled) -> Result<(Child, FrameSocket), ProgramsError> {
        let (ours, theirs) = FrameSocket::pair()?;
        let mut command = program(&self.runner);
        command
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            // Read, not written: see the runner's header.
            .stdout(compiled.file.try_clone().map_err(failed("start", &self.runner))?)
            .stderr(Stdio::inherit());
        let child = command.spawn().map_err(failed("start", &self.runner))?;
        Ok((child, ours))
    }
}

/// A program that is told who starts it and who it shall be, with a cleared environment.
#[expect(clippy::disallowed_methods, reason = "the one spawner of the kit, with a cleared environment")]
fn program(path: &Path) -> Command {
    let (mut uid, mut gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    if uid == 0 {
        (uid, gid) = (NOBODY, NOBODY);
    }
    let mut command = Command::new(path);
    command.env_clear().current_dir("/");
    command.args([format!("--broker-pid={}", std::process::id()), format!("--uid={uid}"), format!("--gid={gid}")]);
    command
}

/// A file without a name, with that content, at its beginning.
fn in_memory(content: &[u8]) -> io::Result<File> {
    // A folder for temporary files may be mounted without the right to execute what is in it.
    let mut file = File::from(rustix::fs::memfd_create("latchkey-check", MemfdFlags::CLOEXEC)?);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file)
}

#[expect(clippy::disallowed_methods, reason = "how long compiling takes is reported, nothing depends on it")]
fn now() -> Instant {
    Instant::now()
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ProgramsError {
    let path = path.to_owned();
    move |source| ProgramsError::System { action, path, source }
}
