//! `cargo xtask bench`: runs the programs of `packaging/bench` against a node and prints their ratios in one table.
//!
//! It does not judge: a shared machine is no judge of speed. The exit code says only whether everything ran.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use tempfile::TempDir;

use crate::build::{Build, cache, cargo, target, workspace};
use crate::node::{Node, Options, Storage, packages, release};
use crate::process::{self, Program};
use crate::random;

/// The programs, in the order of the table.
const PROGRAMS: [&str; 8] = ["decide", "read", "login", "scale", "hostile", ADAPTER, SFTP, FILES];

/// Those that need files on a disk; the first one OpenSSH's and another FTP server beside it, too.
const SFTP: &str = "sftp";
const FILES: &str = "files";

/// The one that needs adapters, and a static program beside them.
const ADAPTER: &str = "adapter";

/// What design asks of a figure, by how its name begins.
const GOALS: [(&str, &str); 23] = [
    ("adapter rust call", "0.25 or less"),
    ("adapter js call", "0.7 or less"),
    ("read beside two adapters", "1.5 or less"),
    ("read, 16 connections, processor", "0.8 or more"),
    ("read, 16 connections", "0.8 or more"),
    ("read, 1 connections", "0.8 or more"),
    ("sso", "1 or less"),
    ("start", "1 or less"),
    ("memory", "1 or less"),
    ("beside", "2 or less"),
    ("peak memory", "1 or less"),
    ("sftp OpenSSH get", "1.5 or more"),
    ("sftp OpenSSH put", "1.5 or more"),
    ("sftp OpenSSH cold", "1 or more"),
    ("sftp-cpu OpenSSH get", "0.5 or less"),
    ("sftp-cpu OpenSSH put", "0.5 or less"),
    ("sftp rclone get", "2.5 or more"),
    ("sftp rclone put", "2.5 or more"),
    ("small files OpenSSH", "more than 1"),
    ("sftp revoke", "1 or less"),
    ("sftp idle", "1 or less"),
    ("sftp slow", "1 or less"),
    ("sftp stuck", "1 or less"),
];

/// The arguments of the benchmarks.
#[derive(Args, Debug)]
pub struct Bench {
    /// Run these only: decide, read, login, scale, hostile, adapter, sftp, files.
    #[arg(value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(PROGRAMS))]
    only: Vec<String>,
    /// Directory with the programs of the agent and of the benchmarks, built already.
    #[arg(long, value_name = "DIR", hide = true)]
    built: Option<PathBuf>,
}

impl Bench {
    /// Builds in the release profile, starts a node, runs the programs one after the other and prints the table.
    ///
    /// # Errors
    /// When anything does not build, start or run. Missed goals are no errors.
    pub fn run(self) -> Result<()> {
        let built = match &self.built {
            Some(directory) => directory.clone(),
            None => build(&self.programs())?,
        };
        if !rustix::process::geteuid().is_root() {
            return self.run_with_sudo(&built);
        }
        packages::ensure()?;
        let (on_disk, in_memory): (Vec<_>, Vec<_>) =
            self.programs().into_iter().partition(|name| [SFTP, FILES].contains(name));
        let mut figures = Vec::new();
        for (names, storage) in [(in_memory, Storage::MemoryFirst), (on_disk, Storage::Disk)] {
            if !names.is_empty() {
                figures.extend(measure(&built, &names, storage)?);
            }
        }
        println!("\n{}", Table(&figures));
        Ok(())
    }

    fn programs(&self) -> Vec<&'static str> {
        let is_wanted = |name: &&str| self.only.is_empty() || self.only.iter().any(|only| only == name);
        PROGRAMS.into_iter().filter(is_wanted).collect()
    }

    /// Builds as who we are, so that the build's output stays ours, and becomes the same as root.
    fn run_with_sudo(&self, built: &Path) -> Result<()> {
        let ourselves = process::ourselves()?;
        Program::new("sudo")
            .with_our_environment()
            .arg("--")
            .arg(ourselves)
            .args(["bench", "--built"])
            .arg(built)
            .args(self.only.iter().cloned())
            .replace_us()
    }
}

/// Runs programs beside one node. What they print is printed.
fn measure(built: &Path, names: &[&str], storage: Storage) -> Result<Vec<Figure>> {
    let ready_file = ready_file()?;
    let options =
        Options { build: Build::Ready(built.into()), ready_file: Some(ready_file.clone()), ..Options::demo() };
    let node = Node::start(Options { storage, ..options })?;
    let mut figures = Vec::new();
    for name in names {
        println!("\n{name}");
        let mut program = Program::new(built.join(name)).env("LATCHKEY_READY_FILE", &ready_file);
        if *name == SFTP {
            packages::install_missing(&["rclone"], &[])?;
            let openssh = release::unpacked("openssh-server", "bookworm", &["openssh-server"])?;
            let vsftpd = release::unpacked("vsftpd", "bookworm", &["vsftpd"])?;
            program = program.env("LATCHKEY_OPENSSH", openssh).env("LATCHKEY_VSFTPD", vsftpd);
        }
        let components = (*name == ADAPTER).then(|| components(built)).transpose()?;
        if let Some(components) = &components {
            let config = install_hostile(built, &node, components.path())?;
            program = program.env("LATCHKEY_COMPONENTS", components.path()).env("LATCHKEY_CONFIG", config);
        }
        let status = program.lines(|line| {
            println!("  {line}");
            figures.extend(Figure::parse(line));
        })?;
        ensure!(status.success(), "{name} ended with {status}");
    }
    node.take_down()?;
    Ok(figures)
}

