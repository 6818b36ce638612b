//! The promise of a change: all of it or nothing, and what ends access ends it even when it cannot be written down.

use std::time::Duration;

use latchkey_access::{Actor, Instance, LogInAs, Privilege, PrivilegeSet, Share, ShareId, ShareState, Terms, WpUser};

use super::State;
use crate::caller::{Caller, Note};
use crate::channels::{Channel, Taken};
use crate::clock::{Clock, later};
use crate::problem::{Code, Problem};
use crate::sample::{self, UID};
use crate::store::hand_overs::{self, Burnt, HandOver};
use crate::store::wordpress_sessions::{self, Look, Seen, Site, WordpressSession};
use crate::token::Token;

pub(super) struct Fixture {
    pub(super) state: State,
    pub(super) share: ShareId,
    pub(super) dir: tempfile::TempDir,
}

fn editor() -> WpUser {
    WpUser { id: 2, login: "editor".into() }
}

/// A node with one instance and one active share of it that logs in as `editor`, in one open WordPress session.
pub(super) fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path(), Clock::default()).unwrap().0;
    let share = ShareId::from_number(7);
    let (made, _) = state.change(&Caller::agent(), |change| {
        let owner = change.person_with(&"owner@example.org".parse().unwrap())?;
        let person = change.person_with(&"anna@example.org".parse().unwrap())?;
        change.put_hosting(sample::hosting(vec![owner.id]), UID)?;
        change.put_instance(sample::instance(owner.id))?;
        let terms = Terms {
            privileges: PrivilegeSet::EMPTY.with(Privilege::WpAdminSso),
            log_in_as: Some(LogInAs::Pinned(editor())),
            ..sample::no_terms()
        };
        change.put_share(sample::share(share, person.id, terms, change.now))
    });
    let person = made.unwrap().person;
    let now = state.clock.now();
    state.channels.register(Channel::Wordpress(WordpressSession {
        mark: "mark".into(),
        instance: "live".parse().unwrap(),
        site: Site { hosting: "demo".into(), docroot: "live".into(), url: "http://127.0.0.1".into() },
        share: Some(share),
        actor: Actor::Person(person),
        user: editor(),
        opened_at: now,
        expires_at: later(now, Duration::from_secs(3600)),
    }));
    Fixture { state, share, dir }
}

impl Fixture {
    pub(super) fn state_of_share(&self) -> ShareState {
        self.state.table().share(self.share).unwrap().state
    }

    pub(super) fn suspend(&self) -> (Result<Share, Problem>, Taken) {
        self.state.change(&Caller::agent(), |change| {
            change.ends_access = true;
            change.set_state(self.share, ShareState::Suspended)
        })
    }

    fn refuse_writes(&self) {
        self.state.store.writer().execute_batch("PRAGMA query_only = ON").unwrap();
    }
}

#[test]
fn a_change_takes_the_channels_that_it_no_longer_allows_and_no_others() {
    let fixture = fixture();
    let (renamed, dead) = fixture.state.change(&Caller::agent(), |change| {
        let share = change.share(fixture.share)?;
        change.put_share(Share { note: Some("hello".into()), ..Share::clone(&share) })
    });
    assert!(renamed.is_ok() && dead.is_empty());
    let (suspended, dead) = fixture.suspend();
    assert_eq!(suspended.unwrap().state, ShareState::Suspended);
    assert_eq!(dead.ids(), ["mark"]);
    assert!(!fixture.state.channels.contains("mark"));
}

#[test]
fn a_change_that_is_refused_half_way_leaves_nothing() {
    let fixture = fixture();
    let (refused, dead) = fixture.state.change(&Caller::agent(), |change| -> Result<(), Problem> {
        change.ends_access = true;
        change.set_state(fixture.share, ShareState::Revoked)?;
        change.record(Note::of("share.revoke"))?;
        Err(Problem::conflict("no"))
    });
    assert_eq!(refused.unwrap_err().code, Code::Conflict);
    assert!(dead.is_empty());
    assert_eq!(fixture.state_of_share(), ShareState::Active);
    let rows: u32 = fixture.state.store.reader().query_row("SELECT count(*) FROM audit", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 0);
}

#[test]
fn what_ends_access_ends_it_even_when_it_cannot_be_written_down() {
    let fixture = fixture();
    fixture.refuse_writes();
    let (outcome, dead) = fixture.suspend();
    let problem = outcome.unwrap_err();
    assert_eq!(problem.code, Code::Unavailable);
    assert!(problem.detail.contains("repeat"), "{}", problem.detail);
    assert_eq!(dead.ids(), ["mark"]);
    assert_eq!(fixture.state_of_share(), ShareState::Suspended);
}

