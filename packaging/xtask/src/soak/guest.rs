//! A client that changes shares of its own and remembers what was acknowledged: what must be there, whatever is killed.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

use super::exchange::{Answer, NoAnswer, at_agent, at_site};
use crate::node::Instance;

/// An end that is not confirmed at once is tried again each half minute, and on a loaded machine PHP's calls take their time.
const PATIENCE: Duration = Duration::from_secs(300);
/// Shares that a client has at a time.
const AT_A_TIME: usize = 6;

/// What a share may be.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    /// `none` before the invitation.
    state: String,
    note: String,
}

/// A share, as far as its client knows it.
#[derive(Debug)]
struct Share {
    id: Option<String>,
    email: String,
    /// What it is, and after a change without an answer also what it would be then.
    may_be: Vec<Seen>,
    /// Of WordPress sessions that it opened.
    cookies: Vec<String>,
    /// Of those that ended with an acknowledged change.
    dead: Vec<String>,
}

impl Share {
    fn path(&self, instance: &str) -> String {
        format!("/v1/instances/{instance}/shares/{}", self.id.as_deref().unwrap_or_default())
    }
}

/// What came of everything.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Changes that were acknowledged.
    pub acknowledged: u32,
    /// Changes without an answer.
    pub unanswered: u32,
    /// Of these, how many had happened.
    pub happened: u32,
    /// WordPress sessions that were opened.
    pub opened: u32,
    /// Of these, how many were seen to be out after their share ended.
    pub out: u32,
}

/// The client.
pub(crate) struct Guest<'n> {
    name: String,
    socket: &'n Path,
    gateway: &'n str,
    instance: Instance,
    random: fastrand::Rng,
    count: u32,
    shares: Vec<Share>,
    pub(crate) tally: Tally,
}

impl<'n> Guest<'n> {
    /// A client that has no share yet.
    pub(crate) fn new(
        name: String,
        socket: &'n Path,
        gateway: &'n str,
        instance: Instance,
        random: fastrand::Rng,
    ) -> Self {
        Self { name, socket, gateway, instance, random, count: 0, shares: Vec::new(), tally: Tally::default() }
    }

