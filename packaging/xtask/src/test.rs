//! `cargo xtask test`: the checks, the unit tests, the whole-behaviour tests and the browser tests, with one count of all.

use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal};

use crate::build::{BUILT, Build, cache, cargo, cargo_of_plugins, workspace};
use crate::clock::Deadline;
use crate::node::packages;
use crate::process::{self, Program};
use crate::test_results::Results;
use crate::{check, random};

/// Debian packages by which the units and the AppArmor profiles are checked.
const CONFINEMENT: [&str; 2] = ["apparmor", "systemd"];
/// Debian packages of the clients, hostile ones and those of people.
const CLIENTS: [&str; 10] =
    ["lftp", "openssh-client", "openssl", "python3", "python3-venv", "rclone", "sshfs", "unzip", "zip", "zstd"];
/// Debian packages of the browser tests.
const BROWSER: [&str; 1] = ["chromium"];
/// What runs them, unless it is there already: it often comes from elsewhere.
const NODE_JS: [&str; 2] = ["nodejs", "npm"];

/// The variable that tells the browser tests what runs where.
const READY_FILE: &str = "LATCHKEY_READY_FILE";

/// A part of the whole, which adds what it counts.
type Part = fn(&mut Results) -> Result<()>;

/// Runs everything. The last line of the output is `N passed, N failed`.
///
/// # Errors
/// When something cannot be run at all.
pub fn run() -> Result<ExitCode> {
    // First, because unit tests use PHP too.
    install_packages()?;
    let mut results = Results::default();
    let parts: [(&str, Part); 3] =
        [("checks", checks), ("unit tests", unit_tests), ("tests on a node", tests_on_a_node)];
    for (name, part) in parts {
        if let Err(error) = part(&mut results) {
            eprintln!("{name}: {error:#}");
            results.count_one(false);
        }
    }
    println!("{results}");
    Ok(results.exit_code())
}

fn checks(results: &mut Results) -> Result<()> {
    results.add(check::results()?, true);
    Ok(())
}

fn tests_on_a_node(results: &mut Results) -> Result<()> {
    let built = Build::Debug.run()?;
    Build::Debug.attempts()?;
    behaviour_tests(results, &built)?;
    if browser_tests_directory().join("package.json").exists() {
        browser_tests(results, &built)?;
    }
    Ok(())
}

/// What [`run`] needs of Debian. Needs root.
///
/// # Errors
/// When apt cannot install it.
pub fn install_as_root() -> Result<()> {
    packages::ensure()?;
    packages::install_missing(&CONFINEMENT, &[])?;
    packages::install_missing(&CLIENTS, &[])?;
    if browser_tests_directory().join("package.json").exists() {
        packages::install_missing(&BROWSER, &[])?;
        if Program::new("npm").with_our_environment().arg("--version").text().is_err() {
            packages::install_missing(&NODE_JS, &[])?;
        }
    }
    Ok(())
}

fn install_packages() -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return install_as_root();
    }
    let status = sudo()?.arg(process::ourselves()?).arg("install").status()?;
    ensure!(status.success(), "the Debian packages could not be installed");
    Ok(())
}

fn unit_tests(results: &mut Results) -> Result<()> {
    let tests = ["test", "--workspace", "--exclude", "latchkey-tests", "--exclude", "latchkey-bench", "--no-fail-fast"];
    count(results, &cargo().args(tests), Results::count_line)?;
    count(results, &cargo_of_plugins().args(["test", "--workspace", "--locked", "--no-fail-fast"]), Results::count_line)
}

fn behaviour_tests(results: &mut Results, built: &Path) -> Result<()> {
    let tests = cargo().args(["test", "--package", "latchkey-tests", "--no-fail-fast"]).env(BUILT, built);
    count(results, &as_root(tests), Results::count_line)
}

/// Has cargo run what it builds as root. The build stays ours.
pub(crate) fn as_root(cargo: Program) -> Program {
    if rustix::process::geteuid().is_root() {
        return cargo;
    }
    let runner = format!("target.'cfg(unix)'.runner = ['sudo', '--preserve-env=CI,PATH,{BUILT}', '--']");
    cargo.arg("--config").arg(runner)
}

fn browser_tests_directory() -> PathBuf {
    workspace().join("tests/browser")
}

/// Runs the browser tests against a demo, whose ready file is named in `LATCHKEY_READY_FILE`.
fn browser_tests(results: &mut Results, built: &Path) -> Result<()> {
    let directory = browser_tests_directory();
    let npm = Program::new("npm").with_our_environment().directory(&directory);
    ensure!(npm.args(["ci", "--no-fund", "--no-audit"]).status()?.success(), "npm ci failed");
    let demo = RunningDemo::start(built)?;
    // The mails that the tests read are for the agent's user and root only.
    let node = if rustix::process::geteuid().is_root() {
        Program::new("node").with_our_environment()
    } else {
        sudo_with(&["PATH", READY_FILE])?.arg("node")
    };
    let node = node.args(["--test", "--test-reporter=tap"]).env(READY_FILE, &demo.ready_file).directory(&directory);
    let counted = count(results, &node, Results::count_tap_line);
    results.count_one(demo.stop()?);
    counted
}

fn count(results: &mut Results, program: &Program, read: impl Fn(&mut Results, &str)) -> Result<()> {
    let mut own = Results::default();
    let status = program.lines(|line| {
        println!("{line}");
        read(&mut own, line);
    })?;
    results.add(own, status.success());
    Ok(())
}

/// A demo in a process of its own.
struct RunningDemo {
    child: Child,
    ready_file: PathBuf,
}

impl RunningDemo {
    fn start(built: &Path) -> Result<Self> {
        let directory = cache();
        std::fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
        let ready_file = directory.join(format!("ready-{}.json", random::word(6)?));
        let ourselves = process::ourselves()?;
        let demo = if rustix::process::geteuid().is_root() { Program::new(ourselves) } else { sudo()?.arg(ourselves) };
        let child = demo
            .with_our_environment()
            .args(["demo", "--built"])
            .arg(built)
            .arg("--ready-file")
            .arg(&ready_file)
            .background()?;
        let mut demo = Self { child, ready_file };
        let ready = Deadline::after(Duration::from_mins(1))
            .wait_until(|| demo.ready_file.exists() || !matches!(demo.child.try_wait(), Ok(None)));
        if !ready || !demo.ready_file.exists() {
            demo.stop()?;
            anyhow::bail!("the demo did not start");
        }
        Ok(demo)
    }

    /// Ends it; true if it took everything down.
    fn stop(mut self) -> Result<bool> {
        let pid = self.child.id();
        if rustix::process::geteuid().is_root() {
            let pid = Pid::from_raw(pid.cast_signed()).context("the demo has a process id")?;
            // An error means that it has ended.
            let _ = rustix::process::kill_process(pid, Signal::TERM);
        } else {
            sudo()?.args(["kill", "-TERM"]).arg(pid.to_string()).status()?;
        }
        Ok(self.child.wait().context("wait for the demo")?.success())
    }
}

fn sudo() -> Result<Program> {
    sudo_with(&[])
}

/// sudo that lets these variables through.
fn sudo_with(variables: &[&str]) -> Result<Program> {
    let sudo = Path::new("/usr/bin/sudo");
    ensure!(sudo.exists(), "this needs root: install sudo or run it as root");
    let keep = (!variables.is_empty()).then(|| format!("--preserve-env={}", variables.join(",")));
    Ok(Program::new(sudo).with_our_environment().args(keep).arg("--"))
}
