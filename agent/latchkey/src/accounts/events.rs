//! What happens with file accounts, on its way into the audit: merged per person, kind and minute, in a bounded table.
//!
//! Noting never waits and writes nothing; [`write_down`] does, once a second. What was noted in the last minute before a
//! crash is lost.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use latchkey_access::{Actor, FileProtocol, InstanceId, Rule, ShareId};

use crate::caller::{Caller, Note};
use crate::cli::print::visible;
use crate::serve::Serve;
use crate::store::audit::Outcome;

/// As many are told apart at most; of more only their number is kept.
const MOST_TOLD_APART: usize = 4096;
const TOGETHER: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);
/// Of a client's words and of a path so many characters are kept.
const LONGEST_WORDS: usize = 120;

/// What somebody did to files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum FileEvent {
    /// Read a file.
    Download,
    /// Wrote a file.
    Upload,
    /// Removed a file or a folder.
    Remove,
    /// Renamed one.
    Rename,
    /// Made a folder or a link.
    Make,
    /// Changed modes or times.
    Change,
}

impl FileEvent {
    const fn operation(self) -> &'static str {
        match self {
            Self::Download => "file.download",
            Self::Upload => "file.upload",
            Self::Remove => "file.remove",
            Self::Rename => "file.rename",
            Self::Make => "file.make",
            Self::Change => "file.change",
        }
    }
}

/// Whose account an event is about, and where they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Whose {
    pub(crate) protocol: FileProtocol,
    pub(crate) actor: Actor,
    /// The account, if there is one.
    pub(crate) login: Option<String>,
    pub(crate) instance: Option<InstanceId>,
    pub(crate) share: Option<ShareId>,
    pub(crate) address: String,
    pub(crate) client: String,
}

impl Whose {
    fn caller(&self) -> Caller {
        let via = self.protocol.as_str().to_owned();
        Caller { actor: self.actor.clone(), via, address: Some(self.address.clone()), request_id: None }
    }

    fn note(&self, operation: &str, what: &str) -> Note {
        let login = self.login.as_deref().map(|login| format!(" as {login}")).unwrap_or_default();
        // FTP clients do not say what they are.
        let client = if self.client.is_empty() { String::new() } else { format!(", {}", short(&self.client)) };
        let detail = format!("{what}{login}{client}");
        let (instance, share) = (self.instance.as_ref().map(ToString::to_string), self.share);
        Note { instance, share: share.map(|id| id.to_string()), ..Note::of(operation) }.detail(detail)
    }

    /// Notes in the audit that somebody was let in. Written when this returns.
    pub(super) async fn was_let_in(&self, serve: &Serve, rule: Rule) {
        let note = self.note(sign_in(self.protocol), "signed in").rule(rule);
        serve.record(self.caller(), note, Outcome::Allowed).await;
    }
}

const fn sign_in(protocol: FileProtocol) -> &'static str {
    match protocol {
        FileProtocol::Sftp => "sftp.sign_in",
        FileProtocol::Ftp => "ftp.sign_in",
    }
}

