//! Crontabs of system users, which lie where only root gets to: opened here, read by whoever asked, replaced by cron's own
//! program.
//!
//! That program (`crontab`) is run as the hosting's user and with the group of the directory, which is what its setgid
//! bit would give it: the text is parsed with no right that its user does not have at a shell, and cron.allow counts.

use std::{
    fs::File,
    io::Read as _,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use latchkey_protocol::{CRONTAB_MAX_BYTES, FrameSocket};
use rustix::{
    fs::{FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
    process::Uid,
};
use sha2::{Digest as _, Sha256};

use crate::{
    refusal::Refusal,
    registry::Hosting,
    rights, said,
    spawn::{SpawnError, bounded_worker_as, has_hung_up, run_short},
    turns::Turns,
};

/// How long a change waits for the one before it, and how long the program may take. serve waits longer than both.
const PATIENCE: Duration = Duration::from_secs(4);

/// Where they lie, and what replaces them.
#[derive(Debug)]
pub(crate) struct Crontabs {
    directory: PathBuf,
    program: Option<PathBuf>,
    turns: Turns,
}

/// A crontab could not be worked on for a reason of the system's.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} the crontab of {user} in {directory:?}")]
struct CrontabError {
    action: &'static str,
    user: String,
    directory: PathBuf,
    #[source]
    source: Errno,
}

/// The program did not come to an end.
#[derive(Debug, thiserror::Error)]
enum ProgramError {
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error("cannot make a file in memory")]
    Memory(#[from] Errno),
    #[error("cannot read what the program said")]
    Said(#[source] std::io::Error),
    #[error("the program did not end within {} s, or before serve hung up, and was killed", PATIENCE.as_secs())]
    CutOff,
}

impl Crontabs {
    /// Of that directory; without a program they are only read.
    pub(crate) fn new(directory: &Path, program: Option<&Path>) -> Self {
        Self { directory: directory.to_owned(), program: program.map(Path::to_owned), turns: Turns::default() }
    }

    /// Opens the crontab of a hosting's system user for reading; `None` when it has none.
    ///
    /// Its name comes from the registry, no link is followed, and what is there has to be a file of that user, at most
    /// [`CRONTAB_MAX_BYTES`] long. Root only finds it: it is opened with that user's rights, so that nothing else can be
    /// read this way and the broker needs no capability to pass over the modes of files.
    pub(crate) fn open(&self, hosting: &Hosting) -> Result<Option<OwnedFd>, Refusal> {
        let Some(found) =
            find(&self.directory, &hosting.system_user).map_err(|errno| self.failed("find", hosting, errno))?
        else {
            return Ok(None);
        };
        let facts = rustix::fs::fstat(&found).map_err(|errno| self.failed("look at", hosting, errno))?;
        if !FileType::from_raw_mode(facts.st_mode).is_file() {
            return Err(not_a_crontab("no regular file"));
        }
        if facts.st_uid != hosting.uid {
            return Err(not_a_crontab("somebody else's"));
        }
        if u64::try_from(facts.st_size).unwrap_or(u64::MAX) > CRONTAB_MAX_BYTES {
            return Err(not_a_crontab("too long"));
        }
        let opened = rights::open_as(Uid::from_raw(hosting.uid), &found);
        opened.map(Some).map_err(|errno| self.failed("open", hosting, errno))
    }

    /// Replaces it if the SHA-256 of what is there is `was`; an empty text takes it away. What cron does not take is refused
    /// in its words, and changes nothing. Changes of one user's wait for each other; somebody who runs `crontab` in the
    /// same milliseconds is not waited for. Blocks.
    ///
    /// What was refused, or hung up on, is not made later: the program is not begun when nobody waits for the answer, and
    /// killed with all that it has started when nobody does any more or its time is over.
    pub(crate) fn replace(
        &self,
        hosting: &Hosting,
        was: &str,
        text: &[u8],
        connection: &FrameSocket,
    ) -> Result<(), Refusal> {
        let program = self.expect_written()?;
        let turn = self.turns.take(&hosting.system_user, PATIENCE);
        let _turn = turn.ok_or_else(|| Refusal::busy("the crontab is being replaced"))?;
        if has_hung_up(connection).map_err(|error| Refusal::internal(&error))? {
            return Err(Refusal::busy("serve hung up before the crontab was replaced"));
        }
        let there = self.open(hosting)?.map(read).transpose();
        let there = there.map_err(|source| Refusal::internal(&ProgramError::Said(source)))?;
        if hex(&Sha256::digest(there.as_deref().unwrap_or_default())) != was {
            return Err(Refusal::changed("was", "the crontab is not what was read any more"));
        }
        if text.is_empty() && there.is_none() {
            return Ok(());
        }
        let group = self.group(hosting)?;
        match run(program, (hosting.uid, group), text, connection).map_err(|error| Refusal::internal(&error))? {
            Ok(()) => Ok(()),
            Err(said) => Err(Refusal::invalid("text", said)),
        }
    }

    /// The program, if the operator lets serve say what cron runs.
    pub(crate) fn expect_written(&self) -> Result<&Path, Refusal> {
        let absent = "the broker's configuration has no crontab_program: crontabs are only read";
        self.program.as_deref().ok_or_else(|| Refusal::invalid("crontab_program", absent))
    }

    /// The group that may write into the directory, which is no group of anything else.
    fn group(&self, hosting: &Hosting) -> Result<u32, Refusal> {
        let facts = rustix::fs::stat(&self.directory).map_err(|errno| self.failed("look for", hosting, errno))?;
        let is_open_to_it = facts.st_mode & 0o030 == 0o030;
        if facts.st_uid == 0 && facts.st_gid != 0 && is_open_to_it {
            return Ok(facts.st_gid);
        }
        let expected = "expected a cron whose directory of crontabs has a group of its own that may write, as Debian's";
        Err(Refusal::invalid("crontab_program", expected))
    }

    fn failed(&self, action: &'static str, hosting: &Hosting, source: Errno) -> Refusal {
        let (user, directory) = (hosting.system_user.clone(), self.directory.clone());
        Refusal::internal(&CrontabError { action, user, directory, source })
    }
}

/// Has the program put a text in place of the user's crontab, or take it away; what it says if it refuses.
fn run(
    program: &Path,
    user: (u32, u32),
    text: &[u8],
    connection: &FrameSocket,
) -> Result<Result<(), String>, ProgramError> {
    let said = said::paper().map_err(ProgramError::Said)?;
    let told = said.try_clone().map_err(ProgramError::Said)?;
    let mut command = bounded_worker_as(user, program);
    command.arg(if text.is_empty() { "-r" } else { "-" });
    command.stdin(latchkey_protocol::seal_text(text)?).stdout(Stdio::null()).stderr(told);
    let status = run_short(command, PATIENCE, Some(connection))?.ok_or(ProgramError::CutOff)?;
    if status.success() {
        return Ok(Ok(()));
    }
    let words = said::words(&said).map_err(ProgramError::Said)?;
    let words: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Ok(Err(if words.is_empty() { format!("the program crontab: {status}") } else { words.join("; ") }))
}

/// All of what was opened, as long as it may be at most; it may be growing.
fn read(opened: OwnedFd) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::from(opened).take(CRONTAB_MAX_BYTES + 1).read_to_end(&mut text)?;
    Ok(text)
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A handle on the crontab of that name that cannot be read from yet; `None` when there is none, or no cron at all.
fn find(directory: &Path, user: &str) -> Result<Option<OwnedFd>, Errno> {
    let directory = rustix::fs::open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match directory.and_then(|directory| rustix::fs::openat2(directory, user, flags, Mode::empty(), resolve)) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

fn not_a_crontab(what: &str) -> Refusal {
    Refusal::invalid(
        "hosting",
        format!("expected its crontab to be a file of its system user; what is there is {what}"),
    )
}
