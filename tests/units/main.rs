//! The packaged units, started by a real systemd: the agent does its work in them, and a program in its place finds shut
//! what they shut.
//!
//! systemd is the first process of namespaces of its own, over copies of the node's directories; the node sees nothing of
//! it. AppArmor is not part of it: few test machines have it in their kernel.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking and starts programs itself"
)]

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use latchkey_tests::adapters::{commander, shipped};
use rustix::io::Errno;
use xtask::build::{Build, PROGRAMS, workspace};

/// What a process tries, and the errors of which it gets one; none where it works.
type Row = (&'static str, &'static [Errno]);

/// In serve's unit.
const OF_SERVE: &[Row] = &[
    ("read /etc/latchkey/latchkey.toml", WORKS),
    ("write /var/lib/latchkey/attempt", WORKS),
    ("write /run/latchkey/attempt", WORKS),
    // It is there, and speaks another kind than the attempt does.
    ("connect_unix /run/latchkey-broker/broker.sock", &[Errno::PROTOTYPE]),
    ("listen_tcp", WORKS),
    ("start_thread", WORKS),
    ("write /var/attempt", DENIED),
    ("list /home", DENIED),
    ("list /root", DENIED),
    ("list /home/unit-site", DENIED),
    ("read /etc/shadow", DENIED),
    // The processes of others are not there.
    ("read /proc/1/status", &[Errno::NOENT]),
    ("execute /bin/sh", DENIED),
    ("execute /usr/bin/php8.2", DENIED),
    ("signal 1", DENIED),
    ("become", DENIED),
    // A family that nobody needs.
    ("socket 40 1", &[Errno::AFNOSUPPORT]),
    ("call unshare", DENIED),
    ("call mount", DENIED),
];

/// In the broker's unit. It is root, and PHP of the sites has to work in it.
const OF_BROKER: &[Row] = &[
    ("write /var/lib/latchkey-broker/attempt", WORKS),
    ("list /home", WORKS),
    ("execute /usr/bin/php8.2", WORKS),
    ("clone 0", WORKS),
    // A new PID namespace, as for each call.
    ("clone 536870912", WORKS),
    ("write /var/lib/attempt", DENIED),
    // Without the capabilities to pass over the modes of files.
    ("write /home/unit-site/attempt", DENIED),
    ("read /dev/mem", &[Errno::NOENT, Errno::PERM]),
    ("clone 268435456", DENIED),
    ("clone 1073741824", DENIED),
    ("call setns", DENIED),
];

/// What works in neither.
const OF_NEITHER: &[Row] = &[
    ("write /etc/attempt", DENIED),
    ("write /usr/attempt", DENIED),
    // Netlink, whole packets, and raw ones.
    ("socket 16 2", &[Errno::AFNOSUPPORT]),
    ("socket 17 2", &[Errno::AFNOSUPPORT]),
    ("socket 2 3 1", DENIED),
    ("call ptrace", DENIED),
    ("call keyctl", DENIED),
    ("call bpf", DENIED),
    ("call perf_event_open", DENIED),
    ("call userfaultfd", DENIED),
    ("call io_uring_setup", DENIED),
    ("call chroot", DENIED),
    ("call init_module", DENIED),
    ("call kexec_load", DENIED),
];

const WORKS: &[Errno] = &[];
const DENIED: &[Errno] = &[Errno::PERM, Errno::ACCESS, Errno::ROFS];

