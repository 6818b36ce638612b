//! Mailboxes.

use serde_json::{Value, json};

use super::Row;
use super::mysql::strong;
use crate::account::{Account, Mailbox};
use crate::arguments::{Arguments, Refusal, refusal};
use crate::journal::Kind::{Change, Read};

pub(crate) const FUNCTIONS: &[Row] = &[
    ("Email", "list_pops_with_disk", Read, list_pops_with_disk),
    ("Email", "verify_password", Read, verify_password),
    ("Email", "add_pop", Change, add_pop),
    ("Email", "passwd_pop", Change, passwd_pop),
    ("Email", "edit_pop_quota", Change, edit_pop_quota),
    ("Email", "delete_pop", Change, delete_pop),
];

const MEBIBYTE: u64 = 1 << 20;

fn list_pops_with_disk(account: &mut Account, _: &Arguments) -> Result<Value, Refusal> {
    let row = |(address, mailbox): (&String, &Mailbox)| {
        let (name, domain) = address.split_once('@').unwrap_or((address, ""));
        let (quota, bytes) = match mailbox.quota {
            0 => ("unlimited".to_owned(), String::new()),
            quota => (quota.to_string(), (quota * MEBIBYTE).to_string()),
        };
        json!({
            "email": address, "login": address, "user": name, "domain": domain,
            "diskquota": quota, "_diskquota": bytes, "_diskused": mailbox.used,
            "diskused": mailbox.used / MEBIBYTE, "suspended_login": 0, "mtime": 1_767_225_600,
        })
    };
    Ok(account.mailboxes.iter().map(row).collect())
}

fn verify_password(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    let address = arguments.required("email")?;
    let mailbox = account.mailboxes.get(address).ok_or_else(|| no_mailbox(address))?;
    Ok(u8::from(mailbox.password == arguments.required("password")?).into())
}

fn add_pop(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    let address = address(account, arguments)?;
    let password = strong(arguments.required("password")?)?;
    if account.mailboxes.contains_key(&address) {
        return Err(refusal(format!("The mailbox \"{address}\" already exists.")));
    }
    let answer = address.replace('@', "+");
    account.mailboxes.insert(address, Mailbox { password, quota: quota(arguments)?, used: 0 });
    Ok(answer.into())
}

fn passwd_pop(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    let password = strong(arguments.required("password")?)?;
    mailbox(account, arguments)?.password = password;
    Ok(Value::Null)
}

fn edit_pop_quota(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    let quota = quota(arguments)?;
    mailbox(account, arguments)?.quota = quota;
    Ok(Value::Null)
}

fn delete_pop(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    let address = address(account, arguments)?;
    account.mailboxes.remove(&address).map(|_| Value::Null).ok_or_else(|| no_mailbox(&address))
}

fn quota(arguments: &Arguments) -> Result<u64, Refusal> {
    match arguments.optional("quota") {
        Some("unlimited") => Ok(0),
        _ => Ok(arguments.number("quota")?.unwrap_or(250)),
    }
}

fn mailbox<'a>(account: &'a mut Account, arguments: &Arguments) -> Result<&'a mut Mailbox, Refusal> {
    let address = address(account, arguments)?;
    account.mailboxes.get_mut(&address).ok_or_else(|| no_mailbox(&address))
}

fn address(account: &Account, arguments: &Arguments) -> Result<String, Refusal> {
    let domain = arguments.optional("domain").unwrap_or(&account.main_domain);
    if !account.owns(domain) {
        return Err(refusal(format!("The domain \"{domain}\" is not one of this account.")));
    }
    Ok(format!("{}@{domain}", arguments.required("email")?))
}

fn no_mailbox(address: &str) -> Refusal {
    refusal(format!("The mailbox \"{address}\" does not exist."))
}
