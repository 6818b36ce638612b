//! What the person of a share does with its account, or the panel for them: set keys, get a new password.

use std::sync::Arc;

use latchkey_access::{Share, ShareId, decide_own_share};

use super::passwords::NewPassword;
use super::{Account, AuthorizedKey};
use crate::caller::{Caller, Note};
use crate::channels::{self, Ended};
use crate::problem::Problem;
use crate::request;
use crate::serve::Serve;
use crate::state::Change;
use crate::store::accounts;

/// Sets the keys of a share's account. If that changes them, its live sessions are closed. `check` may refuse still.
pub(crate) async fn set_keys(
    serve: &Arc<Serve>,
    caller: Caller,
    share: ShareId,
    keys: Vec<AuthorizedKey>,
    check: impl FnOnce(&Share) -> Result<(), Problem> + Send + 'static,
) -> Result<(Share, Ended), Problem> {
    change_account(serve, caller, move |change| {
        let (before, account) = own_account(change, share)?;
        check(&before)?;
        if account.keys == keys {
            return Ok((before, None));
        }
        let note = format!("{} keys for {}", keys.len(), account.login);
        let after = save(change, &before, Account { keys, ..account }, "share.keys", note)?;
        Ok((after.0, Some(after.1)))
    })
    .await
}

/// A new password: the login and the password, which is told this once.
pub(crate) struct Credentials {
    pub(crate) login: String,
    pub(crate) password: String,
}

/// Gives a share's account a new password. Its live sessions are closed.
pub(crate) async fn new_password(
    serve: &Arc<Serve>,
    caller: Caller,
    share: ShareId,
    check: impl FnOnce(&Share) -> Result<(), Problem> + Send + 'static,
) -> Result<(Credentials, Ended), Problem> {
    // Refused before any work is done for it; the change decides again.
    decide_own_share(&serve.state.table(), &caller.actor, share)?;
    let password = serve.blocking(NewPassword::generate).await??;
    let (hash, text) = (password.hash, password.text);
    let changed = change_account(serve, caller, move |change| {
        let (before, account) = own_account(change, share)?;
        check(&before)?;
        let note = format!("a new password for {}", account.login);
        let (_, login) =
            save(change, &before, Account { password_hash: Some(hash), ..account }, "share.password", note)?;
        Ok((login.clone(), Some(login)))
    });
    let (login, ended) = changed.await?;
    Ok((Credentials { login, password: text }, ended))
}

fn own_account(change: &Change<'_>, id: ShareId) -> Result<(Share, Account), Problem> {
    let own = decide_own_share(change.table(), change.actor(), id)?;
    let share = change.share(own.share())?;
    let account = accounts::of_share(change.connection(), id)?;
    let none = || Problem::conflict("the share has no file account: it is not accepted yet, or allows no file access");
    Ok((Share::clone(&share), account.ok_or_else(none)?))
}

fn save(
    change: &mut Change<'_>,
    share: &Share,
    account: Account,
    operation: &str,
    note: String,
) -> Result<(Share, String), Problem> {
    let account = Account { generation: account.generation + 1, ..account };
    change.write(|rows| accounts::save(rows, &account))?;
    let after = change.put_share(share.clone())?;
    change.record(Note::of(operation).on(&share.instance).share(share.id).detail(note))?;
    Ok((after, account.login))
}

/// Changes the state, then closes the sessions of the account whose login the change answers with.
///
/// Whoever signs in meanwhile with what is gone is registered before they look at it once more, so they find that it is
/// gone or are found here. Once begun it is carried through.
pub(super) async fn change_account<T: Send + 'static>(
    serve: &Arc<Serve>,
    caller: Caller,
    work: impl FnOnce(&mut Change<'_>) -> Result<(T, Option<String>), Problem> + Send + 'static,
) -> Result<(T, Ended), Problem> {
    let serve = serve.clone();
    let carried_through = request::spawn(async move {
        let ((value, login), ended) = serve.change(caller, work).await?;
        let dead = serve.state.channels.take_where(|channel| login.is_some() && channel.login() == login.as_deref());
        let closed = channels::close(&serve, dead).await;
        Ok((value, ended.and(closed)))
    });
    carried_through.await.unwrap_or_else(|error| Err(Problem::internal(&error)))
}