    /// Makes one change, or tries to; answers whether anything was sent. Shares that ended, and those whose last change
    /// had no answer, are left alone.
    ///
    /// # Errors
    /// When the agent refuses what it must allow.
    pub(crate) fn change_something(&mut self) -> Result<bool> {
        let is_open = |share: &Share| matches!(share.may_be.as_slice(), [seen] if seen.state != "revoked");
        let open: Vec<usize> =
            self.shares.iter().enumerate().filter(|(_, share)| is_open(share)).map(|(at, _)| at).collect();
        if open.len() < AT_A_TIME {
            return self.invite();
        }
        let at = open.get(self.random.usize(0..open.len())).copied().unwrap_or_default();
        let seen = self.shares.get(at).and_then(|share| share.may_be.first());
        let state = seen.map(|seen| seen.state.clone()).unwrap_or_default();
        match (state.as_str(), self.random.u8(0..10)) {
            ("pending", 0..6) => self.change(at, "POST", "/accept", "active", None),
            ("active", 0..2) => self.log_in(at),
            ("active", 2..5) => self.change(at, "POST", "/suspend", "suspended", None),
            ("suspended", 0..5) => self.change(at, "POST", "/reinstate", "active", None),
            (_, 8..) => self.change(at, "DELETE", "", "revoked", None),
            _ => {
                self.count += 1;
                let note = format!("note {}", self.count);
                self.change(at, "PATCH", "", &state, Some(note))
            }
        }
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, NoAnswer> {
        at_agent(self.socket, "panel", method, path, body)
    }

    fn invite(&mut self) -> Result<bool> {
        self.count += 1;
        let email = format!("{}-{}@guests.example", self.name, self.count);
        let terms = json!({ "email": email, "role": "view_and_sso", "log_in_as": { "id": 2, "login": "editor" } });
        let seen = |state: &str| Seen { state: state.into(), note: String::new() };
        let answer = self.call("POST", &format!("/v1/instances/{}/shares", self.instance.id), Some(&terms));
        let (id, may_be) = match answer {
            Ok(answer) if answer.status == 201 => {
                self.tally.acknowledged += 1;
                (answer.json().get("id").and_then(Value::as_str).map(str::to_owned), vec![seen("pending")])
            }
            Ok(answer) if answer.status < 500 => bail!("an invitation was refused: {}", answer.body),
            Ok(_) | Err(NoAnswer::Broken) => {
                self.tally.unanswered += 1;
                (None, vec![seen("none"), seen("pending")])
            }
            Err(NoAnswer::NotSent) => return Ok(false),
        };
        self.shares.push(Share { id, email, may_be, cookies: Vec::new(), dead: Vec::new() });
        Ok(true)
    }

    fn change(&mut self, at: usize, method: &str, verb: &str, state: &str, note: Option<String>) -> Result<bool> {
        let Some(share) = self.shares.get(at) else { return Ok(false) };
        let body = note.as_ref().map(|note| json!({ "note": note }));
        let answer = self.call(method, &(share.path(&self.instance.id) + verb), body.as_ref());
        let Some(share) = self.shares.get_mut(at) else { return Ok(false) };
        let note = note.or_else(|| share.may_be.first().map(|seen| seen.note.clone())).unwrap_or_default();
        let after = Seen { state: state.into(), note };
        match answer {
            Ok(answer) if (200..300).contains(&answer.status) => {
                self.tally.acknowledged += 1;
                share.may_be = vec![after];
                if state != "active" {
                    share.dead.append(&mut share.cookies);
                }
                Ok(true)
            }
            Ok(answer) if answer.status < 500 => {
                bail!("{method} {verb} of {} was refused: {} {}", share.email, answer.status, answer.body)
            }
            Ok(_) | Err(NoAnswer::Broken) => {
                self.tally.unanswered += 1;
                share.may_be.push(after);
                Ok(true)
            }
            Err(NoAnswer::NotSent) => Ok(false),
        }
    }

    /// Opens WP Admin. What fails on the way has no cookie, so nobody can use it.
    fn log_in(&mut self, at: usize) -> Result<bool> {
        let Some(share) = self.shares.get(at) else { return Ok(false) };
        let path = format!("/v1/instances/{}/operations/sso.open", self.instance.id);
        let Ok(answer) = at_agent(self.socket, &share.email, "POST", &path, Some(&json!({}))) else { return Ok(false) };
        ensure!(
            answer.status == 200 || answer.status >= 500,
            "sso.open of {} was refused: {}",
            share.email,
            answer.body
        );
        let reply = answer.json();
        let Some(token) = reply.get("url").and_then(Value::as_str).and_then(|url| url.rsplit('/').next()) else {
            return Ok(false);
        };
        let headers = format!("Origin: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n", self.gateway);
        let post = "POST /.well-known/latchkey-sso";
        let Ok(opened) = at_site(&self.instance.url, post, &headers, &format!("token={token}")) else {
            return Ok(false);
        };
        if opened.status != 302 {
            return Ok(false);
        }
        let pairs: Vec<&str> =
            opened.headers("set-cookie").filter_map(|line| line.split(';').next()).map(str::trim).collect();
        self.tally.opened += 1;
        if let Some(share) = self.shares.get_mut(at) {
            share.cookies.push(pairs.join("; "));
        }
        Ok(true)
    }

    /// Looks at every share: each is what was acknowledged, or what a change without an answer would have made of it,
    /// and no cookie of a dead one opens WP Admin. `last_word` is what the audit says last of a share.
    ///
    /// # Errors
    /// When one is not so.
    pub(crate) fn settle(&mut self, last_word: impl Fn(&str) -> Option<String>) -> Result<()> {
        for mut share in std::mem::take(&mut self.shares) {
            let shown = self.shown(&mut share)?;
            let seen = seen(&shown);
            ensure!(
                share.may_be.contains(&seen),
                "{} is {seen:?}; what was acknowledged allows {:?}",
                share.email,
                share.may_be
            );
            if let Some(id) = &share.id {
                let word = last_word(id);
                ensure!(word.as_deref() == Some(&seen.state), "{id} is {}, the audit ends with {word:?}", seen.state);
            }
            if share.may_be.len() > 1 && share.may_be.last() == Some(&seen) {
                self.tally.happened += 1;
            }
            if seen.state != "active" {
                share.dead.append(&mut share.cookies);
            }
            for cookie in share.dead.drain(..) {
                self.is_out(&share.email, &cookie)?;
                self.tally.out += 1;
            }
            if ["pending", "active", "suspended"].contains(&seen.state.as_str()) {
                share.may_be = vec![seen];
                self.shares.push(share);
            }
        }
        Ok(())
    }

    /// The share as the agent shows it, once nothing of it is unconfirmed; null for one that is not there.
    fn shown(&self, share: &mut Share) -> Result<Value> {
        let answered = |path: &str| -> Result<Value> {
            match self.call("GET", path, None) {
                Ok(answer) if answer.status == 200 => Ok(answer.json()),
                other => bail!("GET {path}: {other:?}"),
            }
        };
        if share.id.is_none() {
            // The invitation had no answer: the share is found by its person, if it is there.
            share.id = self.find(&share.email)?;
        }
        if share.id.is_none() {
            return Ok(Value::Null);
        }
        let path = share.path(&self.instance.id);
        let mut shown = Value::Null;
        let mut failed = None;
        let confirmed = crate::clock::Deadline::after(PATIENCE).wait_until(|| {
            match answered(&path) {
                Ok(found) => shown = found,
                Err(error) => failed = Some(error),
            }
            failed.is_some() || shown.get("unconfirmed").is_none()
        });
        if let Some(error) = failed {
            return Err(error);
        }
        ensure!(confirmed, "{} is not confirmed to have ended after {} s: {shown}", share.email, PATIENCE.as_secs());
        Ok(shown)
    }

    fn find(&self, email: &str) -> Result<Option<String>> {
        let mut cursor = String::new();
        loop {
            let path = format!("/v1/instances/{}/shares?all=true&limit=500{cursor}", self.instance.id);
            let page = match self.call("GET", &path, None) {
                Ok(answer) if answer.status == 200 => answer.json(),
                other => bail!("GET {path}: {other:?}"),
            };
            let items = page.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
            let is_theirs = |share: &&Value| share.pointer("/person/email").and_then(Value::as_str) == Some(email);
            if let Some(share) = items.iter().find(is_theirs) {
                return Ok(share.get("id").and_then(Value::as_str).map(str::to_owned));
            }
            match page.get("next").and_then(Value::as_str) {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(None),
            }
        }
    }

    fn is_out(&self, email: &str, cookie: &str) -> Result<()> {
        let headers = format!("Cookie: {cookie}\r\n");
        match at_site(&self.instance.url, "GET /wp-admin/", &headers, "") {
            Ok(answer) => {
                let to = answer.headers("location").next().unwrap_or_default();
                ensure!(
                    answer.status == 302 && to.contains("/wp-login.php"),
                    "a session of {email} is still open: {} {to}",
                    answer.status
                );
                Ok(())
            }
            Err(error) => bail!("{} did not answer: {error:?}", self.instance.url),
        }
    }
}

fn seen(shown: &Value) -> Seen {
    let text = |name: &str| shown.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    if shown.is_null() {
        return Seen { state: "none".into(), note: String::new() };
    }
    Seen { state: text("state"), note: text("note") }
}
