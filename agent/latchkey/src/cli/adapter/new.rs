//! `latchkey adapter new`: a folder that an adapter can be begun in. Needs no agent, no root and no configuration.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use latchkey_access::AdapterName;
use serde_json::{Value, json};

use super::template::Language;
use crate::cli::Answer;
use crate::cli::client::{CallError, Reply};
use crate::cli::view::{at, cell};

/// `latchkey adapter new`.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// What the adapter will be called.
    name: AdapterName,
    /// What it will be written in.
    #[arg(long)]
    lang: Language,
    /// The folder to make; without it, one with the adapter's name, here.
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl New {
    pub(super) fn run(&self) -> Result<Answer, CallError> {
        let folder = self.folder.clone().unwrap_or_else(|| self.name.as_str().into());
        make(&folder, self.lang, &self.name)?;
        let json = json!({ "name": self.name, "lang": self.lang.as_str(), "folder": folder });
        Ok(Answer::new(Reply { text: json.to_string(), json }, told))
    }
}

/// Makes the folder whole or not at all.
fn make(folder: &Path, language: Language, name: &AdapterName) -> Result<(), CallError> {
    let is_there = || CallError::Argument { argument: "DIR", what: format!("{} is there already", folder.display()) };
    if fs::symlink_metadata(folder).is_ok() {
        return Err(is_there());
    }
    let beside = beside(folder).ok_or_else(is_there)?;
    fs::create_dir(&beside).map_err(fault("make", &beside))?;
    let made = write(&beside, language, name)
        // Onto a folder that came to be there meanwhile: never, unless it is empty.
        .and_then(|()| fs::rename(&beside, folder).map_err(fault("make", folder)));
    if made.is_err() {
        // Why it failed says more than why this might.
        drop(fs::remove_dir_all(&beside));
    }
    made
}

/// Where the folder is while it is being written, on the same file system; `None` for a path that only names what is there.
fn beside(folder: &Path) -> Option<PathBuf> {
    let name = folder.file_name()?.to_string_lossy();
    Some(folder.with_file_name(format!(".{name}.new-{}", std::process::id())))
}

fn write(folder: &Path, language: Language, name: &AdapterName) -> Result<(), CallError> {
    for file in language.files() {
        let path = folder.join(file.path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(fault("make", parent))?;
        fs::write(&path, file.text_for(name)).map_err(fault("write", &path))?;
    }
    Ok(())
}

fn fault(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CallError {
    let path = path.to_owned();
    move |source| CallError::Adapter { attempt, path, source }
}

fn told(reply: &Value) -> String {
    let folder = cell(at(reply, "folder"));
    format!(
        "{} is begun in {folder}: {folder}/README.md says how to build, test and install it.",
        cell(at(reply, "name"))
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn name() -> AdapterName {
        "first".parse().unwrap()
    }

    /// All files beneath a folder, by their paths in it.
    fn files(folder: &Path) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut open = vec![folder.to_owned()];
        while let Some(next) = open.pop() {
            for entry in fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    found.insert(path.strip_prefix(folder).unwrap().display().to_string());
                }
            }
        }
        found
    }

    #[test]
    fn a_new_folder_has_everything_and_its_own_name_in_it() {
        for language in Language::ALL {
            let ground = tempfile::tempdir().unwrap();
            let folder = ground.path().join("mine");
            make(&folder, language, &name()).unwrap();
            let written = files(&folder);
            assert_eq!(written, language.files().map(|file| file.path.to_owned()).collect());
            for file in &written {
                let text = fs::read_to_string(folder.join(file)).unwrap();
                assert!(!text.contains("{{name}}"), "{file}");
            }
            let manifest = fs::read_to_string(folder.join("adapter.toml")).unwrap();
            let manifest: crate::adapters::installed::Manifest = toml::from_str(&manifest).unwrap();
            assert_eq!(manifest.name, name());
            assert_eq!(fs::read_dir(ground.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn what_is_there_stays_as_it_is() {
        let ground = tempfile::tempdir().unwrap();
        let at = |name: &str| ground.path().join(name);
        fs::create_dir(at("empty")).unwrap();
        fs::write(at("file"), "mine").unwrap();
        std::os::unix::fs::symlink("nowhere", at("link")).unwrap();
        for taken in [at("empty"), at("file"), at("link"), at("empty/.."), "/".into()] {
            let refused = make(&taken, Language::Rust, &name()).unwrap_err();
            assert!(refused.to_string().ends_with("is there already"), "{refused}");
            assert_eq!(refused.exit_code(), 2);
        }
        assert_eq!(files(ground.path()), ["file", "link"].map(str::to_owned).into());
        assert_eq!(fs::read_to_string(at("file")).unwrap(), "mine");
    }

    #[test]
    fn nothing_is_left_of_what_could_not_be_finished() {
        let ground = tempfile::tempdir().unwrap();
        assert!(make(&ground.path().join("no/where"), Language::Rust, &name()).is_err());
        // Somebody is faster, with something in it.
        let folder = ground.path().join("mine");
        let beside = beside(&folder).unwrap();
        fs::create_dir(&beside).unwrap();
        let refused = make(&folder, Language::Rust, &name()).unwrap_err();
        assert!(refused.to_string().starts_with("cannot make"), "{refused}");
        fs::remove_dir(&beside).unwrap();
        let full = write(Path::new("/dev/full"), Language::Rust, &name()).unwrap_err();
        assert!(full.to_string().starts_with("cannot make"), "{full}");
        assert_eq!(fs::read_dir(ground.path()).unwrap().count(), 0);
    }
}
