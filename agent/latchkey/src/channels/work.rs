//! Work that goes on while its share lasts: transfers, event streams, jobs, what databases are reached with.
//!
//! Each is allowed for as long as its operation is, through the same share. Whoever does it holds an [`OpenWork`] and
//! stops when it is told to.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
use latchkey_access::{AccessTable, Actor, Denial, HostingId, InstanceId, Operation, Permit, ShareId, decide};
use tokio::sync::watch;

use super::at_once::Place;
use super::switched::{KillSwitch, Killed, Switch};
use super::{Channel, Closed};
use crate::caller::Caller;
use crate::problem::{Code, Problem};
use crate::serve::Serve;
use crate::token::random_hex;

/// What sort of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkKind {
    /// An upload or a download.
    Transfer,
    /// An event stream.
    Stream,
    /// A job.
    Job,
    /// Connections of a database user.
    Database,
    /// A session in phpMyAdmin.
    Phpmyadmin,
}

impl WorkKind {
    /// As replies and metrics name it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Transfer => "transfer",
            Self::Stream => "stream",
            Self::Job => "job",
            Self::Database => "database",
            Self::Phpmyadmin => "phpmyadmin",
        }
    }

    const fn counted(self) -> fn(&mut Closed, u32) {
        match self {
            Self::Transfer => |closed, count| closed.transfer += count,
            Self::Stream => |closed, count| closed.stream += count,
            Self::Job => |closed, count| closed.job += count,
            Self::Database => |closed, count| closed.database += count,
            Self::Phpmyadmin => |closed, count| closed.phpmyadmin += count,
        }
    }

    /// Whether a connection of the panel's may be at it. The others have limits of their own.
    const fn takes_place(self) -> bool {
        matches!(self, Self::Transfer | Self::Stream | Self::Job)
    }
}

/// Decides once more; answers with the share that it rests on now.
pub(crate) type DecideWork = fn(&AccessTable, &Actor, &InstanceId, Timestamp) -> Result<Option<ShareId>, Denial>;

/// Work under way.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) id: String,
    pub(crate) kind: WorkKind,
    pub(crate) actor: Actor,
    pub(crate) share: Option<ShareId>,
    pub(crate) instance: InstanceId,
    pub(crate) hosting: HostingId,
    /// The operation.
    pub(crate) what: &'static str,
    pub(crate) opened_at: Timestamp,
    pub(crate) address: Option<String>,
    pub(crate) switch: KillSwitch,
    pub(crate) decide: DecideWork,
}

/// [`decide`] for one operation, as work holds it.
pub(crate) fn share_by<O: Operation>(
    table: &AccessTable,
    actor: &Actor,
    instance: &InstanceId,
    now: Timestamp,
) -> Result<Option<ShareId>, Denial> {
    decide::<O>(table, actor, instance, now).map(|permit| permit.share())
}

/// Decides once more on something that was allowed through this share, or without one: another one does not do.
pub(crate) fn decide_through<O: Operation>(
    table: &AccessTable,
    actor: &Actor,
    (instance, share): (&InstanceId, Option<ShareId>),
    now: Timestamp,
) -> Result<Permit<O>, Denial> {
    let permit = decide::<O>(table, actor, instance, now)?;
    if permit.share() == share { Ok(permit) } else { Err(Denial::not_found("share")) }
}

impl Work {
    /// Whether the operation is allowed still, by what it was begun with.
    pub(super) fn is_allowed(&self, table: &AccessTable, now: Timestamp) -> bool {
        self.decide_again(table, now).is_ok()
    }

    fn decide_again(&self, table: &AccessTable, now: Timestamp) -> Result<(), Denial> {
        let share = (self.decide)(table, &self.actor, &self.instance, now)?;
        // The hosting may have another owner by now, or the instance another hosting.
        let same_hosting = table.instance(&self.instance).is_some_and(|instance| instance.hosting == self.hosting);
        if share == self.share && same_hosting { Ok(()) } else { Err(Denial::not_found("share")) }
    }