#[test]
fn serve_and_the_broker_work_in_their_units() {
    let trial = Trial::shared();
    let said = trial.out("trial");
    let code = |step: &str| {
        let line = said
            .lines()
            .find_map(|line| line.strip_prefix("STEP ")?.strip_prefix(step))
            .unwrap_or_else(|| panic!("{}", trial.all()));
        line.rsplit(' ').next().unwrap().to_owned()
    };
    for step in
        ["systemctl start latchkey.service", "latchkey hosting put", "latchkey instance put", "systemctl is-active"]
    {
        assert_eq!(code(step), "0", "{step}: {}", trial.all());
    }
    assert_eq!(code("latchkey adapter install"), "0", "{}", trial.all());
    assert_eq!(code("latchkey adapter run linux"), "4", "{}", trial.all());
    assert!(said.contains("it takes `mysql = true` under [grants]"), "{}", trial.all());
    assert_eq!(code("latchkey adapter run commander"), "0", "{}", trial.all());
    assert!(said.contains(r#""path":"unit-site\n""#), "{}", trial.all());
    // PHP ran as the site's user, entered the docroot and found no WordPress in it: the whole way and back.
    assert!(said.contains("there is no WordPress in the instance's docroot"), "{}", trial.all());
}

#[test]
fn ftp_works_in_its_units_and_after_a_restart_of_each() {
    let trial = Trial::shared();
    let said = trial.out("trial");
    let steps = [
        "systemctl start latchkey-pure-ftpd.service",
        "upload first",
        "systemctl restart latchkey-pure-ftpd.service",
        "upload after-a-restart-of-the-server",
        "systemctl restart latchkey-ftpauth.service",
        "upload after-a-restart-of-ftpauth",
        "systemctl kill --signal=KILL latchkey-ftpauth.service",
        "upload after-a-crash-of-ftpauth",
        "systemctl is-active latchkey-ftpauth.service latchkey-pure-ftpd.service",
        "systemctl restart latchkey.service",
        "latchkey audit tail",
    ];
    for step in steps {
        assert!(said.contains(&format!("STEP {step} = 0\n")), "{step}: {}", trial.all());
    }
    let landed = said.lines().filter(|line| line.contains(" unit-site unit-site ")).count();
    assert_eq!(landed, 4, "{}", trial.all());
    // pure-ftpd's log came the way that its unit binds.
    assert!(said.contains("4 times, the first public/first as deploy.h1"), "{}", trial.all());
    assert!(!trial.out("latchkey-ftpauth.log").contains("logged nothing here"), "{}", trial.all());
}

#[test]
fn in_serves_unit_only_what_serve_needs_works() {
    check("latchkey", OF_SERVE);
}

#[test]
fn in_the_brokers_unit_only_what_it_and_php_need_works() {
    check("latchkey-broker", OF_BROKER);
}

#[track_caller]
fn check(unit: &str, own: &[Row]) {
    let trial = Trial::shared();
    let told = trial.out(&format!("{unit}.attempts"));
    let outcomes: HashMap<&str, &str> = told.lines().filter_map(|line| line.rsplit_once(' ')).collect();
    let is_right = |(attempt, errors): &&Row| match outcomes.get(attempt) {
        Some(&"ok") => errors.is_empty(),
        Some(number) => errors.iter().any(|error| error.raw_os_error().to_string() == **number),
        None => false,
    };
    let wrong: Vec<_> = own
        .iter()
        .chain(OF_NEITHER)
        .filter(|row| !is_right(row))
        .map(|(attempt, errors)| format!("{attempt}: {:?} instead of {errors:?}", outcomes.get(attempt)))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}\n{}", trial.all());
}

/// What one boot left, which all tests look at: texts by name.
struct Trial(HashMap<String, String>);

static SHARED: OnceLock<Trial> = OnceLock::new();

impl Trial {
    fn shared() -> &'static Trial {
        SHARED.get_or_init(|| {
            let dir = tempfile::Builder::new().prefix("lku").tempdir_in("/dev/shm").unwrap();
            prepare(dir.path());
            boot(dir.path());
            let files = fs::read_dir(dir.path().join("out")).unwrap().map(Result::unwrap);
            let text = |path: PathBuf| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
            Trial(files.map(|file| (file.file_name().into_string().unwrap(), text(file.path()))).collect())
        })
    }

    fn out(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("no {name}: {}", self.all()))
    }

    /// Everything that was said, for who reads a failure.
    fn all(&self) -> String {
        self.0.iter().map(|(name, text)| format!("--- {name}\n{text}\n")).collect()
    }
}

/// Lays out what `boot.sh` takes.
fn prepare(dir: &Path) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    for directory in ["adapter", "commander", "out", "over", "programs"] {
        fs::create_dir(dir.join(directory)).unwrap();
    }
    let built = Build::for_tests().run().unwrap();
    for program in PROGRAMS {
        fs::copy(built.join(program), dir.join("programs").join(program)).unwrap();
    }
    fs::copy(xtask::node::ftp_server_program().unwrap(), dir.join("programs/pure-ftpd")).unwrap();
    fs::copy(Build::for_tests().attempts().unwrap(), dir.join("programs/attempts")).unwrap();
    for directory in ["packaging/config", "packaging/pure-ftpd", "packaging/systemd", "agent/php/bridge"] {
        let copied = Command::new("cp").arg("-r").arg(workspace().join(directory)).arg(dir).status().unwrap();
        assert!(copied.success());
    }
    fs::write(dir.join("adapter/adapter.wasm"), shipped("linux")).unwrap();
    fs::copy(workspace().join("plugins/linux/adapter.toml"), dir.join("adapter/adapter.toml")).unwrap();
    fs::write(dir.join("commander/adapter.wasm"), commander()).unwrap();
    let manifest = "name = \"commander\"\nversion = \"1.0.0\"\ntitle = \"For trials\"\n\n[asks]\ncommand = [\"who\"]\n";
    fs::write(dir.join("commander/adapter.toml"), manifest).unwrap();
    for script in ["boot.sh", "trial.sh"] {
        fs::copy(workspace().join("tests/units").join(script), dir.join(script)).unwrap();
    }
    for (unit, attempts) in [("latchkey", OF_SERVE), ("latchkey-broker", OF_BROKER)] {
        let lines: Vec<&str> = attempts.iter().chain(OF_NEITHER).map(|(attempt, _)| *attempt).collect();
        fs::write(dir.join(format!("{unit}.attempts")), lines.join("\n")).unwrap();
    }
}

/// Boots, and returns when systemd has ended. All its processes are gone then.
fn boot(dir: &Path) {
    let group = ControlGroup::make();
    let enter = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", group.0.display());
    let output = Command::new("timeout")
        .args(["--kill-after=10", "180", "/bin/sh", "-c", &enter, "sh", "unshare", "--pid", "--fork", "--kill-child"])
        .args(["--mount", "--propagation", "private", "--mount-proc", "--uts", "--ipc", "--net", "--cgroup", "/bin/sh"])
        .arg(dir.join("boot.sh"))
        .arg(dir)
        .output()
        .unwrap();
    fs::write(dir.join("out/boot"), [output.stdout, output.stderr].concat()).unwrap();
}

/// A control group for the trial, removed with what systemd made beneath it.
struct ControlGroup(PathBuf);

impl ControlGroup {
    fn make() -> ControlGroup {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let mut mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let root = mounts.find(|mount| mount[2] == "cgroup2").unwrap();
        let path = Path::new(root[1]).join(format!("latchkey-units-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        ControlGroup(path)
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        remove_group(&self.0);
    }
}

fn remove_group(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path());
        }
    }
    let _ = fs::remove_dir(path);
}
