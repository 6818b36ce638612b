//! What a new adapter begins with, in each language: the files of `plugins/templates`, and with them the SDK and the WIT as
//! they are in this repository. They are in the program, so that nothing has to be fetched.

use clap::ValueEnum;
use latchkey_access::AdapterName;

/// Stands in a template where the adapter's name goes.
const NAME: &str = "{{name}}";

/// A language that there is a template in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    /// Rust, for wasm32-wasip2.
    Rust,
    /// JavaScript, in QuickJS.
    Js,
}

/// A file of a template.
#[derive(Debug, Clone, Copy)]
pub(super) struct File {
    /// Where it goes in the new folder.
    pub(super) path: &'static str,
    text: &'static str,
}

impl File {
    /// What is in it for an adapter of this name.
    pub(super) fn text_for(&self, name: &AdapterName) -> String {
        self.text.replace(NAME, name.as_str())
    }
}

impl Language {
    /// All of them.
    #[cfg(test)]
    pub(super) const ALL: [Self; 2] = [Self::Rust, Self::Js];

    /// As it is written on the command line.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Js => "js",
        }
    }

    /// All files of its template.
    pub(super) fn files(self) -> impl Iterator<Item = &'static File> {
        let parts: &[&[File]] = match self {
            Self::Rust => &[RUST, RUST_SDK, RUST_WIT],
            Self::Js => &[JS, JS_WIT],
        };
        parts.iter().copied().flatten()
    }
}

/// Files of one folder of the repository, with the folder of the new adapter that they go to.
macro_rules! files {
    ($from:literal to $to:literal: $($path:literal)+) => {
        &[$(File {
            path: concat!($to, $path),
            text: include_str!(concat!("../../../../../", $from, $path)),
        },)+]
    };
}

macro_rules! wit {
    (to $to:literal) => {
        files!("wit/latchkey-adapter@0.1.0/" to $to:
            "accounts.wit" "certificates.wit" "clock.wit" "cloudflare.wit" "command.wit" "config-file.wit" "cron.wit" "crontab.wit"
            "databases.wit" "dns.wit" "domains.wit" "edge-cache.wit" "ftp-accounts.wit" "http.wit" "log.wit" "logs.wit"
            "mail.wit" "mysql.wit" "phpmyadmin.wit"
            "state.wit" "types.wit" "world.wit"
        )
    };
}

const RUST: &[File] = files!("plugins/templates/rust/" to "":
    ".gitignore" "Cargo.lock" "Cargo.toml" "README.md" "adapter.toml" "clippy.toml" "rustfmt.toml" "src/lib.rs"
    "src/platform.rs" "src/tests.rs"
);
const RUST_SDK: &[File] = files!("plugins/sdk/" to "sdk/":
    "Cargo.toml" "src/bindings.rs" "src/clock.rs" "src/command.rs" "src/config_file.rs" "src/crontab.rs" "src/error.rs" "src/exports.rs"
    "src/fake.rs" "src/fake/command.rs" "src/fake/config_file.rs" "src/fake/crontab.rs" "src/fake/http.rs" "src/fake/mysql.rs" "src/http.rs"
    "src/lib.rs" "src/log.rs" "src/mysql.rs" "src/panics.rs" "src/state.rs"
);
const RUST_WIT: &[File] = wit!(to "sdk/wit/");
const JS: &[File] = files!("plugins/templates/js/" to "":
    ".gitignore" "README.md" "adapter.toml" "package-lock.json" "package.json" "sdk/fake.js" "sdk/index.js" "sdk/text.js"
    "src/adapter.js" "src/main.js" "src/platform.js" "test/adapter.test.js" "test/sdk.test.js" "wit/world.wit"
);
const JS_WIT: &[File] = wit!(to "wit/deps/latchkey-adapter/");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The files beneath a folder of the repository, without what a build leaves there.
    fn repository(folder: &str) -> BTreeSet<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
        let mut found = BTreeSet::new();
        let mut open = vec![root.clone()];
        while let Some(next) = open.pop() {
            for path in fs::read_dir(&next).unwrap().map(|entry| entry.unwrap().path()) {
                let is_built = ["target", "node_modules"].iter().any(|built| path.ends_with(built));
                match path.is_dir() {
                    _ if is_built => {}
                    true => open.push(path),
                    false => drop(found.insert(path.strip_prefix(&root).unwrap().display().to_string())),
                }
            }
        }
        found
    }

    #[track_caller]
    fn check(folder: &str, to: &str, files: &[File]) {
        let ours = files.iter().map(|file| file.path.strip_prefix(to).unwrap().to_owned());
        assert_eq!(ours.collect::<BTreeSet<_>>(), repository(folder), "{folder}");
    }

    #[test]
    fn a_template_has_every_file_that_is_in_the_repository() {
        check("plugins/templates/rust", "", RUST);
        check("wit/latchkey-adapter@0.1.0", "sdk/wit/", RUST_WIT);
        let sdk = [RUST_SDK, RUST_WIT].concat();
        check("plugins/sdk", "sdk/", &sdk);
        check("plugins/templates/js", "", JS);
        check("wit/latchkey-adapter@0.1.0", "wit/deps/latchkey-adapter/", JS_WIT);
    }
}
