//! Accounts over the state: made and gone with their shares, and whoever signs in with them is let in, killed, or neither.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use latchkey_access::{
    Actor, FileAccess, FileAccessKind, FileProtocol, Hosting, HostingState, Share, ShareId, ShareState, Terms,
};
use tokio::sync::watch;

use super::events::FileEvent;
use super::sign_in::{Credential, Entrance, Peer, Refused, SignedIn, enter, sign_in};
use super::*;
use crate::caller::Caller;
use crate::channels::{self, Ended, Switch};
use crate::clock::Clock;
use crate::problem::Problem;
use crate::sample::{self, UID};
use crate::serve::Serve;
use crate::state::{Change, State};
use crate::store::residue::ResidueKind;
use crate::store::{accounts, mail_queue};

const JO: ShareId = ShareId::from_number(7);
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ6cUxmyTbAvO1GDhOXXtYcGFFKK8ZRGFJqUl3GIcFUt jo@laptop";
const SFTP: FileProtocol = FileProtocol::Sftp;
const FTP: FileProtocol = FileProtocol::Ftp;

struct Fixture {
    serve: Arc<Serve>,
    _dir: tempfile::TempDir,
}

/// A switch that counts, and ends when it is killed, or when it is told to.
struct Socket {
    kills: AtomicUsize,
    open: watch::Sender<bool>,
    ends: Ends,
}

#[derive(PartialEq)]
enum Ends {
    AtOnce,
    WhenTold,
}

impl Socket {
    fn new(ends: Ends) -> Arc<Self> {
        Arc::new(Self { kills: AtomicUsize::new(0), open: watch::Sender::new(true), ends })
    }

    fn is_killed(&self) -> bool {
        self.kills.load(Ordering::SeqCst) > 0
    }
}

impl Switch for Socket {
    fn kill(&self) {
        self.kills.fetch_add(1, Ordering::SeqCst);
        self.open.send_replace(self.ends == Ends::WhenTold);
    }

    fn ended(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            let _ = self.open.subscribe().wait_for(|open| !open).await;
        })
    }
}

fn with_files(file_access: FileAccess) -> Terms {
    Terms { file_access, ..sample::no_terms() }
}

impl Fixture {
    /// A node with one instance, and an active share of it with all file access.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path(), Clock::default()).unwrap().0;
        let (serve, records) = Serve::new(sample::config(), state);
        crate::background::write_records(serve.clone(), records);
        let fixture = Self { serve, _dir: dir };
        fixture
            .change(|change| {
                let owner = change.person_with(&"owner@example.org".parse().unwrap())?;
                change.put_hosting(sample::hosting(vec![]), UID)?;
                change.put_instance(sample::instance(owner.id))?;
                let jo = change.person_with(&"jo@example.org".parse().unwrap())?;
                change.put_share(sample::share(JO, jo.id, with_files(FileAccess::ALL), change.now))
            })
            .await;
        fixture
    }

    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Change<'_>) -> Result<T, Problem> + Send + 'static,
    ) -> Ended {
        self.serve.change(Caller::agent(), work).await.unwrap().1
    }

    async fn alter(&self, alter: impl FnOnce(&mut Share) + Send + 'static) -> Ended {
        self.change(|change| {
            let mut share = Share::clone(&*change.share(JO)?);
            alter(&mut share);
            change.put_share(share)
        })
        .await
    }

    fn account(&self) -> Option<Account> {
        accounts::of_share(&self.serve.state.store.reader(), JO).unwrap()
    }

    async fn new_password(&self) -> (String, Ended) {
        let (made, ended) = new_password(&self.serve, Caller::agent(), JO, |_| Ok(())).await.unwrap();
        assert_eq!(made.login, "jo.live");
        (made.password, ended)
    }

    async fn sign_in(&self, login: &str, credential: Credential<'_>, by: FileProtocol) -> Result<SignedIn, Refused> {
        let peer = Peer { address: [127, 0, 0, 1].into(), client: "SSH-2.0-trial".into() };
        sign_in(&self.serve, login, credential, by, &peer).await
    }

    async fn let_in(&self, password: &str, socket: &Arc<Socket>) -> Entrance {
        let who = self.sign_in("jo.live", Credential::Password(password), SFTP).await.unwrap();
        enter(&self.serve, who, socket.clone()).await.unwrap()
    }

    fn open_channels(&self) -> usize {
        self.serve.state.channels.list().len()
    }

    fn audited(&self, operation: &str) -> Vec<String> {
        let connection = self.serve.state.store.reader();
        let mut rows = connection.prepare("SELECT row FROM audit ORDER BY seq").unwrap();
        let rows: Vec<String> = rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        rows.into_iter().filter(|row| row.contains(&format!("\"operation\":\"{operation}\""))).collect()
    }
}

