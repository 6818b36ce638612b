//! The socket at which a site's own PHP redeems a hand-over: one connection, two questions.
//!
//! Who asks is known from the kernel: the peer's uid must be the hosting's. The session that comes of it is a channel
//! before it exists: registered, then decided on, then opened, then confirmed, and only then does a cookie leave.

use std::sync::Arc;
use std::time::Duration;

use latchkey_access::rows::SsoOpen;
use latchkey_access::{AccessTable, Actor, Denial, InstanceId, Permit, Rule, Share, ShareId, decide};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::caller::{Caller, Note};
use crate::channels::{self, Channel};
use crate::clock::later;
use crate::guesses::Guesses;
use crate::request;
use crate::residue::first_use;
use crate::room::{Places, Room};
use crate::serve::Serve;
use crate::store::audit::Outcome;
use crate::store::hand_overs::{self, Burnt, HandOver};
use crate::store::wordpress_sessions::{self, Baseline, BaselineOf, WordpressSession};
use crate::token::Token;

const LONGEST_LINE: u64 = 256 << 10;
/// PHP asks as soon as it is connected.
const PATIENCE_AT_FIRST: Duration = Duration::from_secs(5);
/// As long as WordPress may take to start.
const PATIENCE: Duration = Duration::from_secs(30);
const MOST_CONNECTIONS: usize = 1024;
/// Everybody on the node can connect; more than a site's own PHP needs is no sign-in.
const MOST_OF_ONE_UID: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RedeemLine {
    redeem: Redeem,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Redeem {
    instance: String,
    token: String,
}

#[derive(Serialize)]
struct Become<'a> {
    ok: bool,
    user: &'a latchkey_access::WpUser,
    mark: &'a str,
    expires_at: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum SecondLine {
    Opened(Opened),
    Failed(Failed),
}

/// What the site tells of a WordPress user before somebody becomes it.
#[derive(Deserialize)]
pub(super) struct Opened {
    baseline: BaselineLine,
    #[serde(default)]
    administrator: bool,
}

#[derive(Deserialize)]
struct BaselineLine {
    user: BaselineUser,
    #[serde(default)]
    administrators: Vec<Administrator>,
    #[serde(default)]
    folders: Vec<String>,
}

#[derive(Deserialize)]
struct BaselineUser {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password_fingerprint: String,
    #[serde(default)]
    application_passwords: Vec<String>,
    #[serde(default)]
    sessions: Vec<String>,
}

#[derive(Deserialize)]
struct Administrator {
    id: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Failed {
    reason: String,
}

#[derive(Serialize)]
struct Refusal<'a> {
    ok: bool,
    reason: &'a str,
    message: &'a str,
    gateway: &'a str,
}

/// Why a hand-over was not redeemed.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) rule: Option<Rule>,
}

impl Refused {
    pub(super) fn new(reason: &'static str, message: &str) -> Self {
        Self { reason, message: message.to_owned(), rule: None }
    }
}

impl From<Denial> for Refused {
    fn from(denial: Denial) -> Self {
        let message = "Your access to this site does not allow this any more.".to_owned();
        Self { reason: "ended", message, rule: Some(denial.rule) }
    }
}

