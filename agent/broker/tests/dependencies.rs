//! What runs as root, as a reviewed list: `dependencies.golden`. `UPDATE_GOLDEN=1` rewrites it.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panicking and runs cargo")]

use std::{collections::BTreeSet, fs, path::Path, process::Command};

/// Words in names of crates that have no business in a process that stays root.
const REFUSED: &[&str] = &[
    "tokio",
    "async",
    "futures",
    "mio",
    "hyper",
    "http",
    "axum",
    "h2",
    "tower",
    "rustls",
    "ring",
    "aws-lc",
    "openssl",
    "tls",
    "ssh",
    "sql",
    "wasm",
    "cranelift",
    "reqwest",
    "ureq",
    "curl",
    "lettre",
    "x509",
];

fn dependencies() -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--package=latchkey-broker",
            "--edges=normal",
            "--prefix=none",
            "--target=x86_64-unknown-linux-gnu",
        ])
        .args(["--format={p}", "--offline", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    // The first two words: name and version, without paths and marks of repetition.
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn the_brokers_dependencies_are_those_that_were_reviewed() {
    let now = dependencies().into_iter().collect::<Vec<_>>().join("\n") + "\n";
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("dependencies.golden");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &now).unwrap();
    }
    let reviewed = fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(now, reviewed, "review the change, then run this test with UPDATE_GOLDEN=1");
}

#[test]
fn the_broker_links_no_tls_http_ssh_sql_async_or_wasm() {
    for dependency in dependencies() {
        let name = dependency.split(' ').next().unwrap();
        let refused = REFUSED.iter().find(|word| name.contains(*word));
        assert!(refused.is_none(), "{name} holds {refused:?}");
    }
}
