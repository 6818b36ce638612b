//! The versions of PHP that hostings run: this Debian's own, and those of an older and a newer one beside it.
//!
//! The others come unpacked, with their own C library. They are copied into the node's root, where every system user
//! can reach them, and told there where their loader and libraries are; so they are programs like any other, without a
//! changed root or mounts that the agent would have to know of.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{packages, release};
use crate::process::Program;

/// A version of PHP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PhpVersion {
    /// 7.4, the oldest that the bridge promises; of Debian 11.
    V7_4,
    /// 8.2, of Debian 12.
    #[default]
    V8_2,
    /// 8.4, the newest that the bridge promises; of Debian 13.
    V8_4,
}

/// Extensions of WordPress, as Debian's packages are called.
const EXTENSIONS: [&str; 8] = ["curl", "gd", "intl", "mbstring", "mysql", "opcache", "xml", "zip"];
/// What other extensions need comes first.
const FIRST: [&str; 3] = ["mysqlnd", "pdo", "dom"];
/// Left out: it is of no use to WordPress.
const WITHOUT: [&str; 1] = ["ffi"];

impl PhpVersion {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::V7_4, Self::V8_2, Self::V8_4];

    /// As in names of programs and packages.
    #[must_use]
    pub const fn number(self) -> &'static str {
        match self {
            Self::V7_4 => "7.4",
            Self::V8_2 => "8.2",
            Self::V8_4 => "8.4",
        }
    }

    /// The name of its php-fpm on a node.
    pub(crate) const fn daemon(self) -> &'static str {
        match self {
            Self::V7_4 => "php-fpm-7.4",
            Self::V8_2 => "php-fpm",
            Self::V8_4 => "php-fpm-8.4",
        }
    }

    const fn release(self) -> Option<&'static str> {
        match self {
            Self::V7_4 => Some("bullseye"),
            Self::V8_2 => None,
            Self::V8_4 => Some("trixie"),
        }
    }

    /// The program of the command line, on a node with this root.
    #[must_use]
    pub fn binary(self, root: &Path) -> PathBuf {
        self.program(root, "php", "/usr/bin")
    }

    /// The program that serves pools.
    pub(crate) fn fpm(self, root: &Path) -> PathBuf {
        self.program(root, "php-fpm", "/usr/sbin")
    }

    /// The configuration file that it needs to be told of.
    #[must_use]
    pub fn ini(self, root: &Path) -> Option<PathBuf> {
        self.release().map(|_| self.directory(root).join("php.ini"))
    }

    /// Its directory, if it is not of this Debian: all that it reads and executes lies there.
    pub(crate) fn libraries(self, root: &Path) -> Option<PathBuf> {
        self.release().map(|_| self.directory(root))
    }

    fn program(self, root: &Path, name: &str, installed: &str) -> PathBuf {
        let directory = self.release().map_or_else(|| PathBuf::from(installed), |_| self.directory(root));
        directory.join(format!("{name}{}", self.number()))
    }

    fn directory(self, root: &Path) -> PathBuf {
        root.join(format!("php-{}", self.number()))
    }

    /// Makes it usable on a node. Blocks: a second, or a minute when it has to be downloaded. Safe to repeat.
    ///
    /// # Errors
    /// When it cannot be downloaded or does not run.
    pub(crate) fn ensure(self, root: &Path) -> Result<()> {
        let (Some(release), home) = (self.release(), self.directory(root)) else { return Ok(()) };
        if home.exists() {
            return Ok(());
        }
        packages::install_missing(&["patchelf"], &[])?;
        let number = self.number();
        let named = ["cli", "fpm"].iter().chain(&EXTENSIONS).map(|part| format!("php{number}-{part}"));
        let named: Vec<String> = named.collect();
        let named: Vec<&str> = named.iter().map(String::as_str).collect();
        let unpacked = release::unpacked(&format!("php-{number}"), release, &named)?;
        self.copy(&unpacked, &home).with_context(|| format!("copy PHP {number} into the node"))?;
        let says = Program::new(self.binary(root)).arg("-c").arg(home.join("php.ini")).arg("-v").text()?;
        anyhow::ensure!(says.starts_with(&format!("PHP {number}.")), "PHP {number} says {says}");
        Ok(())
    }

    fn copy(self, unpacked: &Path, home: &Path) -> Result<()> {
        let number = self.number();
        let (libraries, extensions) = (home.join("lib"), home.join("extensions"));
        fs::create_dir_all(&libraries)?;
        fs::create_dir_all(&extensions)?;
        let programs = [format!("usr/bin/php{number}"), format!("usr/sbin/php-fpm{number}")];
        let programs: Vec<PathBuf> = programs.iter().map(|program| unpacked.join(program)).collect();
        let interpreter = Program::new("patchelf").arg("--print-interpreter").args(programs.first()).text()?;
        let loader = interpreter.trim().rsplit('/').next().unwrap_or_default();
        // Older releases keep the C library beside /usr.
        for place in ["lib", "usr/lib"] {
            for directory in matching(&unpacked.join(place), |name| name.ends_with("-linux-gnu")) {
                copy_all(matching(&directory, |name| name.contains(".so")), &libraries)?;
            }
        }
        for api in matching(&unpacked.join("usr/lib/php"), |name| name.bytes().all(|byte| byte.is_ascii_digit())) {
            copy_all(matching(&api, |name| name.ends_with(".so")), &extensions)?;
        }
        for program in &programs {
            let copy = home.join(program.file_name().context("a program has a name")?);
            fs::copy(program, &copy)?;
            Program::new("patchelf")
                .arg("--set-interpreter")
                .arg(libraries.join(loader))
                .args(["--force-rpath", "--set-rpath"])
                .arg(&libraries)
                .arg(&copy)
                .text()?;
        }
        fs::write(home.join("php.ini"), configuration(&extensions)?)?;
        Ok(())
    }
}

fn configuration(extensions: &Path) -> Result<String> {
    let mut names: Vec<String> = matching(extensions, |name| name.ends_with(".so"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .filter(|name| !WITHOUT.contains(&name.as_str()))
        .collect();
    names.sort_by_key(|name| (!FIRST.contains(&name.as_str()), name.clone()));
    let mut text = format!("extension_dir = {}\n", extensions.display());
    for name in names {
        let kind = if name == "opcache" { "zend_extension" } else { "extension" };
        text.push_str(&format!("{kind} = {name}\n"));
    }
    Ok(text)
}

/// The entries of a directory whose names are asked for; none of one that does not exist.
fn matching(directory: &Path, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(move |entry| entry.file_name().to_str().is_some_and(&wanted)).map(|entry| entry.path())
}

/// Copies files, and links as they are.
fn copy_all(files: impl Iterator<Item = PathBuf>, to: &Path) -> Result<()> {
    Program::new("cp").args(["--no-dereference", "--target-directory"]).arg(to).args(files).text().map(drop)
}
