//! Accounts of whole hostings: `sftp_account.*` and `ftp_account.*`. They end when they are deleted, or with the hosting.

use std::sync::Arc;

use latchkey_access::{FileProtocol, HostingId, Operation, Permit, decide};
use schemars::JsonSchema;
use serde::Serialize;

use super::own::change_account;
use super::passwords::NewPassword;
use super::{Account, AccountOf, AuthorizedKey, OfHosting, QuotaMib, follow};
use crate::caller::{Caller, Note};
use crate::channels::Ended;
use crate::problem::Problem;
use crate::serve::Serve;
use crate::state::Change;
use crate::store::{accounts, residue};

const LONGEST_NAME: usize = 24;

/// An account of the hosting.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct HostingAccountView {
    /// What to sign in as.
    login: String,
    /// The folder that it sees as its root, relative to the home; empty for the home itself.
    directory: String,
    /// Whether nothing can be changed with it.
    read_only: bool,
    /// How many MiB the files beneath the folder may take together, whoever wrote them; absent if there is no quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    quota_mib: Option<QuotaMib>,
    /// Fingerprints of its keys, with their comments.
    keys: Vec<String>,
    /// Whether it has a password.
    has_password: bool,
    /// The address of the person who made it; none for the panel.
    #[serde(skip_serializing_if = "Option::is_none")]
    creator: Option<String>,
    /// When it was made.
    #[schemars(with = "String")]
    created_at: jiff::Timestamp,
}

/// An account that was made.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Created {
    /// The account.
    account: HostingAccountView,
    /// Its password, told this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

/// An account that was changed, and what ended with that.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Updated {
    /// The account.
    account: HostingAccountView,
    /// Its new password, told this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    /// What ended.
    ended: Ended,
}

/// What ended with an account.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DeletedAccount")]
pub(crate) struct Deleted {
    /// What ended.
    ended: Ended,
}

/// A password that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A new one.
    NewPassword,
    /// None, or the one that there is.
    NoPassword,
}

/// An account to make.
pub(crate) struct NewHostingAccount {
    pub(crate) name: String,
    pub(crate) directory: String,
    pub(crate) read_only: bool,
    pub(crate) quota: Option<QuotaMib>,
    pub(crate) keys: Vec<AuthorizedKey>,
    pub(crate) password: Wanted,
}

/// What shall change of an account; what is not given stays.
pub(crate) struct WantedHostingAccount {
    pub(crate) login: String,
    pub(crate) directory: Option<String>,
    pub(crate) read_only: Option<bool>,
    /// `Some(None)`: no quota.
    pub(crate) quota: Option<Option<QuotaMib>>,
    pub(crate) keys: Option<Vec<AuthorizedKey>>,
    pub(crate) password: Wanted,
}

/// Lists the hosting's accounts of this protocol, by login.
pub(crate) async fn list<O: Operation>(
    serve: &Arc<Serve>,
    permit: &Permit<O>,
    protocol: FileProtocol,
) -> Result<Vec<HostingAccountView>, Problem> {
    let table = serve.state.table();
    let hosting = hosting_of(&table, permit)?;
    let all = serve.read(accounts::of_hostings).await?.into_iter();
    let here = all.filter(|(_, of)| of.hosting == hosting && of.protocol == protocol);
    Ok(here.map(|(account, of)| view(&table, &account, &of)).collect())
}

/// Makes an account.
pub(crate) async fn create<O: Operation>(
    serve: &Arc<Serve>,
    caller: Caller,
    permit: Permit<O>,
    protocol: FileProtocol,
    input: NewHostingAccount,
) -> Result<Created, Problem> {
    let password = generate(serve, input.password).await?;
    let (text, hash) = password.map(|new| (new.text, new.hash)).unzip();
    if input.keys.is_empty() && hash.is_none() {
        return Err(Problem::invalid("keys", "expected at least one key, or `password`: true"));
    }
    let made = serve.change(caller, move |change| {
        let permit = decide::<O>(change.table(), change.actor(), permit.instance(), change.now)?;
        let hosting = hosting_of(change.table(), &permit)?;
        let login = format!("{}.{hosting}", checked_name(&input.name)?);
        let of = OfHosting {
            hosting,
            protocol,
            directory: input.directory,
            read_only: input.read_only,
            quota: input.quota,
            made_by: change.actor().clone(),
            through: permit.share(),
        };
        check(&of)?;
        if accounts::find(change.connection(), &login)?.is_some() {
            let taken = Problem::conflict(format!("there is an account {login} already; choose another name"));
            return Err(Problem { field: Some("name".into()), ..taken });
        }
        let account = Account {
            login,
            of: AccountOf::Hosting(of.clone()),
            keys: input.keys,
            password_hash: hash,
            generation: 1,
            made_at: change.now,
        };
        change.write(|rows| accounts::save(rows, &account))?;
        note(change, &permit, &account.login)?;
        Ok(view(change.table(), &account, &of))
    });
    Ok(Created { account: made.await?.0, password: text })
}

