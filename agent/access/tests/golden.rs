//! What people review: every role against every operation, every privilege against what it really reaches, and the
//! words of the published catalogue. `UPDATE_GOLDEN=1 cargo test -p latchkey-access` writes the first two anew.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may, and reads UPDATE_GOLDEN")]

mod node;

use std::fmt::Write;
use std::path::Path;

use latchkey_access::{
    Effect, FileAccess, FileAccessKind, GrantedBy, LogInAs, OperationSpec, Privilege, Role, Runs, ShareId, Terms,
    catalogue, explain, operation, reach,
};

use crate::node::{NOON, Node, With, actor, custom, pinned, refusal, role};

/// Compares with a reviewed file, or writes it.
#[track_caller]
fn check(name: &str, seen: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, seen).unwrap();
    }
    let reviewed = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = reviewed.lines().zip(seen.lines()).find(|(reviewed, seen)| reviewed != seen);
    assert!(reviewed == seen, "{name} differs, first at {differs:?}; UPDATE_GOLDEN=1 writes it, then review the diff");
}

#[test]
fn role_by_operation() {
    let mut node = Node::new();
    for chosen in Role::ALL {
        node.share(chosen.id(), "live", role(chosen), GrantedBy::Panel);
    }
    let mut text = "\
# What each role may do on an instance, invited by the panel with the role's own privileges and Log In As: all.
# `custom` is a custom share with nothing ticked, `owner` owns the instance and not the hosting.
# Built operations first; the others stand in the catalogue already.

"
    .to_owned();
    let names = catalogue().privileges.iter().flat_map(|entry| &entry.operations);
    let (built, planned): (Vec<&String>, Vec<&String>) = names.partition(|name| operation(name).is_some());
    let who = [Role::ALL.map(Role::id).as_slice(), &["owner"]].concat();
    for (title, names) in [("operation", built), ("not built yet", planned)] {
        row(&mut text, title, who.iter().map(|name| (*name).to_owned()));
        for name in names {
            let spec = spec(name);
            row(&mut text, name, who.iter().map(|who| answer(&node, who, &spec)));
        }
        text.push('\n');
    }
    text.pop();
    check("role-operation.txt", &text);
}

/// The row of the table, or what it will be.
fn spec(name: &str) -> OperationSpec {
    let entry = catalogue().privileges.iter().find(|entry| entry.operations.iter().any(|one| one == name)).unwrap();
    let privilege = Privilege::from_id(&entry.id).unwrap();
    OperationSpec { name: "planned", summary: "", privilege, effect: Effect::Read, runs: Runs::Now }
}

fn answer(node: &Node, who: &str, spec: &OperationSpec) -> String {
    let who = if who == "owner" { "olga" } else { who };
    match explain(&node.table, &actor(who), &"live".parse().unwrap(), spec, NOON).denial {
        None => "allow".to_owned(),
        Some(denial) => refusal(&denial),
    }
}

fn row(text: &mut String, name: &str, cells: impl IntoIterator<Item = String>) {
    let mut line = format!("{name:<43} ");
    for cell in cells {
        write!(line, "{cell:<14}").unwrap();
    }
    writeln!(text, "{}", line.trim_end()).unwrap();
}

#[test]
fn privilege_by_reach() {
    let mut text = "\
# What a share really amounts to: admin (effective_admin), other sites (reaches_other_sites), secrets (sees_secrets),
# mint (can_mint), destroys. In capitals: only because the instance shares its hosting, so its system user.

"
    .to_owned();
    row(&mut text, "privilege", ["reach".to_owned()]);
    for privilege in Privilege::ALL {
        let terms = custom([*privilege]).with_log_in_as(None);
        row(&mut text, privilege.id(), [flags(&terms, None)]);
    }
    text.push('\n');
    row(&mut text, "role", ["reach".to_owned()]);
    for chosen in Role::ALL {
        row(&mut text, chosen.id(), [flags(&role(chosen), None)]);
    }
    text.push('\n');
    row(&mut text, "log_in_as, with the SSO alone", ["reach".to_owned()]);
    let pin = || Some(pinned(2, "editor"));
    for (name, log_in_as, is_administrator) in [
        ("none", None, None),
        ("all", Some(LogInAs::ALL), None),
        ("pinned, not seen yet", pin(), None),
        ("pinned editor", pin(), Some(false)),
        ("pinned administrator", pin(), Some(true)),
    ] {
        let terms = custom([Privilege::WpAdminSso]).with_log_in_as(log_in_as);
        row(&mut text, name, [flags(&terms, is_administrator)]);
    }
    text.push('\n');
    row(&mut text, "file_access, with nothing else", ["reach".to_owned()]);
    let files = |kind, path: &str, read_only| FileAccess { kind, path: path.to_owned(), read_only };
    for (name, file_access) in [
        ("none", FileAccess::NONE),
        ("sftp", files(FileAccessKind::Sftp, "", false)),
        ("sftp, a folder", files(FileAccessKind::Sftp, "wp-content/uploads", false)),
        ("sftp, read only", files(FileAccessKind::Sftp, "", true)),
        ("ftp", files(FileAccessKind::Ftp, "", false)),
        ("sftp_and_ftp", FileAccess::ALL),
    ] {
        row(&mut text, name, [flags(&custom([]).with_files(file_access), None)]);
    }
    check("privilege-reach.txt", &text);
}

/// The flags of a share alone on its hosting, with those that only a shared hosting adds in capitals.
fn flags(terms: &Terms, pinned_is_administrator: Option<bool>) -> String {
    let mut node = Node::new();
    let shared = node.share("dev", "live", terms.clone(), GrantedBy::Panel);
    node.put_hosting("solo", &[]);
    node.put_instance("alone", "solo", &[]);
    let alone = node.share("dev", "alone", terms.clone(), GrantedBy::Panel);
    let ask = |node: &mut Node, share: ShareId| {
        node.alter(share, |share| share.pinned_is_administrator = pinned_is_administrator);
        let seen = reach(&node.table, node.row(share), NOON);
        let flags = [seen.effective_admin, seen.reaches_other_sites, seen.sees_secrets, seen.can_mint, seen.destroys];
        assert_eq!(flags.contains(&true), !seen.because.is_empty());
        flags
    };
    let (alone, shared) = (ask(&mut node, alone), ask(&mut node, shared));
    let words = ["admin", "other sites", "secrets", "mint", "destroys"];
    let words = words.into_iter().zip(alone.into_iter().zip(shared)).filter_map(|(word, flags)| match flags {
        (true, true) => Some(word.to_owned()),
        (false, true) => Some(word.to_uppercase()),
        (false, false) => None,
        (true, false) => Some(format!("{word} (only alone?)")),
    });
    let words: Vec<String> = words.collect();
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}

/// The published list: one line per category and privilege. One edition writes `PHPMyAdmin`, so letters' case is ours.
#[test]
fn the_catalogue_says_what_was_published() {
    let published = include_str!("golden/published-catalogue.txt");
    let lines = published.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut seen = Vec::new();
    for category in &catalogue().categories {
        seen.push(category.title.clone());
        let members = catalogue().privileges.iter().filter(|entry| entry.category() == category.id);
        seen.extend(members.map(|entry| format!("  {}  {}", entry.id, entry.title)));
    }
    let lower = |text: &str| text.to_lowercase();
    assert_eq!(seen.iter().map(|line| lower(line)).collect::<Vec<_>>(), lines.map(lower).collect::<Vec<_>>());
    assert!(seen.iter().any(|line| line.ends_with("phpMyAdmin SSO")));
}
