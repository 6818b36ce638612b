//! What functions make of a hosting platform that is out of reach, slow, broken or lying.

use super::{Verdict, broke_down, judged, told};
use crate::{
    bench::{Bench, case},
    interface::Function,
    report::Finding,
    runner::{Came, RunnerError},
    world::{Answer, Sent, World},
};

/// The trouble begins at each of the first requests of a call.
const DEPTH: usize = 4;

/// What is wrong with a platform, and what fits it.
pub(super) struct Trouble {
    /// For people, with its answer.
    pub(super) forms: &'static [(&'static str, Answer)],
    /// The cases of `types.error` that say what happened.
    pub(super) fits: &'static [&'static str],
    /// Those when a request that may have changed something met the trouble.
    pub(super) fits_after_change: &'static [&'static str],
}

const JSON: Option<(&str, &str)> = Some(("content-type", "application/json"));

/// Nothing was sent.
pub(super) const REFUSED: Trouble = Trouble {
    forms: &[("the connection is refused", Answer::NotSent)],
    fits: &["unavailable"],
    fits_after_change: &["unavailable", "uncertain"],
};

/// Something may have happened.
pub(super) const NO_ANSWER: Trouble = Trouble {
    forms: &[("no answer comes in time", Answer::None)],
    fits: &["unavailable", "uncertain", "failed"],
    fits_after_change: &["uncertain"],
};

