//! `GET·PUT /v1/instances/{instance}/files/{path}`: files as streams.

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH,
    IF_RANGE, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use latchkey_access::rows::{FileRead, FileWrite};
use latchkey_access::{Operation, Permit};
use latchkey_protocol::SitePath;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::reply::Reply;
use crate::caller::Note;
use crate::channels::{OpenWork, WorkKind, open_work};
use crate::file_manager::download::{self, Download};
use crate::file_manager::folder::Zipped;
use crate::file_manager::text::{Before, Known};
use crate::file_manager::upload::{self, Arriving, Came, Part};
use crate::file_manager::{Home, HomePath, Tag};
use crate::operations::decide_to_run;
use crate::problem::{Code, Problem};
use crate::store::audit::Outcome;

/// The media type of any file: no browser is to make anything of it.
pub(super) const BYTES: &str = "application/octet-stream";

/// The media type of a folder.
pub(super) const ZIP: &str = "application/zip";

/// What may stand in the name of a file in a header as it is (RFC 5987).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// What came of an upload.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Uploaded {
    /// Where, relative to the home, percent-encoded.
    path: HomePath,
    /// Whether all of it is there, under its name.
    is_whole: bool,
    /// How many bytes are there of what comes in pieces, as long as it is not whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    received_bytes: Option<u64>,
}

/// Lets the call begin with its file: the permit comes before anything that was sent is looked at.
async fn begin<O: Operation>(call: &Call) -> Result<(Permit<O>, HomePath, OpenWork, Home), Problem> {
    let serve = &call.serve;
    let permit = decide_to_run::<O>(serve, call.actor(), &call.instance()?).await?;
    let path = HomePath::of_url(call.param("path"))?;
    let work = open_work(serve, &permit, WorkKind::Transfer, &call.caller)?;
    let home = work.unless_stopped(Home::of(serve, &permit)).await??;
    Ok((permit, path, work, home))
}

async fn note<O: Operation>(
    call: &Call,
    permit: &Permit<O>,
    (what, path): (&str, &SitePath),
    failed: Option<&Problem>,
) {
    let note = Note { share: permit.share().map(|id| id.to_string()), ..Note::of(what) };
    let note = note.on(permit.instance()).rule(permit.rule());
    let (note, outcome) = match failed {
        None => (note.detail(path.to_string()), Outcome::Allowed),
        Some(problem) => (note.detail(format!("{path}: {}", problem.detail)), Outcome::Failed),
    };
    call.serve.record(call.caller.clone(), note, outcome).await;
}

/// Sends a file, or the part of it that `Range` names; or a folder, as a zip.
pub(super) async fn download(call: Call) -> Result<Reply, Problem> {
    let (permit, path, work, home) = begin::<FileRead>(&call).await?;
    let path = path.site_path();
    match call.query("format") {
        None => {}
        Some("zip") => {
            let begun = work.unless_stopped(Zipped::begin(&home, path)).await.flatten();
            note(&call, &permit, ("file.download", path), begun.as_ref().err()).await;
            return Ok(zip_reply(path, download::zipped(begun?, work, call.connection.clone())));
        }
        Some(_) => return Err(Problem::invalid("format", "expected `zip` for a folder, and none for a file")),
    }
    let file = work.unless_stopped(Download::open(&home, path)).await??;
    note(&call, &permit, ("file.download", path), None).await;
    let (size, tag) = (file.size, file.tag.quoted());
    let part = wanted(&call, size, &tag)?;
    let (from, length) = part.unwrap_or((0, size));
    let reply = Reply::stream(BYTES, file.part((from, length), work, call.connection.clone()))
        .with_header(ACCEPT_RANGES, "bytes")
        .with_header(CONTENT_LENGTH, &length.to_string())
        .with_header(ETAG, &tag)
        .with_header(X_CONTENT_TYPE_OPTIONS, "nosniff")
        .with_header(CONTENT_DISPOSITION, &attachment(path, ""));
    Ok(match part {
        Some(_) => {
            let range = format!("bytes {from}-{}/{size}", from + length - 1);
            reply.with_status(206).with_header(CONTENT_RANGE, &range)
        }
        None => reply,
    })
}

/// A stream without a length and without parts: each time it is written anew.
fn zip_reply(path: &SitePath, folder: Body) -> Reply {
    Reply::stream(ZIP, folder)
        .with_header(X_CONTENT_TYPE_OPTIONS, "nosniff")
        .with_header(CONTENT_DISPOSITION, &attachment(path, ".zip"))
}