fn files(kind: FileAccessKind, path: &str) -> FileAccess {
    FileAccess { kind, path: path.to_owned(), read_only: false }
}

#[tokio::test]
async fn an_account_is_made_with_file_access_and_goes_with_it() {
    let fixture = Fixture::new().await;
    let letters = || mail_queue::count_queued(&fixture.serve.state.store.reader()).unwrap();
    assert_eq!(fixture.account().unwrap().login, "jo.live");
    assert_eq!(letters(), 1);
    fixture.new_password().await;
    // Paused, it keeps its password, and its person is not written to again.
    fixture.alter(|share| share.state = ShareState::Suspended).await;
    fixture.alter(|share| share.state = ShareState::Active).await;
    assert!(fixture.account().unwrap().password_hash.is_some());
    assert_eq!(letters(), 1);
    // Without file access it is gone, and what comes later is new.
    fixture.alter(|share| share.terms.file_access = FileAccess::NONE).await;
    assert_eq!(fixture.account(), None);
    fixture.alter(|share| share.terms.file_access = FileAccess::ALL).await;
    let account = fixture.account().unwrap();
    assert_eq!((account.login.as_str(), account.password_hash, account.keys), ("jo.live", None, vec![]));
    assert_eq!(letters(), 2);
    fixture.alter(|share| share.state = ShareState::Revoked).await;
    assert_eq!(fixture.account(), None);
}

#[tokio::test]
async fn nobody_gets_a_login_that_another_one_has() {
    let fixture = Fixture::new().await;
    let other = ShareId::from_number(8);
    fixture
        .change(move |change| {
            let namesake = change.person_with(&"jo@other.example".parse().unwrap())?;
            change.put_share(sample::share(other, namesake.id, with_files(FileAccess::ALL), change.now))
        })
        .await;
    let login = |id| accounts::of_share(&fixture.serve.state.store.reader(), id).unwrap().map(|account| account.login);
    assert_eq!(login(other).as_deref(), Some("jo-2.live"));
    fixture.alter(|share| share.state = ShareState::Revoked).await;
    assert_eq!((login(JO), login(other).as_deref()), (None, Some("jo-2.live")));
}

#[tokio::test]
async fn the_right_key_or_password_lets_in_and_nothing_else_does() {
    let fixture = Fixture::new().await;
    let keys = AuthorizedKey::parse_all(&[KEY.to_owned()]).unwrap();
    set_keys(&fixture.serve, Caller::agent(), JO, keys, |_| Ok(())).await.unwrap();
    let (password, _) = fixture.new_password().await;
    let wire = ssh_key::PublicKey::from_openssh(KEY).unwrap().to_bytes().unwrap();
    let check = async |login: &str, credential: Credential<'_>, by, expected: bool| {
        let entered = fixture.sign_in(login, credential, by).await.is_ok();
        assert_eq!(entered, expected, "{login}");
    };
    check("jo.live", Credential::Password(&password), SFTP, true).await;
    check("jo.live", Credential::Password(&password), FTP, true).await;
    check("jo.live", Credential::Key(&wire), SFTP, true).await;
    // FTP knows no keys.
    check("jo.live", Credential::Key(&wire), FTP, false).await;
    check("jo.live", Credential::Key(&wire[..wire.len() - 1]), SFTP, false).await;
    check("jo.live", Credential::Key(&[]), SFTP, false).await;
    check("jo.live", Credential::Password(""), SFTP, false).await;
    check("jo.live", Credential::Password("x"), SFTP, false).await;
    check("al.live", Credential::Password(&password), SFTP, false).await;
    check(&"x".repeat(100_000), Credential::Password(&password), SFTP, false).await;
    fixture.alter(|share| share.terms.file_access = files(FileAccessKind::Sftp, "")).await;
    check("jo.live", Credential::Password(&password), FTP, false).await;
    check("jo.live", Credential::Password(&password), SFTP, true).await;
    fixture.alter(|share| share.state = ShareState::Suspended).await;
    check("jo.live", Credential::Password(&password), SFTP, false).await;
    fixture.alter(|share| share.state = ShareState::Active).await;
    check("jo.live", Credential::Password(&password), SFTP, true).await;
    fixture
        .change(|change| change.put_hosting(Hosting { state: HostingState::Suspended, ..sample::hosting(vec![]) }, UID))
        .await;
    check("jo.live", Credential::Password(&password), SFTP, false).await;
}

