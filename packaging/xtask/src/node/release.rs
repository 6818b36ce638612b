//! Packages of other Debian releases, downloaded by apt into a private root and unpacked into the cache: nothing of them
//! is installed on the machine.
//!
//! What is in the cache is used as it is. To get newer versions, remove its folder `debian`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result, ensure};

use crate::build::cache;
use crate::mutex::lock;
use crate::process::Program;

const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// One download at a time in this process; between processes the rename decides.
static DOWNLOADING: Mutex<()> = Mutex::new(());

/// The packages `wanted` of `release` with all they need, unpacked into one folder named `name`. Blocks, for a minute
/// the first time. Safe to repeat.
///
/// # Errors
/// When apt cannot download them; the error says from where.
pub(crate) fn unpacked(name: &str, release: &str, wanted: &[&str]) -> Result<PathBuf> {
    let _alone = lock(&DOWNLOADING);
    let ready = cache().join("debian").join(name);
    if ready.exists() {
        return Ok(ready);
    }
    println!("Downloading {} of Debian {release} ...", wanted.join(" "));
    let scratch = cache().join("debian").join(format!(".{name}-{}", std::process::id()));
    let made = fill(&scratch, release, wanted)
        .and_then(|unpacked| fs::rename(&unpacked, &ready).with_context(|| format!("create {}", ready.display())));
    let removed = fs::remove_dir_all(&scratch).with_context(|| format!("remove {}", scratch.display()));
    // Whoever else was faster has made the same.
    made.or_else(|error| if ready.exists() { Ok(()) } else { Err(error) })
        .with_context(|| format!("the tests need packages of Debian {release}, which apt could not get"))?;
    removed.map(|()| ready)
}

fn fill(scratch: &Path, release: &str, wanted: &[&str]) -> Result<PathBuf> {
    for directory in ["state/lists/partial", "cache/archives/partial", "unpacked"] {
        let path = scratch.join(directory);
        fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
    }
    fs::write(scratch.join("status"), "").context("write an empty list of installed packages")?;
    let source = format!("deb [signed-by={KEYS}] {} {release} main\n", mirror()?);
    fs::write(scratch.join("sources.list"), source).context("write the list of sources")?;
    let apt = || {
        let set = |name: &str, value: &Path| ["-o".to_owned(), format!("{name}={}", value.display())];
        Program::new("apt-get")
            .with_our_environment()
            .args(["-qq", "-o", "Dir::Etc::sourceparts=-", "-o", "Dir::Etc::preferencesparts=-"])
            .args(["-o", "APT::Sandbox::User=root"])
            .args(set("Dir::State", &scratch.join("state")))
            .args(set("Dir::State::status", &scratch.join("status")))
            .args(set("Dir::Cache", &scratch.join("cache")))
            .args(set("Dir::Etc::sourcelist", &scratch.join("sources.list")))
    };
    apt().arg("update").text()?;
    apt().args(["install", "--yes", "--no-install-recommends", "--download-only"]).args(wanted).text()?;
    let unpacked = scratch.join("unpacked");
    for entry in fs::read_dir(scratch.join("cache/archives")).context("list the downloaded packages")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            Program::new("dpkg-deb").arg("-x").arg(&path).arg(&unpacked).text()?;
        }
    }
    keep_links_inside(&unpacked, &unpacked)?;
    Ok(unpacked)
}

/// The mirror that this machine gets its own packages from.
fn mirror() -> Result<String> {
    let format = "$(ORIGIN) $(SUITE) $(REPO_URI)";
    let targets = Program::new("apt-get").args(["indextargets", "--format", format, "Created-By: Packages"]).text()?;
    let is_debians =
        |line: &&str| line.starts_with("Debian ") && !line.contains("-security") && !line.contains("-updates");
    let found = targets.lines().find(is_debians).and_then(|line| line.rsplit(' ').next());
    let mirror = found.context("apt knows no mirror of Debian: is this a Debian, and did apt-get update run?")?;
    ensure!(mirror.contains("://"), "apt names {mirror} as a mirror of Debian");
    Ok(mirror.to_owned())
}

/// Has links that begin at the root of the file system begin at the root of what was unpacked, if it has their targets:
/// what packages only make when they are installed is the machine's own.
fn keep_links_inside(root: &Path, directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("list {}", directory.display()))? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            keep_links_inside(root, &path)?;
        } else if kind.is_symlink()
            && let Ok(target) = fs::read_link(&path)?.strip_prefix("/")
            && root.join(target).symlink_metadata().is_ok()
        {
            // Relative, because the folder is about to be renamed.
            let up = path.strip_prefix(root)?.components().count() - 1;
            let inside: PathBuf = (0..up).map(|_| "..").collect::<PathBuf>().join(target);
            fs::remove_file(&path)?;
            symlink(&inside, &path).with_context(|| format!("link {}", path.display()))?;
        }
    }
    Ok(())
}