/// Has a browser keep it under its own name.
fn attachment(path: &SitePath, suffix: &str) -> String {
    let name = path.split().map_or(&b"home"[..], |(_, name)| name);
    format!("attachment; filename*=UTF-8''{}{suffix}", percent_encode(name, PLAIN))
}

/// The part that is asked for, as where it begins and how long it is; none for all of it. Several parts at once are not
/// served, and all of it is sent, as RFC 9110 14.2 allows.
fn wanted(call: &Call, size: u64, tag: &str) -> Result<Option<(u64, u64)>, Problem> {
    let is_same = header(call, &IF_RANGE).is_none_or(|known| known == tag);
    let ranges = header(call, &RANGE).filter(|_| is_same);
    let Some(range) = ranges.as_deref().and_then(|text| text.strip_prefix("bytes=")) else { return Ok(None) };
    let Some((first, last)) = range.trim().split_once('-').filter(|_| !range.contains(',')) else { return Ok(None) };
    let (from, to) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(from), Ok(to)) if from <= to => (from, to.saturating_add(1).min(size)),
        (Ok(from), Err(_)) if last.is_empty() => (from, size),
        (Err(_), Ok(count)) if first.is_empty() => (size.saturating_sub(count), size),
        _ => return Ok(None),
    };
    if from >= to {
        let detail = format!("expected a range within the {size} bytes of the file");
        return Err(Problem { field: Some("Range".into()), ..Problem::new(Code::Invalid, detail).with_status(416) });
    }
    Ok(Some((from, to - from)))
}

/// Takes a file whole, or the part of it that `Content-Range` names.
pub(super) async fn upload(call: Call) -> Result<Reply, Problem> {
    let (permit, path, work, home) = begin::<FileWrite>(&call).await?;
    let target = path.beneath("path")?.clone();
    let (known, part) = (known(&call)?, part(&call)?);
    let arriving = Arriving { body: call.arriving(), work };
    let came = match part {
        None => upload::whole(&call.serve, &home, &target, known, arriving).await,
        Some(part) => upload::part(&call.serve, &home, (&target, part), known, (call.actor(), arriving)).await,
    };
    if !matches!(came, Ok(Came::Partly(_))) {
        note(&call, &permit, ("file.upload", &target), came.as_ref().err()).await;
    }
    let (status, received_bytes, tag) = match came? {
        Came::Whole(Before::Nothing, tag) => (201, None, Some(tag)),
        Came::Whole(Before::File, tag) => (200, None, Some(tag)),
        Came::Partly(received_bytes) => (202, Some(received_bytes), None),
    };
    let reply = Reply::json(&Uploaded { path, is_whole: tag.is_some(), received_bytes })?.with_status(status);
    Ok(match tag {
        Some(tag) => reply.with_header(ETAG, &tag.quoted()),
        None => reply,
    })
}

/// What the caller knows of a file that is there: nothing unless `If-Match` or `If-None-Match` says so.
fn known(call: &Call) -> Result<Known, Problem> {
    match (header(call, &IF_MATCH).as_deref(), header(call, &IF_NONE_MATCH).as_deref()) {
        (None, None) | (Some("*"), None) => Ok(Known::Any),
        (None, Some("*")) => Ok(Known::None),
        (Some(tags), None) => {
            let unquoted = |tag: &str| Some(Tag(tag.trim().strip_prefix('"')?.strip_suffix('"')?.to_owned()));
            let tags = tags.split(',').map(unquoted).collect::<Option<_>>();
            tags.map(Known::Tagged).ok_or_else(|| Problem::invalid("If-Match", "expected entity tags in quotes"))
        }
        _ => Err(Problem::invalid("If-None-Match", "expected `*`, and no `If-Match` beside it")),
    }
}

fn part(call: &Call) -> Result<Option<Part>, Problem> {
    let Some(text) = header(call, &CONTENT_RANGE) else { return Ok(None) };
    let parse = || {
        let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
        let total: u64 = total.parse().ok()?;
        if range == "*" {
            return Some(Part { from: None, length: 0, total });
        }
        let (from, to) = range.split_once('-')?;
        let (from, to): (u64, u64) = (from.parse().ok()?, to.parse().ok()?);
        (from <= to && to < total).then(|| Part { from: Some(from), length: to - from + 1, total })
    };
    let expected = "expected `bytes FIRST-LAST/TOTAL`, or `bytes */TOTAL` to ask how much is there";
    parse().map(Some).ok_or_else(|| Problem::invalid("Content-Range", expected))
}

fn header(call: &Call, name: &HeaderName) -> Option<String> {
    call.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
}
