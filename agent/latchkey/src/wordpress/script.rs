//! The redeemer `script`: puts a one-use file into the docroot of a site whose web server is not the operator's.
//!
//! It is written when the person presses the button, not before: the session that it may open is registered as a channel
//! and decided on, the file is written down, and only then does the site's PHP worker write it. Of the token it holds a
//! hash. Its own `unlink` is the burn; PHP then presents the token at the redeemer's socket, where everything holds that
//! holds for `location`. A PHP that cannot reach that socket goes on alone. What that promises less:
//!
//! - Nobody decides at the moment of redemption. An end of access removes the file before anything else: whoever was before
//!   it makes a session within 20 seconds, which carries the mark that is known here, and is found by the looks at the site
//!   after the end (2 and 30 seconds). While the PHP worker cannot be reached the file stays good, at most a minute, and
//!   the end is `unconfirmed`.
//! - The audit has the press of the button, not the redemption.
//!
//! `reaper` removes what is left of such files.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use latchkey_access::WpUser;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::bridge::Plugins;
use super::redeemer::{self, Opened, Opening, Refused};
use crate::caller::{Caller, Note};
use crate::problem::{Code, Problem};
use crate::serve::Serve;
use crate::store::audit::Outcome;
use crate::store::hand_overs::HandOver;
use crate::store::sso_scripts::{self, Script};
use crate::token::{Token, hex};

/// The person waits for it.
const PATIENCE: Duration = Duration::from_secs(15);
const LONGEST_PATH: usize = 256;

/// Hand-overs whose script is being put into place: whoever presses twice gets the one script.
#[derive(Default)]
pub(crate) struct Presses(Mutex<HashMap<String, Weak<OnceCell<String>>>>);

impl Presses {
    fn of(&self, mark: &str) -> Arc<OnceCell<String>> {
        let mut presses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        presses.retain(|_, press| press.strong_count() > 0);
        let known = presses.get(mark).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let press = Arc::default();
            presses.insert(mark.to_owned(), Arc::downgrade(&press));
            press
        })
    }
}

#[derive(Serialize)]
struct WriteArgs<'a> {
    name: &'a str,
    token_hash: String,
    expires_at: i64,
    instance: &'a str,
    socket: &'a std::path::Path,
    gateway: &'a str,
    granted: Granted<'a>,
}

/// What the script becomes where it cannot ask.
#[derive(Serialize)]
struct Granted<'a> {
    user: &'a WpUser,
    mark: &'a str,
    expires_at: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum WriteReply {
    Written(Written),
    /// The user is gone or another.
    Mismatch(String),
}

#[derive(Deserialize)]
struct Written {
    /// Where the docroot is on the site; a claim.
    path: String,
    #[serde(flatten)]
    before: Opened,
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let code = if refused.reason == "unavailable" { Code::Unavailable } else { Code::Forbidden };
        Self { rule: refused.rule, ..Self::new(code, refused.message.trim_end_matches('.')) }
    }
}

/// The name of the script of a hand-over: nobody can guess it, and it follows from the mark of the session, so that whoever
/// ends that knows what to remove.
pub(crate) fn file_name(mark: &str) -> String {
    let digest = Sha256::new_with_prefix("latchkey script ").chain_update(mark).finalize();
    format!("latchkey-{}.php", hex(digest.get(..16).unwrap_or_default()))
}

/// The path of a hand-over's script on its site. The first time it is asked for, the script is put there.
///
/// Once begun it is carried through, whether the caller waits for it or not. Safe to repeat: there is never a second one.
pub(crate) async fn place(
    serve: &Arc<Serve>,
    caller: Caller,
    hand_over: HandOver,
    token: &Token,
) -> Result<String, Problem> {
    let (serve, token_hash) = (serve.clone(), hex(&Sha256::digest(token.text())));
    let placed = crate::request::spawn(async move {
        let press = serve.presses.of(&hand_over.mark);
        press.get_or_try_init(|| place_first(&serve, caller, &hand_over, token_hash)).await.cloned()
    });
    placed.await.map_err(|error| Problem::internal(&error))?
}

