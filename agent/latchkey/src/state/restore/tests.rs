//! A restore never grants what was not: what ended since the backup stays ended, what nobody knows is suspended.

use std::fs;
use std::path::{Path, PathBuf};

use latchkey_access::{Privilege, PrivilegeSet, Share, ShareId, ShareState, Terms};

use super::{Counts, Unknown, backup};
use crate::accounts::{Account, AccountOf};
use crate::caller::Caller;
use crate::channels::Taken;
use crate::clock::Clock;
use crate::problem::Problem;
use crate::state::tests::{Fixture, fixture};
use crate::state::{Change, State};
use crate::store::{accounts, path_in};

impl Fixture {
    fn back_up(&self) -> PathBuf {
        let file = self.dir.path().join("copy.db");
        self.state.store.copy_to(&file).unwrap();
        file
    }

    #[track_caller]
    fn change(&self, work: impl FnOnce(&mut Change<'_>) -> Result<(), Problem>) {
        self.state.change(&Caller::agent(), work).0.unwrap();
    }

    fn end(&self) {
        self.change(|change| change.set_state(self.share, ShareState::Revoked).map(drop));
    }

    #[track_caller]
    fn restore(&self, file: &Path, unknown: Unknown) -> (Counts, Taken, bool) {
        let (restored, dead) = self.state.restore(&Caller::agent(), backup::open(file).unwrap(), unknown);
        let restored = restored.unwrap();
        assert_eq!(crate::store::audit::verify(&self.state.store.reader()).unwrap().2.map(|fault| fault.what), None);
        (restored.shares, dead, restored.kept_aside.is_some())
    }

    /// Overwrites the middle of the file, after everything in the log is in it.
    fn damage(&self) {
        self.state.store.writer().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        let path = path_in(self.dir.path());
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2 / 4096 * 4096;
        bytes[middle..middle + 4096].fill(0xa5);
        fs::write(&path, bytes).unwrap();
    }

    /// The agent starts anew on what is in the state directory.
    fn start_again(self) -> Result<Fixture, super::RestoreError> {
        let Fixture { state, share, dir } = self;
        drop(state);
        let (state, waiting) = State::open(dir.path(), Clock::default())?;
        assert!(waiting.is_none());
        Ok(Fixture { state, share, dir })
    }
}

fn narrowed(share: &Share) -> Share {
    let terms = Terms { privileges: PrivilegeSet::EMPTY.with(Privilege::ManageUsers), ..share.terms.clone() };
    Share { terms, ..share.clone() }
}

#[test]
fn over_a_whole_state_what_ended_stays_ended_and_what_was_granted_since_ends() {
    let fixture = fixture();
    let newer = ShareId::from_number(8);
    let file = fixture.back_up();
    fixture.end();
    fixture.change(|change| {
        let person = change.person_with(&"bert@example.org".parse().unwrap())?;
        let share = change.share(fixture.share)?;
        change.put_share(Share { id: newer, person: person.id, state: ShareState::Active, ..Share::clone(&share) })?;
        Ok(())
    });
    let (counts, _, replaced) = fixture.restore(&file, Unknown::Kept);
    assert_eq!(counts, Counts { stay_ended: 1, taken_back: 1, ..Counts::default() });
    assert!(!replaced);
    assert_eq!(fixture.state_of_share(), ShareState::Revoked);
    assert_eq!(fixture.state.table().share(newer).unwrap().state, ShareState::Revoked);
}

#[test]
fn what_is_as_it_was_keeps_its_channel() {
    let fixture = fixture();
    let file = fixture.back_up();
    let (counts, dead, _) = fixture.restore(&file, Unknown::Suspended);
    assert_eq!(counts, Counts { as_backed_up: 1, ..Counts::default() });
    assert!(dead.is_empty());
    assert_eq!(fixture.state_of_share(), ShareState::Active);
}

#[test]
fn what_was_changed_since_comes_back_suspended_and_its_channel_is_closed() {
    let fixture = fixture();
    let file = fixture.back_up();
    fixture.change(|change| {
        let share = change.share(fixture.share)?;
        change.put_share(narrowed(&share)).map(drop)
    });
    let (counts, dead, _) = fixture.restore(&file, Unknown::Kept);
    assert_eq!(counts, Counts { suspended: 1, ..Counts::default() });
    let share = fixture.state.table().share(fixture.share).unwrap().clone();
    assert_eq!(share.state, ShareState::Suspended);
    assert!(share.terms.privileges.contains(Privilege::WpAdminSso));
    // The change above took it already, or the restore did: it is not open.
    assert!(dead.is_empty() && !fixture.state.channels.contains("mark"));
}

#[test]
fn a_running_agent_whose_file_is_damaged_still_knows_what_ended() {
    let fixture = fixture();
    let file = fixture.back_up();
    fixture.end();
    fixture.damage();
    let (counts, _, replaced) = fixture.restore(&file, Unknown::Kept);
    assert_eq!(counts, Counts { stay_ended: 1, ..Counts::default() });
    assert!(replaced);
    assert_eq!(fixture.state_of_share(), ShareState::Revoked);
    let again = fixture.start_again().unwrap();
    assert_eq!(again.state_of_share(), ShareState::Revoked);
}

#[test]
fn a_damaged_state_is_refused_at_the_start_and_replaced_by_a_backup_that_waits() {
    let fixture = fixture();
    let file = fixture.back_up();
    fixture.damage();
    let (dir, share) = (fixture.dir.path().to_owned(), fixture.share);
    let refused = State::open(&dir, Clock::default()).err().unwrap();
    assert!(crate::problem::chain(&refused).contains("is damaged"), "{refused}");
    fs::copy(&file, Unknown::Suspended.waiting_in(&dir)).unwrap();
    let again = fixture.start_again().unwrap();
    let state = again.state.table().share(share).unwrap().state;
    assert!(matches!(state, ShareState::Suspended | ShareState::Active), "{state:?}");
    let names: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().any(|name| name.to_string_lossy().starts_with("before-restore-")), "{names:?}");
    assert!(!Unknown::Suspended.waiting_in(&dir).exists());
}