/// It fails and says so.
pub(super) const SERVER_ERROR: Trouble = Trouble {
    forms: &[("500", Answer::With(500, JSON, r#"{"error":"internal error"}"#))],
    fits: &["unavailable", "failed", "uncertain", "refused"],
    fits_after_change: &["unavailable", "failed", "uncertain", "refused"],
};

/// The connection broke in a place where nobody notices.
pub(super) const TRUNCATED: Trouble = Trouble {
    forms: &[("JSON that ends early", Answer::With(200, JSON, r#"{"status":1,"success":true,"data":[{"na"#))],
    fits: &["failed", "uncertain", "unavailable"],
    fits_after_change: &["failed", "uncertain"],
};

/// As platforms do.
pub(super) const ERROR_IN_200: Trouble = Trouble {
    forms: &[
        (
            "200 with an error, as cPanel's UAPI",
            Answer::With(
                200,
                JSON,
                r#"{"status":0,"errors":["The request failed."],"data":null,"metadata":{},"messages":null}"#,
            ),
        ),
        (
            "200 with an error, as cPanel's API 2",
            Answer::With(
                200,
                JSON,
                r#"{"cpanelresult":{"error":"The request failed.","data":{"result":"0","reason":"The request failed."}}}"#,
            ),
        ),
        (
            "200 with an error, as DirectAdmin",
            Answer::With(200, Some(("content-type", "text/plain")), "error=1&text=The%20request%20failed&details=none"),
        ),
        (
            "200 with an error, as Cloudflare",
            Answer::With(
                200,
                JSON,
                r#"{"success":false,"errors":[{"code":1000,"message":"The request failed."}],"messages":[],"result":null}"#,
            ),
        ),
        (
            "200 with an error, as Plesk",
            Answer::With(200, JSON, r#"{"code":1,"stdout":"","stderr":"The request failed."}"#),
        ),
        ("200 with an error", Answer::With(200, JSON, r#"{"ok":false,"error":"The request failed."}"#)),
    ],
    fits: &["failed", "refused", "uncertain", "unavailable", "invalid", "unsupported"],
    fits_after_change: &["failed", "refused", "uncertain", "invalid", "unsupported"],
};

/// A page for people, with 200: a sign-in form, a maintenance page.
pub(super) const HTML: Trouble = Trouble {
    forms: &[(
        "a page in HTML",
        Answer::With(
            200,
            Some(("content-type", "text/html")),
            "<!DOCTYPE html><html><head><title>Login</title></head><body>Sign in</body></html>",
        ),
    )],
    fits: &["failed", "refused", "uncertain", "unavailable"],
    fits_after_change: &["failed", "refused", "uncertain"],
};

/// Longer than the agent reads.
pub(super) const TOO_LONG: Trouble = Trouble {
    forms: &[("an answer of 10 MB", Answer::TooLong)],
    fits: &["failed", "refused", "unsupported", "uncertain", "unavailable"],
    fits_after_change: &["failed", "uncertain"],
};

/// The secret is wrong, or has too few rights.
pub(super) const UNAUTHORISED: Trouble = Trouble {
    forms: &[("401", Answer::With(401, JSON, r#"{"error":"access denied"}"#))],
    fits: &["refused", "failed"],
    fits_after_change: &["refused", "failed"],
};

/// A pace is kept.
pub(super) const TOO_MANY: Trouble = Trouble {
    forms: &[("429 with Retry-After: 7", Answer::With(429, Some(("retry-after", "7")), "slow down"))],
    fits: &["unavailable"],
    fits_after_change: &["unavailable"],
};

/// It is elsewhere, or wants somebody to sign in.
pub(super) const REDIRECT: Trouble = Trouble {
    forms: &[("302 to another address", Answer::With(302, Some(("location", "https://elsewhere.example/login")), ""))],
    fits: &["failed", "refused", "unsupported", "uncertain", "invalid"],
    fits_after_change: &["failed", "refused", "unsupported", "uncertain", "invalid"],
};

/// Calls every function with a platform in that trouble.
pub(super) fn of(bench: &mut Bench, trouble: &Trouble) -> Result<Verdict, RunnerError> {
    each(bench, trouble, |function, from, sent, came| {
        let met = |is_read: bool| sent.iter().any(|one| one.in_trouble && one.is_read == is_read);
        match came {
            // All of it was trouble, or what was to be changed met it.
            Came::Returned(_) if from == 0 || (function.is_change() && met(false)) => {
                Some("returned, as if all were well".into())
            }
            Came::Returned(_) | Came::Cut => None,
            Came::Failed(error) => {
                let fits = match (from, met(false)) {
                    (_, true) => trouble.fits_after_change,
                    (0, _) => trouble.fits,
                    // Something was well before: what was read then may be what the error is about.
                    _ => return None,
                };
                let is_early = waits_too_short(sent, error, trouble);
                (!fits.contains(&case(error)) || is_early)
                    .then(|| format!("{}; expected {}", told(came), fits.join(" or ")))
            }
            Came::Ended(_) => broke_down(came),
        }
    })
}

/// Whether what may have happened is sent again without looking whether it did.
pub(super) fn blind_repeat(bench: &mut Bench) -> Result<Verdict, RunnerError> {
    if bench.imports("http") && !bench.reads_by_get()? {
        return Ok(Verdict::NotApplicable("reads are sent by POST, too: what is repeated cannot be told apart".into()));
    }
    each(bench, &NO_ANSWER, |_, _, sent, _| {
        let again = |(at, first): (usize, &Sent)| {
            let next = sent.iter().skip(at + 1).take_while(|one| !one.is_read).find(|one| one.is_same(first));
            next.filter(|_| !first.is_read && first.in_trouble)
                .map(|one| format!("sent again without reading: {}", one.to))
        };
        sent.iter().enumerate().find_map(again)
    })
}

/// A 429 that says how long to wait is told with a time that is not shorter.
fn waits_too_short(sent: &[Sent], error: &serde_json::Value, trouble: &Trouble) -> bool {
    let is_429 = trouble.forms.iter().any(|(_, answer)| matches!(answer, Answer::With(429, ..)));
    let wait = error.pointer("/unavailable/retry-after-ms").and_then(serde_json::Value::as_u64);
    is_429 && !sent.is_empty() && wait.is_some_and(|wait| wait < 7_000)
}

/// Calls every function with every form of a trouble that begins at each of the first requests.
fn each(
    bench: &mut Bench,
    trouble: &Trouble,
    wrong: impl Fn(&Function, usize, &[Sent], &Came) -> Option<String>,
) -> Result<Verdict, RunnerError> {
    if !bench.imports("http") {
        return Ok(Verdict::NotApplicable("the component does not use http".into()));
    }
    let reads_by_get = bench.reads_by_get()?;
    let (mut looked, mut findings) = (0, Vec::new());
    for function in bench.functions() {
        for (says, answer) in trouble.forms {
            for from in 0..DEPTH {
                let mut world = World::default();
                world.http().in_trouble(from, *answer);
                let with = if from == 0 { (*says).to_owned() } else { format!("{says}, from request {} on", from + 1) };
                let came = bench.call(&function, (&bench.arguments(&function), &with), &mut world)?;
                if !world.http().sent().iter().any(|sent| sent.in_trouble) {
                    break;
                }
                looked += 1;
                let mut sent = world.http().sent().to_vec();
                // Where it cannot be told what changes something, nothing is held against the adapter.
                sent.iter_mut().for_each(|one| one.is_read |= !reads_by_get);
                let found = wrong(&function, from, &sent, &came);
                findings.extend(found.map(|found| Finding::new(&function, &with, found)));
            }
        }
    }
    let passed = || format!("{looked} calls that met it");
    let nothing = "no function sends a request; what it needs for one can be given with --setting NAME=VALUE";
    Ok(judged(looked, findings, passed, nothing))
}
