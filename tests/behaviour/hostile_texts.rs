//! Texts that would be more than a name or a position, wherever files and logs take one: each is refused, or is a name and
//! nothing else. What cron and databases make of them is tried in `cron` and `databases`.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use latchkey_tests::exchange::Response;
use latchkey_tests::file_manager::Managed;
use latchkey_tests::hostile_text::texts;
use latchkey_tests::shares::{person, share};
use latchkey_tests::trees::inventory;
use serde_json::{Value, json};
use xtask::node::Node;

crate::trials! { beside_others:
    a_hostile_path_is_a_name_in_its_folder_or_nothing,
    a_hostile_log_or_position_reads_nothing,
}

/// The hosting of the paths, alone on it.
const PATHS: &str = "texts";

/// Every byte but letters and digits, percent-encoded.
fn encoded(text: &str) -> String {
    let byte =
        |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(byte).collect()
}

/// What the end of a path stands for.
#[derive(Debug, PartialEq, Eq)]
enum Meant {
    /// A name in the folder.
    Name(OsString),
    /// The folder itself.
    Folder,
    /// Nothing that there is, or may be.
    Nothing,
}

fn meant(end: &str) -> Meant {
    let Some(decoded) = decoded(end) else { return Meant::Nothing };
    // As everywhere, further slashes and dots are nothing.
    let mut names = decoded.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
    match (names.next(), names.next()) {
        (None, _) => Meant::Folder,
        (Some(name), None) if name != b".." && name.len() <= 255 && !name.contains(&0) => {
            Meant::Name(OsString::from_vec(name.to_vec()))
        }
        _ => Meant::Nothing,
    }
}

fn decoded(end: &str) -> Option<Vec<u8>> {
    let mut rest = end.as_bytes();
    let mut name = Vec::new();
    while let Some((byte, after)) = rest.split_first() {
        if *byte == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            name.push(
                u8::from_str_radix(digits, 16).ok().filter(|_| digits.bytes().all(|one| one.is_ascii_hexdigit()))?,
            );
            rest = &after[2..];
        } else {
            name.push(*byte);
            rest = after;
        }
    }
    Some(name)
}

fn names(folder: &Path) -> BTreeSet<OsString> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

/// Every operation that takes a path, with this one in each of its places.
fn places(hostile: &str, kept: &str, free: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("file.list", json!({ "path": hostile })),
        ("file.stat", json!({ "path": hostile })),
        ("file.read", json!({ "path": hostile })),
        ("file.write", json!({ "path": hostile, "content": "x" })),
        ("file.make_dir", json!({ "path": hostile })),
        ("file.rename", json!({ "from": hostile, "to": free })),
        ("file.rename", json!({ "from": kept, "to": hostile })),
        ("file.copy", json!({ "from": hostile, "to": free })),
        ("file.copy", json!({ "from": kept, "to": hostile })),
        ("file.delete", json!({ "path": hostile })),
        ("file.set_mode", json!({ "path": hostile, "mode": "0600" })),
        ("file.archive", json!({ "paths": [hostile], "to": free, "format": "zip" })),
        ("file.archive", json!({ "paths": [kept], "to": hostile, "format": "zip" })),
        ("file.extract", json!({ "path": hostile, "to": free })),
        ("file.extract", json!({ "path": kept, "to": hostile })),
        ("file.search", json!({ "path": hostile, "name": "x" })),
    ]
}

#[track_caller]
fn refused(reply: &Response, what: &str) {
    // A path through something that is no folder, or to nothing, is none of ours to judge before it is looked at.
    assert!(matches!(reply.status, 400 | 404 | 409), "{what}: {} {}", reply.status, reply.body);
    let code = reply.json()["code"].clone();
    assert!(["invalid", "not_found", "conflict"].iter().any(|one| code == *one), "{what}: {code}");
}

