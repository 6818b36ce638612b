//! The PHP bridge: one action on one site, as the site's own system user.
//!
//! What comes back is the customer's claim about the customer's own site. It is bounded, parsed strictly, shown, and
//! trusted for nothing else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use latchkey_protocol::{PhpCall, PhpEnd, Purpose, RefusalCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::bridge_call::{self, Outcome};
use crate::broker::{self, Broker, BrokerError};
use crate::counted::COUNTED;
use crate::problem::{Code, Problem};
use crate::request::spawn_blocking;
use crate::store::wordpress_sessions::Site;

/// How long a site may take for an ordinary action.
pub(crate) const USUAL_DEADLINE: Duration = Duration::from_secs(30);
/// What the broker gets beyond the deadline of a call.
const BROKER_PATIENCE: Duration = Duration::from_secs(5);
/// What the broker has room for by default, on the node and for one hosting, besides the calls that end access.
const MOST_CALLS: usize = 12;
const MOST_CALLS_OF_HOSTING: usize = 3;
/// The broker runs a few calls of a hosting at a time; the next one waits for its turn, at most so long.
const LONGEST_QUEUE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// Why an action did not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BridgeError {
    /// The broker did not start it.
    #[error("PHP could not be started")]
    Broker(#[source] BrokerError),
    /// The site did not answer in time.
    #[error("the site did not answer in time")]
    TimedOut,
    /// PHP ended without an answer.
    #[error("PHP ended without an answer ({end}); it said: {log}")]
    NoAnswer {
        /// How it ended.
        end: String,
        /// The end of what it wrote to its log.
        log: String,
    },
    /// The answer is none.
    #[error("the site's answer is malformed: {what}")]
    Malformed {
        /// In which way.
        what: String,
    },
    /// The site says it does not work.
    #[error("the site answered {code}: {message}")]
    Site {
        /// Which kind of failure.
        code: String,
        /// What the site says.
        message: String,
    },
}

impl BridgeError {
    /// Whether a second try without the site's plugins may help.
    fn may_be_a_plugin(&self) -> bool {
        match self {
            Self::TimedOut | Self::NoAnswer { .. } | Self::Malformed { .. } => true,
            Self::Site { code, .. } => code == "fatal" || code == "exit",
            Self::Broker(_) => false,
        }
    }
}

impl From<BridgeError> for Problem {
    fn from(error: BridgeError) -> Self {
        tracing::warn!(error = %crate::problem::chain(&error), "a site could not be asked");
        match error {
            BridgeError::Broker(BrokerError::Refused { code: RefusalCode::Internal, .. }) => {
                let detail =
                    "PHP could not be started for this site: its folder may be gone; the broker's log says why";
                Self::new(Code::Unavailable, detail)
            }
            BridgeError::Broker(error) => error.into(),
            BridgeError::TimedOut => Self::new(Code::TimedOut, "WordPress on this site did not answer in time"),
            BridgeError::NoAnswer { .. } | BridgeError::Malformed { .. } => {
                Self::new(Code::Unavailable, "WordPress on this site gave no usable answer")
            }
            BridgeError::Site { code, message } => match code.as_str() {
                "invalid" => Self::new(Code::Invalid, message),
                "not_found" => Self::new(Code::NotFound, message),
                "conflict" => Self::new(Code::Conflict, message),
                "quota" => Self::new(Code::Quota, message),
                "unavailable" => Self::new(Code::Unavailable, message),
                "database" => Self::new(Code::Unavailable, format!("the site's database does not work: {message}")),
                "no_wordpress" => Self::new(Code::Unavailable, "there is no WordPress in the instance's docroot"),
                _ => Self::new(Code::Unavailable, format!("WordPress on this site fails: {message}")),
            },
        }
    }
}

#[derive(Serialize)]
struct BridgeRequest<'a, A> {
    action: &'a str,
    args: &'a A,
    site: SiteOfRequest<'a>,
    skip_plugins: bool,
}

#[derive(Serialize)]
struct SiteOfRequest<'a> {
    url: &'a str,
}

#[derive(Deserialize)]
struct BridgeReply<'a> {
    ok: bool,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<SiteError>,
}

#[derive(Deserialize)]
struct SiteError {
    code: String,
    message: String,
}