/// The first characters of somebody's words, without anything that a terminal or a log would obey.
fn short(words: &str) -> String {
    visible(words).chars().take(LONGEST_WORDS).collect()
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum What {
    Did(FileEvent),
    /// By the rule, or because of the key or password.
    WasRefused(Option<Rule>, String),
}

#[derive(Debug, PartialEq, Eq)]
struct Tally {
    count: u64,
    /// A path among them.
    first: String,
    /// By the clock that only ticks.
    due: Duration,
}

/// What was noted and is not written down yet.
#[derive(Debug, Default)]
pub(crate) struct Events {
    noted: Mutex<HashMap<(What, Whose), Tally>>,
    beyond: Mutex<u64>,
}

impl Events {
    /// Notes that somebody did something to a file.
    pub(crate) fn did(&self, whose: &Whose, event: FileEvent, path: &[u8], now: Duration) {
        self.note(What::Did(event), whose, &String::from_utf8_lossy(path), now + TOGETHER);
    }

    /// Notes that somebody was not let in. The first time is written down at once, more of the same once a minute.
    pub(super) fn was_refused(&self, whose: &Whose, rule: Option<Rule>, why: &str, now: Duration) {
        self.note(What::WasRefused(rule, why.to_owned()), whose, "", now);
    }

    fn note(&self, what: What, whose: &Whose, path: &str, due: Duration) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (what, whose.clone());
        if let Some(tally) = noted.get_mut(&key) {
            if tally.count == 0 {
                tally.first = short(path);
            }
            tally.count += 1;
        } else if noted.len() < MOST_TOLD_APART {
            noted.insert(key, Tally { count: 1, first: short(path), due });
        } else {
            *self.beyond.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        }
    }

    /// Takes what is due at `now`. Refusals stay for a minute, so that more of the same are written together.
    fn take_due(&self, now: Duration) -> Vec<(What, Whose, Tally)> {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let due: Vec<_> = noted.iter().filter(|(_, tally)| tally.due <= now).map(|(key, _)| key.clone()).collect();
        let mut taken = Vec::new();
        for key in due {
            let Some(tally) = noted.remove(&key).filter(|tally| tally.count > 0) else { continue };
            if matches!(key.0, What::WasRefused(..)) {
                noted.insert(key.clone(), Tally { count: 0, first: String::new(), due: now + TOGETHER });
            }
            taken.push((key.0, key.1, tally));
        }
        taken
    }

    fn take_beyond(&self) -> u64 {
        std::mem::take(&mut *self.beyond.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Writes what was noted into the audit, until the process ends.
pub(crate) async fn write_down(serve: Arc<Serve>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        write_due(&serve, serve.state.clock.ticking()).await;
    }
}

/// Writes all that was noted, due or not: the process ends.
pub(crate) async fn write_all(serve: &Arc<Serve>) {
    write_due(serve, Duration::MAX - TOGETHER).await;
}

async fn write_due(serve: &Arc<Serve>, now: Duration) {
    for (what, whose, tally) in serve.events.take_due(now) {
        let (note, outcome) = match what {
            What::Did(event) => {
                let what = format!("{} times, the first {}", tally.count, tally.first);
                (whose.note(event.operation(), &what), Outcome::Allowed)
            }
            What::WasRefused(rule, why) => {
                let what = format!("refused {} times, {why},", tally.count);
                let note = whose.note(sign_in(whose.protocol), &what);
                (Note { rule: rule.map(|rule| rule.to_string()), ..note }, Outcome::Denied)
            }
        };
        serve.record(whose.caller(), note, outcome).await;
    }
    let beyond = serve.events.take_beyond();
    if beyond > 0 {
        let note = Note::of("file.events").detail(format!("{beyond} more events were too many to be told apart"));
        serve.record(Caller::agent(), note, Outcome::Allowed).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1000);

    fn whose(login: &str) -> Whose {
        Whose {
            protocol: FileProtocol::Sftp,
            actor: Actor::Nobody,
            login: Some(login.to_owned()),
            instance: None,
            share: None,
            address: "127.0.0.1".to_owned(),
            client: "SSH-2.0-x".to_owned(),
        }
    }

    fn counts(events: &Events, now: Duration) -> Vec<u64> {
        events.take_due(now).into_iter().map(|(_, _, tally)| tally.count).collect()
    }

    #[test]
    fn what_one_person_does_in_a_minute_is_one_row_of_each_kind() {
        let events = Events::default();
        for number in 0..100 {
            events.did(&whose("jo"), FileEvent::Upload, format!("{number}.txt").as_bytes(), NOW);
        }
        events.did(&whose("jo"), FileEvent::Remove, b"a\x1b[2J\xff", NOW);
        events.did(&whose("al"), FileEvent::Upload, b"b", NOW);
        assert!(counts(&events, NOW + Duration::from_secs(59)).is_empty());
        let due = events.take_due(NOW + TOGETHER);
        let mut seen: Vec<_> = due.iter().map(|(_, _, tally)| (tally.count, tally.first.as_str())).collect();
        seen.sort_unstable();
        assert_eq!(seen, [(1, "a\\u{1b}[2J\u{fffd}"), (1, "b"), (100, "0.txt")]);
        assert!(counts(&events, NOW + TOGETHER * 9).is_empty());
    }

    #[test]
    fn the_first_refusal_is_written_at_once_and_more_of_the_same_once_a_minute() {
        let events = Events::default();
        let refuse = || events.was_refused(&whose("jo"), None, "wrong", NOW);
        refuse();
        assert_eq!(counts(&events, NOW), [1]);
        refuse();
        refuse();
        assert!(counts(&events, NOW + Duration::from_secs(59)).is_empty());
        assert_eq!(counts(&events, NOW + TOGETHER), [2]);
        // Then it is forgotten, and the next one is the first again.
        assert!(counts(&events, NOW + TOGETHER * 2).is_empty());
        assert!(events.noted.lock().unwrap().is_empty());
    }

    #[test]
    fn the_table_does_not_grow_beyond_its_bound() {
        let events = Events::default();
        for number in 0..MOST_TOLD_APART + 10 {
            events.was_refused(&whose(&number.to_string()), None, "wrong", NOW);
        }
        assert_eq!(events.noted.lock().unwrap().len(), MOST_TOLD_APART);
        assert_eq!((events.take_beyond(), events.take_beyond()), (10, 0));
    }
}
