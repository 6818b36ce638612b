//! Ending WordPress sessions, and naming what a person can still use afterwards.

use std::time::Duration;

use latchkey_access::WpUser;
use serde::{Deserialize, Serialize};

use super::bridge::{Bridge, BridgeError, shortened};
use super::script;
use crate::store::residue::{Residue, ResidueKind};
use crate::store::wordpress_sessions::{BaselineOf, Site};

/// Of the time for a site this much is for the answer's way back.
const WAY_BACK: Duration = Duration::from_millis(100);
/// No more is told of what one share left behind.
const MOST_RESIDUE: usize = 100;

/// Which sessions to end on a site.
pub(crate) struct EndSessions<'a> {
    /// Sessions with these marks.
    pub(crate) marks: Vec<String>,
    /// The WordPress users who may have them.
    pub(crate) users: Vec<WpUser>,
    /// Users of whom every unmarked session that began since is ended, too.
    pub(crate) baselines: &'a [BaselineOf],
}

#[derive(Serialize)]
struct Args<'a> {
    /// Removed before the site's code is loaded: nobody can begin a session any more while they are ended.
    scripts: Vec<String>,
    marks: &'a [String],
    users: Vec<UserArgs<'a>>,
}

#[derive(Serialize)]
struct UserArgs<'a> {
    id: u64,
    login: &'a str,
    unmarked: bool,
    since: i64,
    known: &'a [String],
}

/// What the site says of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    /// How many sessions were ended, with those that a script would have opened.
    pub(crate) ended: u32,
    #[serde(default)]
    unused_scripts: u32,
    #[serde(default)]
    users: Vec<UserReport>,
    #[serde(default)]
    administrators: Vec<Administrator>,
}

impl Report {
    /// The same after another end that came before it.
    pub(crate) fn after(self, ended_before: u32) -> Self {
        Self { ended: self.ended.saturating_add(ended_before), ..self }
    }
}

#[derive(Debug, Deserialize)]
struct UserReport {
    id: u64,
    login: String,
    #[serde(default)]
    missing: bool,
    /// None of a user who is missing.
    #[serde(default)]
    password_fingerprint: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    application_passwords: Vec<ApplicationPassword>,
}

#[derive(Debug, Deserialize)]
struct ApplicationPassword {
    uuid: String,
    name: String,
}

#[derive(Debug, Deserialize)]
struct Administrator {
    id: u64,
    login: String,
}

/// Ends sessions on a site within this time, its plugins skipped: what they do must not matter here.
pub(crate) async fn end(
    bridge: &Bridge,
    site: &Site,
    wanted: &EndSessions<'_>,
    time: Duration,
) -> Result<Report, BridgeError> {
    let of_baselines = wanted.baselines.iter().map(|of| UserArgs {
        id: of.user.id,
        login: &of.user.login,
        unmarked: true,
        since: of.since.as_second(),
        known: &of.facts.sessions,
    });
    let marked_only = wanted.users.iter().filter(|user| !wanted.baselines.iter().any(|of| of.user.id == user.id));
    let marked_only =
        marked_only.map(|user| UserArgs { id: user.id, login: &user.login, unmarked: false, since: 0, known: &[] });
    let scripts = wanted.marks.iter().map(|mark| script::file_name(mark)).collect();
    let args = Args { scripts, marks: &wanted.marks, users: of_baselines.chain(marked_only).collect() };
    let report: Report = bridge.end(site, "sessions.end", &args, time.saturating_sub(WAY_BACK)).await?;
    let unused = report.unused_scripts;
    Ok(report.after(unused))
}

