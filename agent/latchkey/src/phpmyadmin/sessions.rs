//! Sessions in phpMyAdmin: each with an account of its own on the database server, which is dropped when it ends.
//!
//! The account is written down before it is made. A restart ends all sessions: their passwords are known to the process
//! only, and what it had made is dropped at the next start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use latchkey_access::rows::PhpmyadminOpen;
use latchkey_access::{AccessTable, Actor, Denial, Permit, ShareId};
use tokio::sync::Notify;

use crate::caller::{Caller, Note};
use crate::channels::{OpenWork, WorkKind, decide_through, open_work};
use crate::databases::{DatabaseError, DatabaseName, UserName};
use crate::problem::{Code, Problem, chain};
use crate::serve::Serve;
use crate::store::audit::Outcome;
use crate::store::phpmyadmin_rows::{self, Link};
use crate::token::{Token, TokenHash, random_hex};

/// Between two tries to drop an account.
const PAUSE: Duration = Duration::from_millis(500);
/// So many sessions of one share, or of an owner, at a time.
const MOST_OF_ONE: usize = 20;

/// The sessions that are open, by the name that is a part of their paths.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<BTreeMap<String, Arc<Session>>>);

/// A session.
#[derive(Debug)]
struct Session {
    /// Its channel.
    channel: String,
    /// What the browser shows.
    cookie: TokenHash,
    link: Link,
    account: Account,
    /// Told when the person signs out.
    signed_out: Notify,
}

/// A temporary account. It has no `Display`.
#[derive(Clone)]
pub(super) struct Account {
    pub(super) user: UserName,
    pub(super) password: String,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Account({})", self.user)
    }
}

/// What whoever opened a session is told, once.
pub(super) struct Begun {
    /// A part of the session's path; no secret.
    pub(super) name: String,
    pub(super) cookie: Token,
    pub(super) database: String,
}

impl Sessions {
    fn find(&self, name: &str, cookie: &Token) -> Option<Arc<Session>> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        found.filter(|session| session.cookie == cookie.hash())
    }

    /// Whether a session uses this account.
    fn has_account(&self, user: &UserName) -> bool {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.values().any(|session| session.account.user == *user)
    }

    fn remove(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Refuses whoever has as many sessions as they may.
    pub(super) fn has_room_for(&self, actor: &Actor, share: Option<ShareId>) -> Result<(), Problem> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.values().filter(|one| (one.link.share, &one.link.actor) == (share, actor)).count() < MOST_OF_ONE {
            return Ok(());
        }
        let detail = format!("expected at most {MOST_OF_ONE} sessions in phpMyAdmin at a time; sign out of one first");
        Err(Problem::new(Code::Busy, detail).retry_after(60))
    }
}

/// Opens a session: its channel is registered, decided on, and only then is an account made.
pub(super) async fn begin(serve: &Arc<Serve>, link: Link) -> Result<Begun, Problem> {
    let permit = decide_on(&serve.state.table(), &link, serve.state.clock.now())?;
    serve.phpmyadmin.has_room_for(&link.actor, link.share)?;
    let prefix = {
        let table = serve.state.table();
        let hosting = table.instance(&link.instance).and_then(|instance| table.hosting(&instance.hosting)).cloned();
        hosting.ok_or_else(|| Problem::not_found("hosting"))?.db_prefix.clone()
    };
    let database = DatabaseName::new(&prefix, &link.database).map_err(|_| Problem::not_found("database"))?;
    let work = open_work(serve, &permit, WorkKind::Phpmyadmin, &Caller::agent())?;
    let (name, cookie) = (random_hex()?, Token::generate()?);
    let account = Account { user: UserName::temporary(&name), password: Token::generate()?.text() };
    let session = Arc::new(Session {
        channel: work.id().to_owned(),
        cookie: cookie.hash(),
        link: link.clone(),
        account: account.clone(),
        signed_out: Notify::new(),
    });
    let user = account.user.to_string();
    serve.write(move |rows| phpmyadmin_rows::save_account(rows, &user)).await?;
    // From here on whatever happens ends with the account dropped, before the channel is over.
    serve.phpmyadmin.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), session.clone());
    let made = serve.databases.open_account(&account.user, &account.password, &database).await;
    let must_stop = work.must_stop();
    if made.is_err() || must_stop {
        session.signed_out.notify_one();
    }
    tokio::spawn(live(serve.clone(), name.clone(), session, work));
    made.map_err(|error| super::out_of_reach(&error))?;
    if must_stop {
        return Err(Denial::not_found("share").into());
    }
    Ok(Begun { name, cookie, database: link.database })
}