async fn place_first(
    serve: &Arc<Serve>,
    caller: Caller,
    hand_over: &HandOver,
    token_hash: String,
) -> Result<String, Problem> {
    let mark = hand_over.mark.clone();
    if let Some(known) = serve.read(move |connection| sso_scripts::of_mark(connection, &mark)).await? {
        // One that never came into its place, or was taken back, must not be followed by another: it might turn up.
        let path = known.path.filter(|_| is_open(serve, &hand_over.mark));
        return path.ok_or_else(|| Problem::conflict("this link does not work any more; open WP Admin again"));
    }
    let script = Script {
        name: file_name(&hand_over.mark),
        mark: hand_over.mark.clone(),
        instance: hand_over.instance.clone(),
        site: serve.site(&hand_over.instance)?,
        expires_at: hand_over.expires_at,
        path: None,
    };
    let row = script.clone();
    serve.write(move |connection| sso_scripts::save(connection, &row)).await?;
    let uid = uid_of(serve, hand_over)?;
    let opening = match redeemer::register(serve, uid, hand_over).await {
        Ok(opening) => opening,
        Err(refused) => {
            let name = script.name;
            serve.write(move |connection| sso_scripts::delete(connection, &name)).await?;
            redeemer::note(serve, uid, Some(hand_over), Err(&refused)).await;
            return Err(refused.into());
        }
    };
    let written = write(serve, &script, &opening, token_hash).await?;
    let path = format!("{}{}", folder_of(&written.path), script.name);
    redeemer::keep_baseline(serve, &opening, written.before).await?;
    settle(serve, &opening, script.name, path.clone()).await?;
    let mut note = Note::of("sso.script").on(&hand_over.instance).rule(opening.permit.rule());
    note.share = hand_over.share.map(|id| id.to_string());
    serve.record(caller, note.detail(format!("as {}", hand_over.user.login)), Outcome::Allowed).await;
    Ok(path)
}

/// Writes down that a script is in its place, unless its session was ended meanwhile.
async fn settle(serve: &Arc<Serve>, opening: &Opening, name: String, path: String) -> Result<(), Problem> {
    let noted = serve.write(move |connection| sso_scripts::place(connection, &name, &path)).await;
    let allowed = redeemer::decide_again(serve, opening);
    if noted.is_err() || allowed.is_err() {
        // The end may have looked for the file before it was there.
        redeemer::end_begun(serve, opening);
    }
    noted?;
    Ok(allowed?)
}

/// Whether the session that a script opens, or has opened, may be open.
fn is_open(serve: &Serve, mark: &str) -> bool {
    let now = serve.state.clock.now();
    serve.state.channels.list().iter().any(|channel| channel.id() == mark && !channel.is_past(now))
}

fn uid_of(serve: &Serve, hand_over: &HandOver) -> Result<u32, Problem> {
    let table = serve.state.table();
    let hosting = table.instance(&hand_over.instance).map(|instance| &instance.hosting);
    hosting.and_then(|hosting| serve.state.uid_of(hosting)).ok_or_else(|| Problem::not_found("instance"))
}

/// Has the site's PHP worker write the file. When that fails, whatever there is of it is taken back.
async fn write(serve: &Arc<Serve>, script: &Script, opening: &Opening, token_hash: String) -> Result<Written, Problem> {
    let session = &opening.session;
    let granted = Granted { user: &session.user, mark: &session.mark, expires_at: session.expires_at.as_second() };
    let args = WriteArgs {
        name: &script.name,
        token_hash,
        expires_at: script.expires_at.as_second(),
        instance: session.instance.as_str(),
        socket: &serve.config.redeemer.socket,
        gateway: &serve.config.gateway.url,
        granted,
    };
    let written = serve.bridge.attempt(&script.site, "sso_script.write", &args, Plugins::Skipped, PATIENCE).await;
    match written {
        Ok(WriteReply::Written(written)) => Ok(written),
        Ok(WriteReply::Mismatch(reason)) => {
            redeemer::give_up(serve, opening, &reason).await;
            let login = &session.user.login;
            Err(Problem::conflict(format!("the WordPress user {login} is gone, or has another login now")))
        }
        Err(error) => {
            redeemer::give_up(serve, opening, "not_written").await;
            Err(error.into())
        }
    }
}

/// The path of the docroot on the site, as the site claims it; the root if that is no plain path.
fn folder_of(claimed: &str) -> &str {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~%".contains(&byte);
    let is_path = claimed.starts_with('/')
        && !claimed.contains("//")
        && claimed.ends_with('/')
        && claimed.len() <= LONGEST_PATH
        && claimed.bytes().all(plain);
    if is_path { claimed } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::folder_of;

    #[test]
    fn what_a_site_claims_of_its_path_leads_nowhere_else() {
        assert_eq!(folder_of("/"), "/");
        assert_eq!(folder_of("/blog/wp/"), "/blog/wp/");
        for wrong in ["", "wp/", "/wp", "//evil.example/", "/a//b/", "/\r\nX: y/", "/?a=/", "/#/", "/@/", "/ä/"] {
            assert_eq!(folder_of(wrong), "/", "{wrong:?}");
        }
        assert_eq!(folder_of(&format!("/{}/", "x".repeat(300))), "/");
    }
}
