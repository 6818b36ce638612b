//! The clients that people use, against a server in the test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking and starts programs by name"
)]

mod node;

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use node::{Node, PASSWORD, READER, WRITER, complaint, inventory, noise, run, text, wait_for};

/// A folder with names and modes of all kinds.
fn plant_tree(folder: &Path) {
    let names: [&[u8]; 8] = [
        "gr\u{fc}\u{df}e.txt".as_bytes(),
        b"caf\xe9.txt",
        b"new\nline",
        b"-rf",
        &[b'x'; 255],
        b" blank ",
        b"a'\"$`*?[",
        b"%41",
    ];
    for (depth, directory) in [b"d".to_vec(), b"\xff\xfe dir".to_vec(), b"-d".to_vec()].into_iter().enumerate() {
        let directory = folder.join(OsString::from_vec(directory));
        fs::create_dir_all(&directory).unwrap();
        for (number, name) in names.iter().enumerate() {
            let path = directory.join(OsString::from_vec(name.to_vec()));
            fs::write(&path, noise(number * 40_000 + depth)).unwrap();
            let mode = [0o644, 0o600, 0o755, 0o444][number % 4];
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let modified = UNIX_EPOCH + Duration::from_secs(1_000_000_000 + number as u64);
            File::open(&path).unwrap().set_modified(modified).unwrap();
        }
    }
    fs::create_dir(folder.join("empty")).unwrap();
}

/// Takes out what only a client that keeps names as bytes can carry.
fn without_names_that_are_no_line_of_text(tree: &Path) {
    fs::remove_dir_all(tree.join(OsString::from_vec(b"\xff\xfe dir".to_vec()))).unwrap();
    for directory in ["d", "-d"] {
        fs::remove_file(tree.join(directory).join(OsString::from_vec(b"caf\xe9.txt".to_vec()))).unwrap();
        fs::remove_file(tree.join(directory).join("new\nline")).unwrap();
    }
}

