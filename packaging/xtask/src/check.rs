//! `cargo xtask check`: format, lints and dependency rules, the fast part of `cargo xtask test`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use crate::build::{cache, cargo, cargo_of_plugins, setting, workspace};
use crate::process::Program;
use crate::test_results::Results;

/// Installed from the registry if it is not there in this version.
const CARGO_DENY: &str = "0.20.2";

/// What is looked at of plugins, by the same rules: few of the licences that we allow are among theirs.
const PLUGINS: [&str; 4] = ["--allow", "license-not-encountered", "licenses", "sources"];

/// Runs the checks and prints what failed.
///
/// # Errors
/// When a check cannot be run at all.
pub fn run() -> Result<ExitCode> {
    let results = results()?;
    println!("{results}");
    Ok(results.exit_code())
}

/// Runs the checks; each counts as one.
///
/// # Errors
/// When a check cannot be run at all.
pub fn results() -> Result<Results> {
    let mut results = Results::default();
    let mut check = |name: &str, program: Program| -> Result<()> {
        println!("check {name} ...");
        let passed = program.status()?.success();
        println!("check {name} ... {}", if passed { "ok" } else { "FAILED" });
        results.count_one(passed);
        Ok(())
    };
    check("format", cargo().args(["fmt", "--all", "--check"]))?;
    check(
        "lints",
        cargo().args([
            "clippy",
            "--workspace",
            "--exclude",
            "latchkey-bench",
            "--all-targets",
            "--",
            "--deny",
            "warnings",
        ]),
    )?;
    let of_tests = cargo().directory(workspace().join("tests/adapters"));
    check("format of the adapters for tests", of_tests.args(["fmt", "--all", "--check"]))?;
    check("format of plugins", cargo_of_plugins().args(["fmt", "--all", "--check"]))?;
    check("lints of plugins", cargo_of_plugins().args(["clippy", "--all-targets", "--", "--deny", "warnings"]))?;
    // The dependency rules look at the crates of every platform.
    check("crates of every platform", cargo().args(["fetch", "--locked"]))?;
    check("crates of plugins", cargo_of_plugins().args(["fetch", "--locked"]))?;
    check("licences, sources, duplicates and who may link what", deny(&["bans", "licenses", "sources"])?)?;
    check("licences and sources of plugins", deny(&PLUGINS)?.directory(workspace().join("plugins")))?;
    if has_advisories() {
        check("advisories", deny(&["advisories"])?)?;
    } else {
        // Fetching it would be the only thing here that needs more than the crate registry.
        println!(
            "NOTE: advisories were not checked: no database in {}; `cargo deny fetch db` gets it",
            advisories().display()
        );
    }
    Ok(results)
}

/// cargo-deny, without the network.
fn deny(checks: &[&str]) -> Result<Program> {
    let program = ensure_cargo_deny()?;
    Ok(cargo_tool(program).args(["--offline", "check"]).args(checks.iter().copied()))
}

fn ensure_cargo_deny() -> Result<PathBuf> {
    let tools = cache().join("tools");
    let program = tools.join("bin/cargo-deny");
    let version = || Program::new(&program).arg("--version").text().unwrap_or_default();
    if !version().contains(CARGO_DENY) {
        println!("Installing cargo-deny {CARGO_DENY} (once, some minutes) ...");
        let scratch = tools.join("target");
        let status = cargo()
            .args(["install", "--quiet", "--locked", "--force", "--version", CARGO_DENY, "--root"])
            .arg(&tools)
            .arg("--target-dir")
            .arg(&scratch)
            .arg("cargo-deny")
            .status()?;
        ensure!(status.success(), "cargo-deny could not be installed");
        std::fs::remove_dir_all(&scratch).with_context(|| format!("remove {}", scratch.display()))?;
    }
    Ok(program)
}

fn cargo_tool(program: PathBuf) -> Program {
    Program::new(program).with_our_environment().directory(workspace())
}

/// Whether there is a copy of an advisory database. (cargo-deny makes the directory also when it has none to put there.)
fn has_advisories() -> bool {
    let mut entries = std::fs::read_dir(advisories()).into_iter().flatten().flatten();
    entries.any(|entry| entry.path().join(".git").exists())
}

/// Where cargo-deny keeps its copies of advisory databases.
fn advisories() -> PathBuf {
    let home = || PathBuf::from(setting("HOME").unwrap_or_else(|| "/root".into())).join(".cargo");
    setting("CARGO_HOME").map_or_else(home, PathBuf::from).join("advisory-dbs")
}
