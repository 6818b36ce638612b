//! Accounts that follow their shares: made with file access, gone with it, whatever changed the share.

use latchkey_access::{FileProtocol, HostingId, Share, ShareId, ShareState, share_terms_now};
use rusqlite::Connection;

use super::doors::Opens;
use super::{Account, AccountOf, OfHosting, login};
use crate::caller::Note;
use crate::problem::Problem;
use crate::shares;
use crate::state::Change;
use crate::store::residue::{self, Residue, ResidueKind};
use crate::store::{StoreError, accounts};

/// Brings the account of a share in line with it. Every change of a share comes by here.
///
/// It is made when the share is active and has file access, and its person is told. It goes with its keys and password
/// when the share ends, or has no file access any more; a suspended share keeps it.
pub(crate) fn follow(change: &mut Change<'_>, share: &Share) -> Result<(), Problem> {
    if share.state.is_final() {
        let mut left = Vec::new();
        change.write(|rows| {
            accounts::delete_of_share(rows, share.id)?;
            left = left_by(rows, share.id)?;
            left.iter().try_for_each(|one| residue::save(rows, share.id, one))
        })?;
        change.leave(left);
        Ok(())
    } else if !share.terms.file_access.reads() {
        change.write(|rows| accounts::delete_of_share(rows, share.id))
    } else if share.state == ShareState::Active {
        make(change, share)
    } else {
        Ok(())
    }
}

fn make(change: &mut Change<'_>, share: &Share) -> Result<(), Problem> {
    let person = change.table().person(share.person).cloned().ok_or_else(|| Problem::not_found("person"))?;
    let mut made = None;
    change.write(|rows| {
        if accounts::of_share(rows, share.id)?.is_some() {
            return Ok(());
        }
        let login = free_login(rows, login::candidates(&person.email, &share.instance))?;
        let account = Account {
            login: login.clone(),
            of: AccountOf::Share(share.id),
            keys: Vec::new(),
            password_hash: None,
            generation: 1,
            made_at: change.now,
        };
        accounts::save(rows, &account)?;
        made = Some(login);
        Ok(())
    })?;
    let Some(login) = made else { return Ok(()) };
    let opened = share_terms_now(change.table(), share, change.now).file_access;
    let opens = Opens { sftp: opened.opens(FileProtocol::Sftp), ftp: opened.opens(FileProtocol::Ftp) };
    let doors = change.file_doors();
    shares::tell_account_details(change, share, &doors.facts(&login, opens), &doors.page_of(share.id))?;
    change.record(Note::of("file_account.make").on(&share.instance).share(share.id).detail(login))
}

fn free_login(rows: &Connection, candidates: impl Iterator<Item = String>) -> Result<String, StoreError> {
    for login in candidates {
        if accounts::find(rows, &login)?.is_none() {
            return Ok(login);
        }
    }
    Err(StoreError::Malformed { what: "list of logins", text: String::new() })
}

/// Makes the accounts that active shares should have and do not: those from before there were any, or from a backup.
pub(crate) fn make_missing(change: &mut Change<'_>) -> Result<(), Problem> {
    let active = |share: &&std::sync::Arc<Share>| share.is_live(change.now) && share.terms.file_access.reads();
    let shares: Vec<_> = change.table().shares().filter(active).cloned().collect();
    shares.iter().try_for_each(|share| make(change, share))
}

/// Accounts of hostings that a share allowed to make: who made them may know their passwords.
fn left_by(rows: &Connection, share: ShareId) -> Result<Vec<Residue>, StoreError> {
    let all = accounts::of_hostings(rows)?.into_iter();
    Ok(all.filter(|(_, of)| of.through == Some(share)).map(|(account, of)| residue_of(&account.login, &of)).collect())
}

/// An account of a hosting as what somebody left behind.
pub(super) fn residue_of(login: &str, of: &OfHosting) -> Residue {
    let protocol = of.protocol.as_str();
    Residue {
        kind: ResidueKind::FileAccount,
        what: format!("the {} account {login} of the hosting was made with this share", protocol.to_uppercase()),
        undo: Some(format!("run {protocol}_account.delete with the login {login}")),
    }
}

/// Removes the accounts of a hosting that is forgotten.
pub(crate) fn forget_hosting(rows: &Connection, hosting: &HostingId) -> Result<(), StoreError> {
    accounts::delete_of_hosting(rows, hosting)
}