#[test]
fn openssh_sftp_does_all_that_it_can() {
    let node = Node::start();
    fs::write(node.local("up"), noise(300_000)).unwrap();
    let batch = "put up\nls -ln\nrename up f\nchmod 640 f\nln -s f s\nln f h\nmkdir d\nrename h d/h\n\
                 get f back\nrm s\ndf -h\ncd d\npwd\nls -la\nrm h\ncd ..\nrmdir d\nstat\n";
    let said = node.sftp(WRITER, &[], &batch.replace("stat\n", ""));
    let said = text(&said);
    assert!(said.contains("Remote working directory: /d"), "{said}");
    assert!(said.lines().any(|line| line.starts_with("-rw-r--r--") && line.ends_with(" up")), "{said}");
    assert_eq!(fs::read(node.local("back")).unwrap(), noise(300_000));
    assert_eq!(fs::metadata(node.site("f")).unwrap().permissions().mode() & 0o7777, 0o640);
    let left: Vec<_> = fs::read_dir(node.site("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["f"]);
}

#[test]
fn openssh_sftp_takes_a_tree_there_and_back_byte_for_byte() {
    let node = Node::start();
    plant_tree(&node.local("tree"));
    text(&node.sftp(WRITER, &[], "put -Rp tree\n"));
    assert_eq!(inventory(&node.site("tree")), inventory(&node.local("tree")));
    text(&node.sftp(READER, &[], "get -Rp tree back\n"));
    assert_eq!(inventory(&node.local("back")), inventory(&node.local("tree")));
}

#[test]
fn openssh_sftp_resumes_in_both_directions() {
    let node = Node::start();
    let content = noise(3_000_000);
    fs::write(node.site("down"), &content).unwrap();
    fs::write(node.local("down"), &content[..1_000_000]).unwrap();
    fs::write(node.local("up"), &content).unwrap();
    fs::write(node.site("up"), &content[..2_000_000]).unwrap();
    text(&node.sftp(WRITER, &[], "get -a down\nput -a up\n"));
    assert_eq!(fs::read(node.local("down")).unwrap(), content);
    assert_eq!(fs::read(node.site("up")).unwrap(), content);
}

#[test]
fn openssh_sftp_moves_large_files_with_large_requests_and_small_ones() {
    let node = Node::start();
    let content = noise(64 << 20);
    fs::write(node.local("up"), &content).unwrap();
    for arguments in [&["-B", "262000", "-R", "64"][..], &["-B", "1000", "-R", "256"], &[]] {
        text(&node.sftp(WRITER, arguments, "put up f\nget f back\n"));
        assert_eq!(fs::read(node.site("f")).unwrap(), content);
        assert_eq!(fs::read(node.local("back")).unwrap(), content);
    }
}

#[test]
fn scp_copies_in_both_directions() {
    let node = Node::start();
    plant_tree(&node.local("tree"));
    let scp = |from: &str, to: &str| {
        text(&run(node.command("scp").args(node.openssh_options()).args(["-rp", "-s", from, to])));
    };
    scp("tree", &format!("{WRITER}@127.0.0.1:/"));
    assert_eq!(inventory(&node.site("tree")), inventory(&node.local("tree")));
    scp(&format!("{READER}@127.0.0.1:/tree"), "back");
    assert_eq!(inventory(&node.local("back")), inventory(&node.local("tree")));
}

#[test]
fn lftp_mirrors_in_parallel() {
    let node = Node::start();
    plant_tree(&node.local("tree"));
    fs::set_permissions(node.path("key"), fs::Permissions::from_mode(0o600)).unwrap();
    let ssh = format!("ssh -a -x {}", node.openssh_options().join(" "));
    let lftp = |script: &str| {
        let script = format!(
            "set sftp:connect-program '{ssh}'; set net:max-retries 1; set cmd:fail-exit yes; open -u {WRITER}, sftp://127.0.0.1:{}; {script}",
            node.port()
        );
        text(&run(node.command("lftp").args(["--norc", "-c", &script])));
    };
    // lftp takes names for text, and its lists are of lines.
    without_names_that_are_no_line_of_text(&node.local("tree"));
    lftp("mirror -R -P 4 tree tree");
    assert_eq!(inventory(&node.site("tree")), inventory(&node.local("tree")));
    lftp("mirror -P 4 tree back");
    assert_eq!(inventory(&node.local("back")), inventory(&node.local("tree")));
}

#[test]
fn rclone_copies_and_finds_no_difference() {
    let node = Node::start();
    plant_tree(&node.local("tree"));
    let obscured = text(&run(node.command("rclone").args(["obscure", PASSWORD])));
    let remote = format!(
        ":sftp,host=127.0.0.1,port={},user={WRITER},pass={},shell_type=none,set_modtime=true:/tree",
        node.port(),
        obscured.trim()
    );
    // rclone takes names for text and quotes what is none, so that it comes back as something else.
    without_names_that_are_no_line_of_text(&node.local("tree"));
    let rclone = |arguments: &[&str]| text(&run(node.command("rclone").args(["--config="]).args(arguments)));
    rclone(&["copy", "--transfers", "8", "tree", &remote]);
    rclone(&["check", "--download", "tree", &remote]);
    rclone(&["copy", "--transfers", "8", &remote, "back"]);
    let contents = |folder: &str| -> Vec<_> {
        let files = inventory(&node.local(folder)).into_iter().filter(|(_, mode, ..)| mode & 0o170_000 == 0o100_000);
        files.map(|(path, _, modified, content)| (path, modified, content)).collect()
    };
    assert_eq!(contents("back"), contents("tree"));
}

#[test]
fn curl_uploads_lists_and_downloads() {
    let node = Node::start();
    let content = noise(5_000_000);
    fs::write(node.local("up"), &content).unwrap();
    let known = node.path("known_hosts");
    let url = format!("sftp://127.0.0.1:{}/", node.port());
    let curl = |arguments: &[&str]| {
        let mut command = node.command("curl");
        command.args(["--silent", "--show-error", "--user", &format!("{WRITER}:{PASSWORD}")]).args(arguments);
        command.arg("--hostpubsha256").arg(node.fingerprint.trim_start_matches("SHA256:"));
        text(&run(&mut command))
    };
    assert!(known.exists());
    curl(&["--upload-file", "up", &format!("{url}f")]);
    assert_eq!(fs::read(node.site("f")).unwrap(), content);
    assert!(curl(&[&url]).contains(" f\n"));
    curl(&["--output", "back", &format!("{url}f")]);
    assert_eq!(fs::read(node.local("back")).unwrap(), content);
}

#[test]
fn sshfs_mounts_and_works_like_a_folder() {
    let node = Node::start();
    let mount = node.path("mount");
    fs::create_dir(&mount).unwrap();
    let mut sshfs = node.command("sshfs");
    sshfs.args(node.openssh_options()).arg(format!("{WRITER}@127.0.0.1:/")).arg(&mount);
    text(&run(&mut sshfs));
    let unmount = Unmount(&mount);
    fs::write(mount.join("f"), noise(200_000)).unwrap();
    fs::create_dir(mount.join("d")).unwrap();
    fs::rename(mount.join("f"), mount.join("d/g")).unwrap();
    symlink("d/g", mount.join("link")).unwrap();
    assert_eq!(fs::read(mount.join("link")).unwrap(), noise(200_000));
    fs::write(mount.join("d/g"), "short").unwrap();
    drop(unmount);
    wait_for("what was written is there", || fs::read(node.site("d/g")).is_ok_and(|content| content == b"short"));
}

struct Unmount<'a>(&'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn python_clients_work_and_a_large_download_does_not_hang() {
    let node = Node::start();
    File::create(node.site("large")).unwrap().set_len(256 << 20).unwrap();
    let python = xtask::python::environment_of("sftp-clients").unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/clients.py");
    let mut command = node.command(python.to_str().unwrap());
    command.arg(script).args([&node.port(), WRITER, PASSWORD]).arg(node.path("key"));
    text(&run(&mut command));
    assert_eq!(fs::metadata(node.local("large")).unwrap().len(), 256 << 20);
    let client = node.gatekeeper.seen.lock().unwrap().peers[0].client.clone();
    assert!(client.starts_with("SSH-2.0-AsyncSSH"), "{client}");
}

#[test]
fn ssh_audit_finds_nothing_wrong_beyond_what_is_kept_for_curl() {
    let node = Node::start();
    let python = xtask::python::environment_of("sftp-clients").unwrap();
    let mut audit = node.command(python.to_str().unwrap());
    audit.args(["-m", "ssh_audit", "--json", "--skip-rate-test", "-p", &node.port(), "127.0.0.1"]);
    let report = String::from_utf8(run(&mut audit).stdout).unwrap();
    let script = "import json, sys\n\
        report = json.load(sys.stdin)\n\
        for kind in ('kex', 'key', 'enc', 'mac'):\n\
        \x20   for row in report[kind]:\n\
        \x20       for level in ('fail', 'warn'):\n\
        \x20           for note in row['notes'].get(level, []): print(level, row['algorithm'])\n\
        \x20       print('offered', row['algorithm'])\n";
    fs::write(node.path("report.json"), &report).unwrap();
    let mut reader = node.command("python3");
    reader.args(["-c", script]).stdin(File::open(node.path("report.json")).unwrap());
    let found = text(&run(&mut reader));
    assert!(found.contains("offered mlkem768x25519-sha256"), "{found}");
    assert!(!found.contains("fail "), "{found}");
    let expected = ["curve25519-sha256", "curve25519-sha256@libssh.org", "hmac-sha2-256", "hmac-sha2-512"];
    for warning in found.lines().filter_map(|line| line.strip_prefix("warn ")) {
        assert!(expected.contains(&warning), "{found}");
    }
    assert!(!report.contains("russh"), "{report}");
}

#[test]
fn whatever_is_not_sftp_is_refused_at_once() {
    let node = Node::start();
    let ssh = |arguments: &[&str]| {
        let mut command = node.command("ssh");
        command.args(node.openssh_options()).args(arguments);
        complaint(&run(command.stdin(std::process::Stdio::null())))
    };
    let who = format!("{WRITER}@127.0.0.1");
    assert!(ssh(&[&who, "id"]).contains("exec request failed"));
    assert!(ssh(&["-T", &who]).contains("shell request failed"));
    assert!(ssh(&["-s", &who, "netconf"]).contains("subsystem request failed"));
    assert!(ssh(&["-W", "127.0.0.1:22", &who]).contains("administratively prohibited"));
    assert!(ssh(&["-o", "ExitOnForwardFailure=yes", "-N", "-R", "0:127.0.0.1:1", &who]).contains("forwarding failed"));
}

#[test]
fn a_read_only_account_is_told_so() {
    let node = Node::start();
    fs::write(node.local("up"), "x").unwrap();
    fs::write(node.site("f"), "content").unwrap();
    let said = complaint(&node.sftp(READER, &[], "get f\nput up\n"));
    assert!(said.contains("ermission denied"), "{said}");
    assert_eq!(fs::read(node.local("f")).unwrap(), b"content");
    assert!(!node.site("up").exists());
}
