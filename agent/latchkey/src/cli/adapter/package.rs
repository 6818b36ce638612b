//! An adapter as it is handed on: its files, read once, and who signed them.

mod files;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use files::Files;
use latchkey_protocol::COMPONENT_MAX_BYTES;
use sha2::{Digest as _, Sha256};
use ssh_key::{PublicKey, SshSig};

use crate::adapters::installed::Manifest;

/// What a signature is made for; one that was made for something else does not count.
const NAMESPACE: &str = "latchkey-adapter";

/// An adapter's files.
pub(super) struct Package {
    pub(super) manifest: Manifest,
    pub(super) manifest_text: String,
    pub(super) component: Vec<u8>,
    files: Files,
}

/// Why a package is not installed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackageError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("there is no {}", .0.display())]
    Missing(PathBuf),
    #[error(
        "{}: expected a folder, or an archive that `tar cf FILE adapter.toml adapter.wasm adapter.sums adapter.sums.sig` \
         makes",
        .0.display()
    )]
    Archive(PathBuf),
    #[error("{} is longer than {COMPONENT_MAX_BYTES} bytes", .0.display())]
    TooLong(PathBuf),
    #[error("{} is not valid", path.display())]
    Manifest { path: PathBuf, source: Box<toml::de::Error> },
    #[error("there is no {}; an adapter that nobody has signed takes --unsigned", .0.display())]
    Unsigned(PathBuf),
    #[error("{}: expected the lines that `sha256sum adapter.toml adapter.wasm` prints for these files", .0.display())]
    Sums(PathBuf),
    #[error("{} is no signature of ssh-keygen -Y sign", .0.display())]
    Signature(PathBuf),
    #[error("{} was not made with an Ed25519 key in {} and for {NAMESPACE}", signature.display(), keys.display())]
    Signer { signature: PathBuf, keys: PathBuf },
    #[error("{} has to belong to root and to be writable by root alone", .0.display())]
    NotRoots(PathBuf),
}

impl Package {
    /// Reads a folder or an archive of one. Nothing of it is read again.
    pub(super) fn read(place: &Path) -> Result<Self, PackageError> {
        let files = Files::read(place)?;
        let manifest_text = files.text("adapter.toml")?.to_owned();
        let invalid = |source| PackageError::Manifest { path: files.path("adapter.toml"), source: Box::new(source) };
        let manifest = toml::from_str::<Manifest>(&manifest_text).map_err(invalid)?;
        let component = files.bytes("adapter.wasm").ok_or_else(|| PackageError::Missing(files.path("adapter.wasm")))?;
        let component = component.to_owned();
        Ok(Self { manifest, manifest_text, component, files })
    }

    /// Who signed it: the comment of the key.
    pub(super) fn signer(&self, keys: &Path) -> Result<String, PackageError> {
        let sums = self.files.path("adapter.sums");
        let said = match self.files.text("adapter.sums") {
            Err(PackageError::Missing(_)) => return Err(PackageError::Unsigned(sums)),
            said => said?,
        };
        if said != self.sums() {
            return Err(PackageError::Sums(sums));
        }
        let path = self.files.path("adapter.sums.sig");
        let text = self.files.text("adapter.sums.sig")?;
        let signature: SshSig = text.parse().map_err(|_| PackageError::Signature(path.clone()))?;
        let trusted = trusted(keys)?;
        let signer = trusted.iter().find(|key| key.verify(NAMESPACE, said.as_bytes(), &signature).is_ok());
        let signer = signer.ok_or_else(|| PackageError::Signer { signature: path, keys: keys.to_owned() })?;
        Ok(signer.comment().as_str_lossy().to_string())
    }

    /// What `sha256sum adapter.toml adapter.wasm` prints.
    fn sums(&self) -> String {
        let line = |bytes: &[u8], name: &str| {
            let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{digest}  {name}\n")
        };
        line(self.manifest_text.as_bytes(), "adapter.toml") + &line(&self.component, "adapter.wasm")
    }
}

/// The Ed25519 keys in root's folder. Other lines and other keys count for nothing.
fn trusted(keys: &Path) -> Result<Vec<PublicKey>, PackageError> {
    let entries = match fs::read_dir(keys) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(reading(keys)(error)),
    };
    let mut found = Vec::new();
    for path in std::iter::once(Ok(keys.to_owned())).chain(entries.map(|entry| entry.map(|entry| entry.path()))) {
        let path = path.map_err(reading(keys))?;
        let facts = fs::symlink_metadata(&path).map_err(reading(&path))?;
        if facts.uid() != 0 || facts.mode() & 0o022 != 0 {
            return Err(PackageError::NotRoots(path));
        }
        if facts.is_file() {
            let text = fs::read_to_string(&path).map_err(reading(&path))?;
            let parsed = text.lines().filter_map(|line| PublicKey::from_openssh(line).ok());
            found.extend(parsed.filter(|key| key.algorithm() == ssh_key::Algorithm::Ed25519));
        }
    }
    Ok(found)
}