fn a_hostile_path_is_a_name_in_its_folder_or_nothing(node: &Node) {
    let may = Managed::new(node, "texts-site", PATHS);
    may.plant("kept", "kept");
    may.does("file.make_dir", &json!({ "path": may.at("files") }));
    let folder = may.folder.join("files");
    let all = || {
        let mut all = inventory(&may.user.home);
        all.retain(|path, _| !path.starts_with(".latchkey"));
        all
    };
    let (before, kept, free) = (all(), may.at("kept"), may.at("files/free"));
    let mut refusals = 0;
    for (number, text) in texts().enumerate() {
        for component in [text.clone(), encoded(&text)] {
            let path = may.at(&format!("files/{component}"));
            let name = match meant(&component) {
                Meant::Name(name) => name,
                Meant::Folder => {
                    assert_eq!(may.does("file.stat", &json!({ "path": path }))["kind"], "folder");
                    continue;
                }
                Meant::Nothing => {
                    let all = places(&path, &kept, &free);
                    for turn in 0..3 {
                        let (operation, input) = &all[(number * 3 + turn) % all.len()];
                        refused(&may.asks(operation, input), &format!("{operation} {text:?}"));
                        refusals += 1;
                    }
                    continue;
                }
            };
            may.does("file.write", &json!({ "path": path, "content": "x" }));
            assert_eq!(names(&folder), BTreeSet::from([name.clone()]), "{text:?}");
            let known = may.does("file.stat", &json!({ "path": path }));
            assert_eq!(meant(known["name"].as_str().unwrap()), Meant::Name(name.clone()), "{known}");
            let listed = may.does("file.list", &json!({ "path": may.at("files") }));
            assert_eq!(listed["items"][0]["path"], known["path"], "{listed}");
            // What is told is what it can be asked for by.
            may.does("file.rename", &json!({ "from": known["path"], "to": free }));
            assert_eq!(names(&folder), BTreeSet::from([OsString::from("free")]));
            may.does("file.rename", &json!({ "from": free, "to": path }));
            may.does("file.delete", &json!({ "path": path, "for_good": true }));
            assert_eq!(names(&folder), BTreeSet::new());
        }
    }
    assert!(refusals > 60, "{refusals}");
    assert_eq!(all(), before);
}

fn a_hostile_log_or_position_reads_nothing(node: &Node) {
    let reader =
        share(node, "log1", &person("reader"), &json!({ "role": "custom", "privileges": ["general.view_logs"] }));
    let reader = reader.person();
    let listed = reader.operate("log1", "log.list", &json!({})).done();
    let known: Vec<&str> = listed["items"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    let (first, neighbour) = (known[0], known[0].replace("log1", "log10"));
    let ways = [
        format!("{first}/../../../etc/passwd"),
        format!("../{first}"),
        format!("{first}%00.1"),
        format!("{first}.1/../{first}"),
        format!("{first}.-1"),
        format!("{first}.99999999999999999999"),
        format!("{first}.1.gz.1"),
        first.to_uppercase(),
    ];
    let mut asked = 0;
    for text in texts().chain(ways).chain([neighbour].into_iter().filter(|one| one != first)) {
        for (operation, input, field) in [
            ("log.read", json!({ "log": text }), "log"),
            ("log.follow", json!({ "log": text }), "log"),
            ("log.read", json!({ "log": first, "before": text }), "before"),
            ("log.follow", json!({ "log": first, "after": text }), "after"),
            ("activity.list", json!({ "cursor": text }), "cursor"),
        ] {
            let reply = reader.operate("log1", operation, &input);
            let what = format!("{operation} {field} {text:?}: {} {}", reply.status, reply.body);
            match field {
                "log" => assert!(matches!(reply.status, 400 | 404), "{what}"),
                _ => assert_eq!(reply.refused(400, "invalid")["field"], field, "{what}"),
            }
            asked += 1;
        }
    }
    assert!(asked > 450, "{asked}");
}