    /// Kills it at once: nobody has to be asked.
    pub(super) fn killed(self) -> Killed {
        self.switch.0.kill();
        Killed {
            what: format!("{} on {}", self.what, self.instance),
            id: self.id,
            kind: self.kind.as_str(),
            share: self.share,
            hosting: self.hosting,
            count: self.kind.counted(),
            switch: self.switch,
        }
    }
}

/// Begins work that a permit allows: registered, then decided on once more. From here on whoever ends the share kills it.
///
/// Fails as the decision does, and when the share or the person has as much under way as they may.
pub(crate) fn open<O: Operation>(
    serve: &Arc<Serve>,
    permit: &Permit<O>,
    kind: WorkKind,
    caller: &Caller,
) -> Result<OpenWork, Problem> {
    let enter = || serve.state.channels.at_once.enter(permit.actor(), permit.share());
    let place = kind.takes_place().then(enter).transpose()?;
    let mut open = open_beside(serve, permit, kind, caller)?;
    open.place = place;
    Ok(open)
}

/// The same beside work that has its place: what goes on is one thing, and rests on several shares.
pub(crate) fn open_beside<O: Operation>(
    serve: &Arc<Serve>,
    permit: &Permit<O>,
    kind: WorkKind,
    caller: &Caller,
) -> Result<OpenWork, Problem> {
    let gone = || Problem::from(Denial::not_found("instance"));
    let table = serve.state.table();
    let (told, heard) = watch::channel(false);
    let closed = Arc::new(AtomicU32::new(1));
    let work = Work {
        id: random_hex().map_err(|error| Problem::internal(&error))?,
        kind,
        actor: permit.actor().clone(),
        share: permit.share(),
        instance: permit.instance().clone(),
        hosting: table.instance(permit.instance()).ok_or_else(gone)?.hosting.clone(),
        what: O::SPEC.name,
        opened_at: serve.state.clock.now(),
        address: caller.address.clone(),
        switch: KillSwitch(Arc::new(Stop { told, closed: closed.clone() })),
        decide: share_by::<O>,
    };
    // From here on it is out of the registry again whatever happens.
    let open = OpenWork { serve: serve.clone(), id: work.id.clone(), heard, closed, place: None };
    let decided_on = work.clone();
    serve.state.channels.register(Channel::Work(work));
    let now = |table: &_| decided_on.decide_again(table, serve.state.clock.now());
    serve.state.channels.use_now(&open.id, now).ok_or_else(gone)??;
    Ok(open)
}

/// Tells work to stop. It has ended when nobody listens any more.
struct Stop {
    told: watch::Sender<bool>,
    closed: Arc<AtomicU32>,
}

impl Switch for Stop {
    fn kill(&self) {
        self.told.send_replace(true);
    }

    fn ended(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.told.closed())
    }

    fn closed(&self) -> u32 {
        self.closed.load(Ordering::Relaxed)
    }
}

/// Work that was let in. Dropped, it is over: nothing of it may be open then.
pub(crate) struct OpenWork {
    serve: Arc<Serve>,
    id: String,
    heard: watch::Receiver<bool>,
    closed: Arc<AtomicU32>,
    place: Option<Place>,
}

impl OpenWork {
    /// Its name in `/v1/sessions`.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Whether it has to stop.
    pub(crate) fn must_stop(&self) -> bool {
        *self.heard.borrow()
    }

    /// Says how many ways in were closed with it; one unless it says so.
    pub(crate) fn closed(&self, count: u32) {
        self.closed.store(count, Ordering::Relaxed);
    }

    /// Refuses what must not be begun any more. What is begun after that is waited for by whoever ends it.
    pub(crate) fn goes_on(&self) -> Result<(), Problem> {
        if self.must_stop() { Err(has_ended()) } else { Ok(()) }
    }

