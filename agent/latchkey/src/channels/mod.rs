//! Channels: every live way in, registered before it is decided on and swept whenever the table changes.
//!
//! The orders that matter are in `gate` (opening, sweeping) and `endings` (who ends what); both are tried out by `model`.

mod at_once;
mod at_site;
mod ended;
mod ending;
mod endings;
mod files;
mod gate;
mod looks;
#[cfg(test)]
mod model;
mod switched;
mod sync;
mod used;
mod work;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use latchkey_access::rows::SsoOpen;
use latchkey_access::{AccessTable, Actor, HostingId, PersonId, ShareId, decide};
use rusqlite::Connection;

pub(crate) use ended::{Closed, Disabled, DisabledKind, Ended, Unconfirmed};
pub(crate) use ending::{TIME_FOR_SITES, close, forget_hosting, retry_unconfirmed};
pub(crate) use files::{FileSession, RestsOn};
pub(crate) use looks::look_again;
pub(crate) use switched::{KillSwitch, Switch};
pub(crate) use work::{
    DecideWork, OpenWork, Work, WorkKind, decide_through, open as open_work, open_beside as open_work_beside, share_by,
};

use crate::cron::{Leaving, Resting};
use crate::in_turn::Turns;
use crate::store::StoreError;
use crate::store::cron_entries;
use crate::store::gateway_rows::{self, GatewaySession};
use crate::store::residue::{self, Residue};
use crate::store::wordpress_sessions::{self, KeptSession, Look, WordpressSession};
use crate::token::TokenHash;
use at_once::AtOnce;
use endings::{Begun, Endings};
use gate::{Gate, Way};
use switched::{Killed, Lingering};
use sync::{Mutex, locked};
use used::Used;

/// One live way in.
#[derive(Debug, Clone)]
pub(crate) enum Channel {
    /// A session in WP Admin.
    Wordpress(WordpressSession),
    /// A browser that is signed in to the gateway.
    Gateway(TokenHash, GatewaySession),
    /// A session of a file account, by SFTP or FTP.
    Files(FileSession),
    /// A transfer, an event stream or a job.
    Work(Work),
}

impl Way for Channel {
    fn id(&self) -> &str {
        match self {
            Self::Wordpress(session) => &session.mark,
            Self::Gateway(_, session) => &session.id,
            Self::Files(session) => &session.id,
            Self::Work(work) => &work.id,
        }
    }
}

impl Way for WordpressSession {
    fn id(&self) -> &str {
        &self.mark
    }
}

impl Channel {
    /// Its name in `/v1/sessions`.
    pub(crate) fn id(&self) -> &str {
        Way::id(self)
    }

    /// On whose behalf it is open.
    pub(crate) fn actor(&self) -> Actor {
        match self {
            Self::Wordpress(session) => session.actor.clone(),
            Self::Gateway(_, session) => Actor::Person(session.person),
            Self::Files(session) => session.actor.clone(),
            Self::Work(work) => work.actor.clone(),
        }
    }

