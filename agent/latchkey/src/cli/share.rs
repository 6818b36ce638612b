//! `latchkey share`: who has access to an instance. What is offered is written down in [`terms`].

mod terms;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Call, CallError, Client};
use super::outcome::ended;
use super::view::{self, Field, at, cell};
use super::{Answer, Ask};
use terms::Terms;

const COLUMNS: &[Field] = &[
    ("SHARE", "id"),
    ("PERSON", "person"),
    ("STATE", "state"),
    ("ROLE", "role"),
    ("LOG IN AS", "log_in_as"),
    ("FILES", "file_access"),
    ("EXPIRES", "expires_at"),
    ("REACH", "reach"),
];

const LINES: &[Field] = &[
    ("share", "id"),
    ("person", "person"),
    ("instance", "instance"),
    ("state", "state"),
    ("role", "role"),
    ("privileges", "privileges"),
    ("log in as", "log_in_as"),
    ("log in as, fault", "log_in_as_mismatch"),
    ("file access", "file_access"),
    ("file account", "file_account.login"),
    ("keys", "file_account.keys"),
    ("has a password", "file_account.has_password"),
    ("expires", "expires_at"),
    ("apply to staging", "apply_to_staging"),
    ("granted by", "granted_by"),
    ("note", "note"),
    ("reach", "reach"),
];

const CREDENTIALS: &[Field] = &[("login", "login"), ("password", "password")];

/// What can be done with shares.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the people with access to an instance.
    ///
    /// Example: latchkey share list live
    List {
        /// The instance's id.
        instance: String,
    },
    /// Show one share with what it really amounts to.
    ///
    /// Example: latchkey share show live SHARE
    Show(Which),
    /// Invite a person. They get a mail with a link, and access once they accept.
    ///
    /// Example: latchkey share invite live editor@example.com --role view_and_sso --log-in-as 2:editor
    Invite(Box<Invite>),
    /// Change a share; what is not named stays. What becomes narrower closes at once.
    ///
    /// Example: latchkey share update live SHARE --expires-at 2030-01-31T12:00:00Z
    Update(Box<Update>),
    /// Send the invitation again with a new link; the old one is dead then.
    ///
    /// Example: latchkey share resend live SHARE
    Resend(Which),
    /// Close everything the share has open and let the person in no more, until it is reinstated.
    ///
    /// Example: latchkey share suspend live SHARE
    Suspend(Which),
    /// Let the person of a suspended share in again.
    ///
    /// Example: latchkey share reinstate live SHARE
    Reinstate(Which),
    /// Accept an invitation for the person that --as names.
    ///
    /// Example: latchkey share accept live SHARE --as editor@example.com
    Accept(Which),
    /// Set the SSH keys of a share's file account, for the person that --as names. Its open sessions are closed.
    ///
    /// Example: latchkey share keys live SHARE ~/.ssh/id_ed25519.pub --as dev@example.com
    Keys(Keys),
    /// Make a new password for a share's file account and print it, once. Its open sessions are closed.
    ///
    /// Example: latchkey share password live SHARE --as dev@example.com
    Password(Which),
    /// End a share for good. Everything it has open is closed when this returns.
    ///
    /// Example: latchkey share revoke live SHARE --everywhere
    Revoke(Revoke),
}

/// One share of one instance.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The instance's id.
    instance: String,
    /// The share's id.
    share: String,
}

/// `latchkey share invite`.
#[derive(Debug, Args)]
pub(crate) struct Invite {
    /// The instance's id.
    instance: String,
    /// Whom to invite.
    email: String,
    /// view_only, view_and_sso, developer, full_access, or custom with --privilege.
    #[arg(long)]
    role: String,
    #[command(flatten)]
    terms: Terms,
}

/// `latchkey share update`.
#[derive(Debug, Args)]
pub(crate) struct Update {
    #[command(flatten)]
    which: Which,
    /// view_only, view_and_sso, developer, full_access, or custom with --privilege.
    #[arg(long)]
    role: Option<String>,
    #[command(flatten)]
    terms: Terms,
}

/// `latchkey share keys`.
#[derive(Debug, Args)]
pub(crate) struct Keys {
    #[command(flatten)]
    which: Which,
    /// Files with public keys, one to a line. They take the place of all keys that there are; without a file there are none.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// `latchkey share revoke`.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    which: Which,
    /// End the person's other shares too, as far as you may.
    #[arg(long)]
    everywhere: bool,
    /// Keep this share, which rests on the ended one, on your own authority; repeat it for more.
    #[arg(long, value_name = "SHARE")]
    adopt: Vec<String>,
}

impl Which {
    fn segments(&self) -> [&str; 4] {
        ["instances", &self.instance, "shares", &self.share]
    }