/// Serves the socket until the process ends.
pub(crate) async fn listen(serve: Arc<Serve>, listener: UnixListener) {
    let guesses: Arc<Guesses<u32>> = Arc::default();
    let room = Room::new(Places { in_all: MOST_CONNECTIONS, of_one: MOST_OF_ONE_UID });
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let Some(uid) = stream.peer_cred().ok().map(|peer| peer.uid()) else { continue };
                let Some(place) = room.enter(uid) else {
                    tracing::warn!(uid, "too many connections to the redeemer's socket");
                    continue;
                };
                let (serve, guesses) = (serve.clone(), guesses.clone());
                tokio::spawn(async move {
                    // Nobody displaces it: its patience is short.
                    place.begin_work();
                    request::under(&request::new_id(), converse(&serve, &guesses, stream, uid)).await;
                });
            }
            Err(error) => {
                tracing::error!(%error, "cannot accept at the redeemer's socket");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One conversation with the PHP of the system user with this uid.
pub(crate) async fn converse(serve: &Arc<Serve>, guesses: &Guesses<u32>, stream: UnixStream, uid: u32) {
    let mut stream = BufReader::new(stream);
    let Some(line) = read_line::<RedeemLine>(&mut stream, PATIENCE_AT_FIRST).await else { return };
    let opening = match redeem(serve, guesses, uid, &line.redeem).await {
        Ok(opening) => opening,
        Err(refused) => return refuse(serve, &mut stream, &refused).await,
    };
    let session = &opening.session;
    let answer =
        Become { ok: true, user: &session.user, mark: &session.mark, expires_at: session.expires_at.as_second() };
    let told = answer_line(&mut stream, &answer).await;
    let second = if told { read_line::<SecondLine>(&mut stream, PATIENCE).await } else { None };
    match second {
        Some(SecondLine::Opened(opened)) => match confirm(serve, &opening, opened).await {
            Ok(()) => {
                answer_line(&mut stream, &serde_json::json!({ "ok": true })).await;
            }
            Err(refused) => {
                end_begun(serve, &opening);
                refuse(serve, &mut stream, &refused).await;
            }
        },
        Some(SecondLine::Failed(failed)) => {
            give_up(serve, &opening, &failed.reason).await;
            answer_line(&mut stream, &serde_json::json!({ "ok": true })).await;
        }
        None => give_up(serve, &opening, "boot_failed").await,
    }
}

/// A hand-over that is being redeemed: its channel is registered.
pub(super) struct Opening {
    pub(super) session: WordpressSession,
    pub(super) permit: Permit<SsoOpen>,
    /// The system user whose PHP redeems it.
    uid: u32,
}

async fn redeem(serve: &Arc<Serve>, guesses: &Guesses<u32>, uid: u32, asked: &Redeem) -> Result<Opening, Refused> {
    let unknown = || Refused::new("unknown", "This link does not work (any more).");
    let token = Token::parse(&asked.token);
    if guesses.admit(serve, &uid, token.as_ref()).await.is_err() {
        // Not noted: the audit is not for whoever tries often to fill.
        return Err(Refused::new("busy", "Too many links that do not work were tried here. Try again in a minute."));
    }
    let Some(token) = token else {
        guesses.missed(serve, &uid);
        note(serve, uid, None, Err(&unknown())).await;
        return Err(unknown());
    };
    let now = serve.state.clock.now();
    let hash = token.hash();
    let burnt = serve.write(move |connection| hand_overs::burn(connection, &hash, now)).await;
    let (hand_over, outcome) = match burnt
        .map_err(|_| Refused::new("unavailable", "The agent cannot write its state at the moment. Try again."))?
    {
        Burnt::Good(hand_over) => {
            let checked = check(serve, uid, asked, &hand_over);
            (Some(hand_over), checked)
        }
        Burnt::Used(hand_over) => {
            (Some(hand_over), Err(Refused::new("used", "This link was used already. Each link opens WP Admin once.")))
        }
        Burnt::Expired(hand_over) => {
            (Some(hand_over), Err(Refused::new("expired", "This link is too old. Links are good for a minute.")))
        }
        Burnt::Unknown => {
            guesses.missed(serve, &uid);
            (None, Err(unknown()))
        }
    };
    let outcome = match (outcome, &hand_over) {
        (Ok(()), Some(hand_over)) => register(serve, uid, hand_over).await,
        (Ok(()), None) => Err(unknown()),
        (Err(refused), _) => Err(refused),
    };
    note(serve, uid, hand_over.as_ref(), outcome.as_ref()).await;
    outcome
}

/// The token must be presented by the PHP of the hosting, for the instance, that it was made for.
fn check(serve: &Serve, uid: u32, asked: &Redeem, hand_over: &HandOver) -> Result<(), Refused> {
    let wrong_site = || Refused::new("wrong_site", "This link is for another site.");
    if asked.instance.parse::<InstanceId>().ok().as_ref() != Some(&hand_over.instance) {
        return Err(wrong_site());
    }
    let hosting = serve.state.table().instance(&hand_over.instance).map(|instance| instance.hosting.clone());
    match hosting.and_then(|hosting| serve.state.uid_of(&hosting)) {
        Some(expected) if expected == uid => Ok(()),
        _ => Err(wrong_site()),
    }
}

/// Registers the session that a hand-over is to open, then decides on it, then writes it down.
pub(super) async fn register(serve: &Arc<Serve>, uid: u32, hand_over: &HandOver) -> Result<Opening, Refused> {
    let now = serve.state.clock.now();
    let site = serve.site(&hand_over.instance).map_err(|_| Refused::new("ended", "This site is gone."))?;
    let mut session = WordpressSession {
        mark: hand_over.mark.clone(),
        instance: hand_over.instance.clone(),
        site,
        share: hand_over.share,
        actor: hand_over.actor.clone(),
        user: hand_over.user.clone(),
        opened_at: now,
        expires_at: later(now, serve.config.sso.session_life()),
    };
    let decide = |table: &AccessTable| decide_for(table, &session, serve.state.clock.now());
    let permit = serve.state.channels.open(session.clone(), decide)?;
    if let Some(end) = share_end(serve, permit.share()) {
        session.expires_at = session.expires_at.min(end);
        serve.state.channels.update(Channel::Wordpress(session.clone()));
    }
    let superseded = serve.state.channels.take_superseded(&session, now);
    let row = session.clone();
    let written = serve.write(move |connection| {
        superseded.iter().try_for_each(|channel| wordpress_sessions::supersede(connection, channel.id()))?;
        wordpress_sessions::save(connection, &row)
    });
    let written = written.await;
    if written.is_err() {
        serve.state.channels.forget(&session.mark);
        return Err(Refused::new("unavailable", "The agent cannot write its state at the moment. Try again."));
    }
    Ok(Opening { session, permit, uid })
}

fn decide_for(
    table: &AccessTable,
    session: &WordpressSession,
    now: jiff::Timestamp,
) -> Result<Permit<SsoOpen>, Refused> {
    let permit = decide::<SsoOpen>(table, &session.actor, &session.instance, now)?;
    let allowed = Channel::Wordpress(session.clone()).is_allowed(table, now);
    let refused = || Refused {
        rule: Some(Rule::A9),
        ..Refused::new("ended", "Your access does not allow to log in as this WordPress user any more.")
    };
    allowed.then_some(permit).ok_or_else(refused)
}

fn share_end(serve: &Serve, share: Option<ShareId>) -> Option<jiff::Timestamp> {
    let table = serve.state.table();
    let share = table.share(share?)?;
    latchkey_access::share_holdings(&table, share, serve.state.clock.now()).expires_at
}

/// Keeps the baseline and decides once more, before a cookie leaves.
async fn confirm(serve: &Arc<Serve>, opening: &Opening, opened: Opened) -> Result<(), Refused> {
    keep_baseline(serve, opening, opened).await?;
    decide_again(serve, opening)
}

/// Decides once more on what was registered and may have been ended since.
pub(super) fn decide_again(serve: &Serve, opening: &Opening) -> Result<(), Refused> {
    let session = &opening.session;
    let decide = |table: &AccessTable| decide_for(table, session, serve.state.clock.now()).map(drop);
    let still = serve.state.channels.use_now(&session.mark, decide);
    still.unwrap_or_else(|| Err(Refused::new("ended", "Your access to this site has just ended.")))
}

/// Keeps what the WordPress user had before, and what is seen of a pinned one. What cannot be kept opens nothing.
pub(super) async fn keep_baseline(serve: &Arc<Serve>, opening: &Opening, opened: Opened) -> Result<(), Refused> {
    let session = &opening.session;
    let Some(share) = session.share else { return Ok(()) };
    let facts = Baseline {
        email: opened.baseline.user.email,
        password_fingerprint: opened.baseline.user.password_fingerprint,
        application_passwords: opened.baseline.user.application_passwords,
        sessions: opened.baseline.user.sessions,
        administrators: opened.baseline.administrators.iter().map(|one| one.id).collect(),
    };
    let of = BaselineOf { user: session.user.clone(), since: session.opened_at, facts };
    let written = serve.write(move |connection| wordpress_sessions::save_baseline(connection, share, &of)).await;
    let kept = first_use::keep(serve, share, session, opened.baseline.folders).await;
    if written.and(kept).is_err() {
        give_up(serve, opening, "unavailable").await;
        return Err(Refused::new("unavailable", "The agent cannot write its state at the moment. Try again."));
    }
    note_pinned(serve, share, opened.administrator, None).await;
    Ok(())
}

/// Ends what was begun: the session may exist although nobody has its cookie.
pub(super) async fn give_up(serve: &Arc<Serve>, opening: &Opening, reason: &str) {
    let session = &opening.session;
    let detail = match reason {
        "user_missing" => format!("the WordPress user {} is gone", session.user.login),
        "login_changed" => format!("the WordPress user {} has another login now", session.user.login),
        _ => "WordPress could not be started".to_owned(),
    };
    let refused = Refused { reason: "failed", message: detail.clone(), rule: None };
    let hand_over = HandOver {
        mark: session.mark.clone(),
        instance: session.instance.clone(),
        share: session.share,
        actor: session.actor.clone(),
        user: session.user.clone(),
        expires_at: session.expires_at,
    };
    note(serve, opening.uid, Some(&hand_over), Err(&refused)).await;
    let pinned = matches!(opening.permit.log_in_as(), Some(latchkey_access::LogInAs::Pinned(_)));
    if let Some(share) = session.share.filter(|_| pinned && matches!(reason, "user_missing" | "login_changed")) {
        note_pinned(serve, share, false, Some(detail)).await;
    }
    end_begun(serve, opening);
}

/// Ends a session that was begun, whether it is registered still or was swept meanwhile: the site may have made it
/// after the sweep asked.
pub(super) fn end_begun(serve: &Arc<Serve>, opening: &Opening) {
    let (serve, begun) = (serve.clone(), serve.state.channels.take_begun(opening.session.clone()));
    request::spawn(async move { channels::close(&serve, begun).await });
}

/// Keeps on the share what was seen of its pinned user.
async fn note_pinned(serve: &Arc<Serve>, id: ShareId, administrator: bool, mismatch: Option<String>) {
    let changed = serve.change(Caller::agent(), move |change| {
        let share = change.share(id)?;
        let seen = Some(administrator).filter(|_| mismatch.is_none());
        let pinned = matches!(share.terms.log_in_as, Some(latchkey_access::LogInAs::Pinned(_)));
        let news = share.pinned_is_administrator != seen || share.log_in_as_mismatch != mismatch;
        if pinned && news && !share.state.is_final() {
            let noted = Share { pinned_is_administrator: seen, log_in_as_mismatch: mismatch, ..Share::clone(&share) };
            change.put_share(noted)?;
        }
        Ok(())
    });
    if let Err(problem) = changed.await {
        tracing::warn!(detail = %problem.detail, "what was seen of a pinned user could not be kept");
    }
}

/// Notes in the audit who presented what. Who asks is the system user; for whom is known from the hand-over only.
pub(super) async fn note(
    serve: &Arc<Serve>,
    uid: u32,
    hand_over: Option<&HandOver>,
    outcome: Result<&Opening, &Refused>,
) {
    let mut note = Note::of("sso.redeem");
    let mut actor = Actor::Nobody;
    if let Some(hand_over) = hand_over {
        note = note.on(&hand_over.instance);
        note.share = hand_over.share.map(|id| id.to_string());
        actor = hand_over.actor.clone();
    }
    let (note, outcome) = match outcome {
        Ok(opening) => {
            let detail = format!("as {}", opening.session.user.login);
            (note.rule(opening.permit.rule()).detail(detail), Outcome::Allowed)
        }
        Err(refused) => {
            let mut note = note.detail(format!("{}: {}", refused.reason, refused.message));
            note.rule = refused.rule.map(|rule| rule.to_string());
            (note, Outcome::Denied)
        }
    };
    let caller = Caller {
        actor,
        via: "redeemer".into(),
        address: Some(format!("uid {uid}")),
        request_id: request::current_id(),
    };
    serve.record(caller, note, outcome).await;
}

async fn refuse(serve: &Serve, stream: &mut BufReader<UnixStream>, refused: &Refused) {
    let gateway = &serve.config.gateway.url;
    let line = Refusal { ok: false, reason: refused.reason, message: &refused.message, gateway };
    answer_line(stream, &line).await;
}

async fn read_line<T: DeserializeOwned>(stream: &mut BufReader<UnixStream>, patience: Duration) -> Option<T> {
    let mut line = Vec::new();
    let read = tokio::time::timeout(patience, stream.take(LONGEST_LINE).read_until(b'\n', &mut line)).await;
    read.ok().and_then(Result::ok).filter(|_| line.ends_with(b"\n")).and_then(|_| serde_json::from_slice(&line).ok())
}

async fn answer_line<T: Serialize + Sync>(stream: &mut BufReader<UnixStream>, value: &T) -> bool {
    let Ok(mut line) = serde_json::to_vec(value) else { return false };
    line.push(b'\n');
    stream.get_mut().write_all(&line).await.is_ok()
}
