//! What a hosting has when a share is first used on it: what is new later may be of its person.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use latchkey_access::ShareId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;

use crate::clock::later;
use crate::cron;
use crate::problem::{Problem, chain};
use crate::serve::Serve;
use crate::store::StoreError;
use crate::store::cron_entries::{self, CronEntry};
use crate::store::residue::{self, Before, FirstUse};
use crate::store::wordpress_sessions::{Site, WordpressSession};
use crate::token::hex;

/// How long the hosting may take to say what it has.
const PATIENCE: Duration = Duration::from_secs(3);
/// Links are made more often than they are used; not each of them asks the hosting again.
const FRESH_FOR: Duration = Duration::from_secs(10);
/// What was asked for longer ago than this was for a link that is dead.
const OF_USE_FOR: Duration = Duration::from_secs(120);
/// No more is kept of what a site says.
const MOST_LINES: usize = 2_000;
const MOST_FOLDERS: usize = 8;
const LONGEST_FOLDER: usize = 1_000;

/// What hostings were asked for while links wait to be used, by share.
#[derive(Default)]
pub(crate) struct FirstUses {
    begun: Mutex<HashMap<ShareId, Begun>>,
}

struct Begun {
    at: Timestamp,
    before: JoinHandle<Before>,
}

impl FirstUses {
    fn take(&self, share: ShareId) -> Option<JoinHandle<Before>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).remove(&share).map(|begun| begun.before)
    }
}

/// Asks the hosting what it has while the link is on its way to the person, so that its use need not wait.
pub(crate) fn expect(serve: &Arc<Serve>, share: ShareId, site: Site) {
    let now = serve.state.clock.now();
    let mut begun = serve.first_uses.begun.lock().unwrap_or_else(PoisonError::into_inner);
    begun.retain(|_, begun| later(begun.at, OF_USE_FOR) > now);
    if begun.get(&share).is_none_or(|begun| later(begun.at, FRESH_FOR) <= now) {
        let serve = serve.clone();
        let before = tokio::spawn(async move {
            let used = serve.read(move |connection| residue::is_used(connection, share)).await;
            if matches!(used, Ok(true)) { Before::default() } else { before(&serve, &site).await }
        });
        begun.insert(share, Begun { at: now, before });
    }
}

/// Keeps what the hosting has at the first use of a share, and where its site has its code. Call it before the person can
/// do anything.
///
/// What the hosting did not say in time is kept as unknown, so that nothing is believed to be old that is new.
pub(crate) async fn keep(
    serve: &Arc<Serve>,
    share: ShareId,
    session: &WordpressSession,
    folders: Vec<String>,
) -> Result<(), StoreError> {
    let begun = serve.first_uses.take(share);
    let usable = |folder: &String| folder.len() <= LONGEST_FOLDER;
    let folders: Vec<String> = folders.into_iter().filter(usable).take(MOST_FOLDERS).collect();
    if serve.read(move |connection| residue::is_used(connection, share)).await? {
        // By another way in, which knew no folders.
        serve.write(move |connection| residue::save_folders(connection, share, &folders)).await?;
    } else {
        let answer = match begun {
            Some(begun) => tokio::time::timeout(PATIENCE, begun).await.ok().and_then(Result::ok),
            None => tokio::time::timeout(PATIENCE, before(serve, &session.site)).await.ok(),
        };
        let before = Before { folders, ..answer.unwrap_or_default() };
        let (instance, site, at) = (session.instance.clone(), session.site.clone(), session.opened_at);
        save(serve, FirstUse { share, instance, site, at, before }).await?;
    }
    serve.state.channels.used.note(share);
    Ok(())
}

/// The same of whoever comes in another way than by WP Admin. Decide after it: it takes a while.
pub(crate) async fn keep_before_change(serve: &Arc<Serve>, share: Option<ShareId>) -> Result<(), Problem> {
    let Some(share) = share.filter(|share| !serve.state.channels.used.contains(*share)) else { return Ok(()) };
    let Some(instance) = serve.state.table().share(share).map(|share| share.instance.clone()) else { return Ok(()) };
    if !serve.read(move |connection| residue::is_used(connection, share)).await? {
        let (site, at) = (serve.site(&instance)?, serve.state.clock.now());
        let before = tokio::time::timeout(PATIENCE, before(serve, &site)).await.unwrap_or_default();
        save(serve, FirstUse { share, instance, site, at, before }).await?;
    }
    serve.state.channels.used.note(share);
    Ok(())
}

async fn save(serve: &Arc<Serve>, first: FirstUse) -> Result<(), StoreError> {
    serve.write(move |connection| residue::save_first_use(connection, &first)).await
}

#[derive(Serialize)]
struct NoArgs {}

#[derive(Deserialize)]
struct BeforeReply {
    #[serde(default)]
    keys: std::collections::BTreeMap<String, Option<Vec<String>>>,
}

