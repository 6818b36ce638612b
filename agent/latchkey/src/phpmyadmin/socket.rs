//! The socket at which phpMyAdmin asks: one connection, one line of JSON, one answer.
//!
//! Who asks is known from the kernel: only phpMyAdmin's own user is answered. Nobody else is, not even that they are not.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::sessions::{self, Begun};
use crate::caller::{Caller, Note};
use crate::request;
use crate::room::{Places, Room};
use crate::serve::Serve;
use crate::store::audit::Outcome;
use crate::store::phpmyadmin_rows;
use crate::token::Token;

const LONGEST_LINE: u64 = 4 << 10;
const PATIENCE: Duration = Duration::from_secs(5);
const MOST_CONNECTIONS: usize = 256;

/// What is asked.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Question {
    /// To begin a session with the token of a link.
    SignIn {
        token: String,
        /// What the browser says of the page that posted it.
        origin: Option<String>,
        referrer: Option<String>,
    },
    /// For the account of a session.
    Credentials { session: String, cookie: String },
    /// To end a session.
    SignOut { session: String, cookie: String },
}

/// What is answered.
#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    SignedIn {
        ok: bool,
        session: String,
        cookie: String,
        database: String,
    },
    Credentials {
        ok: bool,
        user: String,
        password: String,
    },
    Done {
        ok: bool,
    },
    /// Something does not work at the moment.
    Failed {
        ok: bool,
        detail: String,
    },
}

const REFUSED: Answer = Answer::Done { ok: false };

/// Serves the socket until the process ends.
pub(crate) async fn listen(serve: Arc<Serve>, listener: UnixListener, uid: u32) {
    let room = Room::new(Places { in_all: MOST_CONNECTIONS, of_one: MOST_CONNECTIONS });
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let peer = stream.peer_cred().ok().map(|peer| peer.uid());
                if peer != Some(uid) {
                    tracing::warn!(uid = peer, "somebody else than phpMyAdmin's user asks at its socket");
                    continue;
                }
                let Some(place) = room.enter(uid) else { continue };
                let serve = serve.clone();
                tokio::spawn(async move {
                    place.begin_work();
                    request::under(&request::new_id(), converse(&serve, stream)).await;
                });
            }
            Err(error) => {
                tracing::error!(%error, "cannot accept at the socket of phpMyAdmin");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(serve: &Arc<Serve>, stream: UnixStream) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    let read = tokio::time::timeout(PATIENCE, (&mut stream).take(LONGEST_LINE).read_until(b'\n', &mut line)).await;
    let whole = matches!(read, Ok(Ok(_))) && line.ends_with(b"\n");
    let question = whole.then(|| serde_json::from_slice::<Question>(&line).ok()).flatten();
    let Some(question) = question else { return };
    let Ok(mut answer) = serde_json::to_vec(&answer(serve, question).await) else { return };
    answer.push(b'\n');
    // Whoever asked may have gone.
    let _ = tokio::time::timeout(PATIENCE, stream.get_mut().write_all(&answer)).await;
}

async fn answer(serve: &Arc<Serve>, question: Question) -> Answer {
    match question {
        Question::SignIn { token, origin, referrer } => {
            // A page elsewhere must not sign somebody in; its token is not even looked at.
            if !comes_from(&serve.config.gateway.url, origin.as_deref(), referrer.as_deref()) {
                return REFUSED;
            }
            sign_in(serve, &token).await.unwrap_or(REFUSED)
        }
        Question::Credentials { session, cookie } => {
            let account = Token::parse(&cookie).and_then(|cookie| sessions::account(serve, &session, &cookie));
            account.map_or(REFUSED, |account| Answer::Credentials {
                ok: true,
                user: account.user.to_string(),
                password: account.password,
            })
        }
        Question::SignOut { session, cookie } => {
            Token::parse(&cookie).into_iter().for_each(|cookie| sessions::sign_out(serve, &session, &cookie));
            Answer::Done { ok: true }
        }
    }
}

/// Whether a form was posted by the gateway: by the rule of the hand-over to WP Admin (`redemption.php`).
///
/// Browsers name the origin of a form that goes from TLS to none as null. Its referrer they still tell, and no page can
/// claim to be another. A client that is no browser names none.
fn comes_from(gateway: &str, origin: Option<&str>, referrer: Option<&str>) -> bool {
    match origin {
        None => true,
        Some("null") => referrer.and_then(|referrer| referrer.strip_suffix('/')) == Some(gateway),
        Some(origin) => origin == gateway,
    }
}

async fn sign_in(serve: &Arc<Serve>, token: &str) -> Option<Answer> {
    let (hash, now) = (Token::parse(token)?.hash(), serve.state.clock.now());
    // Tokens that are none are not noted: the audit is not for whoever guesses to fill.
    let link = serve.write(move |rows| phpmyadmin_rows::take_link(rows, &hash, now)).await.ok()??;
    let caller = Caller {
        actor: link.actor.clone(),
        via: "phpmyadmin".into(),
        address: None,
        request_id: request::current_id(),
    };
    let mut note = Note::of("phpmyadmin.sign_in").on(&link.instance).detail(link.database.clone());
    note.share = link.share.map(|share| share.to_string());
    match sessions::begin(serve, link).await {
        Ok(Begun { name, cookie, database }) => {
            serve.record(caller, note, Outcome::Allowed).await;
            Some(Answer::SignedIn { ok: true, session: name, cookie: cookie.text(), database })
        }
        Err(problem) => {
            note.rule = problem.rule.map(|rule| rule.to_string());
            let (detail, is_denial) = (problem.detail.clone(), problem.is_denial());
            let outcome = if is_denial { Outcome::Denied } else { Outcome::Failed };
            serve.record(caller, note.detail(problem.detail), outcome).await;
            (!is_denial).then_some(Answer::Failed { ok: false, detail })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::comes_from;

    #[test]
    fn only_the_gateways_own_page_signs_somebody_in() {
        let gateway = "https://access.example.org";
        let comes = |origin, referrer| comes_from(gateway, origin, referrer);
        assert!(comes(Some(gateway), None) && comes(None, None));
        assert!(comes(Some("null"), Some("https://access.example.org/")));
        assert!(!comes(Some("https://evil.example"), Some("https://access.example.org/")));
        assert!(!comes(Some("null"), Some("https://evil.example/")) && !comes(Some("null"), None));
        assert!(!comes(Some("https://access.example.org.evil.example"), None));
    }
}
