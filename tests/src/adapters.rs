//! Adapters of trials: the components in `tests/adapters`, packed, signed, installed and called as an operator does it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;
use xtask::build::{cargo, setting, shipped_adapter, target, workspace};
use xtask::node::Node;
use xtask::process::Program;

use crate::command_line::{Printed, latchkey, run};
use crate::processes::{self, Process};
use crate::waiting::eventually;

/// The components, built once in a run.
pub struct Components {
    /// Does what it is told, good and bad.
    pub hostile: Vec<u8>,
    /// Needs what the agent does not have.
    pub too_new: Vec<u8>,
    /// Sends requests.
    pub caller: Vec<u8>,
    /// Runs commands.
    pub commander: Vec<u8>,
    /// Passes every check, and with a habit fails one.
    pub careless: Vec<u8>,
    /// Exports an interface with other types.
    pub unlike: Vec<u8>,
    /// Relies on an interface of wasi that adapters do not have.
    pub wandering: Vec<u8>,
}

impl Components {
    /// Builds them if nobody has.
    #[must_use]
    #[track_caller]
    pub fn get() -> &'static Self {
        static BUILT: OnceLock<Components> = OnceLock::new();
        BUILT.get_or_init(|| {
            let target = target().join("adapters");
            let build = cargo()
                .directory(workspace().join("tests/adapters"))
                .args(["build", "--quiet", "--locked", "--release", "--target", "wasm32-wasip2", "--target-dir"])
                .arg(&target);
            build.text().unwrap();
            let built = |name: &str| fs::read(target.join("wasm32-wasip2/release").join(name)).unwrap();
            Self {
                hostile: built("hostile.wasm"),
                too_new: built("too_new.wasm"),
                caller: built("caller.wasm"),
                commander: built("commander.wasm"),
                careless: built("careless.wasm"),
                unlike: built("unlike.wasm"),
                wandering: built("wandering.wasm"),
            }
        })
    }
}

/// An adapter of a trial's own, as a folder that can be installed. Dropped, it is removed from the node.
pub struct Adapter<'n> {
    node: &'n Node,
    /// Its name.
    pub name: &'static str,
    folder: PathBuf,
    _ground: TempDir,
}

/// Somebody who signs adapters.
pub struct Signer {
    folder: TempDir,
    comment: String,
}

impl<'n> Adapter<'n> {
    /// The hostile component in version 1.0.0, which asks for everything. No other adapter has the same bytes.
    #[must_use]
    #[track_caller]
    pub fn packed(node: &'n Node, name: &'static str) -> Self {
        let adapter = Self::in_a_new_folder(node, name);
        adapter.describe("1.0.0", "state = true");
        adapter.put_component(&marked(&Components::get().hostile, name));
        adapter
    }

    /// The component that sends requests, installed with this operator's file, which may hold secrets.
    #[must_use]
    #[track_caller]
    pub fn calling(node: &'n Node, name: &'static str, operators: &str) -> Self {
        let adapter = Self::in_a_new_folder(node, name);
        adapter.describe("1.0.0", "http = [\"https://*\"]");
        adapter.put_component(&marked(&Components::get().caller, name));
        adapter.write_operators_file(operators);
        let _ = adapter.install(&["--unsigned"]).done();
        adapter
    }

    /// The component that runs commands, which asks for one of this name, installed without a grant.
    #[must_use]
    #[track_caller]
    pub fn commanding(node: &'n Node, name: &'static str, command: &str) -> Self {
        let adapter = Self::in_a_new_folder(node, name);
        adapter.describe("1.0.0", &format!("command = [\"{command}\"]"));
        adapter.put_component(&marked(&Components::get().commander, name));
        let _ = adapter.install(&["--unsigned"]).done();
        adapter
    }

    /// One that comes with the agent, as it ships, not installed yet.
    #[must_use]
    #[track_caller]
    pub fn shipped(node: &'n Node, ships: &'static str) -> Self {
        Self::shipped_as(node, ships, ships)
    }

