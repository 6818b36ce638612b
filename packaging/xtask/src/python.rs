//! Python with the packages that some tests run: an environment of its own, made from a list of versions with hashes.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::build::{cache, workspace};
use crate::process::Program;

/// The Python of what explores the agent's interfaces, as [`environment_of`].
///
/// # Errors
/// As [`environment_of`].
pub fn environment() -> Result<PathBuf> {
    environment_of("schemathesis")
}

/// The Python with the packages that `tests/NAME/requirements.txt` lists, after making its environment if it is not
/// there or not of the present list. Blocks, then for a minute; one at a time.
///
/// # Errors
/// When the packages cannot be installed, or are not those that the list names.
pub fn environment_of(name: &str) -> Result<PathBuf> {
    static MAKING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let list = workspace().join("tests").join(name).join("requirements.txt");
    let wanted = fs::read_to_string(&list).with_context(|| format!("read {}", list.display()))?;
    let directory = cache().join("tools/python").join(name);
    let (python, made_from) = (directory.join("bin/python"), directory.join("made-from.txt"));
    if fs::read_to_string(&made_from).is_ok_and(|text| text == wanted) {
        return Ok(python);
    }
    println!("Installing the Python packages of the tests (once) ...");
    Program::new("/usr/bin/python3").args(["-m", "venv", "--clear"]).arg(&directory).text()?;
    Program::new(&python)
        .with_our_environment()
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"])
        // sslyze comes as source only; it is all Python.
        .args(["--only-binary", ":all:", "--no-binary", "sslyze", "--requirement"])
        .arg(&list)
        .text()?;
    // Last: what was broken off is made anew.
    fs::write(&made_from, wanted).with_context(|| format!("write {}", made_from.display()))?;
    Ok(python)
}
