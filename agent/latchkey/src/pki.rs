//! `latchkey pki`: the node's own certificate authority and the certificates it signs.
//!
//! What a certificate says is decided in [`certificate`], how files are written in [`files`].

mod certificate;
mod files;

use std::fmt;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;

pub(crate) use certificate::CertificateError;
use certificate::{Authority, Purpose};
pub(crate) use files::FileError;
use files::{Overwrite, PemPair};

/// The name of the authority's own files: `ca.pem` and `ca.key`.
const AUTHORITY: &str = "ca";
const AUTHORITY_DAYS: u32 = 3650;
const LEAF_DAYS: u32 = 825;

/// What `latchkey pki` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a certificate authority: ca.pem and ca.key.
    ///
    /// Example: latchkey pki init --dir /etc/latchkey/pki
    Init(Init),
    /// Sign a certificate for a server or for a client: NAME.pem and NAME.key.
    ///
    /// Example: latchkey pki issue --dir /etc/latchkey/pki --name panel-client --client-uri urn:latchkey:panel:main
    Issue(Issue),
}

/// `latchkey pki init`.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Folder for the files; made if it is missing.
    #[arg(long)]
    dir: PathBuf,
    /// What the authority calls itself; without it, the name of this machine.
    #[arg(long)]
    name: Option<String>,
    /// How many days it is valid.
    #[arg(long, default_value_t = AUTHORITY_DAYS, value_parser = clap::value_parser!(u32).range(1..=36500))]
    days: u32,
    /// Replace an authority that is already there. Everything it has signed stops being trusted.
    #[arg(long)]
    force: bool,
}

/// `latchkey pki issue`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("purpose").required(true).args(["client_uri", "servers"]))]
pub(crate) struct Issue {
    /// Folder that holds ca.pem and ca.key; the new files go there too.
    #[arg(long)]
    dir: PathBuf,
    /// Name of the files, and the certificate's common name.
    #[arg(long)]
    name: String,
    /// A client certificate whose one name is this URI.
    #[arg(long, value_name = "URI")]
    client_uri: Option<String>,
    /// A server certificate for this host name or IP address; repeat it for more.
    #[arg(long = "server", value_name = "NAME_OR_IP")]
    servers: Vec<String>,
    /// How many days it is valid; without it 825, or less if the authority ends sooner.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36500))]
    days: Option<u32>,
    /// Replace a certificate and key of that name.
    #[arg(long)]
    force: bool,
}

/// The files that a command has written; displays as a sentence for people.
#[derive(Debug)]
pub(crate) struct Written {
    certificate: PathBuf,
    key: PathBuf,
    until: Timestamp,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        write!(f, "certificate: {certificate}\nkey:         {key} (keep it secret)\nvalid until: {}", self.until)
    }
}

/// Why no certificate was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PkiError {
    /// The certificate could not be made.
    #[error("make the certificate")]
    Certificate(#[source] CertificateError),
    /// The authority is not usable.
    #[error("read the authority in --dir {}", .dir.display())]
    Authority {
        dir: PathBuf,
        #[source]
        source: CertificateError,
    },
    /// A file could not be read or written.
    #[error("use the files in --dir {}", .dir.display())]
    Files {
        dir: PathBuf,
        #[source]
        source: FileError,
    },
    /// The name cannot be a file name here.
    #[error(
        "--name {name:?}: expected 1 to 64 letters, digits, `-`, `_` or `.`, not beginning with `.` or `-`, and not `ca`"
    )]
    Name { name: String },
}

/// Carries a command out. Blocks; needs to write in the folder; random numbers come from the kernel.
pub(crate) fn run(command: &Command, now: Timestamp) -> Result<Written, PkiError> {
    match command {
        Command::Init(init) => make_authority(init, now),
        Command::Issue(issue) => make_leaf(issue, now),
    }
}

fn make_authority(init: &Init, now: Timestamp) -> Result<Written, PkiError> {
    let name = init.name.clone().unwrap_or_else(default_name);
    let made = certificate::make_authority(&name, now, init.days).map_err(PkiError::Certificate)?;
    write(PemPair::new(&init.dir, AUTHORITY), &made, overwrite(init.force), &init.dir)
}

fn make_leaf(issue: &Issue, now: Timestamp) -> Result<Written, PkiError> {
    if !is_file_name(&issue.name) || issue.name == AUTHORITY {
        return Err(PkiError::Name { name: issue.name.clone() });
    }
    // Parsed before the authority's key is touched.
    let purpose = match &issue.client_uri {
        Some(uri) => Purpose::client(uri),
        None => Purpose::server(&issue.servers),
    }
    .map_err(PkiError::Certificate)?;
    let dir = || issue.dir.clone();
    let (certificate, key) =
        PemPair::new(&issue.dir, AUTHORITY).read().map_err(|source| PkiError::Files { dir: dir(), source })?;
    let authority =
        Authority::parse(&certificate, &key).map_err(|source| PkiError::Authority { dir: dir(), source })?;
    let until = authority.leaf_end(now, issue.days, LEAF_DAYS).map_err(PkiError::Certificate)?;
    let made = authority.issue(&issue.name, &purpose, now, until).map_err(PkiError::Certificate)?;
    write(PemPair::new(&issue.dir, &issue.name), &made, overwrite(issue.force), &issue.dir)
}

fn write(
    pair: PemPair,
    made: &certificate::Made,
    overwrite: Overwrite,
    dir: &std::path::Path,
) -> Result<Written, PkiError> {
    pair.write(&made.certificate, &made.key, overwrite)
        .map_err(|source| PkiError::Files { dir: dir.to_owned(), source })?;
    Ok(Written { certificate: pair.certificate, key: pair.key, until: made.until })
}

fn overwrite(force: bool) -> Overwrite {
    if force { Overwrite::Replace } else { Overwrite::Refuse }
}

fn is_file_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= 64 && name.chars().all(letter) && !name.starts_with(['.', '-'])
}

fn default_name() -> String {
    let uname = rustix::system::uname();
    let node = uname.nodename().to_string_lossy();
    // A common name holds at most 64 characters (RFC 5280, upper bounds).
    format!("Latchkey on {node}").chars().take(64).collect()
}

#[cfg(test)]
mod tests;