#[test]
fn what_ended_unwritten_is_written_with_the_next_change_and_outlives_a_restart() {
    let fixture = fixture();
    fixture.refuse_writes();
    assert!(fixture.suspend().0.is_err() && fixture.state.is_behind());
    fixture.state.store.writer().execute_batch("PRAGMA query_only = OFF").unwrap();
    assert!(fixture.state.change(&Caller::agent(), |_| Ok(())).0.is_ok() && !fixture.state.is_behind());
    let again = State::open(fixture.dir.path(), Clock::default()).unwrap().0;
    assert_eq!(again.table().share(fixture.share).unwrap().state, ShareState::Suspended);
}

#[test]
fn what_gives_access_is_not_given_when_it_cannot_be_written_down() {
    let fixture = fixture();
    fixture.suspend().0.unwrap();
    fixture.refuse_writes();
    let (outcome, _) =
        fixture.state.change(&Caller::agent(), |change| change.set_state(fixture.share, ShareState::Active));
    assert_eq!(outcome.unwrap_err().code, Code::Unavailable);
    assert_eq!(fixture.state_of_share(), ShareState::Suspended);
}

#[test]
fn the_state_is_the_same_after_a_restart() {
    let fixture = fixture();
    fixture.suspend().0.unwrap();
    let again = State::open(fixture.dir.path(), Clock::default()).unwrap().0;
    let (before, after) = (fixture.state.table(), again.table());
    assert_eq!(before.share(fixture.share), after.share(fixture.share));
    assert_eq!(before.instances().collect::<Vec<_>>(), after.instances().collect::<Vec<_>>());
    assert_eq!(before.hostings().collect::<Vec<_>>(), after.hostings().collect::<Vec<_>>());
    assert_eq!(again.uid_of(&"demo".parse().unwrap()), Some(UID));
}

#[test]
fn a_hand_over_is_good_once_and_not_after_its_minute() {
    let fixture = fixture();
    let (state, now) = (&fixture.state, fixture.state.clock.now());
    let save = |mark: &str| {
        let token = Token::generate().unwrap();
        let hand_over = HandOver {
            mark: mark.into(),
            instance: "live".parse().unwrap(),
            share: Some(fixture.share),
            actor: Actor::Panel,
            user: editor(),
            expires_at: later(now, Duration::from_secs(60)),
        };
        hand_overs::save(&state.store.writer(), &token.hash(), &hand_over).unwrap();
        token.hash()
    };
    let burn = |hash| hand_overs::burn(&state.store.writer(), hash, state.clock.now()).unwrap();
    let (first, second) = (save("one"), save("two"));
    assert!(matches!(burn(&first), Burnt::Good(_)));
    assert!(matches!(burn(&first), Burnt::Used(_)));
    state.clock.advance(Duration::from_secs(61));
    assert!(matches!(burn(&second), Burnt::Expired(_)));
    assert!(matches!(burn(&second), Burnt::Used(_)));
    let unknown = Token::generate().unwrap().hash();
    assert!(matches!(burn(&unknown), Burnt::Unknown));
    // Nor for another site that gets the name of one that is gone.
    let third = save("three");
    let (removed, _) = state.change(&Caller::agent(), |change| change.remove_instance(&"live".parse().unwrap()));
    removed.unwrap();
    assert!(matches!(burn(&third), Burnt::Unknown));
}

#[test]
fn an_expired_share_ends_its_channel_without_being_asked() {
    let fixture = fixture();
    let soon = later(fixture.state.clock.now(), Duration::from_secs(2));
    let (given, dead) = fixture.state.change(&Caller::agent(), |change| {
        let share = change.share(fixture.share)?;
        let terms = Terms { expires_at: Some(soon), ..share.terms.clone() };
        change.put_share(Share { terms, ..Share::clone(&share) })
    });
    assert!(given.is_ok() && dead.is_empty());
    fixture.state.clock.advance(Duration::from_secs(3));
    let (ended, dead) = fixture.state.change(&Caller::agent(), crate::shares::end_by_clock);
    assert_eq!((ended.unwrap(), dead.ids()), (1, vec!["mark"]));
    assert_eq!(fixture.state_of_share(), ShareState::Expired);
}

#[test]
fn a_session_that_ran_out_still_ends_with_its_share_for_what_it_may_have_left() {
    let fixture = fixture();
    fixture.state.clock.advance(Duration::from_secs(2 * 3600));
    let (renamed, dead) = fixture.state.change(&Caller::agent(), |change| {
        let share = change.share(fixture.share)?;
        change.put_share(Share { note: Some("still here".into()), ..Share::clone(&share) })
    });
    assert!(renamed.is_ok() && dead.is_empty());
    assert_eq!(fixture.suspend().1.ids(), ["mark"]);
}

