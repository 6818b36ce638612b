//! Passwords of database users that a share was shown: what was connected with one ends with the share, and that it can
//! still be used is told as residue.
//!
//! The password itself is known to the database server only. Each that was shown is a channel of the kind `database`, with
//! a task that ends connections when it is told to stop, and looks whether the share came back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use latchkey_access::rows::DatabaseUserSetPassword;
use latchkey_access::{HostingId, Share};
use tokio::task::AbortHandle;

use crate::caller::Caller;
use crate::channels::{OpenWork, WorkKind, decide_through, open_work};
use crate::databases::{DatabaseError, UserName};
use crate::in_turn::{Turn, Turns};
use crate::problem::{Problem, chain};
use crate::serve::Serve;
use crate::state::Change;
use crate::store::residue::{self, Residue, ResidueKind};
use crate::store::shown_passwords::{self, ShownPassword};

/// Between two tries to reach the database server.
const PAUSE: Duration = Duration::from_millis(500);

/// The tasks that watch over what was shown.
#[derive(Debug)]
pub(crate) struct Watched {
    tasks: Mutex<BTreeMap<(HostingId, String), AbortHandle>>,
    /// A password and who was shown it change together.
    turns: Turns,
}

impl Default for Watched {
    fn default() -> Self {
        Self { tasks: Mutex::default(), turns: Turns::at_once(1) }
    }
}

impl Watched {
    /// Waits until nobody else changes a password of the hosting.
    pub(crate) async fn turn(&self, hosting: &HostingId) -> Turn {
        self.turns.take(hosting).await
    }

    fn stop(&self, hosting: &HostingId, user: &str) {
        let known = (hosting.clone(), user.to_owned());
        let stopped = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).remove(&known);
        stopped.into_iter().for_each(|task| task.abort());
    }

    fn begin(&self, shown: &ShownPassword, task: AbortHandle) {
        let known = (shown.hosting.clone(), shown.user.clone());
        let before = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).insert(known, task);
        before.into_iter().for_each(|task| task.abort());
    }
}

/// Keeps that a password is about to be told. What is not allowed any more fails: then it must not be told.
pub(crate) async fn show(serve: &Arc<Serve>, shown: ShownPassword) -> Result<(), Problem> {
    forget(serve, &shown.hosting, &shown.user).await?;
    let row = shown.clone();
    serve.write(move |rows| shown_passwords::save(rows, &row)).await?;
    let open = open(serve, &shown)?;
    begin_to_watch(serve, shown, Some(open));
    Ok(())
}

/// Forgets who knows the password of a user: it is another now, or the user is gone.
pub(crate) async fn forget(serve: &Arc<Serve>, hosting: &HostingId, user: &str) -> Result<(), Problem> {
    serve.shown_passwords.stop(hosting, user);
    let (hosting, user) = (hosting.clone(), user.to_owned());
    let forgotten = serve.write(move |rows| {
        residue::remove_of_all(rows, &residue_of(&user))?;
        shown_passwords::forget(rows, &hosting, &user)
    });
    Ok(forgotten.await?)
}

/// Watches over all that was shown before a restart.
pub(crate) async fn watch_all(serve: &Arc<Serve>) {
    match serve.read(shown_passwords::all).await {
        Ok(all) => all.into_iter().for_each(|shown| begin_to_watch(serve, shown, None)),
        Err(error) => tracing::error!(error = %chain(&error), "what was shown of databases cannot be read"),
    }
}

/// What is left behind when a share ends for good. Every change of a share comes by here.
pub(crate) fn follow(change: &mut Change<'_>, share: &Share) -> Result<(), Problem> {
    if !share.state.is_final() {
        return Ok(());
    }
    let mut left = Vec::new();
    change.write(|rows| {
        left = shown_passwords::of_share(rows, share.id)?.iter().map(|shown| residue_of(&shown.user)).collect();
        left.iter().try_for_each(|one| residue::save(rows, share.id, one))
    })?;
    change.leave(left);
    Ok(())
}

fn residue_of(user: &str) -> Residue {
    Residue {
        kind: ResidueKind::DatabaseUser,
        what: format!("the password of the database user {user} was shown through this share"),
        undo: Some(format!("run database_user.set_password or database_user.delete with the name {user}")),
    }
}

fn begin_to_watch(serve: &Arc<Serve>, shown: ShownPassword, open: Option<OpenWork>) {
    let task = tokio::spawn(watch(serve.clone(), shown.clone(), open));
    serve.shown_passwords.begin(&shown, task.abort_handle());
}

/// Lets it in as a channel, if the share allows it now.
fn open(serve: &Arc<Serve>, shown: &ShownPassword) -> Result<OpenWork, Problem> {
    let (table, now) = (serve.state.table(), serve.state.clock.now());
    let through = (&shown.instance, Some(shown.share));
    let permit = decide_through::<DatabaseUserSetPassword>(&table, &shown.actor, through, now)?;
    open_work(serve, &permit, WorkKind::Database, &Caller::agent())
}

async fn watch(serve: Arc<Serve>, shown: ShownPassword, mut known: Option<OpenWork>) {
    let mut changes = serve.state.changes();
    loop {
        known = known.or_else(|| open(&serve, &shown).ok());
        match known.take() {
            Some(open) => {
                open.told_to_stop().await;
                open.closed(end_connections(&serve, &shown).await);
            }
            // It was ended before this process began.
            None => drop(end_connections(&serve, &shown).await),
        }
        let is_over = || serve.state.table().share(shown.share).is_none_or(|share| share.state.is_final());
        loop {
            if is_over() {
                return forget_row(&serve, shown).await;
            }
            known = open(&serve, &shown).ok();
            if known.is_some() {
                break;
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Nothing is connected with it any more; what is known of it is in the share's residue.
async fn forget_row(serve: &Arc<Serve>, shown: ShownPassword) {
    let forgotten = serve.write(move |rows| shown_passwords::forget(rows, &shown.hosting, &shown.user)).await;
    if let Err(error) = forgotten {
        tracing::error!(error = %chain(&error), "what was shown of databases cannot be forgotten");
    }
}

/// Ends the user's connections, as often as it takes, and says how many there were.
async fn end_connections(serve: &Serve, shown: &ShownPassword) -> u32 {
    loop {
        let prefix = serve.state.table().hosting(&shown.hosting).map(|hosting| hosting.db_prefix.clone());
        // A hosting that is forgotten has no users any more that the agent may touch.
        let Some(Ok(user)) = prefix.map(|prefix| UserName::new(&prefix, &shown.user)) else { return 0 };
        match serve.databases.end_connections(&user).await {
            Ok(ended) => return ended,
            // The databases of this hosting are another platform's.
            Err(DatabaseError::NotSetUp) => return 0,
            Err(error) => {
                tracing::warn!(error = %chain(&error), %user, "connections of a database user could not be ended yet");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