fn reading(path: &Path) -> impl FnOnce(io::Error) -> PackageError {
    let path = path.to_owned();
    move |source| PackageError::Read { path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    use super::*;
    use crate::problem::chain;

    const MANIFEST: &str = "name = \"linux\"\nversion = \"1.0.0\"\ntitle = \"A node\"\n";

    /// A folder as its author signs it, with the tools that the documents name.
    struct Author(tempfile::TempDir);

    impl Author {
        fn new() -> Self {
            let author = Self(tempfile::tempdir().unwrap());
            fs::create_dir_all(author.path("adapter")).unwrap();
            fs::create_dir(author.path("keys")).unwrap();
            fs::write(author.path("adapter/adapter.toml"), MANIFEST).unwrap();
            fs::write(author.path("adapter/adapter.wasm"), "wasm").unwrap();
            author.key("mine");
            author
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        #[expect(clippy::disallowed_methods, reason = "a test starts the tools that authors use")]
        fn shell(&self, line: &str) {
            let ended = Command::new("sh").args(["-ec", line]).current_dir(self.0.path()).output().unwrap();
            assert!(ended.status.success(), "{line}: {ended:?}");
        }

        fn key(&self, name: &str) {
            self.shell(&format!("ssh-keygen -q -t ed25519 -N '' -C {name}@example.com -f {name}"));
        }

        fn sign(&self, key: &str, namespace: &str) {
            self.shell(&format!(
                "cd adapter; rm -f adapter.sums.sig; sha256sum adapter.toml adapter.wasm > adapter.sums; \
                 ssh-keygen -q -Y sign -n {namespace} -f ../{key} adapter.sums"
            ));
        }

        fn signer(&self) -> Result<String, PackageError> {
            Package::read(&self.path("adapter"))?.signer(&self.path("keys"))
        }
    }

    #[test]
    fn a_listed_key_signs_and_another_does_not() {
        let author = Author::new();
        author.key("other");
        author.sign("mine", NAMESPACE);
        assert!(matches!(author.signer(), Err(PackageError::Signer { .. })));
        author.shell("cat other.pub > keys/others.pub");
        assert!(matches!(author.signer(), Err(PackageError::Signer { .. })));
        author.shell("cat mine.pub > keys/mine.pub");
        assert_eq!(author.signer().unwrap(), "mine@example.com");
        fs::set_permissions(author.path("keys/mine.pub"), fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(author.signer(), Err(PackageError::NotRoots(_))));
    }

    #[test]
    fn what_was_signed_for_something_else_or_changed_since_is_refused() {
        let author = Author::new();
        author.shell("cat mine.pub > keys/mine.pub");
        assert!(matches!(author.signer(), Err(PackageError::Unsigned(_))));
        author.sign("mine", "git");
        assert!(matches!(author.signer(), Err(PackageError::Signer { .. })));
        author.sign("mine", NAMESPACE);
        author.signer().unwrap();
        for file in ["adapter/adapter.wasm", "adapter/adapter.toml"] {
            let before = fs::read_to_string(author.path(file)).unwrap();
            fs::write(author.path(file), format!("{before}\n")).unwrap();
            assert!(matches!(author.signer(), Err(PackageError::Sums(_))), "{file}");
            // With the sums made anew the signature is of other ones.
            author.shell("cd adapter; sha256sum adapter.toml adapter.wasm > adapter.sums");
            assert!(matches!(author.signer(), Err(PackageError::Signer { .. })), "{file}");
            author.sign("mine", NAMESPACE);
        }
        fs::write(author.path("adapter/adapter.sums.sig"), "no signature").unwrap();
        assert!(matches!(author.signer(), Err(PackageError::Signature(_))));
    }

    #[test]
    fn a_package_that_is_none_is_refused_by_what_is_missing() {
        let author = Author::new();
        let refused = || Package::read(&author.path("adapter")).err().map(|error| chain(&error)).unwrap();
        for name in ["Linux", "../x"] {
            fs::write(author.path("adapter/adapter.toml"), MANIFEST.replace("linux", name)).unwrap();
            assert!(refused().contains("expected 1 to 31 characters of a-z, 0-9 and dash"), "{name}: {}", refused());
        }
        fs::write(author.path("adapter/adapter.toml"), MANIFEST).unwrap();
        let component = fs::File::options().write(true).open(author.path("adapter/adapter.wasm")).unwrap();
        component.set_len(COMPONENT_MAX_BYTES + 1).unwrap();
        assert!(refused().contains("longer than"));
        fs::remove_file(author.path("adapter/adapter.wasm")).unwrap();
        assert!(refused().contains("there is no") && refused().contains("adapter.wasm"), "{}", refused());
    }

    #[test]
    fn an_archive_is_as_good_as_its_folder_and_holds_nothing_else() {
        let author = Author::new();
        author.shell("cat mine.pub > keys/mine.pub");
        author.sign("mine", NAMESPACE);
        let archive = |line: &str| {
            author.shell(&format!("cd adapter; tar cf ../adapter.tar {line}"));
            Package::read(&author.path("adapter.tar"))?.signer(&author.path("keys"))
        };
        let files = "adapter.toml adapter.wasm adapter.sums adapter.sums.sig";
        assert_eq!(archive(files).unwrap(), "mine@example.com");
        assert_eq!(archive(".").unwrap(), "mine@example.com");
        assert!(matches!(archive("adapter.toml adapter.wasm"), Err(PackageError::Unsigned(_))));
        assert!(matches!(archive("adapter.toml"), Err(PackageError::Missing(path)) if path.ends_with("adapter.wasm")));
        // One of them twice, with another name, as a link, and beside something else.
        author.shell("cd adapter; ln -s adapter.sums link; echo other > other; mkdir -p deep; cp adapter.sums deep");
        for line in [
            &format!("{files} adapter.wasm"),
            &format!("{files} other"),
            &format!("{files} deep/adapter.sums"),
            &format!("{files} ../adapter/adapter.sums -P"),
            "--transform s/link/adapter.sums/ adapter.toml adapter.wasm link adapter.sums.sig",
        ] {
            assert!(matches!(archive(line), Err(PackageError::Archive(_))), "{line}");
        }
        for none in ["no archive", &"x".repeat(4096)] {
            fs::write(author.path("adapter.tar"), none).unwrap();
            let refused = Package::read(&author.path("adapter.tar")).err().unwrap();
            assert!(matches!(refused, PackageError::Archive(_)), "{refused:?}");
        }
    }
}