    fn post(&self, client: &Client, verb: &str) -> Result<Answer, CallError> {
        Ok(Answer::new(client.send(&self.verb(verb))?, outcome))
    }

    fn verb(&self, verb: &str) -> Call {
        Call::post(&[&self.segments()[..], &[verb]].concat(), json!({}))
    }
}

impl Invite {
    fn body(&self) -> Value {
        let mut body = self.terms.body();
        body.insert("email".into(), json!(self.email));
        body.insert("role".into(), json!(self.role));
        Value::Object(body)
    }
}

impl Update {
    fn body(&self) -> Value {
        let mut body = self.terms.body();
        if let Some(role) = &self.role {
            body.insert("role".into(), json!(role));
        }
        Value::Object(body)
    }
}

impl Keys {
    /// The lines of all files. Empty ones and comments go along: the agent skips them, and counts lines as people do.
    fn body(&self) -> Result<Value, CallError> {
        let mut lines = Vec::new();
        for file in &self.files {
            let fault = |error| CallError::Argument { argument: "FILE", what: format!("{}: {error}", file.display()) };
            lines.extend(std::fs::read_to_string(file).map_err(fault)?.lines().map(str::to_owned));
        }
        Ok(json!({ "keys": lines }))
    }
}

impl Revoke {
    fn call(&self) -> Call {
        let mut call = Call::delete(&self.which.segments());
        if self.everywhere {
            call = call.query("everywhere", "true");
        }
        if !self.adopt.is_empty() {
            call = call.query("adopt", &self.adopt.join(","));
        }
        call
    }
}

impl Ask for Command {
    fn ask(&self, client: &Client) -> Result<Answer, CallError> {
        match self {
            Self::List { instance } => {
                let reply = client.send_all(&Call::get(&["instances", instance, "shares"]))?;
                Ok(Answer::new(reply, |reply| view::table(reply, COLUMNS, "Nobody has access but the owners.")))
            }
            Self::Show(which) => Ok(Answer::new(client.send(&Call::get(&which.segments()))?, outcome)),
            Self::Invite(invite) => {
                let call = Call::post(&["instances", &invite.instance, "shares"], invite.body());
                Ok(Answer::new(client.send(&call)?, outcome))
            }
            Self::Update(update) => {
                let call = Call::patch(&update.which.segments(), update.body());
                Ok(Answer::new(client.send(&call)?, outcome))
            }
            Self::Resend(which) => which.post(client, "resend"),
            Self::Suspend(which) => which.post(client, "suspend"),
            Self::Reinstate(which) => which.post(client, "reinstate"),
            Self::Accept(which) => which.post(client, "accept"),
            Self::Keys(keys) => {
                let call = Call::put(&[&keys.which.segments()[..], &["keys"]].concat(), keys.body()?);
                Ok(Answer::new(client.send(&call)?, outcome))
            }
            Self::Password(which) => Ok(Answer::new(client.send(&which.verb("password"))?, credentials)),
            Self::Revoke(revoke) => Ok(Answer::new(client.send(&revoke.call())?, outcome)),
        }
    }
}

/// `{login, password, ended}`, for people.
fn credentials(reply: &Value) -> String {
    [view::record(reply, CREDENTIALS), ended(at(reply, "ended"))].join("\n")
}

/// A share, or `{share, ended}`, or only `{ended}`, or nothing at all, for people.
pub(crate) fn outcome(reply: &Value) -> String {
    let share = if reply.get("share").is_some_and(Value::is_object) { at(reply, "share") } else { reply };
    let mut parts = Vec::new();
    if share.get("state").is_some() {
        parts.push(view::record(share, LINES));
        parts.extend(list(at(share, "reach.because"), "Why it reaches that far:", |cause| {
            let by = at(cause, "privilege").as_str().map(|by| format!(" (by {by})")).unwrap_or_default();
            format!("{}{by}: {}", cell(at(cause, "flag")).replace('_', " "), cell(at(cause, "fact")))
        }));
        parts.extend(list(at(share, "unconfirmed"), "Not confirmed closed yet:", |entry| {
            format!("{}: {}", cell(at(entry, "channel")), cell(at(entry, "what")))
        }));
    }
    if reply.get("ended").is_some_and(Value::is_object) {
        parts.push(ended(at(reply, "ended")));
    }
    parts.extend(list(
        at(reply, "others"),
        "Other shares of this person that you may end (or use --everywhere):",
        |other| format!("{} on {}", cell(at(other, "id")), cell(at(other, "instance"))),
    ));
    if parts.is_empty() { view::anything(reply) } else { parts.join("\n") }
}

fn list(entries: &Value, title: &str, line: impl Fn(&Value) -> String) -> Option<String> {
    let lines = entries.as_array()?.iter().map(|entry| format!("\n  - {}", line(entry))).collect::<String>();
    (!lines.is_empty()).then(|| format!("{title}{lines}"))
}
