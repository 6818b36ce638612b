//! Signing in with a file account, for whoever serves SFTP and FTP: first the key or password, then the session.
//!
//! [`enter`] registers the channel, decides, and looks once more whether the key or password is good still: whoever ends
//! access or replaces either in between finds the channel, and whoever did before is seen.

use std::net::IpAddr;
use std::sync::Arc;

use latchkey_access::{Actor, Denial, FilePermit, FileProtocol};

use super::events::{FileEvent, Whose};
use super::{Account, AccountOf, QuotaMib, passwords};
use crate::channels::{Channel, FileSession, KillSwitch, RestsOn, Switch};
use crate::problem::chain;
use crate::residue::first_use;
use crate::serve::Serve;
use crate::store::accounts;
use crate::token::random_hex;

/// No login is longer: a name, a number, a dot and an id.
const LONGEST_LOGIN: usize = 64;

/// What somebody signs in with.
pub(crate) enum Credential<'c> {
    /// A public key as SSH sends it, whose signature was verified.
    Key(&'c [u8]),
    /// A password.
    Password(&'c str),
}

/// Who is at the other end.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// What the client says that it is.
    pub(crate) client: String,
}

/// Somebody whose key or password was right.
#[derive(Debug, Clone)]
pub(crate) struct SignedIn {
    account: Account,
    whose: Whose,
    rests_on: RestsOn,
    permit: FilePermit,
}

/// Nobody is let in. Whoever asked is told no more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not let in")]
pub(crate) struct Refused;

/// Checks a key or password, and that the account opens anything by this protocol now.
///
/// Takes as long for a login that there is not; a refusal is noted in the audit, merged per minute.
pub(crate) async fn sign_in(
    serve: &Arc<Serve>,
    login: &str,
    credential: Credential<'_>,
    protocol: FileProtocol,
    peer: &Peer,
) -> Result<SignedIn, Refused> {
    let account = account(serve, login).await;
    let whose = whose(serve, account.as_ref(), protocol, peer);
    let is_right = match credential {
        Credential::Key(wire) => {
            let mut keys = account.iter().flat_map(|account| &account.keys);
            protocol == FileProtocol::Sftp && keys.any(|key| key.is(wire))
        }
        Credential::Password(text) => {
            let hash = account.as_ref().and_then(|account| account.password_hash.clone());
            passwords::verify(text, hash).await
        }
    };
    let ticking = serve.state.clock.ticking();
    let Some(account) = account.filter(|_| is_right) else {
        serve.events.was_refused(&whose, None, "the key or password is wrong", ticking);
        return Err(Refused);
    };
    let rests_on = RestsOn::from(&account.of);
    match rests_on.decide(&serve.state.table(), protocol, serve.state.clock.now()) {
        Ok(permit) => Ok(SignedIn { account, whose, rests_on, permit }),
        Err(denial) => Err(refuse(serve, &whose, &denial)),
    }
}

async fn account(serve: &Arc<Serve>, login: &str) -> Option<Account> {
    let named = if login.len() <= LONGEST_LOGIN { login.to_owned() } else { String::new() };
    let found = serve.read(move |connection| accounts::find(connection, &named)).await;
    found.unwrap_or_else(|error| {
        tracing::error!(error = %chain(&error), "a file account could not be looked up");
        None
    })
}

/// Whether an account has this key. Nothing is proven by it, so nobody is let in and nothing noted.
pub(crate) async fn knows_key(serve: &Arc<Serve>, login: &str, wire: &[u8]) -> bool {
    account(serve, login).await.is_some_and(|account| account.keys.iter().any(|key| key.is(wire)))
}

impl From<&AccountOf> for RestsOn {
    fn from(of: &AccountOf) -> Self {
        match of {
            AccountOf::Share(share) => Self::Share(*share),
            AccountOf::Hosting(of) => Self::Hosting(of.hosting.clone(), of.access()),
        }
    }
}

