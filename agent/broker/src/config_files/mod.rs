//! Configuration files in directories that the operator wrote down for an adapter: read, and changed so that the program
//! they are for has said yes, or not at all.
//!
//! serve says which adapter, hosting, directory and name it is about, and the content. Where that is, which names are about
//! the hosting, and who checks comes from the operator's file alone.

mod directory;
mod section;

use std::{io, os::fd::OwnedFd, path::PathBuf, time::Duration};

use latchkey_protocol::{
    COMMAND_DEADLINE_MAX_MS, CONFIG_FILE_MAX_BYTES, CONFIG_FILES_MAX, CommandEnd, ConfigFileCall, ConfigFileCame,
    ConfigFileWish, FrameSocket, read_sealed, seal_text,
};

use crate::{
    adapters::{component, config::AdaptersConfig},
    log,
    operators_file::{self, FileError, Grant},
    process::{self, ProcessError, Start},
    roots_own::{self, NotRoots},
    turns::Turns,
};
use directory::{Begun, Directory, Found};
use section::{Program, Section};

/// So much of what a check says is told.
const SAID_MAX_BYTES: usize = 4096;

/// All of this node.
#[derive(Debug)]
pub(crate) struct ConfigFiles {
    adapters: PathBuf,
    operators: PathBuf,
    /// One for each directory: what is changed at the same time cannot be told apart by a check.
    turns: Turns,
}

