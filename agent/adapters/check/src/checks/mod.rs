//! The table of checks, in the order of the report. Their names stay: programs read them.

mod api;
mod calls;
pub mod component;
mod denied;
mod limits;
mod repeat;

use crate::{
    bench::Bench,
    report::Finding,
    runner::{Came, RunnerError},
};

/// What is known of a check before it is made.
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub id: &'static str,
    /// Under which heading it stands.
    pub group: Group,
    /// What it proves when it passes.
    pub proves: &'static str,
    /// What the author can do when it fails.
    pub to_do: &'static str,
}

/// A check that calls the component.
#[derive(Debug)]
pub struct Check {
    /// What is known before.
    pub row: Row,
    /// Makes it.
    pub run: fn(&mut Bench) -> Result<Verdict, RunnerError>,
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is as it has to be: what was seen.
    Passed(String),
    /// It is not: what was seen, and in which calls.
    Failed {
        /// In a sentence.
        what: String,
        /// The calls.
        findings: Vec<Finding>,
    },
    /// There was nothing to look at: why not.
    NotApplicable(String),
}

/// A heading of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// The file itself.
    Component,
    /// Calls of every function.
    Calls,
    /// Calls that are repeated, cut off or refused.
    Trouble,
    /// Calls while the hosting platform is in trouble.
    Platform,
    /// What people read of all that.
    Words,
    /// What calls use up.
    Limits,
}

impl Group {
    /// For people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Component => "The component",
            Self::Calls => "Calls",
            Self::Trouble => "When something goes wrong",
            Self::Platform => "A platform in trouble",
            Self::Words => "What people are told",
            Self::Limits => "Limits of a call",
        }
    }
}

/// A check of a limit, judged by all calls before it.
macro_rules! limit {
    ($id:literal, $limit:literal, $to_do:literal) => {
        Check {
            row: Row {
                id: $id,
                group: Group::Limits,
                proves: concat!("no call went beyond the limit ", $limit),
                to_do: $to_do,
            },
            run: |bench| Ok(limits::of(bench, $limit)),
        }
    };
}