fn whose(serve: &Serve, account: Option<&Account>, protocol: FileProtocol, peer: &Peer) -> Whose {
    let table = serve.state.table();
    let share = account.and_then(|account| match account.of {
        AccountOf::Share(share) => table.share(share),
        AccountOf::Hosting(_) => None,
    });
    Whose {
        protocol,
        actor: share.map_or(Actor::Nobody, |share| Actor::Person(share.person)),
        login: account.map(|account| account.login.clone()),
        instance: share.map(|share| share.instance.clone()),
        share: share.map(|share| share.id),
        address: peer.address.to_string(),
        client: peer.client.clone(),
    }
}

fn refuse(serve: &Serve, whose: &Whose, denial: &Denial) -> Refused {
    serve.events.was_refused(whose, Some(denial.rule), &denial.detail, serve.state.clock.ticking());
    Refused
}

/// A session that was let in. Dropped, it is over: nobody counts it any more.
pub(crate) struct Entry {
    serve: Arc<Serve>,
    channel: String,
    whose: Whose,
}

/// What a session that was let in may do.
pub(crate) struct Entrance {
    /// Whose files, beneath which folder, reading or writing.
    pub(crate) permit: FilePermit,
    /// How much the account's folder may hold; none: as much as the hosting.
    pub(crate) quota: Option<QuotaMib>,
    /// To be held for as long as the session lives.
    pub(crate) entry: Entry,
}

/// Begins a session of somebody who has signed in. From here on whoever ends their access kills it with this switch.
pub(crate) async fn enter(serve: &Arc<Serve>, who: SignedIn, switch: Arc<dyn Switch>) -> Result<Entrance, Refused> {
    let SignedIn { account, whose, rests_on, permit } = who;
    if !permit.is_read_only() {
        let kept = first_use::keep_before_change(serve, permit.share()).await;
        kept.map_err(|problem| {
            tracing::warn!(detail = %problem.detail, "what a hosting has cannot be kept, so nobody is let in");
            Refused
        })?;
    }
    let id = random_hex().map_err(|_| Refused)?;
    let session = FileSession {
        id: id.clone(),
        protocol: whose.protocol,
        login: account.login.clone(),
        actor: whose.actor.clone(),
        rests_on: rests_on.clone(),
        permit: permit.clone(),
        address: whose.address.clone(),
        client: whose.client.clone(),
        opened_at: serve.state.clock.now(),
        switch: KillSwitch(switch),
    };
    serve.state.channels.register(Channel::Files(session));
    // From here on it is out of the registry again whatever happens, also if nobody waits for the answer any more.
    let entry = Entry { serve: serve.clone(), channel: id.clone(), whose };
    let login = account.login.clone();
    let now = serve.read(move |connection| accounts::find(connection, &login)).await;
    if !now.is_ok_and(|now| now.is_some_and(|now| now.generation == account.generation && now.of == account.of)) {
        let why = "the key or password was replaced meanwhile";
        serve.events.was_refused(&entry.whose, None, why, serve.state.clock.ticking());
        return Err(Refused);
    }
    let decided = serve.state.channels.use_now(&id, |table| {
        let found = rests_on.decide(table, entry.whose.protocol, serve.state.clock.now())?;
        // What was taken away since is not given back by a session that has begun with it.
        if found.still_covers(&permit) { Ok(()) } else { Err(Denial::not_found("share")) }
    });
    match decided {
        Some(Ok(())) => {
            entry.whose.was_let_in(serve, permit.rule()).await;
            let quota = match &account.of {
                AccountOf::Hosting(of) => of.quota,
                AccountOf::Share(_) => None,
            };
            Ok(Entrance { permit, quota, entry })
        }
        Some(Err(denial)) => Err(refuse(serve, &entry.whose, &denial)),
        None => Err(Refused),
    }
}

impl Entry {
    /// Whose it is.
    pub(crate) fn login(&self) -> &str {
        self.whose.login.as_deref().unwrap_or_default()
    }

    /// Notes for the audit that something was done to a file. Cheap, and never waits.
    pub(crate) fn noted(&self, event: FileEvent, path: &[u8]) {
        self.serve.events.did(&self.whose, event, path, self.serve.state.clock.ticking());
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.serve.state.channels.forget(&self.channel);
    }
}