#[test]
fn what_is_written_together_is_written_whole_or_not_at_all() {
    let fixture = fixture();
    let written = fixture.state.store.write(|connection| {
        connection.execute_batch("UPDATE people SET name = 'half'").map_err(crate::store::StoreError::at("write"))?;
        Err::<(), _>(crate::store::StoreError::Malformed { what: "rest", text: String::new() })
    });
    assert!(written.is_err());
    let count = |name: &str| -> i64 {
        let reader = fixture.state.store.reader();
        reader.query_row("SELECT count(*) FROM people WHERE name = ?1", [name], |row| row.get(0)).unwrap()
    };
    assert_eq!(count("half"), 0);
}

#[test]
fn an_expired_share_stays_expired_when_the_clock_goes_back() {
    let fixture = fixture();
    let end = later(fixture.state.clock.now(), Duration::from_secs(60));
    let (given, _) = fixture.state.change(&Caller::agent(), |change| {
        let share = change.share(fixture.share)?;
        let terms = Terms { expires_at: Some(end), ..share.terms.clone() };
        change.put_share(Share { terms, ..Share::clone(&share) })
    });
    given.unwrap();
    // An hour back, it goes on; a year ahead, it ends; and back again, it has ended.
    fixture.state.clock.set_back(Duration::from_secs(3600));
    assert_eq!(fixture.state.change(&Caller::agent(), crate::shares::end_by_clock).0.unwrap(), 0);
    fixture.state.clock.advance(Duration::from_secs(366 * 24 * 3600));
    let (ended, dead) = fixture.state.change(&Caller::agent(), crate::shares::end_by_clock);
    assert_eq!((ended.unwrap(), dead.ids()), (1, vec!["mark"]));
    fixture.state.clock.set_back(Duration::from_secs(366 * 24 * 3600));
    assert_eq!(fixture.state_of_share(), ShareState::Expired);
    let (reinstated, _) =
        fixture.state.change(&Caller::agent(), |change| crate::shares::reinstate(change, fixture.share));
    assert_eq!(reinstated.unwrap_err().code, Code::Conflict);
}

#[test]
fn a_suspended_main_share_takes_the_linked_one_along_even_when_it_cannot_be_written_down() {
    let fixture = fixture();
    let linked = ShareId::from_number(8);
    let (made, _) = fixture.state.change(&Caller::agent(), |change| {
        let live = Instance::clone(change.table().instance(&"live".parse().unwrap()).unwrap());
        let staging = "stage".parse().unwrap();
        change.put_instance(Instance { id: staging, staging_of: Some(live.id.clone()), ..live })?;
        let main = change.share(fixture.share)?;
        let instance = "stage".parse().unwrap();
        change.put_share(Share { id: linked, instance, linked_to: Some(main.id), follows: true, ..Share::clone(&main) })
    });
    made.unwrap();
    fixture.refuse_writes();
    let panel = Caller { actor: Actor::Panel, ..Caller::agent() };
    let (outcome, _) = fixture.state.change(&panel, |change| crate::shares::suspend(change, fixture.share));
    assert_eq!(outcome.unwrap_err().code, Code::Unavailable);
    let table = fixture.state.table();
    for share in [fixture.share, linked] {
        assert_eq!(table.share(share).unwrap().state, ShareState::Suspended);
    }
}

#[test]
fn what_must_end_and_what_is_looked_at_again_survives_a_restart() {
    let fixture = fixture();
    let Some(Channel::Wordpress(session)) = fixture.state.channels.list().pop() else { panic!("no session") };
    let marks = ["must-end", "watched", "trace", "watched-and-over"];
    let seen = Seen { quiet: 1, returns: 0, before: None };
    let look = Look { at: fixture.state.clock.now(), seen };
    let written = fixture.state.store.write(|rows| {
        for mark in marks {
            wordpress_sessions::save(rows, &WordpressSession { mark: mark.into(), ..session.clone() })?;
        }
        ["must-end", "watched", "watched-and-over"]
            .iter()
            .try_for_each(|mark| wordpress_sessions::mark_ending(rows, mark))?;
        ["watched", "trace", "watched-and-over"]
            .iter()
            .try_for_each(|mark| wordpress_sessions::watch(rows, mark, &look))?;
        wordpress_sessions::stop_watching(rows, "watched-and-over")
    });
    written.unwrap();
    let again = State::open(fixture.dir.path(), Clock::default()).unwrap().0;
    assert_eq!((again.channels.unconfirmed(), again.channels.watched()), (1, 2));
    // A trace is open as well; what has ended is not.
    let open: Vec<_> = again.channels.list().iter().map(|channel| channel.id().to_owned()).collect();
    assert_eq!(open, ["trace"]);
}
