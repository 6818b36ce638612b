//! The node that each input meets: one site, an owner, a guest with a share, one who is invited, and a token of each kind
//! that is known, so that inputs get past the first door. New for each input: what one leaves behind does not reach the
//! next.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use latchkey_access::{Actor, LogInAs, Privilege, PrivilegeSet, Share, ShareId, ShareState, Terms, WpUser};

use crate::background;
use crate::caller::Caller;
use crate::channels::Channel;
use crate::clock::{Clock, later};
use crate::config::{PanelPeer, Scope};
use crate::problem::Problem;
use crate::sample::{self, UID};
use crate::serve::Serve;
use crate::state::{Change, State};
use crate::store::gateway_rows::{self, GatewaySession, Invitation};
use crate::store::hand_overs::{self, HandOver};
use crate::token::{Token, TokenHash};

/// The invitation of the second guest.
pub(super) const INVITATION: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// A link that signs the first guest in.
const LINK: &str = "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA";
/// The cookie of the first guest's browser.
const SESSION: &str = "CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCA";
/// The first guest's hand-over to WP Admin.
const HAND_OVER: &str = "DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDA";

const ANNA: ShareId = ShareId::from_number(7);
const BEN: ShareId = ShareId::from_number(8);

/// A panel's certificates as an operator lists them.
pub(super) fn peers() -> Vec<PanelPeer> {
    vec![PanelPeer {
        uri: "urn:latchkey:panel:main".into(),
        scopes: vec![Scope::Panel, Scope::People],
        requests_per_minute: 0,
    }]
}

/// A node without a broker.
pub(super) struct Node {
    pub(super) serve: Arc<Serve>,
    _directory: tempfile::TempDir,
}

impl Node {
    /// Makes a node, and does something with it on a runtime of its own.
    pub(super) fn run(work: impl AsyncFnOnce(&Self)) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
        runtime.block_on(async {
            let node = Self::new();
            work(&node).await;
        });
        // What closes a channel may wait for a site that is not there.
        runtime.shutdown_background();
    }

    fn new() -> Self {
        // In memory where there is such a place: a node is made for each input.
        let place = if Path::new("/dev/shm").is_dir() { Path::new("/dev/shm") } else { Path::new("/tmp") };
        let directory = tempfile::tempdir_in(place).expect("a directory");
        let (state, _) = State::open(directory.path(), Clock::default()).expect("an empty state");
        let (serve, to_record) = Serve::new(sample::config(), state);
        background::write_records(serve.clone(), to_record);
        let (seeded, _) = serve.state.change(&Caller::agent(), seed);
        let session = seeded.expect("rows that fit");
        serve.state.channels.register(Channel::Gateway(hash(SESSION), session));
        Self { serve, _directory: directory }
    }

    /// An invitation that is accepted is all that may come into force without the panel or an owner.
    pub(super) fn nobody_gained_anything(&self) {
        let table = self.serve.state.table();
        let before = [ANNA, BEN];
        let there = table.shares().map(|share| share.id).collect::<Vec<_>>();
        assert!(there.iter().all(|id| before.contains(id)), "a share came into being");
        let terms = |id| table.share(id).map(|share| share.terms.clone());
        assert!([ANNA, BEN].into_iter().all(|id| terms(id).is_none_or(|terms| terms == guest_terms())));
    }
}

fn hash(text: &str) -> TokenHash {
    Token::parse(text).expect("a token").hash()
}

fn editor() -> WpUser {
    WpUser { id: 2, login: "editor".into() }
}

fn guest_terms() -> Terms {
    Terms {
        privileges: PrivilegeSet::EMPTY.with(Privilege::WpAdminSso),
        log_in_as: Some(LogInAs::Pinned(editor())),
        ..sample::no_terms()
    }
}

fn seed(change: &mut Change<'_>) -> Result<GatewaySession, Problem> {
    let mut person = |email: &str| change.person_with(&email.parse().expect("an address")).map(|person| person.id);
    let (owner, anna, ben) = (person("owner@example.org")?, person("anna@example.org")?, person("ben@example.org")?);
    change.put_hosting(sample::hosting(vec![owner]), UID)?;
    change.put_instance(sample::instance(owner))?;
    change.put_share(sample::share(ANNA, anna, guest_terms(), change.now))?;
    let invited = sample::share(BEN, ben, guest_terms(), change.now);
    change.put_share(Share { state: ShareState::Pending, accepted_at: None, ..invited })?;
    let (now, connection) = (change.now, change.connection());
    let soon = later(now, Duration::from_secs(60));
    let invitation = Invitation { expires_at: soon, sent_at: now };
    gateway_rows::save_invitation(connection, BEN, &hash(INVITATION), invitation)?;
    gateway_rows::save_link(connection, &hash(LINK), anna, soon)?;
    let session =
        GatewaySession { id: "session".into(), person: anna, opened_at: now, expires_at: soon, address: "x".into() };
    gateway_rows::save_session(connection, &hash(SESSION), &session)?;
    let hand_over = HandOver {
        mark: "mark".into(),
        instance: sample::live(),
        share: Some(ANNA),
        actor: Actor::Person(anna),
        user: editor(),
        expires_at: soon,
    };
    hand_overs::save(connection, &hash(HAND_OVER), &hand_over)?;
    Ok(session)
}
