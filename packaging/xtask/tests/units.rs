//! How far the units shut their processes in, as systemd counts it: a reviewed file, with a reason for each point left.
//!
//! `UPDATE_GOLDEN=1` rewrites `packaging/systemd/exposure.md`. The figures are those of systemd 252 (Debian 12).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking and starts programs itself"
)]

use std::{fmt::Write as _, fs, path::Path, process::Command};

use serde_json::Value;

/// A unit, what it may count at most (of 10), and why each point of it stays.
struct Unit {
    file: &'static str,
    at_most: f64,
    reasons: &'static [(&'static str, &'static str)],
}

/// Why nothing shuts files away from `latchkey-ftpauth`.
const SEEN: &str = "pure-ftpd has to see what is bound: a unit with a view of the files of its own would hide it";

const UNITS: &[Unit] = &[
    Unit {
        file: "latchkey.service",
        at_most: 1.5,
        reasons: &[
            ("DeviceAllow=", "ProtectClock= itself allows to read the clock device"),
            ("IPAddressDeny=", "the panel, the mail server and visitors may have any address"),
            ("PrivateNetwork=", "it serves the API and the gateway"),
            ("PrivateUsers=", "uids of peers on its sockets are checked, and are hidden behind it"),
            ("RestrictAddressFamilies=~AF_(INET|INET6)", "it serves the API and the gateway"),
            ("RestrictAddressFamilies=~AF_UNIX", "the broker, the redeemers and the command line are there"),
            (
                "RootDirectory=/RootImage=",
                "all but its state is read-only already; an image would need one for each distribution",
            ),
        ],
    },
    Unit {
        file: "latchkey-broker.service",
        at_most: 3.5,
        reasons: &[
            (
                "CapabilityBoundingSet=~CAP_(CHOWN|FSETID|SETFCAP)",
                "CHOWN: gives the socket to serve's group and a cache directory to its user",
            ),
            ("CapabilityBoundingSet=~CAP_KILL", "ends calls, which run as other users"),
            (
                "CapabilityBoundingSet=~CAP_SET(UID|GID|PCAP)",
                "a call becomes the site's user for good, with an empty bounding set",
            ),
            ("CapabilityBoundingSet=~CAP_SYS_ADMIN", "makes the namespaces of a call and mounts its /proc and /tmp"),
            ("DeviceAllow=", "ProtectClock= itself allows to read the clock device"),
            ("IPAddressDeny=", "sites ask update servers and remote databases, wherever they are"),
            ("MemoryDenyWriteExecute=", "PHP compiles regular expressions to machine code"),
            ("PrivateNetwork=", "PHP of the sites needs the network; the broker has no code for it"),
            ("PrivateUsers=", "it becomes users of the node"),
            ("ProtectHome=", "PHP of the sites works in their homes"),
            ("RestrictAddressFamilies=~AF_(INET|INET6)", "PHP of the sites needs the network"),
            ("RestrictAddressFamilies=~AF_UNIX", "serve asks there, and databases answer there"),
            ("RestrictNamespaces=~ipc", "each call gets its own"),
            ("RestrictNamespaces=~mnt", "each call gets its own"),
            ("RestrictNamespaces=~pid", "each call gets its own, whose end is the end of all of it"),
            ("RestrictNamespaces=~uts", "each call gets its own"),
            ("RestrictSUIDSGID=", "it takes openat2 away, by which every path of a hosting is opened"),
            ("RootDirectory=/RootImage=", "PHP of the sites needs the node's programs and homes"),
            ("SystemCallFilter=~@mount", "mount alone: /proc and /tmp of a call"),
            ("SystemCallFilter=~@privileged", "chown, setuid and capset: see the capabilities"),
            ("User=/DynamicUser=", "it becomes the users of sites"),
        ],
    },
    Unit {
        file: "latchkey-ftpauth.service",
        at_most: 4.5,
        reasons: &[
            ("CapabilityBoundingSet=~CAP_KILL", "ends sessions, which run as other users"),
            (
                "CapabilityBoundingSet=~CAP_SET(UID|GID|PCAP)",
                "SETUID: opens a folder with the rights of the hosting's user",
            ),
            ("CapabilityBoundingSet=~CAP_SYS_ADMIN", "binds the folder of a session"),
            ("DeviceAllow=", "ProtectClock= itself allows to read the clock device"),
            ("PrivateDevices=", SEEN),
            ("PrivateMounts=", SEEN),
            (
                "PrivateNetwork=",
                "a network of its own would bring a view of the files of its own; it has no addresses to use (RestrictAddressFamilies=)",
            ),
            ("PrivateTmp=", SEEN),
            ("PrivateUsers=", "it opens folders as users of the node"),
            ("ProcSubset=", SEEN),
            ("ProtectControlGroups=", SEEN),
            ("ProtectHome=", SEEN),
            ("ProtectKernelLogs=", SEEN),
            ("ProtectKernelModules=", SEEN),
            ("ProtectKernelTunables=", SEEN),
            ("ProtectProc=", SEEN),
            ("ProtectSystem=", SEEN),
            ("RestrictAddressFamilies=~AF_UNIX", "the FTP server asks there, and serve answers there"),
            ("RestrictSUIDSGID=", "takes openat2 away, by which the folder is opened"),
            ("RootDirectory=/RootImage=", SEEN),
            ("SystemCallFilter=~@mount", "binds the folder of a session"),
            ("SystemCallFilter=~@privileged", "becomes the hosting's user for a moment"),
            ("UMask=", "what is bound has to be reached by the FTP server"),
            ("User=/DynamicUser=", "needs the capabilities above; sessions begin as root"),
        ],
    },
];

