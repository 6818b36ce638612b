//! Zones: read line by line, changed many at a time if the serial still is the one that was read.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::Row;
use crate::account::Account;
use crate::arguments::{Arguments, Refusal, refusal};
use crate::journal::Kind::{Change, Read};
use crate::zone::{Item, Record, Zone};

pub(crate) const FUNCTIONS: &[Row] =
    &[("DNS", "parse_zone", Read, parse_zone), ("DNS", "mass_edit_zone", Change, mass_edit_zone)];

fn parse_zone(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    let name = arguments.required("zone")?;
    let zone = zone(account, name)?;
    let row = |(line, item): (usize, &Item)| {
        let text = |kind: &str, text: &str| json!({ "line_index": line, "type": kind, "text_b64": encode(text) });
        let record = |name: &str, kind: &str, ttl: u32, data: &[String]| {
            json!({
                "line_index": line, "type": "record", "dname_b64": encode(name), "record_type": kind, "ttl": ttl,
                "data_b64": data.iter().map(|field| encode(field)).collect::<Vec<_>>(),
            })
        };
        match item {
            Item::Comment(line) => text("comment", line),
            Item::Control(line) => text("control", line),
            Item::Soa(fields) => {
                let mut fields = fields.clone();
                fields.insert(2, zone.serial.to_string());
                record(&format!("{name}."), "SOA", 86_400, &fields)
            }
            Item::Record(given) => record(&given.name, &given.kind, given.ttl, &given.data),
        }
    };
    Ok(zone.lines().map(row).collect())
}

fn mass_edit_zone(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    let zone = zone(account, arguments.required("zone")?)?;
    let serial: Option<u32> = arguments.number("serial")?;
    if serial != Some(zone.serial) {
        let (given, current) = (serial.unwrap_or(0), zone.serial);
        return Err(refusal(format!("The serial {given} is stale: the zone's serial number is {current}.")));
    }
    let no_record = |line: usize| refusal(format!("No record begins at line {line}."));
    let mut changed = zone.clone();
    for edit in arguments.all("edit") {
        let (line, record) = parse_record(edit)?;
        let line = line.ok_or_else(|| refusal("An edit names no line."))?;
        let item = changed.position(line).and_then(|at| changed.items.get_mut(at)).ok_or_else(|| no_record(line))?;
        *item = Item::Record(record);
    }
    let mut removed = BTreeSet::new();
    for line in arguments.all("remove") {
        let line = line.parse().map_err(|_| refusal("A line to remove is no number."))?;
        removed.insert(changed.position(line).ok_or_else(|| no_record(line))?);
    }
    for at in removed.into_iter().rev() {
        changed.items.remove(at);
    }
    for add in arguments.all("add") {
        changed.items.push(Item::Record(parse_record(add)?.1));
    }
    changed.serial += 1;
    *zone = changed;
    Ok(json!({ "new_serial": zone.serial.to_string() }))
}

fn zone<'a>(account: &'a mut Account, name: &str) -> Result<&'a mut Zone, Refusal> {
    account.zones.get_mut(name).ok_or_else(|| refusal(format!("The zone \"{name}\" is not one of this account.")))
}

/// A record as it is sent, with the line that it takes the place of.
fn parse_record(text: &str) -> Result<(Option<usize>, Record), Refusal> {
    let sent: Value = serde_json::from_str(text).map_err(|_| refusal("A record is no JSON."))?;
    let malformed = || refusal("A record lacks a field.");
    let text = |name: &str| sent.get(name).and_then(Value::as_str).map(str::to_owned).ok_or_else(malformed);
    let ttl = sent.get("ttl").and_then(Value::as_u64).and_then(|ttl| u32::try_from(ttl).ok()).ok_or_else(malformed)?;
    let line = sent.get("line_index").and_then(Value::as_u64).and_then(|line| usize::try_from(line).ok());
    let fields = sent.get("data").and_then(Value::as_array).ok_or_else(malformed)?;
    let data: Vec<String> = fields.iter().filter_map(|field| field.as_str().map(str::to_owned)).collect();
    let (name, kind) = (text("dname")?, text("record_type")?);
    let fields = match kind.as_str() {
        "A" | "AAAA" | "CNAME" | "NS" => 1..=1,
        "MX" => 2..=2,
        "CAA" => 3..=3,
        "SRV" => 4..=4,
        _ => 1..=usize::MAX,
    };
    let is_address = match kind.as_str() {
        "A" => data.iter().all(|field| field.parse::<std::net::Ipv4Addr>().is_ok()),
        "AAAA" => data.iter().all(|field| field.parse::<std::net::Ipv6Addr>().is_ok()),
        _ => true,
    };
    if !fields.contains(&data.len()) || !is_address || data.iter().any(|field| field.len() > 255) {
        return Err(refusal(format!("That is no {kind} record.")));
    }
    Ok((line, Record { name, ttl, kind, data }))
}

fn encode(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}
