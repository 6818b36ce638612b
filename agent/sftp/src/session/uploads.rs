//! Opening files; and uploads, which get their name when they are whole.
//!
//! What empties a file or makes it anew, only to be written, goes into a file without a name. CLOSE publishes it. Until
//! then what was there before stays, for everybody but this session, and a session that ends leaves nothing behind.

use std::sync::Arc;

use latchkey_protocol::{Creation, FileAccessMode, FileFault, OpenHow, SitePath};

use super::answer::{Answer, site_path};
use super::handles::{FileHandle, Handle, OpenedFor};
use super::{Entered, Session};
use crate::packet::attributes::AskedAttributes;
use crate::packet::request::OpenFlags;
use crate::packet::status::Status;

const NEW_FILE_MODE: u32 = 0o666;

impl Session {
    pub(super) async fn open(
        &mut self,
        path: &[u8],
        flags: OpenFlags,
        asked: AskedAttributes,
    ) -> Result<Answer, Status> {
        self.handles.ensure_room()?;
        let path = site_path(path)?;
        self.publish_beneath(&path).await?;
        let mode = asked.new_mode(NEW_FILE_MODE);
        let (file, upload) = if is_upload(flags) {
            let (file, target) = self.entered.tree.open_unnamed(&path, mode).await?;
            (file, Some(target))
        } else {
            let opened = self.entered.tree.open(&path, how(flags, mode)?).await?;
            if flags.truncates() {
                self.entered.has_freed();
            }
            (opened, None)
        };
        let opened_for = OpenedFor { reading: flags.reads() || !flags.writes(), writing: flags.writes() };
        let file = Arc::new(file);
        let file = FileHandle {
            _counted: self.entered.quota.as_ref().map(|quota| quota.count(&file)),
            file,
            path,
            opened_for,
            upload,
            failed: None,
            read_bytes: 0,
            written_bytes: 0,
        };
        Ok(Answer::Handle(self.handles.insert(Handle::File(file))))
    }

    /// Gives uploads at or beneath `path` their names now, because something is about to be done to these names.
    pub(super) async fn publish_beneath(&mut self, path: &SitePath) -> Result<(), Status> {
        for upload in self.handles.uploads().filter(|file| file.is_to_be_beneath(path)) {
            self.entered.publish(upload).await?;
        }
        Ok(())
    }
}

impl Entered {
    /// Gives an upload its name. Nothing to do for any other file. One that could not be written whole gets none.
    pub(super) async fn publish(&self, file: &mut FileHandle) -> Result<(), Status> {
        if let Some(failed) = file.failed {
            return Err(failed);
        }
        if let Some(target) = &file.upload {
            self.tree.publish(&file.file, target).await?;
            // What was there before is gone.
            self.has_freed();
            file.upload = None;
        }
        Ok(())
    }
}

/// Whether a file opened so is published only when it is closed.
const fn is_upload(flags: OpenFlags) -> bool {
    flags.writes()
        && flags.creates()
        && flags.truncates()
        && !flags.reads()
        && !flags.appends()
        && !flags.is_exclusive()
}

fn how(flags: OpenFlags, mode: u32) -> Result<OpenHow, Status> {
    let access = match (flags.reads(), flags.writes()) {
        (true, true) => FileAccessMode::ReadWrite,
        (false, true) => FileAccessMode::Write,
        (_, false) if flags.truncates() || flags.creates() => return Err(Status::Fault(FileFault::Invalid)),
        (_, false) => FileAccessMode::Read,
    };
    let creation = match (flags.creates(), flags.truncates(), flags.is_exclusive()) {
        (true, _, true) => Creation::New,
        (true, true, false) => Creation::CreateOrTruncate,
        (true, false, false) => Creation::Create,
        (false, true, _) => Creation::Truncate,
        (false, false, _) => Creation::Existing,
    };
    Ok(OpenHow { access, append: flags.appends(), creation, mode })
}
