//! How cPanel is read and changed. It has no idempotency keys, so nothing is changed that was not looked at just before,
//! nothing is sent twice that may have happened, and what came of a change is read, not believed.

use sdk::{Error, Result};
use serde_json::Value;

use crate::account::Account;
use crate::answer;
use crate::call::{Call, Came};
use crate::trace::Trace;

/// Reading changes nothing, so it is tried again at once.
const READ_TRIES: u32 = 3;
const NO_TIME: &str = "cPanel takes too long";

/// What a look says about a change.
#[derive(Debug)]
pub(crate) enum Now {
    /// It is as it is wanted.
    Wanted,
    /// It is not, and this would change it.
    Before(Step),
    /// It is neither, and this is why the change cannot be made.
    Otherwise(Error),
}

/// The next step of a change.
#[derive(Debug)]
pub(crate) struct Step {
    /// What changes it.
    pub(crate) call: Call,
    /// What the next look has to know about what was there before, if anything.
    pub(crate) before: String,
}

impl From<Call> for Now {
    fn from(call: Call) -> Self {
        Self::Before(Step { call, before: String::new() })
    }
}

/// Reads something. *unavailable* if cPanel cannot be read at the moment.
pub(crate) fn read(account: &Account, call: &Call) -> Result<Value> {
    let mut reason = NO_TIME.to_owned();
    for _ in 0..READ_TRIES {
        if account.patience_ms() == 0 {
            break;
        }
        match call.send(account) {
            Came::Done(data) => return Ok(data),
            Came::Refused(words) => return Err(answer::refused(&words)),
            Came::Nothing(Error::Unavailable(busy)) => reason = busy.message,
            Came::Nothing(error) => return Err(error),
            Came::Unknown(why) => reason = why,
        }
    }
    Err(Error::unavailable(reason))
}

/// Makes something so, whoever made it so before.
pub(crate) fn ensure(account: &Account, look: impl Fn() -> Result<Now>) -> Result<()> {
    match look()? {
        Now::Wanted => Ok(()),
        Now::Otherwise(error) => Err(error),
        Now::Before(step) => match settle(account, &step.call, &look) {
            Settled::Done | Settled::Overtaken => Ok(()),
            Settled::Failed(error) => Err(error),
        },
    }
}

/// Makes something so that must not be so yet: what is so already is an error, unless an earlier try of this call may have
/// done it. The look is told what was there before that try.
pub(crate) fn once(
    account: &Account,
    key: &str,
    already: Error,
    look: impl Fn(Option<&str>) -> Result<Now>,
) -> Result<()> {
    let trace = Trace::find(key)?;
    let now = match look(trace.before()) {
        Err(error) if trace.is_open() => return Err(uncertain("an earlier try of this call was not answered", error)),
        now => now?,
    };
    match now {
        Now::Wanted if trace.before().is_some() => Ok(()),
        Now::Wanted => Err(already),
        Now::Otherwise(error) => Err(error),
        Now::Before(step) => {
            trace.leave(&step.before)?;
            let is_repeated = trace.before().is_some();
            match settle(account, &step.call, || look(Some(&step.before))) {
                Settled::Done => Ok(()),
                // Somebody else was faster, unless it was an earlier try of ours that cPanel finished late.
                Settled::Overtaken if is_repeated => Ok(()),
                Settled::Overtaken => Err(already),
                Settled::Failed(error) => {
                    if !matches!(error, Error::Uncertain(_)) {
                        // A trace that stays open makes a repeat more careful than it need be, and no more.
                        drop(trace.close(&step.before));
                    }
                    Err(error)
                }
            }
        }
    }
}

/// Makes a change that cannot be looked at, such as that of a password. Whoever calls knows that repeating is safe.
pub(crate) fn unseen(account: &Account, call: &Call) -> Result<Value> {
    match send(account, call) {
        Came::Done(data) => Ok(data),
        Came::Refused(words) => Err(answer::refused(&words)),
        Came::Nothing(error) => Err(error),
        Came::Unknown(why) => Err(Error::uncertain(format!("{why}; cPanel does not show whether it was done"))),
    }
}

/// What became of a change that was sent.
enum Settled {
    /// It is so.
    Done,
    /// cPanel refused it, and it is so all the same.
    Overtaken,
    /// It failed.
    Failed(Error),
}

/// Sends a change once and looks at what came of it.
fn settle(account: &Account, call: &Call, look: impl Fn() -> Result<Now>) -> Settled {
    let came = send(account, call);
    if let Came::Nothing(error) = came {
        return Settled::Failed(error);
    }
    Settled::Failed(match (came, look()) {
        (Came::Done(_) | Came::Unknown(_), Ok(Now::Wanted)) => return Settled::Done,
        (Came::Refused(_), Ok(Now::Wanted)) => return Settled::Overtaken,
        (_, Ok(Now::Otherwise(error))) | (Came::Nothing(error), _) => error,
        (Came::Refused(words), _) => answer::refused(&words),
        (Came::Done(_), Ok(Now::Before(_))) => Error::failed("cPanel says that it did it, and it is not so"),
        (Came::Unknown(why), Ok(Now::Before(_))) => Error::unavailable(why),
        (Came::Done(_), Err(error)) => uncertain("cPanel says that it did it", error),
        (Came::Unknown(why), Err(error)) => uncertain(&why, error),
    })
}

/// Sends a change, unless there is no time left to look what comes of it.
fn send(account: &Account, call: &Call) -> Came {
    if account.has_time_to_change() { call.send(account) } else { Came::Nothing(Error::unavailable(NO_TIME)) }
}

fn uncertain(what: &str, unread: Error) -> Error {
    let why = match unread {
        Error::Unavailable(busy) => busy.message,
        Error::Refused(words) | Error::Failed(words) | Error::Unsupported(words) | Error::Denied(words) => words,
        error => format!("{error:?}"),
    };
    Error::uncertain(format!("{what}; whether it is so could not be read: {why}"))
}
