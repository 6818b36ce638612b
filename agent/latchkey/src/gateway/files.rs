//! A person's own file account of a share: where to connect, keys, and a password that is shown once.

use std::sync::Arc;

use axum::extract::{Path, State};
use latchkey_access::{Actor, Share, ShareId, decide_own_share};
use serde::Deserialize;

use super::Gateway;
use super::answer::Answer;
use super::pages::FileAccountPage;
use super::session::{Button, Here, OwnFields, OwnForm, SignedIn};
use crate::accounts::{self, Account, AuthorizedKey, FileAccountView, Opens};
use crate::channels::Ended;
use crate::problem::{Code, Problem};
use crate::store;

/// What the form with the keys sends.
#[derive(Deserialize)]
pub(super) struct KeysForm {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    keys: String,
}

impl OwnFields for KeysForm {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

/// The account of a share that belongs to whoever is signed in.
struct Own {
    share: Arc<Share>,
    account: Account,
    shown: FileAccountView,
}

async fn find(gateway: &Gateway, signed_in: &SignedIn, text: &str) -> Result<Own, Problem> {
    let id: ShareId = text.parse().map_err(|_| Problem::not_found("share"))?;
    let (table, now) = (gateway.serve.state.table(), gateway.serve.state.clock.now());
    decide_own_share(&table, &Actor::Person(signed_in.person), id)?;
    let share = table.share(id).cloned().ok_or_else(|| Problem::not_found("share"))?;
    let of = share.clone();
    let found = gateway.serve.read(move |connection| {
        Ok(store::accounts::of_share(connection, id)?.zip(accounts::view(&table, connection, &of, now)?))
    });
    let (account, shown) = found.await?.ok_or_else(|| Problem::not_found("file account"))?;
    Ok(Own { share, account, shown })
}

impl Own {
    fn page(&self, gateway: &Gateway, signed_in: &SignedIn) -> FileAccountPage {
        let table = gateway.serve.state.table();
        let instance = table.instance(&self.share.instance);
        let opens = Opens { sftp: self.shown.sftp, ftp: self.shown.ftp };
        let lines: Vec<&str> = self.account.keys.iter().map(AuthorizedKey::line).collect();
        FileAccountPage {
            site_label: instance.map(|instance| instance.label.clone()).unwrap_or_default(),
            site_url: instance.map(|instance| instance.url.clone()).unwrap_or_default(),
            facts: gateway.serve.state.file_doors().facts(&self.account.login, opens),
            root: self.shown.root.clone(),
            read_only: self.shown.read_only,
            opens,
            fingerprints: self.shown.keys.clone(),
            keys: lines.join("\n"),
            has_password: self.shown.has_password,
            password: None,
            ended: None,
            problem: None,
            action: format!("/shares/{}/files", self.share.id),
            csrf: signed_in.csrf.clone(),
        }
    }
}

pub(super) async fn show(
    State(gateway): Here,
    signed_in: SignedIn,
    Path(share): Path<String>,
) -> Result<Answer, Answer> {
    let own = find(&gateway, &signed_in, &share).await?;
    Ok(Answer::page(&own.page(&gateway, &signed_in)))
}

/// Makes a password, and shows it this once: no answer of the gateway is kept by anybody.
pub(super) async fn new_password(
    State(gateway): Here,
    Path(share): Path<String>,
    OwnForm { by: signed_in, .. }: OwnForm<Button>,
) -> Result<Answer, Answer> {
    let id = find(&gateway, &signed_in, &share).await?.share.id;
    let (made, ended) = accounts::new_password(&gateway.serve, signed_in.caller(), id, |_| Ok(())).await?;
    let page = find(&gateway, &signed_in, &share).await?.page(&gateway, &signed_in);
    Ok(Answer::page(&FileAccountPage { password: Some(made.password), ended: Some(in_a_sentence(&ended)), ..page }))
}

/// Sets the keys. What is no key is shown again, with what is wrong with it.
pub(super) async fn set_keys(
    State(gateway): Here,
    Path(share): Path<String>,
    OwnForm { by: signed_in, fields: form }: OwnForm<KeysForm>,
) -> Result<Answer, Answer> {
    let own = find(&gateway, &signed_in, &share).await?;
    let lines: Vec<String> = form.keys.lines().map(str::to_owned).collect();
    match AuthorizedKey::parse_all(&lines) {
        Ok(keys) => {
            accounts::set_keys(&gateway.serve, signed_in.caller(), own.share.id, keys, |_| Ok(())).await?;
            Ok(Answer::see(format!("/shares/{}/files", own.share.id)))
        }
        Err(Problem { code: Code::Invalid, detail, field, .. }) => {
            let page = own.page(&gateway, &signed_in);
            let problem = Some(in_words(field.as_deref(), &detail));
            Ok(Answer::page(&FileAccountPage { keys: form.keys, problem, ..page }).with_status(400))
        }
        Err(problem) => Err(problem.into()),
    }
}

/// Which sessions a new password has closed.
fn in_a_sentence(ended: &Ended) -> String {
    let by_kind = [("SFTP", ended.closed.sftp), ("FTP", ended.closed.ftp)];
    let closed: Vec<_> =
        by_kind.iter().filter(|(_, count)| *count > 0).map(|(kind, count)| format!("{count} by {kind}")).collect();
    let unconfirmed = ended.unconfirmed.len();
    match (closed.is_empty(), unconfirmed) {
        (true, 0) => "Nobody was connected with this account.".to_owned(),
        (false, 0) => format!("Sessions that were closed: {}.", closed.join(" and ")),
        (true, _) => format!("Sessions that are not closed yet: {unconfirmed}. That is tried until it is done."),
        (false, _) => format!(
            "Sessions that were closed: {}; not closed yet: {unconfirmed}. That is tried until it is done.",
            closed.join(" and ")
        ),
    }
}

/// `keys[2]` is the third line.
fn in_words(field: Option<&str>, detail: &str) -> String {
    let index = field.and_then(|field| field.strip_prefix("keys[")?.strip_suffix(']')?.parse::<usize>().ok());
    match index {
        Some(index) => format!("Line {}: {detail}.", index + 1),
        None => format!("The keys: {detail}."),
    }
}

#[cfg(test)]
mod tests {
    use super::{in_a_sentence, in_words};
    use crate::channels::{Closed, Ended, Unconfirmed};

    #[test]
    fn a_person_is_told_which_sessions_a_new_password_closed() {
        let told = |sftp, ftp, open: usize| {
            let unconfirmed = vec![Unconfirmed { channel: "ftp", what: "the session of jo".into() }; open];
            let closed = Closed { sftp, ftp, ..Closed::default() };
            in_a_sentence(&Ended { closed, unconfirmed, ..Ended::default() })
        };
        assert_eq!(told(0, 0, 0), "Nobody was connected with this account.");
        assert_eq!(told(2, 1, 0), "Sessions that were closed: 2 by SFTP and 1 by FTP.");
        assert_eq!(told(0, 3, 0), "Sessions that were closed: 3 by FTP.");
        assert_eq!(told(0, 0, 1), "Sessions that are not closed yet: 1. That is tried until it is done.");
        assert!(told(1, 0, 1).starts_with("Sessions that were closed: 1 by SFTP; not closed yet: 1."));
    }

    #[test]
    fn a_line_at_fault_is_counted_as_people_count() {
        assert_eq!(in_words(Some("keys[0]"), "expected a key"), "Line 1: expected a key.");
        assert_eq!(in_words(Some("keys"), "expected at most 20 keys"), "The keys: expected at most 20 keys.");
    }
}