/// Starts bridge calls through the broker.
#[derive(Debug, Clone)]
pub(crate) struct Bridge {
    broker: Broker,
    /// Room for everything but the end of sessions, on the node and by hosting. The broker keeps more for that: sites that
    /// hang, and those who make them, must not keep sessions from being ended. Here the others wait for their turn.
    room: Arc<Semaphore>,
    rooms: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

impl Bridge {
    /// A bridge over this broker.
    pub(crate) fn new(broker: Broker) -> Self {
        Self { broker, room: Arc::new(Semaphore::new(MOST_CALLS)), rooms: Arc::default() }
    }

    /// Waits for room for a call that ends nothing.
    async fn enter(&self, hosting: &str) -> Result<[OwnedSemaphorePermit; 2], BridgeError> {
        let of_hosting = {
            let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
            rooms.entry(hosting.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(MOST_CALLS_OF_HOSTING))).clone()
        };
        let entered = async {
            // In this order: who waits for a hosting that hangs takes no room from the others.
            let first = of_hosting.acquire_owned().await.ok()?;
            Some([first, self.room.clone().acquire_owned().await.ok()?])
        };
        let entered = tokio::time::timeout(LONGEST_QUEUE, entered).await.ok().flatten();
        entered.ok_or_else(|| {
            let message = "as many calls as the agent allows are running".to_owned();
            BridgeError::Broker(BrokerError::Refused { code: RefusalCode::Busy, field: None, message })
        })
    }

    /// Runs an action. If the site fails with its plugins it is asked once more without them.
    pub(crate) async fn call<A: Serialize + Sync, R: DeserializeOwned>(
        &self,
        site: &Site,
        action: &str,
        args: &A,
    ) -> Result<R, BridgeError> {
        match self.attempt(site, action, args, Plugins::Loaded, USUAL_DEADLINE).await {
            Err(error) if error.may_be_a_plugin() => {
                tracing::info!(%action, site = %site.url, %error, "asking the site again without its plugins");
                self.attempt(site, action, args, Plugins::Skipped, USUAL_DEADLINE).await
            }
            answer => answer,
        }
    }

    /// Runs an action once. Dropping the future kills the call.
    pub(crate) async fn attempt<A: Serialize + Sync, R: DeserializeOwned>(
        &self,
        site: &Site,
        action: &str,
        args: &A,
        plugins: Plugins,
        deadline: Duration,
    ) -> Result<R, BridgeError> {
        let _room = self.enter(&site.hosting).await?;
        self.run(site, &encode(site, action, args, plugins)?, Purpose::Ordinary, deadline).await
    }

    /// Runs an action that looks for what somebody left, past whatever the site's code could have put in its place.
    pub(crate) async fn examine<A: Serialize + Sync, R: DeserializeOwned>(
        &self,
        site: &Site,
        action: &str,
        args: &A,
        deadline: Duration,
    ) -> Result<R, BridgeError> {
        let _room = self.enter(&site.hosting).await?;
        self.run(site, &encode(site, action, args, Plugins::Skipped)?, Purpose::Examines, deadline).await
    }

    /// Runs an action that ends access: without plugins, and with room of its own.
    pub(crate) async fn end<A: Serialize + Sync, R: DeserializeOwned>(
        &self,
        site: &Site,
        action: &str,
        args: &A,
        deadline: Duration,
    ) -> Result<R, BridgeError> {
        self.run(site, &encode(site, action, args, Plugins::Skipped)?, Purpose::EndsAccess, deadline).await
    }

    async fn run<R: DeserializeOwned>(
        &self,
        site: &Site,
        request: &[u8],
        purpose: Purpose,
        deadline: Duration,
    ) -> Result<R, BridgeError> {
        let _in_use = COUNTED.php_in_use.enter();
        let answer = self.exchange(site, request, purpose, deadline).await;
        count(&answer);
        answer
    }