#[tokio::test]
async fn who_is_let_in_and_who_is_not_is_in_the_audit_with_address_and_client() {
    let fixture = Fixture::new().await;
    let (password, _) = fixture.new_password().await;
    let entrance = fixture.let_in(&password, &Socket::new(Ends::AtOnce)).await;
    for _ in 0..3 {
        fixture.sign_in("jo.live", Credential::Password("wrong"), SFTP).await.unwrap_err();
    }
    entrance.entry.noted(FileEvent::Upload, b"wp-content/a.php");
    entrance.entry.noted(FileEvent::Upload, b"wp-content/b.php");
    events::write_all(&fixture.serve).await;
    // What was not let in is written a moment later; what was done comes after it in the queue.
    fixture.serve.record(Caller::agent(), crate::caller::Note::of("end"), crate::store::audit::Outcome::Allowed).await;
    let rows = fixture.audited("sftp.sign_in");
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows.iter().all(|row| row.contains("127.0.0.1") && row.contains("SSH-2.0-trial")), "{rows:?}");
    assert!(rows.iter().all(|row| row.contains("\"actor\":\"jo@example.org\"")), "{rows:?}");
    assert!(rows.iter().any(|row| row.contains("\"denied\"") && row.contains("refused 3 times")), "{rows:?}");
    assert!(rows.iter().any(|row| row.contains("\"allowed\"") && row.contains("\"rule\":\"A10\"")), "{rows:?}");
    let uploads = fixture.audited("file.upload");
    assert_eq!(uploads.len(), 1);
    assert!(uploads.iter().all(|row| row.contains("2 times, the first wp-content/a.php")), "{uploads:?}");
}

#[tokio::test]
async fn whatever_takes_access_away_kills_the_session_and_counts_it() {
    type Alter = fn(&mut Share);
    let ends: [(&str, Alter); 6] = [
        ("revoked", |share| share.state = ShareState::Revoked),
        ("suspended", |share| share.state = ShareState::Suspended),
        ("no file access", |share| share.terms.file_access = FileAccess::NONE),
        ("FTP only", |share| share.terms.file_access = files(FileAccessKind::Ftp, "")),
        ("a folder only", |share| share.terms.file_access = files(FileAccessKind::Sftp, "wp-content")),
        ("over", |share| share.terms.expires_at = Some(share.created_at)),
    ];
    for (what, alter) in ends {
        let fixture = Fixture::new().await;
        let (password, _) = fixture.new_password().await;
        let socket = Socket::new(Ends::AtOnce);
        let _entrance = fixture.let_in(&password, &socket).await;
        // What takes nothing of it away leaves it alone.
        let ended = fixture.alter(|share| share.note = Some("hello".into())).await;
        assert!(ended == Ended::default() && !socket.is_killed());
        let ended = fixture.alter(alter).await;
        assert_eq!((ended.closed.sftp, ended.closed.ftp, ended.unconfirmed.len()), (1, 0, 0), "{what}");
        assert!(socket.is_killed() && fixture.open_channels() == 0, "{what}");
    }
}

#[tokio::test]
async fn a_new_password_or_key_ends_the_sessions_of_that_account_and_no_other() {
    let fixture = Fixture::new().await;
    let (password, _) = fixture.new_password().await;
    let socket = Socket::new(Ends::AtOnce);
    let _entrance = fixture.let_in(&password, &socket).await;
    let keys = || AuthorizedKey::parse_all(&[KEY.to_owned()]).unwrap();
    let (_, ended) = set_keys(&fixture.serve, Caller::agent(), JO, keys(), |_| Ok(())).await.unwrap();
    assert!(ended.closed.sftp == 1 && socket.is_killed());
    let socket = Socket::new(Ends::AtOnce);
    let _entrance = fixture.let_in(&password, &socket).await;
    // The same keys again are no change.
    let (_, ended) = set_keys(&fixture.serve, Caller::agent(), JO, keys(), |_| Ok(())).await.unwrap();
    assert!(ended == Ended::default() && !socket.is_killed());
    let (_, ended) = fixture.new_password().await;
    assert!(ended.closed.sftp == 1 && socket.is_killed());
    fixture.sign_in("jo.live", Credential::Password(&password), SFTP).await.unwrap_err();
}