fn decide_on(table: &AccessTable, link: &Link, now: Timestamp) -> Result<Permit<PhpmyadminOpen>, Denial> {
    decide_through(table, &link.actor, (&link.instance, link.share), now)
}

/// The account behind a session, if it is open and allowed at this moment.
pub(super) fn account(serve: &Serve, name: &str, cookie: &Token) -> Option<Account> {
    let session = serve.phpmyadmin.find(name, cookie)?;
    let link = &session.link;
    let decide = |table: &AccessTable| decide_on(table, link, serve.state.clock.now());
    let allowed = serve.state.channels.use_now(&session.channel, decide);
    allowed.is_some_and(|allowed| allowed.is_ok()).then(|| session.account.clone())
}

/// Ends a session because its person wants it.
pub(super) fn sign_out(serve: &Serve, name: &str, cookie: &Token) {
    if let Some(session) = serve.phpmyadmin.find(name, cookie) {
        session.signed_out.notify_one();
    }
}

/// Stays with a session until it ends, and drops its account before the channel is over.
async fn live(serve: Arc<Serve>, name: String, session: Arc<Session>, work: OpenWork) {
    let life = serve.config.phpmyadmin.as_ref().map(super::Settings::session_life).unwrap_or_default();
    tokio::select! {
        () = work.told_to_stop() => {}
        () = session.signed_out.notified() => {}
        () = tokio::time::sleep(life) => {}
    }
    serve.phpmyadmin.remove(&name);
    drop_account(&serve, &session.account.user).await;
}

/// Drops an account with its connections, as often as it takes.
async fn drop_account(serve: &Arc<Serve>, user: &UserName) {
    loop {
        match serve.databases.drop_user(user).await {
            Ok(()) | Err(DatabaseError::NotFound | DatabaseError::NotSetUp) => break,
            Err(error) => {
                tracing::warn!(error = %chain(&error), %user, "an account of phpMyAdmin could not be dropped yet");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    let user = user.to_string();
    if let Err(error) = serve.write(move |rows| phpmyadmin_rows::forget_account(rows, &user)).await {
        tracing::error!(error = %chain(&error), "an account of phpMyAdmin was dropped and could not be forgotten");
    }
}

/// Drops what sessions before a restart have left, and what the state does not know any more: an older one may have taken
/// its place. Tried until the database server has said what there is.
pub(crate) async fn drop_leftovers(serve: Arc<Serve>) {
    let known = serve.read(phpmyadmin_rows::accounts).await.unwrap_or_else(|error| {
        tracing::error!(error = %chain(&error), "the accounts of phpMyAdmin cannot be read");
        Vec::new()
    });
    let known: BTreeSet<String> = known.into_iter().collect();
    let is_left = |user: &UserName| !serve.phpmyadmin.has_account(user);
    for user in known.iter().filter_map(|user| UserName::of_temporary(user)).filter(is_left) {
        drop_account(&serve, &user).await;
    }
    let there = loop {
        match serve.databases.temporary_accounts().await {
            Ok(there) => break there,
            Err(DatabaseError::NotSetUp) => return,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "what accounts phpMyAdmin has left cannot be seen yet");
                tokio::time::sleep(PAUSE).await;
            }
        }
    };
    for user in there.into_iter().filter(is_left).filter(|user| !known.contains(user.as_str())) {
        drop_account(&serve, &user).await;
        let detail = format!("the temporary account {user} was on the database server, and the state did not know it");
        let note = Note::of("phpmyadmin.drop_account").detail(detail);
        serve.record(Caller::agent(), note, Outcome::Allowed).await;
    }
}
