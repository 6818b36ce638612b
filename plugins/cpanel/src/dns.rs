//! `dns`, by UAPI's module DNS. Every change carries the serial that was read; cPanel refuses one that is stale.

use sdk::dns::{ListedRecord, RecordSetEntry, Zone};
use sdk::{Dns, Error, Hosting, IdempotencyKey, Result};

use crate::Cpanel;
use crate::account::Account;
use crate::answer::rows;
use crate::call::Call;
use crate::change::{self, Now, Step};
use crate::domains::Domains;
use crate::exchange::{Exchange, Found};
use crate::zone::{Parsed, as_listed, as_told};

const MODULE: &str = "DNS";

impl Dns for Cpanel {
    fn list_zones(hosting: Hosting) -> Result<Vec<String>> {
        Ok(Domains::of(&Account::of(&hosting)?)?.zones)
    }

    fn read_zone(hosting: Hosting, zone: String) -> Result<Zone> {
        let read = read(&Account::of(&hosting)?, &zone)?;
        Ok(Zone { name: read.name, version: read.serial, records: read.records })
    }

    fn create_record(
        hosting: Hosting,
        _key: IdempotencyKey,
        zone: String,
        version: String,
        content: RecordSetEntry,
    ) -> Result<()> {
        let account = Account::of(&hosting)?;
        change::ensure(&account, || {
            let current = read(&account, &zone)?;
            let wanted = as_listed(&zone, &content, current.ttl)?;
            // Whoever leaves the time to live to the platform is content with any.
            let is_wanted = |listed: &RecordSetEntry| {
                let ttl = if content.ttl.is_some() { wanted.ttl } else { listed.ttl };
                *listed == RecordSetEntry { ttl, ..wanted.clone() }
            };
            Ok(if current.contents().iter().any(is_wanted) {
                Now::Wanted
            } else if current.serial == version {
                edit(&zone, &version).with("add", as_told(&zone, &wanted, None)?).into()
            } else {
                Now::Otherwise(changed(&zone))
            })
        })
    }

    fn update_record(
        hosting: Hosting,
        key: IdempotencyKey,
        zone: String,
        version: String,
        listed: ListedRecord,
        content: RecordSetEntry,
    ) -> Result<()> {
        let ttl = listed.content.ttl.unwrap_or_default();
        let wanted = as_listed(&zone, &content, ttl)?;
        exchange(&Account::of(&hosting)?, &key, (&zone, &version), (&listed, Some(&wanted)))
    }

    fn delete_record(
        hosting: Hosting,
        key: IdempotencyKey,
        zone: String,
        version: String,
        listed: ListedRecord,
    ) -> Result<()> {
        exchange(&Account::of(&hosting)?, &key, (&zone, &version), (&listed, None))
    }
}

/// Puts a record in the place of a listed one, or nothing, in a zone that still is the one of a version.
fn exchange(
    account: &Account,
    key: &str,
    (zone, version): (&str, &str),
    (listed, into): (&ListedRecord, Option<&RecordSetEntry>),
) -> Result<()> {
    if into == Some(&listed.content) {
        let current = read(account, zone)?;
        let is_so = current.serial == version && current.still(listed).is_some();
        return if is_so { Ok(()) } else { Err(changed(zone)) };
    }
    let exchange = Exchange { out: Some(&listed.content), into };
    change::once(account, key, changed(zone), |before| {
        let current = read(account, zone)?;
        let contents = current.contents();
        let found = exchange.judge(&contents, before);
        if current.serial != version {
            let is_gone = into.is_none() && before.is_none() && !contents.contains(&listed.content);
            return Ok(match found {
                Found::Done => Now::Wanted,
                _ if is_gone => Now::Otherwise(Error::not_found(format!("there is no such record in {zone} any more"))),
                _ => Now::Otherwise(changed(zone)),
            });
        }
        let (Some(line), Found::Untouched(before)) = (current.still(listed), found) else {
            return Ok(Now::Otherwise(changed(zone)));
        };
        let call = match into {
            Some(content) => edit(zone, version).with("edit", as_told(zone, content, Some(line))?),
            None => edit(zone, version).with("remove", line),
        };
        Ok(Now::Before(Step { call, before }))
    })
}

fn read(account: &Account, zone: &str) -> Result<Parsed> {
    match change::read(account, &Call::uapi(MODULE, "parse_zone").with("zone", zone)) {
        Ok(data) => Parsed::parse(zone, &rows(data)),
        // The words of the refusal differ; whether the account has such a zone can be read.
        Err(Error::Refused(words)) if Domains::of(account)?.zones.iter().any(|known| known == zone) => {
            Err(Error::refused(words))
        }
        Err(Error::Refused(_) | Error::NotFound(_)) => Err(Error::not_found(format!("there is no zone {zone}"))),
        Err(error) => Err(error),
    }
}

fn edit(zone: &str, serial: &str) -> Call {
    Call::uapi(MODULE, "mass_edit_zone").with("zone", zone).with("serial", serial)
}

fn changed(zone: &str) -> Error {
    Error::changed(format!("{zone} is not as it was read: read it anew"))
}