async fn before(serve: &Arc<Serve>, site: &Site) -> Before {
    let asked = serve.bridge.examine(site, "residue.before", &NoArgs {}, PATIENCE);
    let (keys, crontab) = tokio::join!(asked, crontab(serve, &site.hosting));
    let keys = match keys {
        Ok(BeforeReply { keys }) => keys.into_iter().filter(|(_, lines)| is_usable(lines.as_deref())).collect(),
        Err(error) => {
            tracing::warn!(error = %chain(&error), hosting = site.hosting, "what keys there are is not known");
            Default::default()
        }
    };
    Before {
        keys,
        crontab: crontab.map(|lines| lines.into_iter().map(|line| line.hash).collect()),
        folders: Vec::new(),
    }
}

fn is_usable(lines: Option<&[String]>) -> bool {
    lines.is_none_or(|lines| lines.len() <= MOST_LINES && lines.iter().all(|hash| hash.len() <= 64))
}

/// A line of a crontab that means something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CrontabLine {
    /// Known again by this.
    pub(super) hash: String,
    /// As far as it is text.
    pub(super) text: String,
}

/// The lines of a hosting's crontab; `None` if it cannot be read.
pub(super) async fn crontab(serve: &Arc<Serve>, hosting: &str) -> Option<Vec<CrontabLine>> {
    let (broker, id) = (serve.broker.clone(), hosting.to_owned());
    // What was made here ends with its own share, and is told with that.
    let of = hosting.to_owned();
    let ours = serve.read(move |rows| cron_entries::of_hosting(rows, &of)).await.unwrap_or_default();
    match tokio::task::spawn_blocking(move || broker.read_crontab(id)).await {
        Ok(Ok(content)) => lines(&content.unwrap_or_default(), &ours),
        Ok(Err(error)) => {
            tracing::warn!(error = %chain(&error), hosting, "a crontab cannot be read");
            None
        }
        Err(error) => {
            tracing::error!(%error, "reading a crontab failed");
            None
        }
    }
}

/// Comments and empty lines run nothing; so many lines that they cannot be compared are as good as unread.
fn lines(content: &[u8], ours: &[CronEntry]) -> Option<Vec<CrontabLine>> {
    let told = |line: &[u8]| CrontabLine { hash: hash(line), text: String::from_utf8_lossy(line).into_owned() };
    let (mut lines, mut before) = (Vec::new(), &b""[..]);
    for line in content.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
        let is_ours = ours.iter().any(|entry| cron::is_line_of(entry, before, line));
        before = line;
        if !line.is_empty() && !line.starts_with(b"#") && !is_ours {
            lines.push(line);
        }
    }
    (lines.len() <= MOST_LINES).then(|| lines.into_iter().map(told).collect())
}

fn hash(line: &[u8]) -> String {
    hex(&Sha256::digest(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::cron_entries::Says;

    #[test]
    fn lines_that_run_nothing_are_left_out_and_bytes_that_are_no_text_are_told_apart() {
        let found = lines(b"# comment\n\n  */5 * * * * a \nMAILTO=x\n@daily \xff\n@daily \xfe", &[]).unwrap();
        let texts: Vec<_> = found.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["*/5 * * * * a", "MAILTO=x", "@daily \u{fffd}", "@daily \u{fffd}"]);
        assert_eq!(found[0].hash, lines(b"*/5 * * * * a", &[]).unwrap()[0].hash);
        assert_ne!(found[2].hash, found[3].hash);
        assert!(lines(&b"@daily x\n".repeat(MOST_LINES), &[]).is_some());
        assert!(lines(&b"@daily x\n".repeat(MOST_LINES + 1), &[]).is_none());
    }

    #[test]
    fn an_entry_that_was_made_here_is_left_out_only_as_it_was_made() {
        let says = Says { schedule: "5 4 * * *".into(), command: "date +%F".into(), enabled: true };
        let entry = CronEntry {
            id: "a1".into(),
            hosting: "demo".parse().unwrap(),
            creator: latchkey_access::Actor::Panel,
            share: None,
            says,
            wanted: None,
            leaving: false,
            created_at: Timestamp::UNIX_EPOCH,
        };
        let count =
            |content: &str, entry: &CronEntry| lines(content.as_bytes(), std::slice::from_ref(entry)).unwrap().len();
        let made = "# latchkey: a1\n5 4 * * * date +\\%F\n";
        assert_eq!(count(made, &entry), 0);
        assert_eq!(count(&format!("@daily x\n{made}@daily y"), &entry), 2);
        for changed in [
            "# latchkey: a1\n5 4 * * * date +\\%F; evil\n",
            "# latchkey: a1\n6 4 * * * date +\\%F\n",
            "# latchkey: a2\n5 4 * * * date +\\%F\n",
            "# latchkey: a1\n\n5 4 * * * date +\\%F\n",
            "5 4 * * * date +\\%F\n",
        ] {
            assert_eq!(count(changed, &entry), 1, "{changed}");
        }
        let disabled = CronEntry { says: Says { enabled: false, ..entry.says.clone() }, ..entry };
        assert_eq!(count(made, &disabled), 1);
    }
}
