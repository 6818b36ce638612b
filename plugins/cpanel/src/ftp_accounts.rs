//! `ftp-accounts`, by UAPI's module Ftp. cPanel does not show passwords, so whether one was set cannot be looked at.

use std::cell::RefCell;
use std::collections::BTreeSet;

use sdk::ftp_accounts::{Account as FtpAccount, NewAccount};
use sdk::{Error, FtpAccounts, Hosting, IdempotencyKey, Result, Secret};
use serde_json::Value;

use crate::Cpanel;
use crate::account::Account;
use crate::answer::{field, number, rows};
use crate::call::Call;
use crate::change::{self, Now};
use crate::domains::Domains;
use crate::size;

const MODULE: &str = "Ftp";
const NAME_MAX_BYTES: usize = 24;
/// Accounts that cPanel itself keeps, and that nobody made.
const NOT_MADE: &str = "main|anonymous|logaccess";

impl FtpAccounts for Cpanel {
    fn list_accounts(hosting: Hosting) -> Result<Vec<FtpAccount>> {
        listed(&Account::of(&hosting)?)
    }

    fn create_account(hosting: Hosting, key: IdempotencyKey, new: NewAccount) -> Result<FtpAccount> {
        let account = Account::of(&hosting)?;
        check_name(&new.name)?;
        let (folder, quota) = (relative(&new.directory)?, size::megabytes(new.quota)?);
        let call = Call::uapi(MODULE, "add_ftp").with("user", &new.name).with("homedir", folder).with("quota", quota);
        let call = call.with_secret("pass", &new.password);
        let taken = Error::already_exists(format!("there is an FTP account {} already", new.name));
        let made = RefCell::new(None);
        change::once(&account, &key, taken, |_| {
            let domain = Domains::of(&account)?.main;
            made.replace(find(&account, &format!("{}@{domain}", new.name))?);
            Ok(if made.borrow().is_some() { Now::Wanted } else { call.clone().with("domain", domain).into() })
        })?;
        made.into_inner().ok_or_else(|| Error::failed("cPanel does not list what it made"))
    }

    fn update_account(hosting: Hosting, _key: IdempotencyKey, wanted: FtpAccount) -> Result<()> {
        let account = Account::of(&hosting)?;
        let (folder, megabytes) = (relative(&wanted.directory)?, size::megabytes(wanted.quota)?);
        let set_folder = about(&wanted.login, "set_homedir")?.with("homedir", folder);
        let set_quota = about(&wanted.login, "set_quota")?.with("quota", megabytes);
        let set = |call: Call, is_wanted: &dyn Fn(&FtpAccount) -> bool| {
            change::ensure(&account, || {
                Ok(match find(&account, &wanted.login)? {
                    None => Now::Otherwise(missing(&wanted.login)),
                    Some(listed) if is_wanted(&listed) => Now::Wanted,
                    Some(_) => call.clone().into(),
                })
            })
        };
        set(set_folder, &|listed| listed.directory == folder)?;
        set(set_quota, &|listed| size::is(listed.quota, wanted.quota))
    }

    fn set_password(hosting: Hosting, _key: IdempotencyKey, login: String, password: Secret) -> Result<()> {
        let account = Account::of(&hosting)?;
        let call = about(&login, "passwd")?.with_secret("pass", &password);
        if find(&account, &login)?.is_none() {
            return Err(missing(&login));
        }
        change::unseen(&account, &call).map(drop)
    }

    fn delete_account(hosting: Hosting, key: IdempotencyKey, login: String) -> Result<()> {
        let account = Account::of(&hosting)?;
        // Anything but 0 would delete the folder, too.
        let call = about(&login, "delete_ftp")?.with("destroy", 0);
        change::once(&account, &key, missing(&login), |_| {
            Ok(if find(&account, &login)?.is_some() { call.clone().into() } else { Now::Wanted })
        })?;
        end_sessions(&account, &login).map(drop)
    }

    fn end_sessions(hosting: Hosting, login: String) -> Result<u32> {
        end_sessions(&Account::of(&hosting)?, &login)
    }
}

fn listed(account: &Account) -> Result<Vec<FtpAccount>> {
    let call = Call::uapi(MODULE, "list_ftp_with_disk").with("skip_acct_types", NOT_MADE);
    let rows = rows(change::read(account, &call)?);
    let mut accounts: Vec<FtpAccount> = rows.iter().filter_map(ftp_account).collect();
    accounts.sort_by(|one, other| one.login.cmp(&other.login));
    Ok(accounts)
}

fn ftp_account(row: &Value) -> Option<FtpAccount> {
    field(row, "accttype").filter(|kind| kind == "sub")?;
    let directory = field(row, "reldir")?.trim_matches('/').to_owned();
    let quota = field(row, "diskquota").and_then(|listed| size::bytes(&listed));
    Some(FtpAccount { login: field(row, "serverlogin")?, directory, quota })
}

fn find(account: &Account, login: &str) -> Result<Option<FtpAccount>> {
    Ok(listed(account)?.into_iter().find(|listed| listed.login == login))
}

/// The sessions of a login, by process. Those of the account itself have no `@` and are never meant.
fn sessions(account: &Account, login: &str) -> Result<BTreeSet<i64>> {
    let rows = rows(change::read(account, &Call::uapi(MODULE, "list_sessions"))?);
    let is_meant = |row: &&Value| field(row, "user").as_deref() == Some(login);
    Ok(rows.iter().filter(is_meant).filter_map(|row| row.get("pid").and_then(number)).collect())
}

fn end_sessions(account: &Account, login: &str) -> Result<u32> {
    let found = sessions(account, login)?;
    // Without a login it would be everybody's.
    let call = about(login, "kill_session").map(|_| Call::uapi(MODULE, "kill_session").with("login", login))?;
    change::ensure(account, || {
        // New ones, of somebody who may still sign in, are not those that were to end.
        let goes_on = !sessions(account, login)?.is_disjoint(&found);
        Ok(if goes_on { call.clone().into() } else { Now::Wanted })
    })?;
    Ok(u32::try_from(found.len()).unwrap_or(u32::MAX))
}

fn about(login: &str, function: &'static str) -> Result<Call> {
    let (name, domain) = login.rsplit_once('@').ok_or_else(|| missing(login))?;
    Ok(Call::uapi(MODULE, function).with("user", name).with("domain", domain))
}

/// cPanel would leave dots out, and make another account than the one that is looked for.
fn check_name(name: &str) -> Result<()> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=NAME_MAX_BYTES).contains(&name.len()) && name.bytes().all(is_plain) {
        Ok(())
    } else {
        Err(Error::invalid("name", format!("1 to {NAME_MAX_BYTES} of a-z, 0-9 and -")))
    }
}

/// An empty path would be taken for none, and cPanel would make a folder up.
fn relative(directory: &str) -> Result<&str> {
    let path = directory.trim_matches('/');
    if path.is_empty() || path.split('/').any(|name| matches!(name, "" | "." | "..")) {
        return Err(Error::invalid("directory", "a folder below the home, relative to it"));
    }
    Ok(path)
}

fn missing(login: &str) -> Error {
    Error::not_found(format!("there is no FTP account {login}"))
}
