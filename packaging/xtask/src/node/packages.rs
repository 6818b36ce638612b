//! The Debian packages that a node needs, installed with apt if something is missing.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::process::Program;

const NEEDED: [&str; 26] = [
    "btrfs-progs",
    "cron",
    "curl",
    "mariadb-client",
    "mariadb-server",
    "nginx-light",
    "openssh-client",
    "passwd",
    "php8.2-apcu",
    "php8.2-cli",
    "php8.2-curl",
    "php8.2-fpm",
    "php8.2-gd",
    "php8.2-intl",
    "php8.2-mbstring",
    "php8.2-mysql",
    "php8.2-opcache",
    "php8.2-xml",
    "php8.2-zip",
    "phpmyadmin",
    "procps",
    "python3-aiosmtpd",
    "redis-server",
    "util-linux",
    "wordpress",
    "wordpress-theme-twentytwentythree",
];

/// Named in the same apt command so that `wordpress` does not bring Apache: these are what it accepts instead.
const INSTEAD_OF_APACHE: [&str; 3] = ["nginx-light", "php", "php-fpm"];

const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs what is missing, without questions and without starting the daemons that come with it. Needs root. Blocks,
/// possibly for a minute. Safe to repeat.
///
/// # Errors
/// When apt cannot install it.
pub fn ensure() -> Result<()> {
    install_missing(&NEEDED, &INSTEAD_OF_APACHE)
}

/// Installs those packages of `needed` that are missing, with `companions` in the same command.
///
/// # Errors
/// When apt cannot install them.
pub fn install_missing(needed: &[&str], companions: &[&str]) -> Result<()> {
    let missing = missing(needed);
    if missing.is_empty() {
        return Ok(());
    }
    println!("Installing {} ...", missing.join(" "));
    let _quiet = QuietInstall::begin()?;
    let apt = || {
        Program::new("apt-get").with_our_environment().env("DEBIAN_FRONTEND", "noninteractive").args([
            "-qq",
            "-o",
            "DPkg::Lock::Timeout=300",
            "-o",
            "Dpkg::Use-Pty=0",
        ])
    };
    if missing.contains(&"phpmyadmin") {
        // Otherwise it looks for a server in which to make a database of its own.
        let answer = "phpmyadmin phpmyadmin/dbconfig-install boolean false\nphpmyadmin phpmyadmin/reconfigure-webserver multiselect none\n";
        Program::new("debconf-set-selections").with_our_environment().input(answer).text()?;
    }
    // Old lists may name versions that are gone. Without a network the lists may still do.
    if let Err(error) = apt().arg("update").text() {
        eprintln!("{error:#}");
    }
    apt().args(["install", "--yes", "--no-install-recommends"]).args(missing).args(companions).text()?;
    Ok(())
}

/// Those of `needed` that are not installed.
#[must_use]
pub fn missing<'a>(needed: &[&'a str]) -> Vec<&'a str> {
    let status = fs::read_to_string("/var/lib/dpkg/status").unwrap_or_default();
    let is_installed = |entry: &&str| entry.lines().any(|line| line == "Status: install ok installed");
    let installed: BTreeSet<&str> = status
        .split("\n\n")
        .filter(is_installed)
        .filter_map(|entry| entry.trim_start().lines().next()?.strip_prefix("Package: "))
        .collect();
    needed.iter().copied().filter(|package| !installed.contains(package)).collect()
}

/// Keeps the daemons of newly installed packages from being started, unless the machine has a rule for that already.
struct QuietInstall {
    ours: bool,
}

impl QuietInstall {
    fn begin() -> Result<Self> {
        let policy = Path::new(POLICY);
        if policy.exists() {
            return Ok(Self { ours: false });
        }
        fs::write(policy, "#!/bin/sh\nexit 101\n").with_context(|| format!("write {POLICY}"))?;
        fs::set_permissions(policy, fs::Permissions::from_mode(0o755)).context("make the policy executable")?;
        Ok(Self { ours: true })
    }
}

impl Drop for QuietInstall {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = fs::remove_file(POLICY)
        {
            eprintln!("remove {POLICY}: {error}");
        }
    }
}

/// Makes sure that we are root.
///
/// # Errors
/// When we are not.
pub fn require_root() -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "a node needs root: it adds system users and starts daemons as them (cargo xtask asks sudo for it)"
    );
    Ok(())
}
