//! A zone as cPanel sends it, line by line in base64, and its records as the agent writes them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sdk::dns::{ListedRecord, RecordSetEntry};
use sdk::{Error, Result};
use serde_json::{Value, json};

use crate::answer::{field, number};

/// What cPanel gives records in a zone that does not say.
const TTL: u32 = 14_400;
/// A string of a TXT record holds no more.
const STRING_MAX_BYTES: usize = 255;

/// A zone that was read.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// Without a dot at the end.
    pub(crate) name: String,
    /// Of its SOA record, which is not among the others: cPanel keeps it.
    pub(crate) serial: String,
    /// For records without one.
    pub(crate) ttl: u32,
    /// With the index of the line where each begins as its id.
    pub(crate) records: Vec<ListedRecord>,
}

impl Parsed {
    /// Reads the rows of a zone.
    pub(crate) fn parse(name: &str, rows: &[Value]) -> Result<Self> {
        let (mut serial, mut ttl, mut records) = (None, TTL, Vec::new());
        for row in rows {
            if let Some(default) = control(row) {
                ttl = default;
            }
            let Some((line, content, data)) = record(name, row) else { continue };
            if content.kind == "SOA" {
                serial = data.get(2).cloned();
            } else {
                records.push(ListedRecord { id: line.to_string(), content });
            }
        }
        let serial = serial.ok_or_else(|| Error::failed(format!("cPanel's zone {name} has no SOA record")))?;
        Ok(Self { name: name.to_owned(), serial, ttl, records })
    }

    /// What stands in its records.
    pub(crate) fn contents(&self) -> Vec<RecordSetEntry> {
        self.records.iter().map(|record| record.content.clone()).collect()
    }

    /// The record that is listed so, if it still is.
    pub(crate) fn still(&self, listed: &ListedRecord) -> Option<u64> {
        self.records.iter().find(|record| *record == listed)?.id.parse().ok()
    }
}

/// A record as cPanel lists it once it is there: what means the same is written the same.
pub(crate) fn as_listed(zone: &str, content: &RecordSetEntry, ttl: u32) -> Result<RecordSetEntry> {
    let kind = content.kind.to_ascii_uppercase();
    let data = data(&kind, &content.value)?;
    let name = relative(zone, &absolute(zone, &content.name));
    Ok(RecordSetEntry { name, value: value(zone, &kind, &data), kind, ttl: Some(content.ttl.unwrap_or(ttl)) })
}

/// A record as cPanel is told, in JSON.
pub(crate) fn as_told(zone: &str, content: &RecordSetEntry, line: Option<u64>) -> Result<String> {
    let mut told = json!({
        "dname": absolute(zone, &content.name), "ttl": content.ttl.unwrap_or(TTL), "record_type": content.kind,
        "data": data(&content.kind, &content.value)?,
    });
    if let (Some(line), Some(fields)) = (line, told.as_object_mut()) {
        fields.insert("line_index".to_owned(), line.into());
    }
    Ok(told.to_string())
}

fn record(zone: &str, row: &Value) -> Option<(i64, RecordSetEntry, Vec<String>)> {
    let line = row.get("line_index").and_then(number)?;
    let kind = field(row, "record_type")?.to_ascii_uppercase();
    let name = relative(zone, &decode(row.get("dname_b64")?)?);
    let data: Vec<String> = row.get("data_b64")?.as_array()?.iter().filter_map(decode).collect();
    let ttl = row.get("ttl").and_then(number).and_then(|ttl| u32::try_from(ttl).ok());
    let value = value(zone, &kind, &data);
    Some((line, RecordSetEntry { name, kind, ttl, value }, data))
}

/// `$TTL 14400`.
fn control(row: &Value) -> Option<u32> {
    let line = decode(row.get("text_b64")?)?;
    line.strip_prefix("$TTL")?.trim().parse().ok()
}

/// A zone may hold any bytes; what is no text is shown with marks in their place.
fn decode(encoded: &Value) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(encoded.as_str()?).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn absolute(zone: &str, name: &str) -> String {
    match name {
        "@" | "" => format!("{zone}."),
        name if name.ends_with('.') => name.to_owned(),
        name => format!("{name}.{zone}."),
    }
}

fn relative(zone: &str, name: &str) -> String {
    let name = name.to_lowercase();
    let Some(whole) = name.strip_suffix('.') else { return if name.is_empty() { "@".to_owned() } else { name } };
    match whole.strip_suffix(zone) {
        Some("") => "@".to_owned(),
        Some(rest) => rest.strip_suffix('.').map_or_else(|| name.clone(), str::to_owned),
        None => name.clone(),
    }
}

/// The one field that is a name, if the kind has one.
fn name_field(kind: &str) -> Option<usize> {
    match kind {
        "CNAME" | "NS" | "PTR" | "DNAME" => Some(0),
        "MX" => Some(1),
        "SRV" => Some(3),
        _ => None,
    }
}

/// The fields of a record as they are written in one.
fn value(zone: &str, kind: &str, data: &[String]) -> String {
    if kind == "TXT" {
        return data.concat();
    }
    let field = |(at, field): (usize, &String)| match kind {
        "AAAA" => field.parse().map_or_else(|_| field.clone(), |address: std::net::Ipv6Addr| address.to_string()),
        "CAA" if at == 2 => format!("\"{}\"", field.trim_matches('"')),
        _ if name_field(kind) == Some(at) => absolute(zone, &field.to_lowercase()),
        _ => field.clone(),
    };
    data.iter().enumerate().map(field).collect::<Vec<_>>().join(" ")
}