    /// The same under a name of the trial's own.
    #[must_use]
    #[track_caller]
    pub fn shipped_as(node: &'n Node, ships: &str, name: &'static str) -> Self {
        let adapter = Self::in_a_new_folder(node, name);
        adapter.put_component(&marked(&shipped(ships), name));
        let manifest = fs::read_to_string(workspace().join("plugins").join(ships).join("adapter.toml")).unwrap();
        let renamed = manifest.replace(&format!("name = \"{ships}\""), &format!("name = \"{name}\""));
        fs::write(adapter.file("adapter.toml"), renamed).unwrap();
        adapter
    }

    /// The hostile component, installed without a signature and with all that it asks for.
    #[must_use]
    #[track_caller]
    pub fn installed(node: &'n Node, name: &'static str) -> Self {
        let adapter = Self::packed(node, name);
        adapter.write_operators_file("[grants]\nstate = true\n");
        let _ = adapter.install(&["--unsigned"]).done();
        adapter
    }

    fn in_a_new_folder(node: &'n Node, name: &'static str) -> Self {
        let ground = tempfile::tempdir().unwrap();
        Self { node, name, folder: ground.path().to_owned(), _ground: ground }
    }

    /// One as `latchkey adapter new` begins it in a language. Nothing of it is built.
    #[must_use]
    #[track_caller]
    pub fn begun(node: &'n Node, name: &'static str, language: &str) -> Self {
        let ground = tempfile::tempdir().unwrap();
        let folder = ground.path().join(name);
        let printed = run(node, &["adapter", "new", name, "--lang", language, &folder.display().to_string()]);
        assert!(printed.done().contains("README.md says how to build"), "{}", printed.text);
        Self { node, name, folder, _ground: ground }
    }

    /// Runs a line of its author's in its folder, and returns what it wrote to standard output.
    #[track_caller]
    pub fn shell(&self, line: &str) -> String {
        let tools = setting("CARGO").map(PathBuf::from).and_then(|cargo| Some(cargo.parent()?.to_owned()));
        let path = setting("PATH").unwrap_or_default();
        let paths = tools.into_iter().chain(std::env::split_paths(&path));
        let shell = Program::new("sh").with_our_environment().env("PATH", std::env::join_paths(paths).unwrap());
        // Where the build goes is for the author's own machine to say.
        let shell = shell.env("CARGO_TARGET_DIR", "target").directory(&self.folder);
        shell.args(["-ec", line]).text().unwrap_or_else(|error| panic!("{line}: {error:#}"))
    }

    /// The only line of its README that begins so.
    #[must_use]
    #[track_caller]
    pub fn readme_line(&self, begins: &str) -> String {
        let readme = fs::read_to_string(self.file("README.md")).unwrap();
        let lines: Vec<&str> = readme.lines().filter(|line| line.starts_with(begins)).collect();
        assert!(matches!(lines[..], [_]), "{begins}: {lines:?}");
        lines[0].to_owned()
    }

    /// A file of the package.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes the manifest.
    #[track_caller]
    pub fn describe(&self, version: &str, asks: &str) {
        let name = self.name;
        let text = format!("name = \"{name}\"\nversion = \"{version}\"\ntitle = \"For trials\"\n\n[asks]\n{asks}\n");
        fs::write(self.file("adapter.toml"), text).unwrap();
    }

    /// Packs this component.
    #[track_caller]
    pub fn put_component(&self, bytes: &[u8]) {
        fs::write(self.file("adapter.wasm"), bytes).unwrap();
    }

    /// Packs the component with another answer to `list-databases`, as long as `shop`.
    #[track_caller]
    pub fn put_component_that_lists(&self, answer: &str) {
        let mut bytes = fs::read(self.file("adapter.wasm")).unwrap();
        let found: Vec<usize> = (0..bytes.len() - 4).filter(|at| bytes[*at..].starts_with(b"shop")).collect();
        assert!(!found.is_empty());
        found.iter().for_each(|at| bytes[*at..*at + 4].copy_from_slice(answer.as_bytes()));
        self.put_component(&bytes);
    }

    /// Signs it as it is now.
    #[track_caller]
    pub fn sign(&self, signer: &Signer, namespace: &str) {
        let here = &self.folder;
        let sums = Program::new("sha256sum").args(["adapter.toml", "adapter.wasm"]).directory(here).text().unwrap();
        fs::write(self.file("adapter.sums"), sums).unwrap();
        let _none_before = fs::remove_file(self.file("adapter.sums.sig"));
        let sign = Program::new("ssh-keygen").args(["-q", "-Y", "sign", "-n", namespace, "-f"]).arg(signer.key());
        sign.arg("adapter.sums").directory(here).text().unwrap();
    }

