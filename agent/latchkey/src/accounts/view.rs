//! The file account of a share as replies show it: what it opens now, and no secret.

use jiff::Timestamp;
use latchkey_access::{AccessTable, FileProtocol, Share, decide_files, share_terms_now};
use rusqlite::Connection;
use schemars::JsonSchema;
use serde::Serialize;

use super::AuthorizedKey;
use crate::store::{StoreError, accounts};

/// The file account of a share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct FileAccountView {
    /// What to sign in as.
    pub(crate) login: String,
    /// Whether it lets in by SFTP now.
    pub(crate) sftp: bool,
    /// Whether it lets in by FTP now.
    pub(crate) ftp: bool,
    /// The folder that it sees as its root, from the instance's docroot: `/` for the docroot itself.
    pub(crate) root: String,
    /// Whether nothing can be changed with it.
    pub(crate) read_only: bool,
    /// Fingerprints of its keys, with their comments.
    pub(crate) keys: Vec<String>,
    /// Whether it has a password.
    pub(crate) has_password: bool,
}

/// Shows the account of a share, if it has one.
pub(crate) fn view(
    table: &AccessTable,
    connection: &Connection,
    share: &Share,
    now: Timestamp,
) -> Result<Option<FileAccountView>, StoreError> {
    let Some(account) = accounts::of_share(connection, share.id)? else { return Ok(None) };
    let held = share_terms_now(table, share, now).file_access;
    let opens = |protocol| decide_files(table, share.id, protocol, now).is_ok();
    Ok(Some(FileAccountView {
        login: account.login,
        sftp: opens(FileProtocol::Sftp),
        ftp: opens(FileProtocol::Ftp),
        root: format!("/{}", held.path),
        read_only: held.read_only,
        keys: account.keys.iter().map(AuthorizedKey::fingerprint).collect(),
        has_password: account.password_hash.is_some(),
    }))
}
