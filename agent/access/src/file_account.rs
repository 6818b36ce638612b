//! What a file account opens now: judged when somebody signs in with it, and again whenever the table changes.

use std::path::Path;

use jiff::Timestamp;

use crate::{
    AccessTable, Denial, FileAccess, Hosting, HostingId, HostingState, InstanceId, Rule, ShareId, ShareState,
    share_holdings,
};

/// How files are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileProtocol {
    /// SFTP.
    Sftp,
    /// FTP over TLS.
    Ftp,
}

impl FileProtocol {
    /// Its name in replies and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sftp => "sftp",
            Self::Ftp => "ftp",
        }
    }
}

/// The right to reach files of one hosting by one protocol, beneath one folder. Only [`decide_files`] and
/// [`decide_hosting_files`] make it; it is a statement about one moment, like a permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePermit {
    hosting: HostingId,
    instance: Option<InstanceId>,
    share: Option<ShareId>,
    rule: Rule,
    /// By the one protocol; its path is relative to the home.
    access: FileAccess,
}

impl FilePermit {
    /// Whose files.
    pub const fn hosting(&self) -> &HostingId {
        &self.hosting
    }

    /// The instance of the share that it rests on; none for an account of the whole hosting.
    pub const fn instance(&self) -> Option<&InstanceId> {
        self.instance.as_ref()
    }

    /// The share that it rests on; none for an account of the whole hosting.
    pub const fn share(&self) -> Option<ShareId> {
        self.share
    }

    /// The rule that allowed it.
    pub const fn rule(&self) -> Rule {
        self.rule
    }

    /// The folder that is its root, relative to the hosting's home; empty for the home itself.
    pub fn root(&self) -> &str {
        &self.access.path
    }

    /// Whether nothing may be changed.
    pub const fn is_read_only(&self) -> bool {
        self.access.read_only
    }

    /// Whether what was entered with `earlier` may go on: nothing of it was taken away since.
    pub fn still_covers(&self, earlier: &Self) -> bool {
        self.hosting == earlier.hosting && self.share == earlier.share && earlier.access.is_within(&self.access)
    }
}

/// Decides whether the file account of a share lets in now, by this protocol: its own terms cut down by everybody above
/// it (A10), while it is active (A4) and in time (A5), on a hosting that is open (A4).
pub fn decide_files(
    table: &AccessTable,
    id: ShareId,
    protocol: FileProtocol,
    now: Timestamp,
) -> Result<FilePermit, Denial> {
    let share = table.share(id).ok_or_else(|| Denial::not_found("share"))?;
    let instance = table.instance(&share.instance).ok_or_else(|| Denial::not_found("instance"))?;
    if share.has_expired(now) || share.state == ShareState::Expired {
        return Err(Denial::forbidden(Rule::A5, "the share has expired"));
    }
    if share.state != ShareState::Active {
        return Err(Denial::forbidden(Rule::A4, format!("the share is {}", share.state.as_str())));
    }
    let hosting = open_hosting(table, &instance.hosting)?;
    let held = share_holdings(table, share, now).file_access;
    if !held.opens(protocol) {
        let rule = if share.terms.file_access.opens(protocol) { Rule::A10 } else { Rule::A1 };
        let detail = format!("the share does not allow {} now", protocol.as_str());
        return Err(Denial::forbidden(rule, detail));
    }
    let root = Path::new(&instance.docroot).strip_prefix(&hosting.home).ok().and_then(Path::to_str);
    let outside = || Denial::forbidden(Rule::A1, "the instance lies outside its hosting's home");
    let path = joined(root.ok_or_else(outside)?, &held.path);
    Ok(FilePermit {
        hosting: hosting.id.clone(),
        instance: Some(instance.id.clone()),
        share: Some(id),
        rule: Rule::A10,
        access: FileAccess { kind: protocol.into(), path, ..held },
    })
}

/// Decides whether an account of a whole hosting lets in now: while the hosting is open (A4). `access` is what the
/// account itself allows, its path relative to the home.
pub fn decide_hosting_files(
    table: &AccessTable,
    hosting: &HostingId,
    access: &FileAccess,
    protocol: FileProtocol,
) -> Result<FilePermit, Denial> {
    let hosting = open_hosting(table, hosting)?;
    if !access.opens(protocol) {
        return Err(Denial::forbidden(Rule::A1, format!("the account is not for {}", protocol.as_str())));
    }
    let access = FileAccess { kind: protocol.into(), ..access.clone() };
    Ok(FilePermit { hosting: hosting.id.clone(), instance: None, share: None, rule: Rule::A4, access })
}

fn open_hosting<'t>(table: &'t AccessTable, id: &HostingId) -> Result<&'t Hosting, Denial> {
    let hosting = table.hosting(id).ok_or_else(|| Denial::not_found("hosting"))?;
    match hosting.state {
        HostingState::Active => Ok(hosting),
        HostingState::Suspended => Err(Denial::forbidden(Rule::A4, "the hosting is suspended")),
    }
}

fn joined(folder: &str, inner: &str) -> String {
    match (folder, inner) {
        ("", inner) => inner.to_owned(),
        (folder, "") => folder.to_owned(),
        (folder, inner) => format!("{folder}/{inner}"),
    }
}