/// Why nothing was read or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigFileError {
    /// There is none.
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
    #[error("expected a sealed file in memory of at most {CONFIG_FILE_MAX_BYTES} bytes")]
    Content,
    /// Somebody else was at it all the time.
    #[error("the directory is being changed")]
    Busy,
    /// It holds too many.
    #[error("expected at most {CONFIG_FILES_MAX} files")]
    TooMany,
    /// A system call failed; what was begun is taken back.
    #[error("cannot {action} a file in {}: {source}", directory.display())]
    System { action: &'static str, directory: PathBuf, source: io::Error },
    /// What was begun could not be taken back, or is confirmed perhaps: the file is what it was, or what it was made into.
    #[error("it is not known whether a file was changed")]
    Unknown(#[source] Box<ConfigFileError>),
    /// A check could not be started or watched; what was begun is taken back.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

/// What came of it, and the content of a file that was read.
pub(crate) type Came = (ConfigFileCame, Option<OwnedFd>);

impl ConfigFiles {
    /// Those of the operator's files in a folder.
    pub(crate) fn new(config: &AdaptersConfig) -> Self {
        Self { adapters: config.directory.clone(), operators: config.operators.clone(), turns: Turns::default() }
    }

    /// Takes back what a broker that was killed began and did not finish, wherever the operator has directories.
    pub(crate) fn mend_all(&self) {
        for section in operators_file::all::<Section>(&self.operators, Grant::ConfigFiles) {
            // Whoever has it has mended it.
            let turn = self.turns.take(&section.directory.to_string_lossy(), Duration::ZERO);
            let Some(_turn) = turn else { continue };
            let opened = roots_own::open_directory(&section.directory).map(Directory);
            let mended =
                opened.map_err(ConfigFileError::from).and_then(|directory| mend(&section, &directory).map(drop));
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
        // What the operator's file says is for an adapter that is there.
        component::open(&self.adapters, &call.adapter).map_err(|_| ConfigFileError::Adapter)?;
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
        let time = section.timeout.min(Duration::from_millis(call.deadline_ms.into()));
        let turn = self.turns.take(&section.directory.to_string_lossy(), time);
        let _turn = turn.ok_or(ConfigFileError::Busy)?;
        let directory = Directory(roots_own::open_directory(&section.directory)?);
        mend(&section, &directory)?;
        let work = Work { section: &section, directory: &directory, time, connection };
        match &call.wish {
            ConfigFileWish::List => work.list(&call.hosting),
            ConfigFileWish::Read { name } => work.read(name),
            ConfigFileWish::Write { name, version } => {
                let content = content.and_then(|content| read_sealed(content, CONFIG_FILE_MAX_BYTES as u64).ok());
                let content = content.ok_or(ConfigFileError::Content)?;
                work.write(&call.hosting, name, version.as_deref(), &content)
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
        let names = self.names_about(hosting)?;
        if names.len() > CONFIG_FILES_MAX {
            return Err(ConfigFileError::TooMany);
        }
        Ok((ConfigFileCame::Names(names), None))
    }

    fn names_about(&self, hosting: &str) -> Result<Vec<String>, ConfigFileError> {
        let names = self.directory.names().map_err(self.failed("list"))?;
        Ok(names.into_iter().filter(|name| self.section.is_about(hosting, name)).collect())
    }

    fn read(&self, name: &str) -> Result<Came, ConfigFileError> {
        let Some(Found { content, version, .. }) = self.found(name)? else {
            return Ok((ConfigFileCame::NotThere, None));
        };
        let content = seal_text(&content).map_err(|errno| self.failed("hand over")(errno.into()))?;
        Ok((ConfigFileCame::Content { version }, Some(content)))
    }

    fn write(&self, hosting: &str, name: &str, version: Option<&str>, content: &[u8]) -> Result<Came, ConfigFileError> {
        self.look_at_programs()?;
        let found = self.found(name)?;
        if found.as_ref().map(|found| found.version.as_str()) != version {
            return Ok((ConfigFileCame::Changed, None));
        }
        if found.is_none() && self.names_about(hosting)?.len() >= CONFIG_FILES_MAX {
            return Err(ConfigFileError::TooMany);
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
        let checked = self.no_said(&self.section.check);
        let apply = self.section.apply.as_ref().filter(|_| matches!(checked, Ok(None)));
        let said = apply.map_or(checked, |apply| self.no_said(apply));
        if let Ok(None) = said {
            begun.confirm().map_err(|source| self.unconfirmed(source))?;
            return Ok((ConfigFileCame::Done, None));
        }
        begun.take_back().map_err(self.undone("put back"))?;
        if apply.is_some() {
            // However it ended, it may have taken up what is not there any more.
            take_up(self.section);
        }
        Ok((ConfigFileCame::Rejected { said: said?.unwrap_or_default() }, None))
    }

    /// What a program of the operator's says if it says no.
    fn no_said(&self, program: &Program) -> Result<Option<String>, ConfigFileError> {
        run(program, self.time, Some(self.connection))
    }

    fn found(&self, name: &str) -> Result<Option<Found>, ConfigFileError> {
        self.directory.read(name).map_err(self.failed("read"))
    }

    /// What cannot be finished is not left half done.
    fn undone(&self, action: &'static str) -> impl FnOnce(io::Error) -> ConfigFileError {
        move |source| match mend(self.section, self.directory) {
            Ok(_mended) => self.failed(action)(source),
            Err(error) => ConfigFileError::Unknown(Box::new(error)),
        }
    }

    /// Without its note, a change is not taken back any more.
    fn unconfirmed(&self, source: io::Error) -> ConfigFileError {
        match mend(self.section, self.directory) {
            Ok(mended) if mended.is_empty() => ConfigFileError::Unknown(Box::new(self.failed("confirm")(source))),
            Ok(_mended) => self.failed("confirm")(source),
            Err(error) => ConfigFileError::Unknown(Box::new(error)),
        }
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> ConfigFileError {
        failed(self.section, action)
    }
}

/// Takes back what was begun and not finished, has the program take that up, and says of which files.
fn mend(section: &Section, directory: &Directory) -> Result<Vec<String>, ConfigFileError> {
    let mended = directory.mend().map_err(failed(section, "put back"))?;
    if !mended.is_empty() {
        log::warn("took an unfinished change back", &[("files", &mended.join(" "))]);
        take_up(section);
    }
    Ok(mended)
}

/// Has the program take up what was taken back. The file is right in any case; with the next change it does at the latest.
fn take_up(section: &Section) {
    let Some(apply) = &section.apply else { return };
    let applied = run(apply, section.timeout, None);
    if !matches!(applied, Ok(None)) {
        log::warn("what was taken back did not take effect", &[("end", &format!("{applied:?}"))]);
    }
}

/// Runs one of the operator's programs; what it says if it says no.
fn run(program: &Program, time: Duration, connection: Option<&FrameSocket>) -> Result<Option<String>, ConfigFileError> {
    roots_own::look_at(&program.path)?;
    let (arguments, stdin) = (program.arguments.clone(), Vec::new());
    let environment = Start::operators_environment();
    let start = Start { program: &program.path, arguments, environment, stdin, user: None, time };
    let came = process::run(start, connection)?;
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_failed_says_whether_the_file_is_what_it_was() {
        let ground = tempfile::tempdir().unwrap();
        let path = ground.path();
        let text = format!("directory = {path:?}\nfiles = \"{{hosting}}.conf\"\ncheck = [\"/bin/true\"]");
        let section: Section = toml::from_str(&text).unwrap();
        let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        let directory = Directory(rustix::fs::open(path, flags, rustix::fs::Mode::empty()).unwrap());
        let (connection, _other) = FrameSocket::pair().unwrap();
        let work = Work { section: &section, directory: &directory, time: section.timeout, connection: &connection };
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let is = |content: &str| fs::read_to_string(path.join("h1.conf")).unwrap() == content;
        let replace = |content: &[u8]| {
            let found = directory.read("h1.conf").unwrap();
            directory.replace("h1.conf", found.as_ref(), content).unwrap()
        };
        fs::write(path.join("h1.conf"), "one").unwrap();
        // As long as there is its note, it is taken back.
        drop(replace(b"two"));
        assert!(matches!(work.unconfirmed(full()), ConfigFileError::System { action: "confirm", .. }) && is("one"));
        drop(replace(b"two"));
        assert!(matches!(work.undone("write")(full()), ConfigFileError::System { action: "write", .. }) && is("one"));
        // Without its note it is not.
        replace(b"two").confirm().unwrap();
        assert!(matches!(work.unconfirmed(full()), ConfigFileError::Unknown(_)) && is("two"));
        // Nor where that fails.
        drop(replace(b"three"));
        fs::remove_file(path.join(".latchkey-h1.conf.old")).unwrap();
        fs::create_dir(path.join(".latchkey-h1.conf.old")).unwrap();
        assert!(matches!(work.undone("put back")(full()), ConfigFileError::Unknown(_)) && is("three"));
        assert!(matches!(work.unconfirmed(full()), ConfigFileError::Unknown(_)) && is("three"));
    }
}