#[test]
fn where_the_state_is_gone_shares_come_back_suspended_unless_the_operator_knows_better() {
    for (unknown, expected) in [(Unknown::Suspended, ShareState::Suspended), (Unknown::Kept, ShareState::Active)] {
        let fixture = fixture();
        let file = fixture.back_up();
        fs::copy(&file, unknown.waiting_in(fixture.dir.path())).unwrap();
        let Fixture { state, share, dir } = fixture;
        drop(state);
        fs::remove_file(path_in(dir.path())).unwrap();
        let (state, _) = State::open(dir.path(), Clock::default()).unwrap();
        assert_eq!(state.table().share(share).unwrap().state, expected);
    }
}

#[test]
fn what_is_no_whole_backup_changes_nothing() {
    let fixture = fixture();
    let file = fixture.back_up();
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xa5);
    fs::write(&file, &bytes).unwrap();
    assert!(backup::open(&file).is_err());
    fs::copy(&file, Unknown::Kept.waiting_in(fixture.dir.path())).unwrap();
    fixture.end();
    assert_eq!(fixture.start_again().unwrap().state_of_share(), ShareState::Revoked);
}

/// Whether the fixture's share has a file account, and whether that has a password.
fn account_of(fixture: &Fixture) -> Option<bool> {
    let found = accounts::of_share(&fixture.state.store.reader(), fixture.share).unwrap();
    found.map(|account| account.password_hash.is_some())
}

#[test]
fn keys_and_passwords_that_may_have_been_replaced_since_are_not_good_again() {
    let with_password = || {
        let fixture = fixture();
        let account = Account {
            login: "anna.live".into(),
            of: AccountOf::Share(fixture.share),
            keys: vec![],
            password_hash: Some("$argon2id$".into()),
            generation: 1,
            made_at: jiff::Timestamp::UNIX_EPOCH,
        };
        fixture.change(move |change| change.write(|rows| accounts::save(rows, &account)));
        let file = fixture.back_up();
        (fixture, file)
    };
    for (unknown, expected) in [(Unknown::Suspended, Some(false)), (Unknown::Kept, Some(true))] {
        let (fixture, file) = with_password();
        fixture.damage();
        drop(fixture.restore(&file, unknown));
        assert_eq!(account_of(&fixture), expected, "{unknown:?}");
    }
    // What has ended since has no account either.
    let (fixture, file) = with_password();
    fixture.end();
    fixture.damage();
    drop(fixture.restore(&file, Unknown::Kept));
    assert_eq!(account_of(&fixture), None);
}