    async fn exchange<R: DeserializeOwned>(
        &self,
        site: &Site,
        request: &[u8],
        purpose: Purpose,
        deadline: Duration,
    ) -> Result<R, BridgeError> {
        let deadline_ms = u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX);
        let call = PhpCall { hosting: site.hosting.clone(), docroot: site.docroot.clone(), deadline_ms, purpose };
        let mut turns = deadline.min(LONGEST_QUEUE).as_millis() / PAUSE.as_millis();
        loop {
            // The broker keeps the deadline; one that does not is given up on.
            let started = tokio::time::timeout(deadline + BROKER_PATIENCE, self.start(call.clone(), request.to_vec()));
            match started.await.map_err(|_| BridgeError::TimedOut)? {
                Err(BrokerError::Refused { code: RefusalCode::Busy, .. }) if turns > 0 => {
                    turns -= 1;
                    tokio::time::sleep(PAUSE).await;
                }
                outcome => return read_answer(&outcome.map_err(BridgeError::Broker)?),
            }
        }
    }

    async fn start(&self, call: PhpCall, request: Vec<u8>) -> Result<Outcome, BrokerError> {
        let broker = self.broker.clone();
        // A broker that hangs must hang no thread of the runtime.
        let connected = spawn_blocking(move || broker.connect()).await;
        let connection = Arc::new(connected.map_err(|_| BrokerError::Unexpected)??);
        let on_drop = HangUp(connection.clone());
        let running = spawn_blocking(move || bridge_call::run(&connection, call, &request));
        let outcome = running.await.map_err(|_| BrokerError::Unexpected)?;
        broker::count(&outcome);
        drop(on_drop);
        outcome
    }
}

fn encode<A: Serialize>(site: &Site, action: &str, args: &A, plugins: Plugins) -> Result<Vec<u8>, BridgeError> {
    let skip_plugins = plugins == Plugins::Skipped;
    let request = BridgeRequest { action, args, site: SiteOfRequest { url: &site.url }, skip_plugins };
    serde_json::to_vec(&request).map_err(|error| BridgeError::Malformed { what: error.to_string() })
}

/// Whether a site's plugins and theme are loaded for an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plugins {
    /// As for a visitor.
    Loaded,
    /// Not at all: what they break does not matter then.
    Skipped,
}

/// Hangs up on the broker when the caller has gone, which kills the call.
struct HangUp(Arc<latchkey_protocol::FrameSocket>);

impl Drop for HangUp {
    fn drop(&mut self) {
        // The connection may be closed already.
        let _ = self.0.shutdown();
    }
}

fn count<R>(answer: &Result<R, BridgeError>) {
    let counter = match answer {
        Ok(_) => &COUNTED.php_answered,
        Err(BridgeError::Site { .. }) => &COUNTED.php_site_errors,
        Err(BridgeError::TimedOut) => &COUNTED.php_timed_out,
        Err(BridgeError::NoAnswer { .. } | BridgeError::Malformed { .. }) => &COUNTED.php_no_answer,
        Err(BridgeError::Broker(_)) => &COUNTED.php_not_started,
    };
    counter.count();
}

fn read_answer<R: DeserializeOwned>(outcome: &Outcome) -> Result<R, BridgeError> {
    let Some(line) = &outcome.line else {
        return Err(match outcome.end {
            PhpEnd::TimedOut => BridgeError::TimedOut,
            PhpEnd::Exited { code } => no_answer(format!("exit code {code}"), outcome),
            PhpEnd::Signalled { signal } => no_answer(format!("signal {signal}"), outcome),
        });
    };
    let malformed = |error: serde_json::Error| BridgeError::Malformed { what: error.to_string() };
    let reply: BridgeReply<'_> = serde_json::from_slice(line).map_err(malformed)?;
    match (reply.ok, reply.result, reply.error) {
        (true, Some(result), _) => serde_json::from_str(result.get()).map_err(malformed),
        (false, _, Some(SiteError { code, message })) => {
            Err(BridgeError::Site { code: shortened(&code, 40), message: shortened(&message, 500) })
        }
        _ => Err(BridgeError::Malformed { what: "neither a result nor an error".into() }),
    }
}

/// Reads one line of a site as the answer to every action that has one.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn read_any_answer(line: &[u8]) {
    let outcome = Outcome { line: Some(line.to_vec()), log: line.to_vec(), end: PhpEnd::Exited { code: 0 } };
    let _ = read_answer::<super::sessions::Report>(&outcome);
    let _ = read_answer::<super::sso::UsersReply>(&outcome);
    let _ = read_answer::<super::sso::FindReply>(&outcome);
    if let Err(BridgeError::Site { code, message }) = read_answer::<serde_json::Value>(&outcome) {
        assert!(code.chars().count() <= 40 && message.chars().count() <= 500);
        assert!(!code.contains(char::is_control) && !message.contains(char::is_control));
    }
}

fn no_answer(end: String, outcome: &Outcome) -> BridgeError {
    BridgeError::NoAnswer { end, log: shortened(&String::from_utf8_lossy(&outcome.log), 500) }
}

/// Text of a site for a log or a reply: no control characters, not too long.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(most).collect()
}