/// The fields of what is written in one.
fn data(kind: &str, value: &str) -> Result<Vec<String>> {
    let wrong = |expected: &str| Error::invalid("content", format!("the value of a {kind} record: {expected}"));
    if kind == "TXT" {
        return Ok(strings(value));
    }
    let mut fields: Vec<String> = match kind {
        // The last one may hold spaces.
        "CAA" => value.splitn(3, ' ').map(|field| field.trim_matches('"').to_owned()).collect(),
        _ => value.split_whitespace().map(str::to_owned).collect(),
    };
    let (count, expected) = match kind {
        "A" | "AAAA" => (1, "an address"),
        "CNAME" | "NS" | "PTR" | "DNAME" => (1, "a name with a dot at the end"),
        "MX" => (2, "a number and a name with a dot at the end"),
        "CAA" => (3, "flags, tag and value"),
        "SRV" => (4, "three numbers and a name with a dot at the end"),
        "SOA" => return Err(Error::unsupported("cPanel keeps the SOA record itself")),
        _ => (fields.len().max(1), "at least one field"),
    };
    let is_address = match kind {
        "A" => value.parse::<std::net::Ipv4Addr>().is_ok(),
        "AAAA" => value.parse::<std::net::Ipv6Addr>().is_ok(),
        _ => true,
    };
    let target = name_field(kind).and_then(|at| fields.get_mut(at));
    if let Some(name) = target {
        *name = name.to_lowercase();
        if !name.ends_with('.') {
            return Err(wrong(expected));
        }
    }
    if fields.len() == count && is_address { Ok(fields) } else { Err(wrong(expected)) }
}

/// A text in strings that a record holds.
fn strings(text: &str) -> Vec<String> {
    let mut strings = vec![String::new()];
    for character in text.chars() {
        match strings.last_mut() {
            Some(last) if last.len() + character.len_utf8() <= STRING_MAX_BYTES => last.push(character),
            _ => strings.push(character.into()),
        }
    }
    strings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(name: &str, kind: &str, value: &str) -> RecordSetEntry {
        RecordSetEntry { name: name.to_owned(), kind: kind.to_owned(), ttl: Some(60), value: value.to_owned() }
    }

    fn row(line: u32, name: &str, kind: &str, data: &[&str]) -> Value {
        let data: Vec<String> = data.iter().map(|field| BASE64_STANDARD.encode(field)).collect();
        let name = BASE64_STANDARD.encode(name);
        json!({ "line_index": line, "type": "record", "dname_b64": name, "record_type": kind, "ttl": 60, "data_b64": data })
    }

    #[test]
    fn a_zone_is_read_line_by_line() {
        let rows = [
            json!({ "line_index": 0, "type": "control", "text_b64": BASE64_STANDARD.encode("$TTL 3600") }),
            row(1, "example.com.", "SOA", &["ns.example.net.", "a.example.net.", "2026010100", "1", "2", "3", "4"]),
            row(7, "example.com.", "MX", &["10", "mail"]),
            row(8, "www", "CNAME", &["Example.com."]),
            row(9, "long.example.com.", "TXT", &["one ", "two"]),
            row(10, "example.com.", "CAA", &["0", "issue", "letsencrypt.org"]),
            row(11, "notexample.com.", "AAAA", &["2001:0db8:0::1"]),
        ];
        let zone = Parsed::parse("example.com", &rows).unwrap();
        assert_eq!((zone.serial.as_str(), zone.ttl), ("2026010100", 3_600));
        let expected = [
            content("@", "MX", "10 mail.example.com."),
            content("www", "CNAME", "example.com."),
            content("long", "TXT", "one two"),
            content("@", "CAA", "0 issue \"letsencrypt.org\""),
            content("notexample.com.", "AAAA", "2001:db8::1"),
        ];
        assert_eq!(zone.contents(), expected);
        assert_eq!(zone.records[4].id, "11");
        assert!(matches!(Parsed::parse("example.com", &rows[2..]), Err(Error::Failed(_))));
    }

    #[test]
    fn what_is_told_is_what_is_listed_later() {
        let text = "ü".repeat(200);
        for given in [
            content("@", "A", "192.0.2.7"),
            content("a.b", "AAAA", "2001:0DB8::1"),
            content("www", "CNAME", "Elsewhere.example."),
            content("_s._tcp", "SRV", "1 2 443 host.example."),
            content("@", "CAA", "0 issue \"letsencrypt.org; x=y\""),
            content("@", "TXT", &text),
        ] {
            let told: Value = serde_json::from_str(&as_told("example.com", &given, Some(3)).unwrap()).unwrap();
            assert_eq!(told["line_index"], 3);
            let data: Vec<&str> =
                told["data"].as_array().unwrap().iter().map(|field| field.as_str().unwrap()).collect();
            assert!(data.iter().all(|field| field.len() <= STRING_MAX_BYTES), "{data:?}");
            let (_, listed, _) =
                record("example.com", &row(3, told["dname"].as_str().unwrap(), &given.kind, &data)).unwrap();
            assert_eq!(as_listed("example.com", &given, 1).unwrap(), listed);
        }
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for (kind, value) in
            [("A", "2001:db8::1"), ("AAAA", "x"), ("CNAME", "no-dot"), ("MX", "mail."), ("CAA", "0 issue"), ("SRV", "")]
        {
            assert!(matches!(data(kind, value), Err(Error::Invalid(_))), "{kind} {value}");
        }
        assert!(matches!(data("SOA", "x"), Err(Error::Unsupported(_))));
    }
}
