//! What was released of the interface stays as it is, to the byte: components that were built against it rely on it.
//!
//! `wit/RELEASED` has a line for each released version: the version, and the digest that this test tells.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use latchkey_adapters::VERSION;
use sha2::{Digest as _, Sha256};

fn wit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit")
}

/// Over the names of all files in a folder, in order, each with its length and content.
fn digest(folder: &Path) -> String {
    let files: BTreeMap<_, _> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| (entry.as_ref().unwrap().file_name(), fs::read(entry.unwrap().path()).unwrap()))
        .collect();
    let mut hasher = Sha256::new();
    for (name, content) in files {
        hasher.update(name.as_encoded_bytes());
        hasher.update([0]);
        hasher.update((content.len() as u64).to_le_bytes());
        hasher.update(content);
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The versions that have a folder, with their digests.
fn versions() -> BTreeMap<String, String> {
    let entries = fs::read_dir(wit()).unwrap().map(|entry| entry.unwrap());
    let version = |name: &str| name.strip_prefix("latchkey-adapter@").map(str::to_owned);
    entries.filter_map(|entry| Some((version(entry.file_name().to_str()?)?, digest(&entry.path())))).collect()
}

#[test]
fn what_was_released_is_as_it_was() {
    let released = fs::read_to_string(wit().join("RELEASED")).unwrap();
    let versions = versions();
    for line in released.lines().filter(|line| !line.starts_with('#')) {
        let (version, expected) = line.split_once(' ').unwrap();
        assert_eq!(versions.get(version).map(String::as_str), Some(expected), "{version} was released and has changed");
    }
}

#[test]
fn what_the_agent_offers_is_the_newest() {
    let newest = versions().into_keys().next_back().unwrap();
    assert_eq!(newest, VERSION);
}

#[test]
fn a_digest_is_of_every_name_and_every_byte() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| fs::write(folder.path().join(name), content).unwrap();
    let now = || digest(folder.path());
    let mut seen = vec![now()];
    write("a.wit", "ab");
    seen.push(now());
    write("a.wit", "a");
    seen.push(now());
    fs::rename(folder.path().join("a.wit"), folder.path().join("b.wit")).unwrap();
    seen.push(now());
    write("a.wit", "");
    seen.push(now());
    assert_eq!(seen.iter().collect::<std::collections::BTreeSet<_>>().len(), seen.len(), "{seen:?}");
}
