//! Channels: every live way in, registered before it is decided on and swept whenever the table changes.

mod ending;

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use latchkey_access::rows::SsoOpen;
use latchkey_access::{AccessTable, Actor, PersonId, ShareId, decide};
use rusqlite::Connection;

pub(crate) use ending::{Ended, Unconfirmed, close, retry_unconfirmed};

use crate::store::StoreError;
use crate::store::gateway_rows::{self, GatewaySession};
use crate::store::wordpress_sessions::{self, WordpressSession};
use crate::token::TokenHash;

/// One live way in.
#[derive(Debug, Clone)]
pub(crate) enum Channel {
    /// A session in WP Admin.
    Wordpress(WordpressSession),
    /// A browser that is signed in to the gateway.
    Gateway(TokenHash, GatewaySession),
}

impl Channel {
    /// Its name in `/v1/sessions`.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Wordpress(session) => &session.mark,
            Self::Gateway(_, session) => &session.id,
        }
    }

    /// On whose behalf it is open.
    pub(crate) fn actor(&self) -> Actor {
        match self {
            Self::Wordpress(session) => session.actor.clone(),
            Self::Gateway(_, session) => Actor::Person(session.person),
        }
    }

    /// Whether it has ended by itself.
    pub(crate) fn is_past(&self, now: Timestamp) -> bool {
        match self {
            Self::Wordpress(session) => session.expires_at <= now,
            Self::Gateway(_, session) => session.expires_at <= now,
        }
    }

    /// Whether something of it may live on that it did not open itself.
    const fn may_have_left_traces(&self) -> bool {
        matches!(self, Self::Wordpress(session) if session.share.is_some())
    }

    /// Whether the table still allows it.
    pub(crate) fn is_allowed(&self, table: &AccessTable, now: Timestamp) -> bool {
        match self {
            Self::Wordpress(session) => wordpress_is_allowed(table, session, now),
            Self::Gateway(_, session) => has_business_here(table, session.person, now),
        }
    }
}

fn wordpress_is_allowed(table: &AccessTable, session: &WordpressSession, now: Timestamp) -> bool {
    decide::<SsoOpen>(table, &session.actor, &session.instance, now).is_ok_and(|permit| {
        permit.share() == session.share && permit.log_in_as().is_some_and(|who| who.allows(&session.user))
    })
}

/// Whether a person holds or is offered anything on this node, or owns anything.
pub(crate) fn has_business_here(table: &AccessTable, person: PersonId, now: Timestamp) -> bool {
    table.shares_of(person).any(|share| !share.is_over(now))
        || table.instances().any(|instance| instance.owners.contains(&person))
        || table.hostings().any(|hosting| hosting.owners.contains(&person))
}

