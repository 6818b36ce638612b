//! Configuration files in directories that the operator wrote down for an adapter: read, and changed so that the program
//! they are for has said yes, or not at all.
//!
//! serve says which adapter, hosting, directory and name it is about, and the content. Where that is, which names are about
//! the hosting, and who checks comes from the operator's file alone.

mod directory;
mod section;

use std::{io, os::fd::OwnedFd, path::PathBuf, time::Duration};

use latchkey_protocol::{
    COMMAND_DEADLINE_MAX_MS, CONFIG_FILES_MAX, CommandEnd, ConfigFileCall, ConfigFileCame, ConfigFileWish, FrameSocket,
    read_sealed, seal_text,
};

use crate::{
    adapters::config::AdaptersConfig,
    admission, log,
    operators_file::{self, FileError, Grant},
    process::{self, ProcessError, Start},
    roots_own::{self, NotRoots},
    slots::Slots,
};
use directory::{Begun, CONTENT_MAX_BYTES, Directory, Found};
use section::{Program, Section};

/// So much of what a check says is told.
const SAID_MAX_BYTES: usize = 4096;

/// All of this node.
#[derive(Debug, Clone)]
pub(crate) struct ConfigFiles {
    operators: PathBuf,
    /// One for each directory: what is changed at the same time cannot be told apart by a check.
    places: Slots,
}