/// Changes an account. Its live sessions are closed.
pub(crate) async fn update<O: Operation>(
    serve: &Arc<Serve>,
    caller: Caller,
    permit: Permit<O>,
    protocol: FileProtocol,
    input: WantedHostingAccount,
) -> Result<Updated, Problem> {
    let password = generate(serve, input.password).await?;
    let (text, hash) = password.map(|new| (new.text, new.hash)).unzip();
    let changed = change_account(serve, caller, move |change| {
        let (permit, account, of) = found::<O>(change, &permit, protocol, &input.login)?;
        let of = OfHosting {
            directory: input.directory.unwrap_or(of.directory),
            read_only: input.read_only.unwrap_or(of.read_only),
            quota: input.quota.unwrap_or(of.quota),
            ..of
        };
        check(&of)?;
        let account = Account {
            of: AccountOf::Hosting(of.clone()),
            keys: input.keys.unwrap_or(account.keys),
            password_hash: hash.or(account.password_hash),
            generation: account.generation + 1,
            ..account
        };
        change.write(|rows| accounts::save(rows, &account))?;
        note(change, &permit, &account.login)?;
        Ok((view(change.table(), &account, &of), Some(account.login)))
    });
    let (account, ended) = changed.await?;
    Ok(Updated { account, password: text, ended })
}

/// Deletes an account. Its live sessions are closed.
pub(crate) async fn delete<O: Operation>(
    serve: &Arc<Serve>,
    caller: Caller,
    permit: Permit<O>,
    protocol: FileProtocol,
    login: String,
) -> Result<Deleted, Problem> {
    let deleted = change_account(serve, caller, move |change| {
        let (permit, account, of) = found::<O>(change, &permit, protocol, &login)?;
        change.write(|rows| {
            accounts::delete(rows, &account.login)?;
            // It is no residue of whoever made it any more.
            of.through.map_or(Ok(()), |share| residue::remove(rows, share, &follow::residue_of(&account.login, &of)))
        })?;
        note(change, &permit, &account.login)?;
        Ok(((), Some(account.login)))
    });
    Ok(Deleted { ended: deleted.await?.1 })
}

async fn generate(serve: &Arc<Serve>, wanted: Wanted) -> Result<Option<NewPassword>, Problem> {
    match wanted {
        Wanted::NewPassword => Ok(Some(serve.blocking(NewPassword::generate).await??)),
        Wanted::NoPassword => Ok(None),
    }
}

fn hosting_of<O>(table: &latchkey_access::AccessTable, permit: &Permit<O>) -> Result<HostingId, Problem> {
    let instance = table.instance(permit.instance()).ok_or_else(|| Problem::not_found("instance"))?;
    Ok(instance.hosting.clone())
}

/// The account that an actor means, decided on the table that the change is made from.
fn found<O: Operation>(
    change: &Change<'_>,
    permit: &Permit<O>,
    protocol: FileProtocol,
    login: &str,
) -> Result<(Permit<O>, Account, OfHosting), Problem> {
    let permit = decide::<O>(change.table(), change.actor(), permit.instance(), change.now)?;
    let hosting = hosting_of(change.table(), &permit)?;
    match accounts::find(change.connection(), login)? {
        Some(Account { of: AccountOf::Hosting(of), login, keys, password_hash, generation, made_at })
            if of.hosting == hosting && of.protocol == protocol =>
        {
            let account =
                Account { of: AccountOf::Hosting(of.clone()), login, keys, password_hash, generation, made_at };
            Ok((permit, account, of))
        }
        _ => Err(Problem::not_found("account of this hosting")),
    }
}

fn checked_name(name: &str) -> Result<&str, Problem> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('-') {
        Ok(name)
    } else {
        Err(Problem::invalid("name", "expected 1 to 24 characters of a-z, 0-9 and dash, not starting with a dash"))
    }
}

fn check(of: &OfHosting) -> Result<(), Problem> {
    match of.access().fault() {
        Some(("file_access.path", _)) => {
            Err(Problem::invalid("directory", "expected a relative path beneath the home without `.` and `..`"))
        }
        Some((field, expected)) => Err(Problem::invalid(field.trim_start_matches("file_access."), expected)),
        None => Ok(()),
    }
}

fn note<O: Operation>(change: &mut Change<'_>, permit: &Permit<O>, login: &str) -> Result<(), Problem> {
    let note = Note { share: permit.share().map(|id| id.to_string()), ..Note::of(O::SPEC.name) };
    change.record(note.on(permit.instance()).rule(permit.rule()).detail(login))
}

fn view(table: &latchkey_access::AccessTable, account: &Account, of: &OfHosting) -> HostingAccountView {
    let creator = of.made_by.person().and_then(|id| table.person(id)).map(|person| person.email.to_string());
    HostingAccountView {
        login: account.login.clone(),
        directory: of.directory.clone(),
        read_only: of.read_only,
        quota_mib: of.quota,
        keys: account.keys.iter().map(AuthorizedKey::fingerprint).collect(),
        has_password: account.password_hash.is_some(),
        creator,
        created_at: account.made_at,
    }
}