/// The registry of channels.
pub(crate) struct Channels {
    open: Mutex<HashMap<String, Channel>>,
    by_token: Mutex<HashMap<TokenHash, String>>,
    /// WordPress sessions that must end and whose end is not confirmed yet.
    unconfirmed: Mutex<HashMap<String, WordpressSession>>,
    /// Marks of those that somebody is ending at this moment.
    underway: Mutex<HashSet<String>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Channels {
    /// The channels that outlived a restart.
    pub(crate) fn load(connection: &Connection, now: Timestamp) -> Result<Self, StoreError> {
        let channels = Self {
            open: Mutex::default(),
            by_token: Mutex::default(),
            unconfirmed: Mutex::default(),
            underway: Mutex::default(),
        };
        for (token, session) in gateway_rows::load_sessions(connection, now)? {
            channels.register(Channel::Gateway(token, session));
        }
        for (session, ending) in wordpress_sessions::load(connection)? {
            if ending {
                channels.keep_unconfirmed(session);
            } else {
                channels.register(Channel::Wordpress(session));
            }
        }
        Ok(channels)
    }

    /// Adds a channel. Decide after this, not before: so a sweep in between finds it.
    pub(crate) fn register(&self, channel: Channel) {
        if let Channel::Gateway(token, session) = &channel {
            locked(&self.by_token).insert(*token, session.id.clone());
        }
        locked(&self.open).insert(channel.id().to_owned(), channel);
    }

    /// Replaces what is known of a channel, if it is still there: one that was swept stays out.
    pub(crate) fn update(&self, channel: Channel) {
        if let Some(known) = locked(&self.open).get_mut(channel.id()) {
            *known = channel;
        }
    }

    /// Takes a channel out, if it is there.
    pub(crate) fn take(&self, id: &str) -> Option<Channel> {
        let taken = locked(&self.open).remove(id);
        if let Some(Channel::Gateway(token, _)) = &taken {
            locked(&self.by_token).remove(token);
        }
        taken
    }

    /// Takes out every channel that the table no longer allows, and forgets those that ended by themselves.
    ///
    /// A WordPress session of a share is kept beyond its own end: the password may have been changed in it, and what was
    /// opened with that must end with the share.
    pub(crate) fn take_dead(&self, table: &AccessTable, now: Timestamp) -> Vec<Channel> {
        let is_gone = |channel: &Channel| channel.is_past(now) && !channel.may_have_left_traces();
        self.take_where(|channel| is_gone(channel) || !channel.is_allowed(table, now))
            .into_iter()
            .filter(|channel| !is_gone(channel))
            .collect()
    }

    /// Forgets the WordPress sessions that a new one of the same share and user stands for from now on.
    pub(crate) fn take_superseded(&self, by: &WordpressSession, now: Timestamp) -> Vec<Channel> {
        self.take_where(|channel| match channel {
            Channel::Wordpress(session) => {
                channel.is_past(now) && (session.share, &session.user) == (by.share, &by.user)
            }
            Channel::Gateway(..) => false,
        })
    }

    /// Takes out every channel of this kind.
    pub(crate) fn take_where(&self, wanted: impl Fn(&Channel) -> bool) -> Vec<Channel> {
        let ids: Vec<String> = locked(&self.open)
            .values()
            .filter(|channel| wanted(channel))
            .map(|channel| channel.id().to_owned())
            .collect();
        ids.iter().filter_map(|id| self.take(id)).collect()
    }

    /// All open channels, oldest id first.
    pub(crate) fn list(&self) -> Vec<Channel> {
        let mut all: Vec<Channel> = locked(&self.open).values().cloned().collect();
        all.sort_by(|one, other| one.id().cmp(other.id()));
        all
    }

    /// Whether the channel is still registered.
    pub(crate) fn contains(&self, id: &str) -> bool {
        locked(&self.open).contains_key(id)
    }

    /// The gateway session with this cookie, if it is open.
    pub(crate) fn gateway_session(&self, token: &TokenHash, now: Timestamp) -> Option<GatewaySession> {
        let id = locked(&self.by_token).get(token).cloned()?;
        match locked(&self.open).get(&id) {
            Some(Channel::Gateway(_, session)) if session.expires_at > now => Some(session.clone()),
            _ => None,
        }
    }

    /// Keeps a session whose end could not be confirmed.
    pub(crate) fn keep_unconfirmed(&self, session: WordpressSession) {
        locked(&self.unconfirmed).insert(session.mark.clone(), session);
    }

    /// Forgets a session whose end is confirmed now.
    pub(crate) fn confirm(&self, mark: &str) {
        locked(&self.unconfirmed).remove(mark);
    }

    /// The sessions whose end is not confirmed yet.
    pub(crate) fn unconfirmed(&self) -> Vec<WordpressSession> {
        locked(&self.unconfirmed).values().cloned().collect()
    }

    /// Notes that sessions are being ended, so that nobody else ends them too and takes them from the count.
    pub(crate) fn ending_begins(&self, marks: &[String]) {
        locked(&self.underway).extend(marks.iter().cloned());
    }

    /// Notes that nobody is ending these sessions any more.
    pub(crate) fn ending_is_over(&self, marks: &[String]) {
        locked(&self.underway).retain(|mark| !marks.contains(mark));
    }

    /// Whether somebody is ending this session.
    pub(crate) fn is_being_ended(&self, mark: &str) -> bool {
        locked(&self.underway).contains(mark)
    }

    /// What of a share is not confirmed to have ended.
    pub(crate) fn unconfirmed_of(&self, share: ShareId) -> Vec<Unconfirmed> {
        let all = locked(&self.unconfirmed);
        all.values().filter(|session| session.share == Some(share)).map(Unconfirmed::of).collect()
    }
}
