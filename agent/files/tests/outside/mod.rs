//! What lies outside of a root, as it was before and as it is after: content, attributes and when it was read.

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt as _, path::Path};

/// In the content of every file outside.
pub(crate) const MARK: &str = "OUTSIDE";

/// The size of every file outside; nothing else has it.
pub(crate) const SIZE: u64 = 4242;

/// Puts files and a link into a folder that is outside.
pub(crate) fn furnish(folder: &Path) {
    for name in ["secret", "d/inner"] {
        fs::write(folder.join(name), MARK.repeat(606)).unwrap();
    }
    std::os::unix::fs::symlink("secret", folder.join("link")).unwrap();
}

/// Everything beneath a directory but what lies in one of its folders.
#[derive(Debug)]
pub(crate) struct Outside(BTreeMap<String, String>);

impl Outside {
    /// As it is now. Content is not read, because that would be seen: a change of it is one of the times.
    pub(crate) fn of(everything: &Path, inside: &Path) -> Self {
        let mut found = BTreeMap::new();
        collect(everything, inside, &mut found);
        Self(found)
    }

    /// What is not as it was.
    pub(crate) fn differences(&self, later: &Self) -> Vec<String> {
        let names: std::collections::BTreeSet<_> = self.0.keys().chain(later.0.keys()).collect();
        let changed = names.into_iter().filter(|name| self.0.get(*name) != later.0.get(*name));
        changed.map(|name| format!("{name}: {:?}, was {:?}", later.0.get(name), self.0.get(name))).collect()
    }
}

fn collect(path: &Path, inside: &Path, found: &mut BTreeMap<String, String>) {
    if path == inside {
        return;
    }
    let attributes = fs::symlink_metadata(path).unwrap();
    // Looking for what lies in a directory reads it, so when it was read is told of files only.
    let read = if attributes.is_file() { (attributes.atime(), attributes.atime_nsec()) } else { (0, 0) };
    let told = format!(
        "{:o} {} {} {} {}.{} {}.{} {read:?}",
        attributes.mode(),
        attributes.uid(),
        attributes.size(),
        attributes.nlink(),
        attributes.mtime(),
        attributes.mtime_nsec(),
        attributes.ctime(),
        attributes.ctime_nsec(),
    );
    found.insert(path.display().to_string(), told);
    if attributes.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            collect(&entry.unwrap().path(), inside, found);
        }
    }
}
