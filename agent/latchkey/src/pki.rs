//! `latchkey pki`: the node's own certificate authority and the certificates it signs.
//!
//! What a certificate says is decided in [`certificate`], how files are written in [`files`].

mod certificate;
mod files;
pub(crate) mod revoked;

use std::fmt;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;

pub(crate) use certificate::CertificateError;
use certificate::{Authority, Purpose};
pub(crate) use files::FileError;
use files::{Overwrite, PemPair};
use revoked::{Entry, ListFault, Revoked};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The name of the authority's own files: `ca.pem` and `ca.key`.
const AUTHORITY: &str = "ca";
/// The name of the list of revoked certificates.
const REVOKED: &str = "revoked";
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
    /// Put a client certificate on the list of those that are not let in any more: DIR/revoked.
    ///
    /// If `[panel] revoked` names that list, the agent cuts the certificate's connections within a second.
    ///
    /// Example: latchkey pki revoke --dir /etc/latchkey/pki --certificate /etc/latchkey/pki/panel-client.pem
    Revoke(Revoke),
}

/// `latchkey pki revoke`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["certificate", "serial"]))]
pub(crate) struct Revoke {
    /// Folder that holds the list; the list is made if it is missing.
    #[arg(long)]
    dir: PathBuf,
    /// The certificate, as a PEM file.
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Its serial number in hexadecimal digits, if you do not have the file.
    #[arg(long, value_name = "HEX")]
    serial: Option<String>,
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

/// What a command has done; displays as a sentence for people.
#[derive(Debug)]
pub(crate) enum Done {
    /// Files of a certificate.
    Written(Written),
    /// A line in the list of revoked certificates.
    Revoked {
        /// The list.
        list: PathBuf,
        /// The line.
        entry: Entry,
    },
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Written(written) => written.fmt(f),
            Self::Revoked { list, entry } => write!(f, "revoked: {entry} (in {})", list.display()),
        }
    }
}

/// Why no certificate was made or revoked.
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
    /// The certificate to revoke cannot be read.
    #[error("read the certificate {}", .path.display())]
    ToRevoke {
        path: PathBuf,
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The serial number is none.
    #[error("--serial: expected 1 to 40 hexadecimal digits")]
    Serial,
    /// The list of revoked certificates cannot be used.
    #[error("use the list of revoked certificates")]
    Revoked(#[source] ListFault),
    /// The name cannot be a file name here.
    #[error(
        "--name {name:?}: expected 1 to 64 letters, digits, `-`, `_` or `.`, not beginning with `.` or `-`, and not `ca`"
    )]
    Name { name: String },
}

/// Carries a command out. Blocks; needs to write in the folder; random numbers come from the kernel.
pub(crate) fn run(command: &Command, now: Timestamp) -> Result<Done, PkiError> {
    match command {
        Command::Init(init) => make_authority(init, now).map(Done::Written),
        Command::Issue(issue) => make_leaf(issue, now).map(Done::Written),
        Command::Revoke(revoke) => put_on_list(revoke),
    }
}

fn put_on_list(revoke: &Revoke) -> Result<Done, PkiError> {
    let entry = match (&revoke.certificate, &revoke.serial) {
        (Some(path), _) => {
            let read = CertificateDer::from_pem_file(path);
            Entry::fingerprint_of(&read.map_err(|source| PkiError::ToRevoke { path: path.clone(), source })?)
        }
        (None, serial) => {
            let line = format!("serial:{}", serial.as_deref().unwrap_or_default());
            Entry::parse(&line).ok_or(PkiError::Serial)?
        }
    };
    let list = revoke.dir.join(REVOKED);
    entry.add_to(&list).map_err(PkiError::Revoked)?;
    // Read as the agent will read it.
    Revoked::read(&list).map_err(PkiError::Revoked)?;
    Ok(Done::Revoked { list, entry })
}

fn make_authority(init: &Init, now: Timestamp) -> Result<Written, PkiError> {
    let name = init.name.clone().unwrap_or_else(default_name);
    let made = certificate::make_authority(&name, now, init.days).map_err(PkiError::Certificate)?;
    let written = write(PemPair::new(&init.dir, AUTHORITY), &made, overwrite(init.force), &init.dir)?;
    revoked::make(&init.dir.join(REVOKED)).map_err(PkiError::Revoked)?;
    Ok(written)
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