#[test]
fn what_the_units_leave_open_is_what_was_reviewed() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd");
    let mut text = String::from(
        "# What the units leave open\n\nAs `systemd-analyze security --offline=true` of systemd 252 counts it; 10 is the most. Kept by \
         `packaging/xtask/tests/units.rs`.\n",
    );
    for unit in UNITS {
        let path = directory.join(unit.file);
        let points = points(&path);
        let overall = overall(&path);
        assert!(overall <= unit.at_most, "{}: {overall} is more than {}", unit.file, unit.at_most);
        write!(
            text,
            "\n## {}: {overall} (at most {})\n\n| left open | points | why |\n|---|---|---|\n",
            unit.file, unit.at_most
        )
        .unwrap();
        for (name, exposure) in &points {
            let reason = unit.reasons.iter().find(|(point, _)| point == name).map(|(_, reason)| *reason);
            writeln!(
                text,
                "| `{}` | {exposure} | {} |",
                name.replace('|', "\\|"),
                reason.unwrap_or_else(|| panic!("{name} has no reason"))
            )
            .unwrap();
        }
        let stale = unit.reasons.iter().find(|(point, _)| !points.iter().any(|(name, _)| name == point));
        assert!(stale.is_none(), "{}: {stale:?} counts nothing any more", unit.file);
    }
    let golden = directory.join("exposure.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &text).unwrap();
    }
    assert_eq!(
        text,
        fs::read_to_string(&golden).unwrap_or_default(),
        "review it, then run this test with UPDATE_GOLDEN=1"
    );
}

/// What counts, ordered by name.
fn points(unit: &Path) -> Vec<(String, String)> {
    let checks: Vec<Value> = serde_json::from_str(&analyze(unit, &["--json=short"])).unwrap();
    let counts = |check: &Value| {
        Some((
            check["name"].as_str()?.to_owned(),
            check["exposure"].as_str().filter(|points| !points.is_empty())?.to_owned(),
        ))
    };
    let mut points: Vec<_> = checks.iter().filter_map(counts).collect();
    points.sort();
    points
}

fn overall(unit: &Path) -> f64 {
    let table = analyze(unit, &[]);
    let line = table.lines().find(|line| line.contains("Overall exposure level")).unwrap();
    line.split_whitespace().find_map(|word| word.parse().ok()).unwrap()
}

/// Fails without systemd-analyze: `cargo xtask test` installs it.
fn analyze(unit: &Path, more: &[&str]) -> String {
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .args(more)
        .arg(unit)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}