fn build(names: &[&str]) -> Result<PathBuf> {
    let built = Build::Release.run()?;
    let mut bench = cargo().args(["build", "--release", "--package", "latchkey-bench"]);
    for name in names {
        bench = bench.args(["--bin", *name]);
    }
    if names.contains(&"decide") {
        bench = bench.args(["--features", "decide"]);
    }
    let status = bench.status()?;
    ensure!(status.success(), "the build failed");
    Ok(built)
}

/// The adapter that `latchkey adapter new` makes in each language, built as its README says, and a static program.
fn components(built: &Path) -> Result<TempDir> {
    let folder = tempfile::tempdir().context("make a folder for adapters")?;
    let (made, ready) = (folder.path().join("made"), folder.path());
    for (language, build) in [
        (
            "rust",
            "cargo build --quiet --release --target wasm32-wasip2 --target-dir target && cp target/wasm32-wasip2/release/adapter.wasm .",
        ),
        ("js", "npm ci --silent && npm run build --silent"),
    ] {
        let adapter = made.join(language);
        fs::create_dir_all(&made)?;
        let new =
            Program::new(built.join("latchkey")).args(["adapter", "new", "bench", "--lang", language]).arg(&adapter);
        new.text()?;
        Program::new("sh").with_our_environment().args(["-c", build]).directory(&adapter).text()?;
        fs::copy(adapter.join("adapter.wasm"), ready.join(format!("{language}.wasm")))?;
    }
    let source = ready.join("static.rs");
    fs::write(&source, "fn main() {}\n")?;
    let compile = Program::new("rustc").with_our_environment().args(["-O", "-C", "target-feature=+crt-static", "-o"]);
    compile.arg(ready.join("static")).arg(&source).text()?;
    Ok(folder)
}

/// Installs adapters that never stop, with room for it; answers with the configuration of whoever calls them.
fn install_hostile(built: &Path, node: &Node, folder: &Path) -> Result<PathBuf> {
    let (paths, target) = (node.agent()?.paths(), target().join("adapters"));
    let build = ["build", "--quiet", "--locked", "--release", "--target", "wasm32-wasip2", "--target-dir"];
    cargo().directory(workspace().join("tests/adapters")).args(build).arg(&target).text()?;
    fs::create_dir_all(&paths.operators)?;
    for name in ["first", "second"] {
        let adapter = folder.join(name);
        fs::create_dir(&adapter)?;
        fs::copy(target.join("wasm32-wasip2/release/hostile.wasm"), adapter.join("adapter.wasm"))?;
        let manifest =
            format!("name = \"{name}\"\nversion = \"1.0.0\"\ntitle = \"Never stops\"\n\n[asks]\nstate = true\n");
        fs::write(adapter.join("adapter.toml"), manifest)?;
        let limits = "cpu_ms = 10000\nwall_ms = 10000\nhost_calls = 100000\n";
        let terms = format!("[grants]\nstate = true\n\n[limits]\n{limits}");
        fs::write(paths.operators.join(format!("{name}.toml")), terms)?;
        let install = Program::new(built.join("latchkey")).args(["adapter", "install", "--unsigned", "--config"]);
        install.arg(&paths.serve_config).arg(&adapter).text()?;
    }
    Ok(paths.serve_config.clone())
}

fn ready_file() -> Result<PathBuf> {
    let directory = cache();
    fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
    Ok(directory.join(format!("bench-{}.json", random::word(6)?)))
}

/// One line of a benchmark: `NAME: latchkey VALUE, OTHER VALUE, ratio NUMBER`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Figure {
    name: String,
    ours: String,
    other: String,
    ratio: String,
}

impl Figure {
    fn parse(line: &str) -> Option<Self> {
        let (name, rest) = line.split_once(": latchkey ")?;
        let (ours, rest) = rest.split_once(", ")?;
        let (other, ratio) = rest.split_once(", ratio ")?;
        Some(Self { name: name.into(), ours: ours.into(), other: other.into(), ratio: ratio.into() })
    }

    fn goal(&self) -> &'static str {
        GOALS.iter().find(|(start, _)| self.name.starts_with(start)).map_or("", |(_, goal)| goal)
    }
}

struct Table<'f>(&'f [Figure]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, ours: &str, other: &str, ratio: &str, goal: &str| {
            writeln!(formatter, "{name:34} {ours:>14}  {other:34} {ratio:>7}  {goal}")
        };
        line("median of each", "latchkey", "beside it", "ratio", "goal")?;
        self.0
            .iter()
            .try_for_each(|figure| line(&figure.name, &figure.ours, &figure.other, &figure.ratio, figure.goal()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_a_ratio_is_a_figure() {
        let figure = Figure::parse("decide: latchkey 31 ns, cedar-policy 9000 ns, ratio 290.3");
        let expected = Figure {
            name: "decide".into(),
            ours: "31 ns".into(),
            other: "cedar-policy 9000 ns".into(),
            ratio: "290.3".into(),
        };
        assert_eq!(figure, Some(expected));
    }

    #[test]
    fn other_lines_are_not() {
        assert_eq!(Figure::parse("100000 shares, 20000 questions, 9000 allowed; both give the same answers"), None);
    }
}
