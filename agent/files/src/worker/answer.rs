//! The table: what is called for each request.

use std::os::fd::OwnedFd;

use latchkey_protocol::{FileFault, FileReply, FileRequest, Place};

use super::{Shared, attributes, links, names, open, publish, remove_all};

type Answer = (FileReply, Option<OwnedFd>);

/// Carries out one request.
pub(super) fn answer(shared: &Shared, request: FileRequest, descriptors: Vec<OwnedFd>) -> Result<Answer, FileFault> {
    let home = &shared.home;
    let given = Given::of(descriptors)?;
    let done = match request {
        FileRequest::Publish { at } => publish::publish(home, &home.at(&at)?, &given.one()?),
        FileRequest::SetOpenAttributes { changes } => attributes::set_open(&given.one()?, &changes),
        FileRequest::BeginTask { task } => {
            return Ok((FileReply::Task { task: shared.tasks.begin(task, given.0)? }, None));
        }
        other => {
            given.none()?;
            return without_descriptor(shared, other);
        }
    };
    done.map(|()| (FileReply::Done, None))
}

fn without_descriptor(shared: &Shared, request: FileRequest) -> Result<Answer, FileFault> {
    let home = &shared.home;
    let at = |place: &Place| home.at(place);
    let reply = match request {
        FileRequest::Open { at: place, how } => return opened(open::open(&at(&place)?, &how)?),
        FileRequest::OpenUnnamed { at: place, mode } => {
            let (file, path) = open::open_unnamed(&at(&place)?, mode)?;
            return Ok((FileReply::OpenedUnnamed { path }, Some(file)));
        }
        FileRequest::Stat { at: place, links } => FileReply::Attributes(attributes::read(&at(&place)?, links)?),
        FileRequest::SetAttributes { at: place, links, changes } => {
            done(attributes::set(&at(&place)?, links, &changes))?
        }
        FileRequest::OpenDirectory { at: place } => {
            FileReply::Directory { directory: shared.directories.open(&at(&place)?)? }
        }
        FileRequest::ReadDirectory { directory } => FileReply::Entries { items: shared.directories.read(directory)? },
        FileRequest::CloseDirectory { directory } => done(shared.directories.close(directory))?,
        FileRequest::MakeDirectory { at: place, mode } => done(names::make_directory(&at(&place)?, mode))?,
        FileRequest::RemoveDirectory { at: place } => done(names::remove_directory(&at(&place)?))?,
        FileRequest::RemoveFile { at: place } => done(names::remove_file(&at(&place)?))?,
        FileRequest::RemoveAll { at: place } => done(remove_all::remove_all(&at(&place)?))?,
        FileRequest::Rename { from, to, existing } => {
            let (from, to) = home.both(&from, &to)?;
            done(names::rename(&from, &to, existing))?
        }
        FileRequest::HardLink { from, to } => {
            let (from, to) = home.both(&from, &to)?;
            done(links::hard_link(home, &from, &to))?
        }
        FileRequest::SymbolicLink { at: place, target } => done(links::symbolic_link(&at(&place)?, &target))?,
        FileRequest::ReadLink { at: place } => FileReply::Link { target: links::read_link(&at(&place)?)? },
        FileRequest::Resolve { at: place } => FileReply::Path { path: at(&place)?.resolved()? },
        FileRequest::StatFileSystem { at: place } => FileReply::Space(attributes::read_space(&at(&place)?)?),
        FileRequest::BeginWalk { at: place } => FileReply::Walk { walk: shared.walks.begin(&at(&place)?)? },
        FileRequest::GoOnWalking { walk } => FileReply::Walked(shared.walks.go_on(walk, home.uid())?),
        FileRequest::EndWalk { walk } => done(shared.walks.end(walk))?,
        FileRequest::CarryOutTask { task } => FileReply::TaskDone(shared.tasks.carry_out(task, home)?),
        FileRequest::EndTask { task } => done(shared.tasks.end(task))?,
        FileRequest::Publish { .. } | FileRequest::SetOpenAttributes { .. } | FileRequest::BeginTask { .. } => {
            return Err(FileFault::Invalid);
        }
    };
    Ok((reply, None))
}

fn done(result: Result<(), FileFault>) -> Result<FileReply, FileFault> {
    result.map(|()| FileReply::Done)
}

fn opened(file: OwnedFd) -> Result<Answer, FileFault> {
    Ok((FileReply::Opened, Some(file)))
}

/// The descriptors that came with a request.
struct Given(Option<OwnedFd>);

impl Given {
    fn of(descriptors: Vec<OwnedFd>) -> Result<Self, FileFault> {
        let mut all = descriptors.into_iter();
        match (all.next(), all.next()) {
            (first, None) => Ok(Self(first)),
            _ => Err(FileFault::Invalid),
        }
    }

    fn one(self) -> Result<OwnedFd, FileFault> {
        self.0.ok_or(FileFault::Invalid)
    }

    fn none(&self) -> Result<(), FileFault> {
        if self.0.is_none() { Ok(()) } else { Err(FileFault::Invalid) }
    }
}