    /// Does a part of it, given up when it has to stop: dropped, that part has to leave nothing behind.
    pub(crate) async fn unless_stopped<T>(&self, part: impl Future<Output = T>) -> Result<T, Problem> {
        tokio::select! {
            biased;
            () = self.told_to_stop() => Err(has_ended()),
            done = part => Ok(done),
        }
    }

    /// Returns when it has to stop.
    pub(crate) async fn told_to_stop(&self) {
        // Nobody who could tell is as good as being told.
        let _ = self.heard.clone().wait_for(|stop| *stop).await;
    }
}

/// What whoever began it is told.
fn has_ended() -> Problem {
    Problem::new(Code::Forbidden, "the access that this was begun with has ended")
}

impl Drop for OpenWork {
    fn drop(&mut self) {
        self.serve.state.channels.forget(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use latchkey_access::rows::{IndexingShow, SiteNameShow};
    use latchkey_access::{Privilege, PrivilegeSet, ShareState, Terms};

    use super::*;
    use crate::channels::{self, Ended};
    use crate::clock::Clock;
    use crate::sample::{self, UID};
    use crate::state::State;

    const JO: ShareId = ShareId::from_number(7);

    struct Fixture {
        serve: Arc<Serve>,
        jo: Actor,
        _dir: tempfile::TempDir,
    }

    impl Fixture {
        /// A node with one instance, and a share of it that allows what [`SiteNameShow`] and [`IndexingShow`] take.
        async fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let (serve, records) = Serve::new(sample::config(), State::open(dir.path(), Clock::default()).unwrap().0);
            crate::background::write_records(serve.clone(), records);
            let held = PrivilegeSet::EMPTY.with(Privilege::UpdateSiteName).with(Privilege::ManageSearchEngineIndexing);
            let (jo, _) = serve
                .change(Caller::agent(), move |change| {
                    let owner = change.person_with(&"owner@example.org".parse().unwrap())?;
                    change.put_hosting(sample::hosting(vec![]), UID)?;
                    change.put_instance(sample::instance(owner.id))?;
                    let jo = change.person_with(&"jo@example.org".parse().unwrap())?;
                    let terms = Terms { privileges: held, ..sample::no_terms() };
                    change.put_share(sample::share(JO, jo.id, terms, change.now))?;
                    Ok(Actor::Person(jo.id))
                })
                .await
                .unwrap();
            Self { serve, jo, _dir: dir }
        }

        fn permit<O: Operation>(&self, actor: &Actor) -> Permit<O> {
            let (table, now) = (self.serve.state.table(), self.serve.state.clock.now());
            decide(&table, actor, &sample::live(), now).unwrap()
        }

        fn open<O: Operation>(&self, kind: WorkKind) -> OpenWork {
            open(&self.serve, &self.permit::<O>(&self.jo), kind, &Caller::agent()).unwrap()
        }

        async fn alter(&self, alter: impl FnOnce(&mut latchkey_access::Share) + Send + 'static) -> Ended {
            let changed = self.serve.change(Caller::agent(), move |change| {
                let mut share = latchkey_access::Share::clone(&*change.share(JO)?);
                alter(&mut share);
                change.put_share(share)
            });
            changed.await.unwrap().1
        }

        async fn end(&self) -> Ended {
            self.alter(|share| share.state = ShareState::Revoked).await
        }
    }

    /// Work that stops as soon as it is told to.
    fn obedient(work: OpenWork) {
        tokio::spawn(async move { work.told_to_stop().await });
    }

    #[tokio::test]
    async fn work_of_each_kind_is_killed_and_counted_when_its_share_ends() {
        let node = Fixture::new().await;
        for kind in [WorkKind::Transfer, WorkKind::Stream, WorkKind::Job, WorkKind::Job] {
            obedient(node.open::<SiteNameShow>(kind));
        }
        assert_eq!(node.serve.state.channels.list().len(), 4);
        let ended = node.end().await;
        assert_eq!((ended.closed.transfer, ended.closed.stream, ended.closed.job), (1, 1, 2), "{ended:?}");
        assert!(ended.unconfirmed.is_empty());
        assert!(node.serve.state.channels.list().is_empty());
    }

    #[tokio::test]
    async fn a_privilege_that_is_taken_away_ends_the_work_that_takes_it_and_no_other() {
        let node = Fixture::new().await;
        let kept = node.open::<IndexingShow>(WorkKind::Stream);
        obedient(node.open::<SiteNameShow>(WorkKind::Stream));
        let narrowed = PrivilegeSet::EMPTY.with(Privilege::ManageSearchEngineIndexing);
        let ended = node.alter(move |share| share.terms.privileges = narrowed).await;
        assert_eq!(ended.closed.stream, 1);
        assert!(!kept.must_stop());
        assert_eq!(node.serve.state.channels.list()[0].id(), kept.id());
    }

    #[tokio::test]
    async fn work_of_the_panel_outlives_a_share() {
        let node = Fixture::new().await;
        let work = open(&node.serve, &node.permit::<SiteNameShow>(&Actor::Panel), WorkKind::Transfer, &Caller::agent());
        let work = work.unwrap();
        assert_eq!(node.end().await.closed.transfer, 0);
        assert!(!work.must_stop());
    }

    #[tokio::test]
    async fn a_share_has_so_much_work_under_way_and_databases_are_not_of_it() {
        let node = Fixture::new().await;
        let kinds = [WorkKind::Transfer, WorkKind::Stream, WorkKind::Job].into_iter().cycle();
        let mut works: Vec<_> = kinds.take(16).map(|kind| node.open::<SiteNameShow>(kind)).collect();
        let permit = node.permit::<SiteNameShow>(&node.jo);
        let refused = open(&node.serve, &permit, WorkKind::Stream, &Caller::agent()).err().unwrap();
        assert_eq!((refused.status, refused.retry_after_s.is_some()), (429, true), "{refused:?}");
        assert_eq!(node.serve.state.channels.list().len(), 16, "nothing of what was refused is registered");
        works.push(node.open::<SiteNameShow>(WorkKind::Database));
        works.push(node.open::<SiteNameShow>(WorkKind::Phpmyadmin));
        works.push(open_beside(&node.serve, &permit, WorkKind::Stream, &Caller::agent()).unwrap());
        works.remove(0);
        drop(node.open::<SiteNameShow>(WorkKind::Transfer));
    }

    #[tokio::test]
    async fn work_that_is_over_is_counted_by_nobody() {
        let node = Fixture::new().await;
        drop(node.open::<SiteNameShow>(WorkKind::Transfer));
        assert!(node.serve.state.channels.list().is_empty());
        assert_eq!(node.end().await.closed.transfer, 0);
    }

    #[tokio::test]
    async fn a_permit_from_before_the_share_ended_opens_no_work() {
        let node = Fixture::new().await;
        let permit = node.permit::<SiteNameShow>(&node.jo);
        node.end().await;
        assert!(open(&node.serve, &permit, WorkKind::Job, &Caller::agent()).is_err());
        assert!(node.serve.state.channels.list().is_empty());
    }

    #[tokio::test]
    async fn work_that_does_not_stop_is_unconfirmed_until_it_has() {
        let node = Fixture::new().await;
        let work = node.open::<SiteNameShow>(WorkKind::Transfer);
        let taken = node.serve.state.channels.take(work.id()).unwrap();
        assert!(work.must_stop(), "told before anybody waits");
        tokio::time::pause();
        let ended = channels::close(&node.serve, taken).await;
        assert_eq!((ended.closed.transfer, ended.unconfirmed.len()), (0, 1));
        assert_eq!(ended.unconfirmed[0].what, "site_name.show on live");
        assert_eq!(node.serve.state.channels.unconfirmed_of(JO).len(), 1);
        drop(work);
        while node.serve.state.channels.unconfirmed() > 0 {
            tokio::task::yield_now().await;
        }
    }
}
