//! The AppArmor profiles: each is read by the parser, and the units name those that exist.
//!
//! Not run under them: kernels of test machines rarely have AppArmor.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking and starts programs itself"
)]

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

fn packaging(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// Whether the parser takes a profile. Fails without the parser: `cargo xtask test` installs it.
fn parses(profile: &str) -> Result<(), String> {
    let mut parser = Command::new("/sbin/apparmor_parser")
        .args(["--skip-kernel-load", "--skip-cache"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    parser.stdin.take().unwrap().write_all(profile.as_bytes()).unwrap();
    let output = parser.wait_with_output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[test]
fn every_profile_is_parsed_beside_a_broken_one_that_is_not() {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(packaging("apparmor")).unwrap() {
        let path = entry.unwrap().path();
        let profile = fs::read_to_string(&path).unwrap();
        assert_eq!(parses(&profile), Ok(()), "{}", path.display());
        assert!(parses(&profile.replacen("  include", "  inclued", 1)).is_err(), "{}", path.display());
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(profile.contains(&format!("\nprofile {name} flags=(complain")), "{name}");
        names.insert(name);
    }
    assert_eq!(
        names.into_iter().collect::<Vec<_>>(),
        ["latchkey", "latchkey-broker", "latchkey-compiler", "latchkey-files", "latchkey-php", "latchkey-runner"]
    );
}

#[test]
fn each_unit_asks_for_its_own_profile_where_it_is_loaded() {
    for unit in ["latchkey", "latchkey-broker"] {
        let text = fs::read_to_string(packaging("systemd").join(format!("{unit}.service"))).unwrap();
        assert!(text.lines().any(|line| line == format!("AppArmorProfile=-{unit}")), "{unit}");
    }
}
