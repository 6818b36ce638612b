//! Uploading: a file whole, or in pieces that a client can go on with. It has its name when all of it is there.

use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use latchkey_access::Actor;
use latchkey_files::client::FilesError;
use latchkey_files::tree::OpenFile;
use latchkey_protocol::{AttributeChanges, Creation, Existing, FileAccessMode, FileFault, Links, OpenHow, SitePath};
use sha2::{Digest, Sha256};

use super::hidden::{self, Kept};
use super::text::{self, Before, Known};
use super::{Home, Tag, problem, problem_of_write, tidy};
use crate::channels::OpenWork;
use crate::problem::{Code, Problem};
use crate::request::spawn_blocking;
use crate::serve::Serve;
use crate::token::hex;

/// As much is gathered before it is written.
const PIECE_BYTES: usize = 256 << 10;

/// How long the other end may send nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// What arrives, and what it is a part of.
pub(crate) struct Arriving {
    pub(crate) body: Body,
    pub(crate) work: OpenWork,
}

/// A part of a file, as `Content-Range` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// Where it begins; none asks how much is there already.
    pub(crate) from: Option<u64>,
    /// How many bytes it has at most.
    pub(crate) length: u64,
    /// How long the whole file will be.
    pub(crate) total: u64,
}

/// How far an upload has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Came {
    /// It has its name; whether something had it before, and its tag.
    Whole(Before, Tag),
    /// So many bytes are there; the client goes on after them.
    Partly(u64),
}

impl Arriving {
    /// Writes all that arrives to an open file, from an offset on, and no more than that many bytes. Returns how many.
    async fn write_to(&mut self, file: Arc<OpenFile>, from: u64, most: u64) -> Result<u64, Problem> {
        let (mut at, mut gathered) = (from, BytesMut::new());
        loop {
            let frame = tokio::select! {
                biased;
                () = self.work.told_to_stop() => return self.work.goes_on().map(|()| 0),
                frame = tokio::time::timeout(PATIENCE, self.body.frame()) => frame,
            };
            let frame = frame.map_err(|_| Problem::new(Code::TimedOut, "the body took too long").with_status(408))?;
            let is_last = frame.is_none();
            if let Some(frame) = frame {
                let frame = frame.map_err(|_| Problem::new(Code::Invalid, "the body was cut off"))?;
                gathered.extend_from_slice(&frame.into_data().unwrap_or_default());
            }
            if at - from + gathered.len() as u64 > most {
                return Err(Problem::invalid("Content-Range", "expected no more bytes than it says"));
            }
            if gathered.len() >= PIECE_BYTES || (is_last && !gathered.is_empty()) {
                let piece = gathered.split().freeze();
                let count = piece.len() as u64;
                write_piece(file.clone(), piece, at).await?;
                at += count;
            }
            if is_last {
                return Ok(at - from);
            }
        }
    }
}

async fn write_piece(file: Arc<OpenFile>, piece: Bytes, at: u64) -> Result<(), Problem> {
    let written = spawn_blocking(move || file.file().write_all_at(&piece, at)).await;
    written.map_err(|error| Problem::internal(&error))?.map_err(|error| problem_of_write(&error))
}

/// Takes a file whole. Nothing is left of one that does not arrive, or that there is no room for.
pub(crate) async fn whole(
    serve: &Arc<Serve>,
    home: &Home,
    path: &SitePath,
    known: Known,
    mut arriving: Arriving,
) -> Result<Came, Problem> {
    let (file, target) = home.tree.open_unnamed(path, 0o666).await.map_err(problem)?;
    let file = Arc::new(file);
    arriving.write_to(file.clone(), 0, u64::MAX).await?;
    let before = text::publish(serve, home, &file, (&target, known), &arriving.work).await?;
    Ok(Came::Whole(before, tag_of(file).await?))
}

/// Takes a part of a file. What there is of it is kept out of sight for a day, for whoever began it.
pub(crate) async fn part(
    serve: &Arc<Serve>,
    home: &Home,
    (path, part): (&SitePath, Part),
    known: Known,
    (actor, mut arriving): (&Actor, Arriving),
) -> Result<Came, Problem> {
    let target = home.tree.resolve(path).await.map_err(problem)?;
    tidy::note(serve, &home.hosting.id).await?;
    let name =
        hex(&Sha256::digest([format!("{actor:?} {}", part.total).as_bytes(), b"\0", target.as_bytes()].concat()));
    let partial = hidden::child(&Kept::Uploads.ensure(home).await?, name.as_bytes())?;
    let _going_on = GoingOn::begin(serve, format!("{} {name}", home.hosting.id))?;
    let how = OpenHow { access: FileAccessMode::ReadWrite, append: false, creation: Creation::Create, mode: 0o600 };
    let file = Arc::new(home.tree.open(&partial, how).await.map_err(problem)?);
    let there = file.file().metadata().map_err(|error| problem_of_write(&error))?.len();
    let Some(from) = part.from else { return Ok(Came::Partly(there)) };
    if from != there {
        return Err(Problem::conflict(format!("expected to go on at byte {there}")));
    }
    let written = arriving.write_to(file.clone(), from, part.length).await;
    if matches!(&written, Err(failed) if failed.code == Code::Quota) {
        // What is there of it would keep the last room from everybody else.
        home.tree.remove_file(&partial).await.map_err(problem)?;
    }
    let came = there + written?;
    if came < part.total {
        return Ok(Came::Partly(came));
    }
    let before = name_partial(serve, home, (&partial, &target), known, &arriving.work).await?;
    Ok(Came::Whole(before, tag_of(file).await?))
}

/// The tag of what has its name now, also if somebody has replaced it since.
async fn tag_of(file: Arc<OpenFile>) -> Result<Tag, Problem> {
    let tag = spawn_blocking(move || Tag::of(&file)).await.map_err(|error| Problem::internal(&error))?;
    tag.map_err(|error| problem_of_write(&error))
}

/// Gives it its name, with the mode of the file that it replaces.
async fn name_partial(
    serve: &Arc<Serve>,
    home: &Home,
    (partial, target): (&SitePath, &SitePath),
    known: Known,
    work: &OpenWork,
) -> Result<Before, Problem> {
    let _turn = serve.file_manager.turn(&home.hosting.id).await;
    let before = text::check(home, target, &known).await?;
    work.goes_on()?;
    let mode = match home.tree.stat(target, Links::Meant).await {
        Ok(found) => found.mode & 0o777,
        Err(FilesError::Fault(FileFault::NotFound)) => 0o644,
        Err(error) => return Err(problem(error)),
    };
    let changes = AttributeChanges { mode: Some(mode), ..AttributeChanges::default() };
    home.tree.set_attributes(partial, Links::Meant, changes).await.map_err(problem)?;
    home.tree.rename(partial, target, Existing::Replaced).await.map_err(problem)?;
    Ok(before)
}

/// An upload in pieces that is going on: nobody else goes on with the same at the same time.
struct GoingOn {
    serve: Arc<Serve>,
    name: String,
}

impl GoingOn {
    fn begin(serve: &Arc<Serve>, name: String) -> Result<Self, Problem> {
        let is_new = serve.file_manager.uploads.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        if is_new {
            return Ok(Self { serve: serve.clone(), name });
        }
        Err(Problem::new(Code::Busy, "this upload is going on already").retry_after(1))
    }
}

impl Drop for GoingOn {
    fn drop(&mut self) {
        self.serve.file_manager.uploads.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}
