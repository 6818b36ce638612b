//! FTP accounts and their sessions.

use serde_json::{Value, json};

use super::Row;
use super::mysql::strong;
use crate::account::{Account, FtpAccount};
use crate::arguments::{Arguments, Refusal, refusal};
use crate::journal::Kind::{Change, Read};

pub(crate) const FUNCTIONS: &[Row] = &[
    ("Ftp", "list_ftp_with_disk", Read, list_ftp_with_disk),
    ("Ftp", "list_sessions", Read, list_sessions),
    ("Ftp", "add_ftp", Change, add_ftp),
    ("Ftp", "set_quota", Change, set_quota),
    ("Ftp", "set_homedir", Change, set_homedir),
    ("Ftp", "passwd", Change, passwd),
    ("Ftp", "delete_ftp", Change, delete_ftp),
    ("Ftp", "kill_session", Change, kill_session),
];

/// The main account and the one for logs are listed, too, unless that is asked not to be.
fn list_ftp_with_disk(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    let home = account.home();
    let row = |login: &str, kind: &str, folder: &str, quota: u64| {
        let name = login.split('@').next().unwrap_or(login);
        let listed_quota = if quota == 0 { "unlimited".to_owned() } else { format!("{quota}.00") };
        json!({
            "login": name, "serverlogin": login, "accttype": kind, "reldir": folder, "dir": format!("{home}/{folder}"),
            "diskquota": listed_quota, "_diskquota": format!("{quota}.00"), "diskused": "0.00", "_diskused": "0.00",
            "deleteable": u8::from(kind == "sub"),
        })
    };
    let mut rows =
        vec![row(&account.user, "main", "", 0), row(&format!("{}_logs", account.user), "logaccess", "access-logs", 0)];
    rows.extend(account.ftp_accounts.iter().map(|(login, ftp)| row(login, "sub", &ftp.folder, ftp.quota)));
    let named = |list: Option<&str>, row: &Value| {
        let kind = row.get("accttype").and_then(Value::as_str).unwrap_or_default();
        list.map(|list| list.split('|').any(|entry| entry == kind))
    };
    rows.retain(|row| named(arguments.optional("include_acct_types"), row).unwrap_or(true));
    rows.retain(|row| !named(arguments.optional("skip_acct_types"), row).unwrap_or(false));
    Ok(rows.into())
}

fn list_sessions(account: &mut Account, _: &Arguments) -> Result<Value, Refusal> {
    let row = |(process, login): (&u32, &String)| {
        json!({
            "user": login, "pid": process, "status": "IDLE", "host": "203.0.113.7", "file": "",
            "cmdline": "pure-ftpd (IDLE)", "login": "Thu Jan  1 00:00:00 2026",
        })
    };
    Ok(account.ftp_sessions.iter().map(row).collect())
}

fn add_ftp(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    let mut name = arguments.required("user")?.to_owned();
    if arguments.optional("disallowdot") != Some("0") {
        name.retain(|character| character != '.');
    }
    let login = login(account, &name, arguments)?;
    let password = strong(arguments.required("pass")?)?;
    let quota = arguments.number("quota")?.unwrap_or(0);
    let folder = arguments.optional("homedir").unwrap_or(&name).trim_start_matches('/').to_owned();
    if account.ftp_accounts.contains_key(&login) {
        return Err(refusal(format!("The FTP account \"{login}\" already exists.")));
    }
    account.ftp_accounts.insert(login, FtpAccount { password, folder, quota });
    Ok(Value::Null)
}

fn set_quota(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    let quota = arguments.number("quota")?.unwrap_or(0);
    ftp(account, arguments)?.quota = quota;
    Ok(Value::Null)
}

fn set_homedir(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    let folder = arguments.required("homedir")?.trim_start_matches('/').to_owned();
    ftp(account, arguments)?.folder = folder;
    Ok(Value::Null)
}

fn passwd(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    let password = strong(arguments.required("pass")?)?;
    ftp(account, arguments)?.password = password;
    Ok(Value::Null)
}

/// Sessions of the account go on.
fn delete_ftp(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    let login = login(account, arguments.required("user")?, arguments)?;
    account.ftp_accounts.remove(&login).map(|_| Value::Null).ok_or_else(|| no_account(&login))
}

/// All sessions there are unless a login is named.
fn kill_session(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    match arguments.optional("login").unwrap_or("all") {
        "all" => account.ftp_sessions.clear(),
        login => account.ftp_sessions.retain(|_, session| session != login),
    }
    Ok(Value::Null)
}

fn ftp<'a>(account: &'a mut Account, arguments: &Arguments) -> Result<&'a mut FtpAccount, Refusal> {
    let login = login(account, arguments.required("user")?, arguments)?;
    account.ftp_accounts.get_mut(&login).ok_or_else(|| no_account(&login))
}

fn login(account: &Account, name: &str, arguments: &Arguments) -> Result<String, Refusal> {
    let domain = arguments.optional("domain").unwrap_or(&account.main_domain);
    if !account.owns(domain) {
        return Err(refusal(format!("The domain \"{domain}\" is not one of this account.")));
    }
    Ok(format!("{name}@{domain}"))
}

fn no_account(login: &str) -> Refusal {
    refusal(format!("The FTP account \"{login}\" does not exist."))
}