#[tokio::test]
async fn who_signed_in_before_an_end_does_not_enter_after_it() {
    let fixture = Fixture::new().await;
    let (password, _) = fixture.new_password().await;
    let signed_in = async || fixture.sign_in("jo.live", Credential::Password(&password), SFTP).await.unwrap();
    let refused = async |who| {
        let socket = Socket::new(Ends::AtOnce);
        assert_eq!(enter(&fixture.serve, who, socket).await.err(), Some(Refused));
        assert_eq!(fixture.open_channels(), 0);
    };
    let who = signed_in().await;
    fixture.alter(|share| share.state = ShareState::Suspended).await;
    refused(who).await;
    fixture.alter(|share| share.state = ShareState::Active).await;
    let who = signed_in().await;
    fixture.alter(|share| share.terms.file_access = files(FileAccessKind::Sftp, "wp-content")).await;
    refused(who).await;
    let who = signed_in().await;
    fixture.new_password().await;
    refused(who).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_with_something_open_still_is_unconfirmed_until_it_has_not() {
    let fixture = Fixture::new().await;
    let (password, _) = fixture.new_password().await;
    let socket = Socket::new(Ends::WhenTold);
    let _entrance = fixture.let_in(&password, &socket).await;
    let ended = fixture.alter(|share| share.state = ShareState::Revoked).await;
    assert!(socket.is_killed());
    assert_eq!((ended.closed.sftp, ended.unconfirmed.len()), (0, 1));
    assert_eq!(ended.unconfirmed[0].what, "the session of jo.live");
    let channels = &fixture.serve.state.channels;
    assert_eq!((channels.unconfirmed(), channels.unconfirmed_of(JO).len()), (1, 1));
    socket.open.send_replace(false);
    let cleared = async {
        while channels.unconfirmed() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), cleared).await.unwrap();
}

#[tokio::test]
async fn a_session_that_is_over_is_counted_no_more() {
    let fixture = Fixture::new().await;
    let (password, _) = fixture.new_password().await;
    let socket = Socket::new(Ends::AtOnce);
    let entrance = fixture.let_in(&password, &socket).await;
    assert_eq!(fixture.open_channels(), 1);
    drop(entrance);
    assert!(fixture.open_channels() == 0 && !socket.is_killed());
    // By itself, a channel is killed by whoever takes it.
    let _entrance = fixture.let_in(&password, &socket).await;
    let id = fixture.serve.state.channels.list()[0].id().to_owned();
    let taken = fixture.serve.state.channels.take(&id).unwrap();
    assert_eq!(channels::close(&fixture.serve, taken).await.closed.sftp, 1);
}

/// An account of the hosting that the share allowed to make.
fn of_hosting() -> Account {
    Account {
        login: "deploy.demo".into(),
        of: AccountOf::Hosting(OfHosting {
            hosting: "demo".parse().unwrap(),
            protocol: SFTP,
            directory: "live".into(),
            read_only: false,
            quota: None,
            made_by: Actor::Panel,
            through: Some(JO),
        }),
        keys: AuthorizedKey::parse_all(&[KEY.to_owned()]).unwrap(),
        password_hash: None,
        generation: 1,
        made_at: jiff::Timestamp::UNIX_EPOCH,
    }
}

#[tokio::test]
async fn an_account_of_the_hosting_outlives_the_share_it_was_made_with_and_is_named() {
    let fixture = Fixture::new().await;
    fixture.change(|change| change.write(|rows| accounts::save(rows, &of_hosting()))).await;
    let wire = ssh_key::PublicKey::from_openssh(KEY).unwrap().to_bytes().unwrap();
    let who = fixture.sign_in("deploy.demo", Credential::Key(&wire), SFTP).await.unwrap();
    let socket = Socket::new(Ends::AtOnce);
    let entrance = enter(&fixture.serve, who, socket.clone()).await.unwrap();
    assert_eq!(entrance.permit.root(), "live");
    let rows = fixture.audited("sftp.sign_in");
    assert!(rows.iter().all(|row| row.contains("\"rule\":\"A4\"")) && rows.len() == 1, "{rows:?}");
    let ended = fixture.alter(|share| share.state = ShareState::Revoked).await;
    assert!(!socket.is_killed());
    assert_eq!(ended.residue.len(), 1);
    assert_eq!(ended.residue[0].kind, ResidueKind::FileAccount);
    assert!(ended.residue[0].undo.as_ref().unwrap().contains("sftp_account.delete"));
    let suspended = Hosting { state: HostingState::Suspended, ..sample::hosting(vec![]) };
    let ended = fixture.change(|change| change.put_hosting(suspended, UID)).await;
    assert!(ended.closed.sftp == 1 && socket.is_killed());
}

#[tokio::test]
async fn accounts_of_a_hosting_go_with_it() {
    let fixture = Fixture::new().await;
    fixture.change(|change| change.write(|rows| accounts::save(rows, &of_hosting()))).await;
    let count = || accounts::of_hostings(&fixture.serve.state.store.reader()).unwrap().len();
    assert_eq!(count(), 1);
    fixture
        .change(|change| {
            change.remove_instance(&"live".parse().unwrap())?;
            change.remove_hosting(&"demo".parse().unwrap())
        })
        .await;
    assert_eq!(count(), 0);
}
