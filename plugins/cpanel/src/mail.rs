//! `mail`, by UAPI's module Email.

use sdk::mail::Mailbox;
use sdk::{Error, Hosting, IdempotencyKey, Mail, Result, Secret};
use serde_json::Value;

use crate::Cpanel;
use crate::account::Account;
use crate::answer::{field, number, rows};
use crate::call::Call;
use crate::change::{self, Now};
use crate::size;

const MODULE: &str = "Email";

impl Mail for Cpanel {
    fn list_mailboxes(hosting: Hosting) -> Result<Vec<Mailbox>> {
        listed(&Account::of(&hosting)?)
    }

    fn create_mailbox(
        hosting: Hosting,
        key: IdempotencyKey,
        address: String,
        quota: Option<u64>,
        password: Secret,
    ) -> Result<()> {
        let account = Account::of(&hosting)?;
        let quota = size::megabytes(quota)?;
        let call = about(&address, "add_pop")?.with("quota", quota).with("send_welcome_email", 0);
        let call = call.with_secret("password", &password);
        let taken = Error::already_exists(format!("there is {address} already"));
        change::once(&account, &key, taken, |_| {
            Ok(if find(&account, &address)?.is_some() { Now::Wanted } else { call.clone().into() })
        })
    }

    fn set_password(hosting: Hosting, _key: IdempotencyKey, address: String, password: Secret) -> Result<()> {
        let account = Account::of(&hosting)?;
        let call = about(&address, "passwd_pop")?.with_secret("password", &password);
        let verify = Call::uapi(MODULE, "verify_password").with("email", &address).with_secret("password", &password);
        if find(&account, &address)?.is_none() {
            return Err(missing(&address));
        }
        change::ensure(&account, || {
            let is_valid = number(&change::read(&account, &verify)?) == Some(1);
            Ok(if is_valid { Now::Wanted } else { call.clone().into() })
        })
    }

    fn set_quota(hosting: Hosting, _key: IdempotencyKey, address: String, quota: Option<u64>) -> Result<()> {
        let account = Account::of(&hosting)?;
        let call = about(&address, "edit_pop_quota")?.with("quota", size::megabytes(quota)?);
        change::ensure(&account, || {
            Ok(match find(&account, &address)? {
                None => Now::Otherwise(missing(&address)),
                Some(mailbox) if size::is(mailbox.quota, quota) => Now::Wanted,
                Some(_) => call.clone().into(),
            })
        })
    }

    fn delete_mailbox(hosting: Hosting, key: IdempotencyKey, address: String) -> Result<()> {
        let account = Account::of(&hosting)?;
        // With this flag the mail stays.
        let call = about(&address, "delete_pop")?.with("flags", "passwd");
        change::once(&account, &key, missing(&address), |_| {
            Ok(if find(&account, &address)?.is_some() { call.clone().into() } else { Now::Wanted })
        })
    }
}

fn listed(account: &Account) -> Result<Vec<Mailbox>> {
    let rows = rows(change::read(account, &Call::uapi(MODULE, "list_pops_with_disk"))?);
    let mut mailboxes: Vec<Mailbox> = rows.iter().filter_map(mailbox).collect();
    mailboxes.sort_by(|one, other| one.address.cmp(&other.address));
    Ok(mailboxes)
}

/// The account's own mailbox, which has no domain, is none of these. Fields with `_` are bytes, and empty for no limit.
fn mailbox(row: &Value) -> Option<Mailbox> {
    let address = field(row, "email").filter(|address| address.contains('@'))?.to_lowercase();
    let bytes = |name: &str| row.get(name).and_then(number).and_then(|bytes| u64::try_from(bytes).ok());
    Some(Mailbox { address, used: bytes("_diskused"), quota: bytes("_diskquota").filter(|quota| *quota > 0) })
}

fn find(account: &Account, address: &str) -> Result<Option<Mailbox>> {
    Ok(listed(account)?.into_iter().find(|mailbox| mailbox.address == address))
}

fn about(address: &str, function: &'static str) -> Result<Call> {
    // cPanel lists addresses in lower case: another one would never be found.
    let parts = address.rsplit_once('@').filter(|_| address == address.to_lowercase());
    let (name, domain) = parts.ok_or_else(|| Error::invalid("address", "local-part@domain, in lower case"))?;
    Ok(Call::uapi(MODULE, function).with("email", name).with("domain", domain))
}

fn missing(address: &str) -> Error {
    Error::not_found(format!("there is no mailbox {address}"))
}
