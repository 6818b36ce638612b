//! `file.archive` and `file.extract`: jobs, whole or not at all. The bytes of archives are the files worker's alone.

use latchkey_access::Permit;
use latchkey_access::rows::{FileArchive, FileExtract};
use latchkey_protocol::{ArchiveFormat, FileWork, SitePath};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::{Context, Run};
use crate::file_manager::{Fresh, HomePath, archives, hidden, problem};
use crate::jobs::Underway;
use crate::problem::{Code, Problem};

const CUT_OFF: &str = "nothing of it has a name, and what was half made is removed";

/// What is packed, and into what.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArchiveInput {
    /// Files and folders, relative to the home, percent-encoded; 1 to 1000. Each has its own name in the archive.
    #[schemars(length(min = 1, max = 1000))]
    paths: Vec<HomePath>,
    /// The archive, relative to the home, percent-encoded; nothing must be there.
    to: HomePath,
    /// How it is written; if not given, as the end of `to` says: `.zip`, `.tar.gz`, `.tgz`, `.tar.zst`, `.tzst`.
    #[serde(default)]
    format: Option<Format>,
}

/// A format of archives.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    /// Zip.
    Zip,
    /// Tar, compressed by gzip.
    TarGz,
    /// Tar, compressed by Zstandard.
    TarZst,
}

/// An archive that was made.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Archived {
    /// Where it is, relative to the home, percent-encoded.
    path: HomePath,
    /// How many files and folders are in it.
    entries: u64,
    /// How long it is.
    size_bytes: u64,
    /// How many were left out: links, devices, pipes, sockets, and what cannot be read.
    left_out: u64,
}

/// What is extracted, and into what.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExtractInput {
    /// A zip, or a tar that is plain or compressed by gzip or Zstandard; relative to the home, percent-encoded.
    path: HomePath,
    /// A new folder, relative to the home, percent-encoded; if not given, beside the archive and named like it, without
    /// `.zip`, `.tar` and so on.
    #[serde(default)]
    to: Option<HomePath>,
}

/// What was extracted.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Extracted {
    /// The new folder, relative to the home, percent-encoded.
    path: HomePath,
    /// How many files and folders are in it.
    entries: u64,
    /// How many bytes its files have.
    size_bytes: u64,
}

impl Format {
    const fn archive_format(self) -> ArchiveFormat {
        match self {
            Self::Zip => ArchiveFormat::Zip,
            Self::TarGz => ArchiveFormat::TarGz,
            Self::TarZst => ArchiveFormat::TarZst,
        }
    }
}

impl ArchiveInput {
    fn format(&self) -> Result<ArchiveFormat, Problem> {
        let by_name = || archives::format_of(self.to.site_path());
        self.format.map(Format::archive_format).or_else(by_name).ok_or_else(|| {
            let expected = "expected zip, tar_gz or tar_zst, or `to` to end like an archive: .zip, .tar.gz, .tar.zst";
            Problem::invalid("format", expected)
        })
    }

    fn paths(&self) -> Result<Vec<SitePath>, Problem> {
        self.paths.iter().map(|path| path.beneath("paths").cloned()).collect()
    }
}

impl ExtractInput {
    fn to(&self) -> Result<SitePath, Problem> {
        match &self.to {
            Some(to) => to.beneath("to").cloned(),
            None => archives::without_suffix(self.path.beneath("path")?).ok_or_else(|| {
                Problem::invalid("to", "expected a new folder: the name of the archive does not end like one's")
            }),
        }
    }
}

impl Run for FileArchive {
    type Input = ArchiveInput;
    type Output = Archived;
    const CUT_OFF: &'static str = CUT_OFF;

    fn about(input: &ArchiveInput) -> Option<String> {
        let more = input.paths.len().saturating_sub(1);
        let first = input.paths.first()?.site_path();
        let and_more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Some(format!("{first}{and_more} to {}", input.to.site_path()))
    }

    async fn check(context: &Context, permit: &Permit<Self>, input: &ArchiveInput) -> Result<(), Problem> {
        let (paths, to) = (input.paths()?, input.to.beneath("to")?);
        input.format()?;
        archives::check_paths(&paths)?;
        let home = context.home(permit).await?;
        archives::check_there(&home, &paths).await?;
        archives::check_free(&home, to).await
    }

    async fn run(context: &Context, permit: Permit<Self>, input: ArchiveInput) -> Result<Archived, Problem> {
        let (paths, format, to) = (input.paths()?, input.format()?, input.to.site_path());
        let (home, job) = (context.home(&permit).await?, context.job()?);
        job.step("pack the files", 0).await?;
        let fresh = Fresh::new(&context.serve, &home).await?;
        let packed = stoppable(job, home.tree.archive(&paths, &fresh.path(), format)).await?.map_err(problem)?;
        named(job, fresh, to).await?;
        let FileWork { entries, bytes, left_out } = packed;
        Ok(Archived { path: input.to, entries, size_bytes: bytes, left_out })
    }
}

impl Run for FileExtract {
    type Input = ExtractInput;
    type Output = Extracted;
    const CUT_OFF: &'static str = CUT_OFF;

    fn about(input: &ExtractInput) -> Option<String> {
        Some(format!("{} to {}", input.path.site_path(), input.to().ok()?))
    }

    async fn check(context: &Context, permit: &Permit<Self>, input: &ExtractInput) -> Result<(), Problem> {
        let (path, to) = (input.path.beneath("path")?, input.to()?);
        let home = context.home(permit).await?;
        hidden::check(&home, "path", path).await?;
        archives::check_archive(&home, path).await?;
        archives::check_free(&home, &to).await
    }

    async fn run(context: &Context, permit: Permit<Self>, input: ExtractInput) -> Result<Extracted, Problem> {
        let (path, to) = (input.path.beneath("path")?, input.to()?);
        let (home, job) = (context.home(&permit).await?, context.job()?);
        job.step("unpack the archive", 0).await?;
        let fresh = Fresh::new(&context.serve, &home).await?;
        let unpacked = stoppable(job, home.tree.extract(path, &fresh.path())).await?.map_err(problem)?;
        let unpacked = unpacked.map_err(|bad| archives::problem_of(&bad))?;
        named(job, fresh, &to).await?;
        let FileWork { entries, bytes, .. } = unpacked;
        Ok(Extracted { path: to.into(), entries, size_bytes: bytes })
    }
}

/// Waits for a part of a job unless it has to stop.
async fn stoppable<T>(job: &Underway, part: impl Future<Output = T>) -> Result<T, Problem> {
    let stopped = || Problem::new(Code::Unavailable, "nothing of it has a name");
    job.unless_stopped(part).await.ok_or_else(stopped)
}

/// Gives what is whole its name, if that is allowed still.
async fn named(job: &Underway, fresh: Fresh, to: &SitePath) -> Result<(), Problem> {
    job.step("give it its name", 95).await?;
    // The step waited until it was written down.
    job.goes_on()?;
    // Somebody may have been faster since it was begun.
    fresh.name(to).await.map_err(|problem| archives::at(to, problem))
}