/// What the person can still use, judged by what the site had before and has now.
///
/// The site says this, so no text and no list of it is taken at any length.
pub(crate) fn residue(report: &Report, baselines: &[BaselineOf]) -> Vec<Residue> {
    let mut residue = Vec::new();
    let mut add = |kind: ResidueKind, what: String, undo: String| {
        residue.push(Residue { kind, what: shortened(&what, 300), undo: Some(shortened(&undo, 300)) });
    };
    for of in baselines {
        let Some(now) = report.users.iter().find(|user| user.id == of.user.id) else { continue };
        let login = &of.user.login;
        if now.missing || now.login != *login {
            let what = format!("the WordPress user {login} is gone, or has another login now");
            add(ResidueKind::LoginChanged, what, "check the accounts under Users in WP Admin".into());
            continue;
        }
        if now.password_fingerprint.as_ref().is_some_and(|found| *found != of.facts.password_fingerprint) {
            let what = format!("the password of the WordPress user {login} was changed");
            add(ResidueKind::PasswordChanged, what, format!("set a new password for {login} under Users in WP Admin"));
        }
        if let Some(email) = now.email.as_ref().filter(|email| **email != of.facts.email) {
            let what = format!("the email address of the WordPress user {login} was changed to {email}");
            add(ResidueKind::EmailChanged, what, format!("set the address of {login} back under Users in WP Admin"));
        }
        for password in &now.application_passwords {
            if !of.facts.application_passwords.contains(&password.uuid) {
                let what = format!("the WordPress user {login} has a new application password, {:?}", password.name);
                add(ResidueKind::ApplicationPassword, what, format!("revoke it in the profile of {login} in WP Admin"));
            }
        }
    }
    if let Some(first) = baselines.iter().min_by_key(|of| of.since) {
        for administrator in &report.administrators {
            if !first.facts.administrators.contains(&administrator.id) {
                let what = format!("{} became an administrator of the site", administrator.login);
                add(
                    ResidueKind::Administrator,
                    what,
                    format!("remove {} under Users in WP Admin", administrator.login),
                );
            }
        }
    }
    residue.truncate(MOST_RESIDUE);
    residue
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::store::wordpress_sessions::Baseline;

    #[track_caller]
    fn check(report: &str, kinds: &[ResidueKind]) {
        let report: Report = serde_json::from_str(report).unwrap();
        let facts = Baseline { email: "e@example.org".into(), password_fingerprint: "a".into(), ..Baseline::default() };
        let user = WpUser { id: 2, login: "editor".into() };
        let found = residue(&report, &[BaselineOf { user, since: Timestamp::UNIX_EPOCH, facts }]);
        assert_eq!(found.iter().map(|one| one.kind).collect::<Vec<_>>(), kinds);
    }

    #[test]
    fn what_changed_is_named_and_a_missing_user_is_no_malformed_report() {
        let editor = |password: &str, email: &str| {
            format!(
                r#"{{"ended":1,"users":[{{"id":2,"login":"editor","missing":false,"ended":1,"email":"{email}",
                "password_fingerprint":"{password}","application_passwords":[]}}],"administrators":[]}}"#
            )
        };
        check(&editor("a", "e@example.org"), &[]);
        check(&editor("b", "e@example.org"), &[ResidueKind::PasswordChanged]);
        check(&editor("a", "other@example.org"), &[ResidueKind::EmailChanged]);
        check(
            r#"{"ended":1,"users":[{"id":2,"login":"editor","missing":true,"ended":1,"password_fingerprint":null,
            "email":null,"application_passwords":[]}],"administrators":[{"id":9,"login":"new"}]}"#,
            &[ResidueKind::LoginChanged, ResidueKind::Administrator],
        );
    }

    #[test]
    fn a_site_does_not_fill_the_state_with_what_it_says() {
        let many = (0..5000).map(|id| format!(r#"{{"id":{id},"login":"{}"}}"#, "x".repeat(900))).collect::<Vec<_>>();
        let report = format!(r#"{{"ended":0,"administrators":[{}]}}"#, many.join(","));
        let report: Report = serde_json::from_str(&report).unwrap();
        let user = WpUser { id: 2, login: "editor".into() };
        let of = BaselineOf { user, since: Timestamp::UNIX_EPOCH, facts: Baseline::default() };
        let found = residue(&report, &[of]);
        assert_eq!(found.len(), MOST_RESIDUE);
        assert!(found.iter().all(|one| one.what.len() <= 300));
    }
}