    /// The operator's file about it.
    #[must_use]
    pub fn operators_file(&self) -> PathBuf {
        self.node.agent().unwrap().paths().operators.join(format!("{}.toml", self.name))
    }

    /// Writes that file, for root and the agent to read; it holds from the next call on.
    #[track_caller]
    pub fn write_operators_file(&self, text: &str) {
        let file = self.operators_file();
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        let agent = fs::metadata(&self.node.agent().unwrap().paths().state).unwrap();
        chown(&file, Some(0), Some(agent.gid())).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    }

    /// `latchkey adapter check`, by the line of its README.
    #[must_use]
    #[track_caller]
    pub fn check(&self) -> Printed {
        assert_eq!(self.readme_line("latchkey adapter check"), "latchkey adapter check adapter.wasm");
        run(self.node, &["adapter", "check", &self.file("adapter.wasm").display().to_string()])
    }

    /// `latchkey adapter install`.
    #[must_use]
    #[track_caller]
    pub fn install(&self, more: &[&str]) -> Printed {
        let folder = self.folder.display().to_string();
        latchkey(self.node, &[&["adapter", "install", &folder], more].concat())
    }

    /// `latchkey adapter remove`.
    #[track_caller]
    pub fn remove(&self) -> Printed {
        latchkey(self.node, &["adapter", "remove", self.name])
    }

    /// `latchkey adapter run`.
    #[must_use]
    #[track_caller]
    pub fn call(&self, hosting: &str, function: [&str; 2], more: &[&str]) -> Printed {
        let [interface, function] = function;
        latchkey(self.node, &[&["adapter", "run", self.name, hosting, interface, function], more].concat())
    }

    /// Has it do one of the things that the hostile component knows.
    #[must_use]
    #[track_caller]
    pub fn does(&self, hosting: &str, what: &str) -> Printed {
        self.call(hosting, ["databases", "create-database"], &[&format!("name={what}")])
    }

    /// Has it keep a value.
    #[must_use]
    #[track_caller]
    pub fn keeps(&self, hosting: &str, key: &str, value: &str) -> Printed {
        let (key, value) = (format!("name={key}"), format!("new-name=\"{value}\""));
        self.call(hosting, ["databases", "rename-database"], &[&key, &value])
    }

    /// Has calls of `counts-and-waits` go on.
    #[track_caller]
    pub fn let_go(&self, hosting: &str) {
        assert_eq!(self.kept(hosting, "let go"), []);
    }

    /// Has it send what is written like this: `GET http://127.0.0.1:80/`.
    #[must_use]
    #[track_caller]
    pub fn sends(&self, hosting: &str, request: &str) -> Printed {
        self.call(hosting, ["logs", "locate"], &[&format!("domain={request}"), "--json"])
    }

    /// All keys that begin so, with their values.
    #[must_use]
    #[track_caller]
    pub fn kept(&self, hosting: &str, prefix: &str) -> Vec<(String, String)> {
        let told = self.call(hosting, ["logs", "locate"], &[&format!("domain={prefix}"), "--json"]).json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let told = told["returned"].as_array().unwrap();
        told.iter().map(|kept| (text(&kept["title"]), text(&kept["path"]))).collect()
    }

    /// Its row of `latchkey adapter list`.
    #[must_use]
    #[track_caller]
    pub fn listed(&self) -> Option<Value> {
        let listed = latchkey(self.node, &["adapter", "list", "--json"]).json();
        listed["items"].as_array().unwrap().iter().find(|row| row["name"] == self.name).cloned()
    }

    /// Restarts serve and waits until it has loaded all that are installed: each has a runner then, and nothing begins
    /// another one beside the trial.
    #[track_caller]
    pub fn begin_anew(&self) {
        self.node.serve().unwrap().restart().unwrap();
        let folder = &self.node.agent().unwrap().paths().adapters;
        let is_whole = |entry: &fs::DirEntry| !entry.file_name().as_encoded_bytes().starts_with(b".");
        let installed = fs::read_dir(folder).unwrap().map(Result::unwrap).filter(is_whole).count();
        eventually("all adapters are loaded", || {
            let listed = latchkey(self.node, &["adapter", "list", "--json"]).json();
            listed["items"].as_array().unwrap().len() == installed
        });
    }