    /// The kind of channel, as replies and metrics name it.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Wordpress(_) => "wordpress",
            Self::Gateway(..) => "gateway",
            Self::Files(session) => session.protocol.as_str(),
            Self::Work(work) => work.kind.as_str(),
        }
    }

    /// The file account that it was opened with, if it was.
    pub(crate) fn login(&self) -> Option<&str> {
        match self {
            Self::Files(session) => Some(&session.login),
            Self::Wordpress(_) | Self::Gateway(..) | Self::Work(_) => None,
        }
    }

    /// Whether it has ended by itself.
    pub(crate) fn is_past(&self, now: Timestamp) -> bool {
        match self {
            Self::Wordpress(session) => session.expires_at <= now,
            Self::Gateway(_, session) => session.expires_at <= now,
            Self::Files(_) | Self::Work(_) => false,
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
            Self::Files(session) => session.is_allowed(table, now),
            Self::Work(work) => work.is_allowed(table, now),
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

/// Channels that were taken out of the registry and must be closed; see [`close`]. Dropped without that, what lives at
/// a site is unconfirmed, and ended by whoever tries again.
#[must_use = "they are out of the registry, and not closed yet"]
#[derive(Default)]
pub(crate) struct Taken {
    wordpress: Vec<Begun<WordpressSession, Look>>,
    gateway: Vec<String>,
    killed: Vec<Killed>,
    /// Cron entries that rested on what ended.
    cron: Vec<Leaving>,
    /// Shares that ended and may have left something on their hosting.
    used: BTreeSet<ShareId>,
    /// What the change that took them leaves behind.
    residue: Vec<Residue>,
}

impl Taken {
    /// Whether there is nothing to close and nothing to tell.
    pub(crate) fn is_empty(&self) -> bool {
        let is_closed = self.wordpress.is_empty() && self.gateway.is_empty() && self.killed.is_empty();
        is_closed && self.cron.is_empty() && self.used.is_empty() && self.residue.is_empty()
    }

    /// These, with what the change that took them leaves behind.
    pub(crate) fn leaving(mut self, residue: Vec<Residue>) -> Self {
        self.residue.extend(residue);
        self
    }

    /// These and others.
    pub(crate) fn and(mut self, others: Self) -> Self {
        self.wordpress.extend(others.wordpress);
        self.gateway.extend(others.gateway);
        self.killed.extend(others.killed);
        self.cron.extend(others.cron);
        self.used.extend(others.used);
        self.residue.extend(others.residue);
        self
    }

    /// Their names.
    #[cfg(test)]
    pub(crate) fn ids(&self) -> Vec<&str> {
        let wordpress = self.wordpress.iter().map(|begun| begun.session().id());
        let killed = self.killed.iter().map(|one| one.id.as_str());
        wordpress.chain(self.gateway.iter().map(String::as_str)).chain(killed).collect()
    }
}

/// The access table, the channels that it lets in, and the sessions that must end.
pub(crate) struct Channels {
    gate: Gate<AccessTable, Channel>,
    endings: Arc<Endings<WordpressSession, Look>>,
    by_token: Mutex<HashMap<TokenHash, String>>,
    lingering: Lingering,
    /// Cron entries are no way in, and end as channels do.
    pub(crate) cron: Resting,
    pub(crate) used: Used,
    pub(crate) at_once: AtOnce,
    /// Sites of a hosting are looked at again one after another.
    looks: Turns<String>,
}

impl Channels {
    /// The channels that outlived a restart.
    pub(crate) fn load(connection: &Connection, table: AccessTable, now: Timestamp) -> Result<Self, StoreError> {
        let (gate, lingering) = (Gate::new(table), Lingering::default());
        let cron = Resting::default();
        cron.keep(cron_entries::on_shares(connection)?);
        let used = Used::default();
        used.keep(residue::used_shares(connection)?);
        let (by_token, at_once, looks) = (Mutex::default(), AtOnce::default(), Turns::at_once(1));
        let channels = Self { gate, endings: Endings::new(), by_token, lingering, cron, used, at_once, looks };
        for (token, session) in gateway_rows::load_sessions(connection, now)? {
            channels.register(Channel::Gateway(token, session));
        }
        wordpress_sessions::load(connection)?.into_iter().for_each(|kept| channels.keep(kept));
        Ok(channels)
    }

    /// Takes over a session that was written down: open, or to be ended.
    pub(crate) fn keep(&self, kept: KeptSession) {
        if !kept.must_end {
            self.register(Channel::Wordpress(kept.session.clone()));
        }
        if kept.must_end || kept.look.is_some() {
            self.endings.keep(kept.session, kept.look);
        }
    }

    /// The WordPress sessions that are open or must end.
    pub(crate) fn wordpress(&self) -> Vec<KeptSession> {
        let open = self.list().into_iter().filter_map(|channel| match channel {
            Channel::Wordpress(session) => Some(KeptSession { session, must_end: false, look: None }),
            Channel::Gateway(..) | Channel::Files(_) | Channel::Work(_) => None,
        });
        let ending = self.endings.unconfirmed(|_| true).into_iter();
        open.chain(ending.map(|session| KeptSession { session, must_end: true, look: None })).collect()
    }

    /// The access table as it is now.
    pub(crate) fn table(&self) -> Arc<AccessTable> {
        self.gate.table()
    }

    /// Adds a channel that is decided on before anybody else can write. Otherwise see [`Channels::open`].
    pub(crate) fn register(&self, channel: Channel) {
        if let Channel::Gateway(token, session) = &channel {
            locked(&self.by_token).insert(*token, session.id.clone());
        }
        self.gate.register(channel);
    }

    /// Registers a WordPress session, then has it decided on; one that is refused is out again.
    pub(crate) fn open<P, E>(
        &self,
        session: WordpressSession,
        decide: impl FnOnce(&AccessTable) -> Result<P, E>,
    ) -> Result<P, E> {
        self.gate.open(Channel::Wordpress(session), decide)
    }

    /// Decides once more on a channel that is about to be used; `None` if it was ended meanwhile.
    pub(crate) fn use_now<P, E>(
        &self,
        id: &str,
        decide: impl FnOnce(&AccessTable) -> Result<P, E>,
    ) -> Option<Result<P, E>> {
        self.gate.use_now(id, decide)
    }

    /// Replaces what is known of a channel, if it is still there: one that was swept stays out.
    pub(crate) fn update(&self, channel: Channel) {
        self.gate.update(channel);
    }

    /// Takes a channel out that nobody uses, if it is there: there is nothing to close.
    pub(crate) fn forget(&self, id: &str) {
        self.forget_tokens(self.gate.take(id).as_slice());
    }

    /// Takes a channel out; `None` if it is not there.
    pub(crate) fn take(&self, id: &str) -> Option<Taken> {
        self.gate.take(id).map(|channel| self.begin(vec![channel]))
    }

    /// Takes a WordPress session out that the site may have, whether it is registered still or was swept meanwhile: the
    /// site may have made it after it was asked to end it.
    pub(crate) fn take_begun(&self, session: WordpressSession) -> Taken {
        drop(self.gate.take(&session.mark));
        self.begin(vec![Channel::Wordpress(session)])
    }

    /// Takes out every channel of this kind.
    pub(crate) fn take_where(&self, wanted: impl Fn(&Channel) -> bool) -> Taken {
        self.begin(self.gate.take_where(wanted))
    }

    /// Swaps the table and takes out every channel that it does not allow. For the one who holds the writer's lock.
    pub(crate) fn swap(&self, table: Arc<AccessTable>, now: Timestamp) -> Taken {
        let is_dead = |table: &AccessTable, channel: &Channel| is_gone(channel, now) || !channel.is_allowed(table, now);
        let (gone, dead) = self.gate.swap(table, is_dead).into_iter().partition::<Vec<_>, _>(|one| is_gone(one, now));
        self.forget_tokens(&gone);
        let used = self.used.take_dead(&self.table(), now);
        self.begin(dead).and(self.take_dead_entries(now)).and(Taken { used, ..Taken::default() })
    }

    /// Takes out the cron entries that the table does not allow.
    pub(crate) fn take_dead_entries(&self, now: Timestamp) -> Taken {
        Taken { cron: self.cron.take_dead(&self.table(), now), ..Taken::default() }
    }

    /// Takes out what the table does not allow, while nobody else writes.
    pub(crate) fn sweep(&self, now: Timestamp) -> Taken {
        self.swap(self.table(), now)
    }

    /// Forgets the WordPress sessions that a new one of the same share and user stands for from now on.
    pub(crate) fn take_superseded(&self, by: &WordpressSession, now: Timestamp) -> Vec<Channel> {
        self.gate.take_where(|channel| match channel {
            Channel::Wordpress(session) => {
                channel.is_past(now) && (session.share, &session.user) == (by.share, &by.user)
            }
            Channel::Gateway(..) | Channel::Files(_) | Channel::Work(_) => false,
        })
    }

    fn begin(&self, dead: Vec<Channel>) -> Taken {
        self.forget_tokens(&dead);
        let (mut wordpress, mut gateway, mut killed) = (Vec::new(), Vec::new(), Vec::new());
        for channel in dead {
            match channel {
                Channel::Wordpress(session) => wordpress.push(session),
                Channel::Gateway(_, session) => gateway.push(session.id),
                // At once: whoever drops these has killed them all the same.
                Channel::Files(session) => killed.push(session.killed()),
                Channel::Work(work) => killed.push(work.killed()),
            }
        }
        Taken { wordpress: self.endings.begin(wordpress), gateway, killed, ..Taken::default() }
    }

    fn forget_tokens(&self, gone: &[Channel]) {
        let mut by_token = locked(&self.by_token);
        for channel in gone {
            if let Channel::Gateway(token, _) = channel {
                by_token.remove(token);
            }
        }
    }

    /// All open channels, by id.
    pub(crate) fn list(&self) -> Vec<Channel> {
        self.gate.list()
    }

    /// Whether the channel is open.
    #[cfg(test)]
    pub(crate) fn contains(&self, id: &str) -> bool {
        self.gate.contains(id)
    }

    /// The gateway session with this cookie, if it is open.
    pub(crate) fn gateway_session(&self, token: &TokenHash, now: Timestamp) -> Option<GatewaySession> {
        let id = locked(&self.by_token).get(token).cloned()?;
        match self.gate.find(&id) {
            Some(Channel::Gateway(_, session)) if session.expires_at > now => Some(session),
            _ => None,
        }
    }

    /// How many channels must end and are not confirmed to have ended.
    pub(crate) fn unconfirmed(&self) -> usize {
        self.endings.unconfirmed(|_| true).len() + self.lingering.count() + self.cron.leaving()
    }

    /// How many channels have ended, and are looked at again in case something brings them back.
    pub(crate) fn watched(&self) -> usize {
        self.endings.watched()
    }

    /// What of a share is not confirmed to have ended.
    pub(crate) fn unconfirmed_of(&self, share: ShareId) -> Vec<Unconfirmed> {
        let at_sites = self.endings.unconfirmed(|session| session.share == Some(share));
        let at_sites = at_sites.iter().map(Unconfirmed::of).chain(self.lingering.of_share(share));
        at_sites.chain(self.cron.unconfirmed(|by, _| by == share)).collect()
    }

    /// What on a hosting is not confirmed to have ended.
    pub(crate) fn unconfirmed_on(&self, hosting: &HostingId) -> Vec<Unconfirmed> {
        let there = self.endings.unconfirmed(|session| session.site.hosting == hosting.as_str());
        there.iter().map(Unconfirmed::of).chain(self.cron.unconfirmed(|_, on| on == hosting)).collect()
    }
}

/// Whether a channel has ended by itself and nothing of it is left.
///
/// A WordPress session of a share is kept beyond its own end: the password may have been changed in it, and what was
/// opened with that must end with the share.
fn is_gone(channel: &Channel, now: Timestamp) -> bool {
    channel.is_past(now) && !channel.may_have_left_traces()
}