/// Why nothing was read or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigFileError {
    /// The adapter's name is none.
    #[error("no adapter of this name is installed")]
    Adapter,
    /// The time for it is out of its bounds.
    #[error("expected 1 to {COMMAND_DEADLINE_MAX_MS} milliseconds")]
    Deadline,
    /// The operator has no directory of that name for the adapter.
    #[error("{} has no config-files {name:?}", file.display())]
    Missing { file: PathBuf, name: String },
    /// The operator's file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Somebody else than root could have written the directory, or a program.
    #[error(transparent)]
    NotRoots(#[from] NotRoots),
    /// The name is not about the hosting.
    #[error("{0}")]
    Name(String),
    /// The content is not what was expected.
    #[error("expected a sealed file in memory of at most {CONTENT_MAX_BYTES} bytes")]
    Content,
    /// Somebody else is at it.
    #[error("the directory is being changed")]
    Busy,
    /// It holds too many.
    #[error("expected at most {CONFIG_FILES_MAX} files")]
    TooMany,
    /// A system call failed; what was begun is taken back.
    #[error("cannot {action} a file in {}: {source}", directory.display())]
    System { action: &'static str, directory: PathBuf, source: io::Error },
    /// A check could not be started or watched; what was begun is taken back.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

/// What came of it, and the content of a file that was read.
pub(crate) type Came = (ConfigFileCame, Option<OwnedFd>);

impl ConfigFiles {
    /// Those of the operator's files in a folder.
    pub(crate) fn new(config: &AdaptersConfig) -> Self {
        Self { operators: config.operators.clone(), places: Slots::new(config.commands, 1) }
    }

    /// Takes back what a broker that was killed began and did not finish, wherever the operator has directories.
    pub(crate) fn mend_all(&self) {
        for section in operators_file::all::<Section>(&self.operators, Grant::ConfigFiles) {
            let Ok(_place) = self.places.take(&section.directory.to_string_lossy()) else { continue };
            let opened = roots_own::open_directory(&section.directory).map(Directory);
            let mended = opened.map_err(ConfigFileError::from).and_then(|directory| mend(&section, &directory));
            if let Err(error) = mended {
                log::warn("cannot look for unfinished changes", &[("error", &log::chain(&error))]);
            }
        }
    }

    /// Reads or changes one, or lists them. Blocks until its check has ended; a check ends when `connection` does, and what
    /// it is about is taken back.
    pub(crate) fn carry_out(
        &self,
        call: &ConfigFileCall,
        content: Option<OwnedFd>,
        connection: &FrameSocket,
    ) -> Result<Came, ConfigFileError> {
        if !admission::is_id(&call.adapter) {
            return Err(ConfigFileError::Adapter);
        }
        if !(1..=COMMAND_DEADLINE_MAX_MS).contains(&call.deadline_ms) {
            return Err(ConfigFileError::Deadline);
        }
        let file = self.operators.join(format!("{}.toml", call.adapter));
        let section: Option<Section> = operators_file::section(&file, Grant::ConfigFiles, &call.directory)?;
        let section = section.ok_or_else(|| ConfigFileError::Missing { file, name: call.directory.clone() })?;
        if let Some(name) = call.wish.name()
            && !section.is_about(&call.hosting, name)
        {
            return Err(ConfigFileError::Name(section.expected(&call.hosting)));
        }
        let directory = Directory(roots_own::open_directory(&section.directory)?);
        let _place = self.places.take(&section.directory.to_string_lossy()).map_err(|_full| ConfigFileError::Busy)?;
        mend(&section, &directory)?;
        let time = section.timeout.min(Duration::from_millis(call.deadline_ms.into()));
        let work = Work { section: &section, directory: &directory, time, connection };
        match &call.wish {
            ConfigFileWish::List => work.list(&call.hosting),
            ConfigFileWish::Read { name } => work.read(name),
            ConfigFileWish::Write { name, version } => {
                let content = content.and_then(|content| read_sealed(content, CONTENT_MAX_BYTES as u64).ok());
                let content = content.ok_or(ConfigFileError::Content)?;
                work.write(name, version.as_deref(), &content)
            }
            ConfigFileWish::Remove { name, version } => work.remove(name, version),
        }
    }
}

/// One request, with its directory held.
struct Work<'w> {
    section: &'w Section,
    directory: &'w Directory,
    time: Duration,
    connection: &'w FrameSocket,
}

impl Work<'_> {
    fn list(&self, hosting: &str) -> Result<Came, ConfigFileError> {
        let names = self.directory.names().map_err(self.failed("list"))?;
        let names: Vec<String> = names.into_iter().filter(|name| self.section.is_about(hosting, name)).collect();
        if names.len() > CONFIG_FILES_MAX {
            return Err(ConfigFileError::TooMany);
        }
        Ok((ConfigFileCame::Names(names), None))
    }

    fn read(&self, name: &str) -> Result<Came, ConfigFileError> {
        let Some(Found { content, version, .. }) = self.found(name)? else {
            return Ok((ConfigFileCame::NotThere, None));
        };
        let content = seal_text(&content).map_err(|errno| self.failed("hand over")(errno.into()))?;
        Ok((ConfigFileCame::Content { version }, Some(content)))
    }

    fn write(&self, name: &str, version: Option<&str>, content: &[u8]) -> Result<Came, ConfigFileError> {
        self.look_at_programs()?;
        let found = self.found(name)?;
        if found.as_ref().map(|found| found.version.as_str()) != version {
            return Ok((ConfigFileCame::Changed, None));
        }
        let begun = self.directory.replace(name, found.as_ref(), content).map_err(self.undone("write"))?;
        self.decided(begun)
    }

    fn remove(&self, name: &str, version: &str) -> Result<Came, ConfigFileError> {
        self.look_at_programs()?;
        let Some(found) = self.found(name)? else { return Ok((ConfigFileCame::NotThere, None)) };
        if found.version != version {
            return Ok((ConfigFileCame::Changed, None));
        }
        let begun = self.directory.remove(name).map_err(self.undone("remove"))?;
        self.decided(begun)
    }

    /// Before anything is changed; each is looked at again when it is run.
    fn look_at_programs(&self) -> Result<(), ConfigFileError> {
        let mut programs = std::iter::once(&self.section.check).chain(&self.section.apply);
        Ok(programs.try_for_each(|program| roots_own::look_at(&program.path))?)
    }

    /// Confirms a change if the operator's programs say yes to it, and takes it back if not.
    fn decided(&self, begun: Begun<'_>) -> Result<Came, ConfigFileError> {
        let said = self.no_said();
        if let Ok(None) = said {
            begun.confirm().map_err(self.undone("confirm"))?;
            return Ok((ConfigFileCame::Done, None));
        }
        begun.take_back().map_err(self.undone("put back"))?;
        Ok((ConfigFileCame::Rejected { said: said?.unwrap_or_default() }, None))
    }

    /// What the first one said that said no.
    fn no_said(&self) -> Result<Option<String>, ConfigFileError> {
        for program in std::iter::once(&self.section.check).chain(&self.section.apply) {
            if let Some(said) = run(program, self.time, Some(self.connection))? {
                return Ok(Some(said));
            }
        }
        Ok(None)
    }

    fn found(&self, name: &str) -> Result<Option<Found>, ConfigFileError> {
        self.directory.read(name).map_err(self.failed("read"))
    }

    /// What cannot be finished is not left half done.
    fn undone(&self, action: &'static str) -> impl FnOnce(io::Error) -> ConfigFileError {
        move |source| {
            let error = self.failed(action)(source);
            match mend(self.section, self.directory) {
                Ok(()) => error,
                Err(worse) => worse,
            }
        }
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> ConfigFileError {
        failed(self.section, action)
    }
}

/// Takes back what was begun and not finished, and has the program take that up.
fn mend(section: &Section, directory: &Directory) -> Result<(), ConfigFileError> {
    let mended = directory.mend().map_err(failed(section, "put back"))?;
    if mended.is_empty() {
        return Ok(());
    }
    log::warn("took an unfinished change back", &[("files", &mended.join(" "))]);
    if let Some(apply) = &section.apply {
        // The file is right in any case; the program takes it up with the next change at the latest.
        let applied = run(apply, section.timeout, None);
        if !matches!(applied, Ok(None)) {
            log::warn("what was taken back did not take effect", &[("end", &format!("{applied:?}"))]);
        }
    }
    Ok(())
}

/// Runs one of the operator's programs; what it says if it says no.
fn run(program: &Program, time: Duration, connection: Option<&FrameSocket>) -> Result<Option<String>, ConfigFileError> {
    roots_own::look_at(&program.path)?;
    let (arguments, stdin) = (program.arguments.clone(), Vec::new());
    let came = process::run(Start { program: &program.path, arguments, stdin, user: None, time }, connection)?;
    if came.end == (CommandEnd::Exited { code: 0 }) {
        return Ok(None);
    }
    let written = [came.stdout, came.stderr].concat();
    let end = written.get(written.len().saturating_sub(SAID_MAX_BYTES)..).unwrap_or_default();
    let said = String::from_utf8_lossy(end).trim().to_owned();
    let how = match came.end {
        CommandEnd::Exited { code } => format!("exit code {code}"),
        CommandEnd::Signalled { signal } => format!("signal {signal}"),
        CommandEnd::TimedOut => "its time was over".to_owned(),
        CommandEnd::TooMuch => "it wrote more than it may".to_owned(),
    };
    Ok(Some(format!("{}: {how}: {said}", program.path.display())))
}

fn failed(section: &Section, action: &'static str) -> impl FnOnce(io::Error) -> ConfigFileError {
    let directory = section.directory.clone();
    move |source| ConfigFileError::System { action, directory, source }
}