/// Every check that calls the component.
pub const CALLED: &[Check] = &[
    Check {
        row: Row {
            id: "calls.answer",
            group: Group::Calls,
            proves: "every function returns or answers with an error of the interface",
            to_do: "let no function panic or throw: answer with a case of types.error (a panic of Rust is told as a call of wasi:cli)",
        },
        run: calls::answer,
    },
    Check {
        row: Row {
            id: "calls.odd_text",
            group: Group::Calls,
            proves: "no text that people may type breaks a function",
            to_do: "answer `invalid` with the parameter's name to text that you do not take, and split text only between characters",
        },
        run: calls::odd_text,
    },
    Check {
        row: Row {
            id: "calls.settings",
            group: Group::Calls,
            proves: "settings that are missing or empty are told",
            to_do: "answer `invalid` or `refused` and name the setting that the operator has to set",
        },
        run: calls::settings,
    },
    Check {
        row: Row {
            id: "repeat.same",
            group: Group::Trouble,
            proves: "a call that is repeated under its key has the same answer and is not carried out twice",
            to_do: "look first whether what is asked for is already so, or keep the key in `state`",
        },
        run: repeat::same,
    },
    Check {
        row: Row {
            id: "repeat.after_cut",
            group: Group::Trouble,
            proves: "a call that was cut off anywhere can be repeated",
            to_do: "do not rely on the end of a call being reached: what is half done has to be found and gone on with",
        },
        run: repeat::after_cut,
    },
    Check {
        row: Row {
            id: "denied.command",
            group: Group::Trouble,
            proves: "a refusal of `command` reaches the operator",
            to_do: "answer `denied` with the denial's message as it came: it names the line that the operator has to write",
        },
        run: |bench| denied::of(bench, "command"),
    },
    Check {
        row: Row {
            id: "denied.config-file",
            group: Group::Trouble,
            proves: "a refusal of `config-file` reaches the operator",
            to_do: "answer `denied` with the denial's message as it came: it names the line that the operator has to write",
        },
        run: |bench| denied::of(bench, "config-file"),
    },
    Check {
        row: Row {
            id: "denied.http",
            group: Group::Trouble,
            proves: "a refusal of `http` reaches the operator",
            to_do: "answer `denied` with the denial's message as it came: it names the line that the operator has to write",
        },
        run: |bench| denied::of(bench, "http"),
    },
    Check {
        row: Row {
            id: "denied.crontab",
            group: Group::Trouble,
            proves: "a refusal of `crontab` reaches the operator",
            to_do: "answer `denied` with the denial's message as it came: it names the line that the operator has to write",
        },
        run: |bench| denied::of(bench, "crontab"),
    },
    Check {
        row: Row {
            id: "denied.mysql",
            group: Group::Trouble,
            proves: "a refusal of `mysql` reaches the operator",
            to_do: "answer `denied` with the denial's message as it came: it names the line that the operator has to write",
        },
        run: |bench| denied::of(bench, "mysql"),
    },
    Check {
        row: Row {
            id: "denied.state",
            group: Group::Trouble,
            proves: "a refusal of `state` reaches the operator",
            to_do: "answer `denied` with the denial's message as it came: it names the line that the operator has to write",
        },
        run: |bench| denied::of(bench, "state"),
    },
    Check {
        row: Row {
            id: "api.refused",
            group: Group::Platform,
            proves: "a platform that cannot be reached is told as such",
            to_do: "answer `unavailable` when `http` says not-sent: nothing happened, and the agent repeats the call",
        },
        run: |bench| api::of(bench, &api::REFUSED),
    },
    Check {
        row: Row {
            id: "api.no_answer",
            group: Group::Platform,
            proves: "a change without an answer is not told as done or as not done",
            to_do: "read back after no-answer; where that does not tell, answer `uncertain`",
        },
        run: |bench| api::of(bench, &api::NO_ANSWER),
    },
    Check {
        row: Row {
            id: "api.blind_repeat",
            group: Group::Platform,
            proves: "no request that may have changed something is sent again without looking",
            to_do: "after no-answer read whether it happened before you send it again",
        },
        run: api::blind_repeat,
    },
    Check {
        row: Row {
            id: "api.server_error",
            group: Group::Platform,
            proves: "an error of the platform is an error of the call",
            to_do: "look at the status of every answer, and answer `failed`, or `unavailable` if nothing happened",
        },
        run: |bench| api::of(bench, &api::SERVER_ERROR),
    },
    Check {
        row: Row {
            id: "api.truncated",
            group: Group::Platform,
            proves: "an answer that ends early is not taken for a whole one",
            to_do: "parse the whole answer, and answer `failed` or `uncertain` when it does not parse",
        },
        run: |bench| api::of(bench, &api::TRUNCATED),
    },
    Check {
        row: Row {
            id: "api.error_in_200",
            group: Group::Platform,
            proves: "an error in an answer with 200 is seen",
            to_do: "look for what your platform says when it worked, not for what it says when it failed, and read back after a change",
        },
        run: |bench| api::of(bench, &api::ERROR_IN_200),
    },
    Check {
        row: Row {
            id: "api.html",
            group: Group::Platform,
            proves: "a page for people is not taken for an answer",
            to_do: "answer `failed` to what is not of the expected kind",
        },
        run: |bench| api::of(bench, &api::HTML),
    },
    Check {
        row: Row {
            id: "api.too_long",
            group: Group::Platform,
            proves: "an answer that is too long is told",
            to_do: "answer `failed`, or `uncertain` after a change: it had its effect; ask for less at a time",
        },
        run: |bench| api::of(bench, &api::TOO_LONG),
    },
    Check {
        row: Row {
            id: "api.unauthorised",
            group: Group::Platform,
            proves: "a secret that the platform does not take is told, and not tried again",
            to_do: "answer `refused` to 401 and 403: the agent does not repeat it, and the operator reads why",
        },
        run: |bench| api::of(bench, &api::UNAUTHORISED),
    },
    Check {
        row: Row {
            id: "api.too_many",
            group: Group::Platform,
            proves: "a platform that wants a slower pace gets it",
            to_do: "answer `unavailable` to 429, with `retry-after-ms` not shorter than its Retry-After",
        },
        run: |bench| api::of(bench, &api::TOO_MANY),
    },
    Check {
        row: Row {
            id: "api.redirect",
            group: Group::Platform,
            proves: "a redirect is not taken for an answer",
            to_do: "answer `failed` or `refused` to 3xx: the agent follows none, and the operator has the address to correct",
        },
        run: |bench| api::of(bench, &api::REDIRECT),
    },
    Check {
        row: Row {
            id: "errors.words",
            group: Group::Words,
            proves: "every error says something to people",
            to_do: "put a sentence into every error, the platform's own words if it has any",
        },
        run: calls::words,
    },
    limit!("limits.cpu_ms", "cpu_ms", "work for less long: what computes for seconds does not belong into a call"),
    limit!("limits.wall_ms", "wall_ms", "set `timeout-ms` of requests, and answer `unavailable` instead of waiting"),
    limit!("limits.memory_bytes", "memory_bytes", "hold less at a time; a larger limit is the operator's to set"),
    limit!("limits.table_elements", "table_elements", "build with fewer functions that are called by pointers"),
    limit!("limits.handles", "handles", "drop handles of resources when you are done with them"),
    limit!("limits.host_calls", "host_calls", "ask the agent less often: remember within a call what it answered"),
    limit!("limits.copied_bytes", "copied_bytes", "return and hand over less at once"),
    limit!("limits.log_bytes", "log_bytes", "log less: a line for what an operator wants to know"),
    limit!("limits.http_requests", "http_requests", "send fewer requests in a call: ask for lists instead of items"),
    limit!("limits.stack", "stack", "call yourself less deep: use a loop"),
];

/// A verdict over calls: passed if nothing was found in `looked` of them, not applicable if that is none.
fn judged(looked: usize, findings: Vec<Finding>, passed: impl FnOnce() -> String, nothing: &str) -> Verdict {
    match (looked, findings.len()) {
        (0, _) => Verdict::NotApplicable(nothing.to_owned()),
        (_, 0) => Verdict::Passed(passed()),
        (looked, found) => Verdict::Failed { what: format!("{found} of {looked} calls went wrong"), findings },
    }
}

/// Whether the component broke down by itself. Limits have checks of their own.
fn broke_down(came: &Came) -> Option<String> {
    match came {
        Came::Ended(fault) if crate::bench::limit_of(fault).is_none() => Some(fault.to_string()),
        _ => None,
    }
}

/// How a call ended, in a few words.
fn told(came: &Came) -> String {
    match came {
        Came::Returned(_) => "returned".to_owned(),
        Came::Failed(error) => format!("{}: {}", crate::bench::case(error), crate::bench::words(error)),
        Came::Ended(fault) => fault.to_string(),
        Came::Cut => "cut off".to_owned(),
    }
}