    /// Where it is installed.
    #[must_use]
    pub fn place(&self) -> PathBuf {
        self.node.agent().unwrap().paths().adapters.join(self.name)
    }

    /// All that is in the folder of adapters and has its name, finished or not.
    #[must_use]
    pub fn places(&self) -> Vec<PathBuf> {
        let place = self.place();
        let entries = fs::read_dir(place.parent().unwrap()).into_iter().flatten().flatten();
        let names = [self.name.to_owned(), format!(".{}.new", self.name), format!(".{}.before", self.name)];
        let named = |path: &PathBuf| names.iter().any(|name| path.ends_with(name));
        entries.map(|entry| entry.path()).filter(named).collect()
    }

    /// The compiled form of the component that is packed.
    #[must_use]
    #[track_caller]
    pub fn compiled(&self) -> PathBuf {
        let all = self.all_compiled();
        assert_eq!(all.len(), 1, "{all:?}");
        all[0].clone()
    }

    /// Its compiled forms, by all compilers there ever were.
    #[must_use]
    #[track_caller]
    pub fn all_compiled(&self) -> Vec<PathBuf> {
        let digest = digest(&self.file("adapter.wasm"));
        let entries = fs::read_dir(self.node.root().join("adapter-cache")).unwrap();
        let of_it = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with(&digest) && name.ends_with(".cwasm")
        };
        entries.map(|entry| entry.unwrap().path()).filter(of_it).collect()
    }

    /// The runners that have the component that is packed in their memory.
    #[must_use]
    #[track_caller]
    pub fn runners(&self) -> Vec<Process> {
        let digest = digest(&self.file("adapter.wasm"));
        let of_broker = processes::children(self.node.broker().unwrap().pid().unwrap());
        of_broker.into_iter().filter(|process| process.maps().contains(&digest)).collect()
    }

    /// Its runner.
    #[must_use]
    #[track_caller]
    pub fn runner(&self) -> Process {
        let runners = self.runners();
        assert_eq!(runners.len(), 1, "{runners:?}");
        runners[0]
    }
}

impl Drop for Adapter<'_> {
    fn drop(&mut self) {
        drop(fs::remove_file(self.operators_file()));
        drop(self.remove());
    }
}

impl Signer {
    /// Somebody with a new key of this kind.
    #[must_use]
    #[track_caller]
    pub fn with_key(kind: &str, comment: &str) -> Self {
        let signer = Self { folder: tempfile::tempdir().unwrap(), comment: comment.to_owned() };
        let make = Program::new("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-C", comment, "-f"]);
        make.arg(signer.key()).text().unwrap();
        signer
    }

    /// Has the node take what they sign. Returns the file that says so.
    #[track_caller]
    pub fn list(&self, node: &Node) -> PathBuf {
        let keys = &node.agent().unwrap().paths().adapter_keys;
        fs::create_dir_all(keys).unwrap();
        let file = keys.join(&self.comment);
        fs::copy(self.key().with_extension("pub"), &file).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        file
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key")
    }
}

/// The component that runs commands.
#[must_use]
#[track_caller]
pub fn commander() -> Vec<u8> {
    Components::get().commander.clone()
}

/// The component of an adapter that comes with the agent, built from its source.
#[must_use]
#[track_caller]
pub fn shipped(name: &str) -> Vec<u8> {
    fs::read(shipped_adapter(name).unwrap()).unwrap()
}

/// The SHA-256 of a file as hexadecimal digits.
#[must_use]
#[track_caller]
pub fn digest(file: &Path) -> String {
    let printed = Program::new("sha256sum").arg(file).text().unwrap();
    printed.split_whitespace().next().unwrap().to_owned()
}

/// A component that does the same and has other bytes: with a section of no meaning at its end.
#[must_use]
#[track_caller]
pub fn marked(component: &[u8], mark: &str) -> Vec<u8> {
    let length = u8::try_from(mark.len()).unwrap();
    assert!(length < 127, "it has to fit into one byte");
    [component, &[0, length + 1, length], mark.as_bytes()].concat()
}
