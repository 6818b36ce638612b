//! Builds the programs of the agent and the adapters that come with it, with cargo.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::process::Program;

/// The programs that make up the agent.
pub const PROGRAMS: [&str; 7] = [
    "latchkey",
    "latchkey-broker",
    "latchkey-compiler",
    "latchkey-files",
    "latchkey-ftpauth",
    "latchkey-php",
    "latchkey-runner",
];

/// The packages that they are in. What stands apart is built apart: cargo gives a library all features that anything built
/// with it asks for, and the runner must not have the compiler in it.
const PACKAGES: [&[&str]; 2] =
    [&["latchkey-runner"], &["latchkey", "latchkey-broker", "latchkey-compiler", "latchkey-files", "latchkey-php"]];

/// The adapter that nodes have, beside the programs of the agent.
pub const NODES_ADAPTER: &str = "linux";

/// What adapters are built for.
const WASM: &str = "wasm32-wasip2";

/// The variable that names the directory with the programs, for tests whose caller has built them.
pub const BUILT: &str = "LATCHKEY_BUILT";

/// How the agent's programs come to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Build {
    /// `cargo build --release`: what is measured.
    Release,
    /// `cargo build`: what tests use.
    Debug,
    /// They are in this directory already.
    Ready(PathBuf),
}

impl Build {
    /// The programs that our caller built, else the debug build.
    #[must_use]
    pub fn for_tests() -> Self {
        setting(BUILT).map_or(Self::Debug, |directory| Self::Ready(directory.into()))
    }

    /// Builds, and returns the directory with the programs. Honours `CARGO_TARGET_DIR`. Blocks, possibly for minutes.
    ///
    /// # Errors
    /// When the build fails.
    pub fn run(&self) -> Result<PathBuf> {
        let profile: &[&str] = match self {
            Self::Release => &["--release"],
            Self::Debug => &[],
            Self::Ready(directory) => return Ok(directory.clone()),
        };
        let mut directory = None;
        for packages in PACKAGES {
            let packages = packages.iter().flat_map(|package| ["--package", package]);
            let executable = last_executable(&cargo().args(["build"]).args(profile).args(packages))?;
            directory = executable.parent().map(Path::to_path_buf);
        }
        let directory = directory.context("the programs lie in a directory")?;
        let component = shipped_adapter(NODES_ADAPTER)?;
        let beside = directory.join(component_of(NODES_ADAPTER));
        fs::copy(&component, &beside).with_context(|| format!("copy {}", component.display()))?;
        Ok(directory)
    }

    /// Builds the program by which tests try from inside what a process must not be able to do, and returns it. What is
    /// ready has to have been built so.
    ///
    /// # Errors
    /// When the build fails.
    pub fn attempts(&self) -> Result<PathBuf> {
        match self {
            Self::Ready(directory) => Ok(directory.join("examples/attempts")),
            _ => last_executable(&cargo().args(["build", "--package", "latchkey-php", "--example", "attempts"])),
        }
    }
}

/// Builds an adapter that comes with the agent from its source, and returns the component.
///
/// # Errors
/// When the build fails.
pub fn shipped_adapter(name: &str) -> Result<PathBuf> {
    let package = format!("latchkey-{name}");
    let build = ["build", "--quiet", "--locked", "--release", "--target", WASM, "--package", &package];
    cargo_of_plugins().args(build).text()?;
    Ok(target().join("plugins").join(WASM).join("release").join(component_of(name)))
}

/// The file name of an adapter's component.
#[must_use]
pub fn component_of(name: &str) -> String {
    format!("{name}.wasm")
}

/// Runs a build and returns the last program that came of it.
fn last_executable(build: &Program) -> Result<PathBuf> {
    let mut executable = None;
    let status = build.clone().arg("--message-format=json-render-diagnostics").lines(|line| {
        let message: Value = serde_json::from_str(line).unwrap_or_default();
        if let Some(path) = message.get("executable").and_then(Value::as_str) {
            executable = Some(PathBuf::from(path));
        }
    })?;
    ensure!(status.success(), "the build failed");
    executable.context("cargo named no executable")
}

/// The directory of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// The cargo that we were started by, in the workspace.
#[must_use]
pub fn cargo() -> Program {
    Program::new(setting("CARGO").unwrap_or_else(|| "cargo".into())).with_our_environment().directory(workspace())
}

/// The same in `plugins`, a workspace of its own, which is built beside ours.
#[must_use]
pub fn cargo_of_plugins() -> Program {
    cargo().directory(workspace().join("plugins")).env("CARGO_TARGET_DIR", target().join("plugins"))
}

/// Where builds go; those of other workspaces to folders of their own in it, since cargo tells crates of two workspaces
/// apart by their places in these only.
#[must_use]
pub fn target() -> PathBuf {
    workspace().join(setting("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// A setting that only the environment can make (cargo's, sudo's, CI's).
#[must_use]
pub fn setting(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// Where tools and downloads of ours are kept between runs.
#[must_use]
pub fn cache() -> PathBuf {
    let cache = setting("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(setting("HOME").unwrap_or_else(|| "/root".into())).join(".cache");
    cache.unwrap_or_else(home).join("latchkey")
}
