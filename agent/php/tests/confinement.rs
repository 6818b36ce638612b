//! What a process of a call sees and may do, asked of the real `latchkey-php` with a real PHP.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking and starts programs itself"
)]

mod system_user;

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown, symlink},
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use system_user::SystemUser;

/// Tells what it sees on descriptor 3.
const WITNESS: &str = r#"<?php
$status = file_get_contents('/proc/self/status');
$line = function ($key) use ($status) { return preg_match("/^$key:[ \t]*(.*)$/m", $status, $m) ? $m[1] : null; };
$numbers = function ($dir) { return array_values(array_map('intval', array_filter(scandir($dir), 'ctype_digit'))); };
$open = []; foreach ($numbers('/proc/self/fd') as $fd) { $open[$fd] = @readlink("/proc/self/fd/$fd"); }
$nice = function ($f) { return is_callable($f); };
$refused = @file_get_contents('/etc/shadow') === false;
fwrite(fopen('php://fd/3', 'w'), json_encode([
    'uids' => $line('Uid'), 'gids' => $line('Gid'), 'groups' => $line('Groups'), 'pid' => getmypid(),
    'capabilities' => [$line('CapInh'), $line('CapPrm'), $line('CapEff'), $line('CapBnd'), $line('CapAmb')],
    'no_new_privs' => $line('NoNewPrivs'), 'blocked' => $line('SigBlk'), 'processes' => $numbers('/proc'), 'open' => (object) $open, 'cwd' => getcwd(),
    'umask' => umask(), 'environment' => getenv(), 'exec' => array_map($nice, ['exec', 'proc_open', 'popen', 'pcntl_fork']),
    'ffi' => ini_get('ffi.enable'), 'prepend' => ini_get('auto_prepend_file'), 'shadow_refused' => $refused,
    'limits' => file_get_contents('/proc/self/limits'), 'stdin' => stream_get_contents(STDIN),
]));
echo "to the log\n";
"#;

struct Call {
    user: SystemUser,
    dir: tempfile::TempDir,
}

