//! The gate and the endings, the same source, under loom: it tries the orders in which the steps of openings and endings
//! can follow each other, with the weakest memory that the primitives promise.
//!
//! What stands around them is as small as it can be: a table is the set of shares that let in, a site is a set of
//! sessions, and a reply is a count.

#![expect(clippy::duplicate_mod, reason = "the point of it: one source, two sets of primitives")]
#![allow(dead_code, reason = "what is not tried here is used by the agent")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use loom::sync::Mutex;
use loom::thread;

use endings::{Begun, Endings};
use gate::{Gate, Way};
use sync::locked;

#[path = "endings.rs"]
mod endings;
#[path = "gate.rs"]
mod gate;

mod sync {
    use std::sync::Arc;

    use loom::sync::MutexGuard;
    use loom::sync::atomic::{AtomicUsize, Ordering};

    pub(super) use loom::sync::Mutex;

    pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }

    /// What `arc_swap::ArcSwap` promises and no more: a load sees some store that is not older than what the thread
    /// knows of, and all that came before it.
    pub(super) struct ArcSwap<T> {
        stored: std::sync::Mutex<Vec<Arc<T>>>,
        newest: AtomicUsize,
    }

    impl<T> ArcSwap<T> {
        pub(super) fn from_pointee(value: T) -> Self {
            Self { stored: std::sync::Mutex::new(vec![Arc::new(value)]), newest: AtomicUsize::new(0) }
        }

        pub(super) fn load_full(&self) -> Arc<T> {
            let newest = self.newest.load(Ordering::Acquire);
            self.stored.lock().unwrap()[newest].clone()
        }

        pub(super) fn store(&self, value: Arc<T>) {
            let newest = {
                let mut stored = self.stored.lock().unwrap();
                stored.push(value);
                stored.len() - 1
            };
            self.newest.store(newest, Ordering::Release);
        }
    }
}

type Shares = BTreeSet<&'static str>;

/// What a channel leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    /// A site, which makes the session itself, after it was registered.
    Site,
    /// The gateway: once it is registered and allowed, it is used.
    Gateway,
}

#[derive(Clone)]
struct Session {
    mark: &'static str,
    share: &'static str,
    to: To,
}

impl Way for Session {
    fn id(&self) -> &str {
        self.mark
    }
}

struct Refused;

fn decide(table: &Shares, share: &str) -> Result<(), Refused> {
    if table.contains(share) { Ok(()) } else { Err(Refused) }
}

/// A node with one site, at which everybody is let in by the shares `a` and `b`.
struct Node {
    gate: Gate<Shares, Session>,
    endings: Arc<Endings<Session, ()>>,
    /// The lock of those who write.
    writer: Mutex<()>,
    /// The sessions that live there.
    site: Mutex<BTreeSet<&'static str>>,
    seen: std::sync::Mutex<Seen>,
}

/// What somebody who watches sees; none of the steps.
#[derive(Default)]
struct Seen {
    /// The sessions that the site ever had.
    made: BTreeSet<&'static str>,
    /// What callers were told: how often each was closed.
    closed: BTreeMap<&'static str, u32>,
}

impl Node {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            gate: Gate::new(BTreeSet::from(["a", "b"])),
            endings: Endings::new(),
            writer: Mutex::new(()),
            site: Mutex::new(BTreeSet::new()),
            seen: std::sync::Mutex::default(),
        })
    }

    fn open(&self, session: Session) {
        let (mark, share) = (session.mark, session.share);
        let opened = self.gate.open(session.clone(), |table| decide(table, share));
        if opened.is_err() || session.to == To::Gateway {
            return;
        }
        {
            let mut site = locked(&self.site);
            site.insert(mark);
            self.seen.lock().unwrap().made.insert(mark);
        }
        if !matches!(self.gate.use_now(mark, |table| decide(table, share)), Some(Ok(()))) {
            let _ = self.gate.take(mark);
            self.close(self.endings.begin(vec![session]));
        }
    }

    /// The way of a change: swapped and swept under the writers' lock, then the site is told.
    fn end(&self, share: &'static str) {
        let begun = {
            let _writer = locked(&self.writer);
            let mut table = Shares::clone(&self.gate.table());
            table.remove(share);
            let dead = self.gate.swap(Arc::new(table), |table, session| decide(table, session.share).is_err());
            let (gateway, at_site) = dead.into_iter().partition::<Vec<_>, _>(|session| session.to == To::Gateway);
            gateway.iter().for_each(|session| self.count(session.mark));
            self.endings.begin(at_site)
        };
        self.close(begun);
    }

    fn close(&self, begun: Vec<Begun<Session, ()>>) {
        for begun in begun {
            let mark = begun.session().mark;
            if locked(&self.site).remove(mark) {
                self.count(mark);
            }
            begun.confirm(None);
        }
    }

    fn count(&self, mark: &'static str) {
        *self.seen.lock().unwrap().closed.entry(mark).or_default() += 1;
    }

    /// What must hold when all is quiet, whatever the order was.
    fn check(&self) {
        // The agent tries again until nothing is left; here once must do.
        self.close(self.endings.begin_unconfirmed());
        assert!(self.endings.unconfirmed(|_| true).is_empty());
        let (table, open, site) = (self.gate.table(), self.gate.list(), locked(&self.site));
        let dead: Vec<_> = open.iter().filter(|one| decide(&table, one.share).is_err()).map(|one| one.mark).collect();
        assert!(dead.is_empty(), "registered, although the share has ended: {dead:?}");
        let open: BTreeSet<_> = open.iter().filter(|one| one.to == To::Site).map(|one| one.mark).collect();
        assert_eq!(*site, open, "what lives at the site is what is registered");
        let seen = self.seen.lock().unwrap();
        assert!(seen.closed.values().all(|count| *count == 1), "counted twice: {:?}", seen.closed);
        let told = |mark| u32::from(site.contains(mark)) + seen.closed.get(mark).copied().unwrap_or_default();
        assert!(seen.made.iter().all(|mark| told(mark) == 1), "neither open nor counted: {:?}", seen.made);
    }
}

const fn session(mark: &'static str, share: &'static str, to: To) -> Session {
    Session { mark, share, to }
}

/// Tries the orders of two openings and two endings, each thread preempted at most twice.
fn check(openings: [Session; 2], endings: [&'static str; 2]) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(move || {
        let node = Node::new();
        let opened = openings.clone().map(|session| {
            let node = node.clone();
            thread::spawn(move || node.open(session))
        });
        let ended = endings.map(|share| {
            let node = node.clone();
            thread::spawn(move || node.end(share))
        });
        opened.into_iter().chain(ended).for_each(|thread| thread.join().unwrap());
        node.check();
    });
}

#[test]
fn no_order_of_two_hand_overs_and_two_ends_of_a_share_leaves_a_session_open_or_counts_one_twice() {
    check([session("one", "a", To::Site), session("two", "a", To::Site)], ["a", "a"]);
}

#[test]
fn no_order_of_a_hand_over_a_sign_in_and_their_ends_leaves_one_open_or_counts_one_twice() {
    check([session("one", "a", To::Site), session("two", "b", To::Gateway)], ["a", "b"]);
}

#[test]
fn no_order_of_two_sign_ins_and_two_ends_of_a_share_leaves_one_open_or_counts_one_twice() {
    check([session("one", "a", To::Gateway), session("two", "a", To::Gateway)], ["a", "a"]);
}