impl Call {
    fn new() -> Call {
        let user = SystemUser::new();
        let dir = tempfile::Builder::new().prefix("lk").tempdir_in("/dev/shm").unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
        fs::create_dir_all(dir.path().join("home/public")).unwrap();
        for path in ["home", "home/public"] {
            chown(dir.path().join(path), Some(user.uid), Some(user.gid)).unwrap();
        }
        Call { user, dir }
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    fn command(&self, bridge: &str, changed: &[&str]) -> Command {
        let script = self.dir.path().join("bridge.php");
        fs::write(&script, bridge).unwrap();
        // PHP does not cache a script that has just been written.
        let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        fs::File::options().write(true).open(&script).unwrap().set_modified(old).unwrap();
        let mut arguments = vec![
            format!("--broker-pid={}", std::process::id()),
            format!("--uid={}", self.user.uid),
            format!("--gid={}", self.user.gid),
            format!("--home={}", self.home().display()),
            "--docroot=public".to_owned(),
            "--deadline-ms=5000".to_owned(),
            "--php=/usr/bin/php8.2".to_owned(),
            format!("--bridge={}", script.display()),
        ];
        for change in changed {
            let key = change.split_once('=').unwrap().0;
            arguments.retain(|argument| !argument.starts_with(&format!("{key}=")));
            arguments.push((*change).to_owned());
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey-php"));
        // What the worker's own environment holds must not come through.
        command.env("SECRET", "of the broker").args(arguments).stdin(Stdio::null());
        command
    }

    fn run(&self, bridge: &str, changed: &[&str]) -> Output {
        self.command(bridge, changed).output().unwrap()
    }
}

fn log(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn php_is_the_system_user_alone_in_its_namespace_with_nothing_but_its_descriptors() {
    let call = Call::new();
    let output = call.run(WITNESS, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", log(&output));
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (uid, gid) = (call.user.uid, call.user.gid);
    assert_eq!(seen["uids"], format!("{uid}\t{uid}\t{uid}\t{uid}"));
    assert_eq!(seen["gids"], format!("{gid}\t{gid}\t{gid}\t{gid}"));
    assert_eq!(seen["groups"], "");
    for set in seen["capabilities"].as_array().unwrap() {
        assert_eq!(set, "0000000000000000");
    }
    assert_eq!((&seen["no_new_privs"], &seen["blocked"]), (&"1".into(), &"0000000000000000".into()));
    assert_eq!((&seen["pid"], &seen["processes"]), (&1.into(), &serde_json::json!([1])));
    let open = seen["open"].as_object().unwrap();
    // Besides 0 to 3 PHP itself has its script open, and the list of descriptors.
    for (number, what) in open.iter().filter(|(number, _)| number.parse::<u32>().unwrap() > 3) {
        let what = what.as_str().unwrap_or_default();
        assert!(what.is_empty() || what.ends_with("bridge.php") || what.starts_with("/proc/"), "{number}: {what}");
    }
    assert_eq!(open["1"], open["2"]);
    assert_eq!(seen["cwd"], call.home().join("public").to_str().unwrap());
    assert_eq!(seen["umask"], 0o027);
    let environment = seen["environment"].as_object().unwrap();
    assert_eq!(environment.keys().collect::<Vec<_>>(), ["HOME", "LANG", "PATH"]);
    assert_eq!(seen["exec"], serde_json::json!([false, false, false, false]));
    assert_eq!((&seen["ffi"], &seen["prepend"], &seen["shadow_refused"]), (&"0".into(), &"".into(), &true.into()));
    let limits = seen["limits"].as_str().unwrap();
    assert!(limits.lines().any(|line| line.starts_with("Max core file size") && line.contains(" 0 ")), "{limits}");
    assert_eq!(log(&output), "to the log\n");
}

#[test]
fn ends_of_php_are_told_apart_by_the_exit_code() {
    let call = Call::new();
    let code = |script: &str, changed: &[&str]| call.run(script, changed).status.code().unwrap();
    assert_eq!(code("<?php exit(7);", &[]), 7);
    assert_eq!(code("<?php undefined();", &[]), 255);
    // A site cannot pretend that the deadline passed.
    assert_eq!(code("<?php exit(124);", &[]), 254);
    assert_eq!(code("<?php sleep(60);", &["--deadline-ms=200"]), 124);
    assert_eq!(code("<?php", &["--php=/nonexistent"]), 125);
    // The first process of a namespace is deaf to its own kill; running out of CPU time is not asked of it.
    assert_eq!(code("<?php posix_kill(getmypid(), 9); exit(3);", &[]), 3);
}

#[test]
fn a_docroot_or_home_that_leads_elsewhere_is_refused_beside_one_that_does_not() {
    let call = Call::new();
    let inside = call.home().join("inside");
    symlink("public", &inside).unwrap();
    assert_eq!(call.run("<?php", &["--docroot=inside"]).status.code(), Some(0));
    assert_eq!(call.run("<?php", &["--docroot="]).status.code(), Some(0));
    symlink("/etc", call.home().join("outside")).unwrap();
    symlink(call.home(), call.dir.path().join("alias")).unwrap();
    fs::create_dir(call.dir.path().join("foreign")).unwrap();
    for changed in [
        "--docroot=outside".to_owned(),
        "--docroot=../home/public".to_owned(),
        "--docroot=missing".to_owned(),
        format!("--home={}", call.dir.path().join("alias").display()),
        format!("--home={}", call.dir.path().join("foreign").display()),
    ] {
        let output =
            call.run("<?php", &[&changed, "--docroot=public"][..if changed.starts_with("--home") { 2 } else { 1 }]);
        assert_eq!(output.status.code(), Some(125), "{changed}");
        assert!(log(&output).starts_with("latchkey-php: "), "{}", log(&output));
    }
}

#[test]
fn a_stray_descriptor_does_not_reach_php() {
    let call = Call::new();
    let command = call.command("<?php echo implode(' ', scandir('/proc/self/fd')), @readlink('/proc/self/fd/7');", &[]);
    let output = Command::new("/bin/sh")
        .args(["-c", "exec \"$@\" 7</etc/passwd", "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", log(&output));
    assert!(!log(&output).contains("passwd"), "{}", log(&output));
}

#[test]
fn root_is_never_the_user_of_a_call() {
    let call = Call::new();
    for changed in ["--uid=0", "--gid=0"] {
        let output = call.run("<?php", &[changed]);
        assert_eq!(output.status.code(), Some(125));
        assert!(log(&output).contains("root"), "{}", log(&output));
    }
}

#[test]
fn compiled_scripts_are_kept_in_a_directory_of_the_user_alone() {
    let call = Call::new();
    let cache = call.dir.path().join("cache");
    let option = format!("--cache={}", cache.display());
    let output = call.run("<?php echo ini_get('opcache.file_cache');", &[&option]);
    assert_eq!(output.status.code(), Some(0), "{}", log(&output));
    assert!(log(&output).contains(cache.to_str().unwrap()));
    assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(fs::read_dir(&cache).unwrap().next().is_some());
    // A directory of somebody else is not used.
    chown(&cache, Some(0), Some(0)).unwrap();
    assert_eq!(call.run("<?php", &[&option]).status.code(), Some(125));
}
