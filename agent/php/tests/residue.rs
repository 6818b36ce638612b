//! `residue.*` through the real `latchkey-php`: what changed since is named, and a hostile tree neither hides nor hangs it.
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
    ffi::OsStr,
    fs,
    io::Write as _,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _, symlink},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use system_user::{SystemUser, until};

/// A key and its fingerprint as `ssh-keygen -l` prints it.
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
const FINGERPRINT: &str = "ssh-ed25519 SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU";

/// A home with a docroot that has a WordPress's folders and no WordPress.
struct Home {
    user: SystemUser,
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Home {
        let home = Home {
            user: SystemUser::new(),
            dir: tempfile::Builder::new().prefix("lk").tempdir_in("/dev/shm").unwrap(),
        };
        home.own("");
        for folder in ["public", "public/wp-content", "public/wp-content/uploads", "public/wp-content/mu-plugins"] {
            home.folder(folder);
        }
        home
    }

    fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(path)
    }

    fn own(&self, path: impl AsRef<Path>) {
        rustix::fs::chownat(
            rustix::fs::CWD,
            self.path(path),
            Some(rustix::process::Uid::from_raw(self.user.uid)),
            Some(rustix::process::Gid::from_raw(self.user.gid)),
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        )
        .unwrap();
    }

    fn folder(&self, path: impl AsRef<Path>) {
        fs::create_dir_all(self.path(&path)).unwrap();
        self.own(path);
    }

    fn file(&self, path: impl AsRef<Path>, content: &str) {
        fs::write(self.path(&path), content).unwrap();
        self.own(path);
    }

    fn link(&self, to: &str, path: &str) {
        symlink(to, self.path(path)).unwrap();
        self.own(path);
    }

    fn pipe(&self, path: &str) {
        assert!(Command::new("mkfifo").arg(self.path(path)).status().unwrap().success());
        self.own(path);
    }

    fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A moment after which nothing changed yet: the next full second of the clock that files get their times from.
    fn now(&self) -> i64 {
        let probe = || {
            self.file("probe.txt", "");
            fs::metadata(self.path("probe.txt")).unwrap().ctime()
        };
        let before = probe();
        until("the second is over", || probe() > before);
        before + 1
    }

    fn call(&self, action: &str, args: Value) -> Value {
        let reply = self.ask(action, args);
        assert_eq!(reply["ok"], true, "{reply}");
        reply["result"].clone()
    }

    fn ask(&self, action: &str, args: Value) -> Value {
        let bridge = Path::new(env!("CARGO_MANIFEST_DIR")).join("bridge/bridge.php");
        let mut child = Command::new(env!("CARGO_BIN_EXE_latchkey-php"))
            .env_clear()
            .args([
                format!("--broker-pid={}", std::process::id()),
                format!("--uid={}", self.user.uid),
                format!("--gid={}", self.user.gid),
                format!("--home={}", self.dir.path().display()),
                "--docroot=public".to_owned(),
                "--deadline-ms=20000".to_owned(),
                "--php=/usr/bin/php8.2".to_owned(),
                format!("--bridge={}", bridge.display()),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let request =
            json!({"action": action, "args": args, "site": {"url": "http://x.example"}, "skip_plugins": true});
        child.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn left(&self, since: i64) -> Value {
        self.left_with(json!({"since": since}))
    }

    fn left_with(&self, args: Value) -> Value {
        let mut all = json!({"since": 0, "entries": 10_000, "ms": 10_000, "keys": {}, "folders": []});
        args.as_object().unwrap().iter().for_each(|(name, value)| all[name] = value.clone());
        self.call("residue.left", all)
    }
}

/// Every name told, with its kind.
fn names(left: &Value) -> Vec<String> {
    let of_place = |place: &Value| {
        let kind = place["kind"].as_str().unwrap().to_owned();
        let paths = place["names"].as_array().unwrap().clone();
        paths.into_iter().map(move |name| format!("{kind} {}", name["path"].as_str().unwrap()))
    };
    let mut all: Vec<String> = left["places"].as_array().unwrap().iter().flat_map(of_place).collect();
    all.sort();
    all
}

fn problems(left: &Value) -> Vec<String> {
    let problems = left["problems"].as_array().unwrap().iter();
    problems.map(|one| format!("{} {}", one["reason"].as_str().unwrap(), one["path"].as_str().unwrap())).collect()
}

#[track_caller]
fn check(left: &Value, named: &[&str], not_looked_at: &[&str]) {
    assert_eq!(names(left), named, "{left}");
    assert_eq!(problems(left), not_looked_at, "{left}");
}

#[test]
fn what_runs_code_and_changed_since_is_named_by_kind_and_what_was_there_before_is_not() {
    let home = Home::new();
    for old in
        ["public/index.php", "public/.user.ini", "public/wp-content/db.php", "public/wp-content/mu-plugins/a.php"]
    {
        home.file(old, "");
    }
    let since = home.now();
    check(&home.left(since), &[], &[]);
    home.file("public/index.php", "changed");
    home.file("public/.htaccess", "");
    home.file("public/.user.ini", "x = 1\n auto_prepend_file = /tmp/run.php\n");
    home.file(".user.ini", "");
    home.file("wp-config.php", "");
    home.file("public/wp-content/sunrise.php", "");
    home.file("public/wp-content/mu-plugins/b.php", "");
    home.file("public/wp-content/uploads/photo.php.jpg", "");
    home.file("public/wp-content/uploads/a.PHTML", "");
    for harmless in ["public/wp-content/uploads/photo.jpg", "public/readme.txt", "public/php", "elsewhere.php"] {
        home.file(harmless, "");
    }
    let left = home.left(since);
    let expected = [
        "drop_in public/wp-content/sunrise.php",
        "htaccess public/.htaccess",
        "mu_plugin public/wp-content/mu-plugins/b.php",
        "php_file public/index.php",
        "php_file public/wp-content/uploads/a.PHTML",
        "php_file public/wp-content/uploads/photo.php.jpg",
        "php_file wp-config.php",
        "user_ini .user.ini",
        "user_ini public/.user.ini",
    ];
    check(&left, &expected, &[]);
    assert!(left.to_string().contains("/tmp/run.php"), "{left}");
}

#[test]
fn an_old_date_and_a_new_name_hide_nothing() {
    let home = Home::new();
    home.file("public/note.txt", "<?php evil();");
    home.file("public/kept.php", "");
    let since = home.now();
    home.file("public/touched.php", "");
    let touched = Command::new("touch").args(["-d", "2001-01-01"]).arg(home.path("public/touched.php")).status();
    assert!(touched.unwrap().success());
    fs::rename(home.path("public/note.txt"), home.path("public/renamed.php")).unwrap();
    fs::hard_link(home.path("public/kept.php"), home.path("public/linked.php")).unwrap();
    // Both names of the file that got a second one.
    let expected =
        ["kept.php", "linked.php", "renamed.php", "touched.php"].map(|name| format!("php_file public/{name}"));
    assert_eq!(names(&home.left(since)), expected);
}

#[test]
fn many_changes_of_one_plugin_are_one_place_with_their_count() {
    let home = Home::new();
    for number in 0..7 {
        home.folder(format!("public/wp-content/plugins/shop/inc{number}"));
        home.file(format!("public/wp-content/plugins/shop/inc{number}/code.php"), "");
    }
    home.file("public/wp-content/plugins/single.php", "");
    let left = home.left(0);
    let places: Vec<_> =
        left["places"].as_array().unwrap().iter().map(|place| (&place["folder"], &place["count"])).collect();
    let folder = |name: &str| json!(format!("public/wp-content/plugins{name}"));
    assert_eq!(places, [(&folder(""), &json!(1)), (&folder("/shop"), &json!(7))]);
    assert_eq!(left["places"][1]["names"].as_array().unwrap().len(), 5);
}

#[test]
fn a_hostile_tree_neither_hangs_nor_hides() {
    let home = Home::new();
    home.link("..", "public/wp-content/uploads/loop");
    home.link("/", "public/wp-content/uploads/root");
    home.pipe("public/.user.ini");
    home.pipe("public/pipe.php");
    home.folder("public/closed");
    home.file("public/closed/hidden.php", "");
    home.mode("public/closed", 0o000);
    home.folder("public/listed");
    home.file("public/listed/hidden.php", "");
    home.mode("public/listed", 0o400);
    home.folder("public/n");
    home.file("public/n/two\nlines.php", "");
    home.file(Path::new(OsStr::from_bytes(b"public/n/\xff\xed\xa0\x80.php")), "");
    home.file("public/n/\u{202e}gpj.php", "");
    home.file("public/n/back\\slash.php", "");
    home.file("public/n/ä.php", "");
    let left = home.left(0);
    let expected = [
        "link public/wp-content/uploads/loop",
        "link public/wp-content/uploads/root",
        "php_file public/n/\\xE2\\x80\\xAEgpj.php",
        "php_file public/n/\\xFF\\xED\\xA0\\x80.php",
        "php_file public/n/back\\\\slash.php",
        "php_file public/n/two\\x0Alines.php",
        "php_file public/n/ä.php",
        "php_file public/pipe.php",
        "user_ini public/.user.ini",
    ];
    assert_eq!(names(&left), expected);
    let mut unread = problems(&left);
    unread.sort();
    assert_eq!(unread, ["unreadable public/closed", "unreadable public/listed"]);
}

#[test]
fn a_full_folder_is_left_early_and_said_so_without_hiding_the_others() {
    let home = Home::new();
    home.folder("public/full");
    for number in 0..150 {
        home.file(format!("public/full/{number}.txt"), "");
    }
    home.file("public/wp-content/uploads/shell.php", "");
    check(
        &home.left_with(json!({"entries": 400})),
        &["php_file public/wp-content/uploads/shell.php"],
        &["bound public/full"],
    );
    check(&home.left_with(json!({"entries": 800})), &["php_file public/wp-content/uploads/shell.php"], &[]);
}

#[test]
fn the_walk_ends_after_its_entries_its_time_and_its_depth_and_says_so() {
    let home = Home::new();
    for number in 0..200 {
        home.folder(format!("public/d{number}"));
    }
    assert_eq!(problems(&home.left_with(json!({"entries": 100}))), ["bound public"]);
    assert_eq!(problems(&home.left_with(json!({"ms": 0}))), ["bound public"]);
    assert_eq!(problems(&home.left(0)), [""; 0]);
    let deep = ["d"; 66].join("/");
    home.folder(format!("public/deep/{deep}"));
    let left = home.left(0);
    assert_eq!(left["problems"].as_array().unwrap().len(), 1, "{left}");
    assert!(problems(&left)[0].starts_with("too_deep public/deep/d/"), "{left}");
}

#[test]
fn an_older_link_counts_as_what_it_leads_to() {
    let home = Home::new();
    for folder in ["shared", "shared/uploads", "public/wp-content/real"] {
        home.folder(folder);
    }
    home.file("shared/config.php", "");
    home.link("../shared/config.php", "public/wp-config.php");
    home.link("../../shared/uploads", "public/wp-content/outside");
    home.link("real", "public/wp-content/inside");
    home.link("nowhere", "public/broken.php");
    let since = home.now();
    // What is looked through by its own name needs no second look through the link.
    check(&home.left(since), &[], &["link public/wp-content/outside"]);
    home.file("shared/config.php", "changed");
    home.file("shared/uploads/shell.php", "");
    let args = json!({"since": since, "folders": [home.path("shared/uploads")]});
    check(&home.left_with(args), &["php_file public/wp-config.php", "php_file shared/uploads/shell.php"], &[]);
}

#[test]
fn a_moved_content_folder_is_looked_through_and_one_out_of_reach_is_told() {
    let home = Home::new();
    home.folder("content/mu-plugins");
    home.file("content/mu-plugins/m.php", "");
    home.file("content/db.php", "");
    home.folder("closed/content");
    home.mode("closed", 0o000);
    let unusable = [json!("/"), json!(home.path("")), json!("relative"), json!(7), json!(home.path("gone/content"))];
    let mut folders = vec![json!(home.path("content")), json!(home.path("closed/content"))];
    folders.extend(unusable);
    let expected = ["drop_in content/db.php", "mu_plugin content/mu-plugins/m.php"];
    check(&home.left_with(json!({"folders": folders})), &expected, &["unreadable closed/content"]);
}

#[test]
fn a_new_line_of_authorized_keys_is_told_by_its_fingerprint_and_an_old_one_is_not() {
    let home = Home::new();
    assert_eq!(home.call("residue.before", json!({}))["keys"][".ssh/authorized_keys"], json!([]));
    home.folder(".ssh");
    home.file(".ssh/authorized_keys", "# mine\nssh-rsa AAAA owner\n\n");
    let before = home.call("residue.before", json!({}))["keys"].clone();
    assert_eq!(before[".ssh/authorized_keys"].as_array().unwrap().len(), 1, "{before}");
    let left = || home.left_with(json!({"keys": before}));
    assert_eq!(left()["keys"], json!([]));
    home.file(
        ".ssh/authorized_keys",
        &format!("ssh-rsa AAAA owner\nno-pty,command=\"a b\" {KEY} gu\x1best\n# {KEY}\n"),
    );
    home.file(".ssh/authorized_keys2", "not a key\n");
    let told = json!([
        {"file": ".ssh/authorized_keys", "key": format!("{FINGERPRINT} gu\\x1Best")},
        {"file": ".ssh/authorized_keys2", "key": "a line that is no key: not a key"},
    ]);
    assert_eq!(left()["keys"], told);
}

#[test]
fn keys_that_cannot_be_read_are_told_as_unread_never_as_none() {
    let home = Home::new();
    home.folder(".ssh");
    home.file(".ssh/authorized_keys", KEY);
    let both = json!([".ssh/authorized_keys", ".ssh/authorized_keys2"]);
    let check = |unread: Value| {
        assert_eq!(home.left(0)["keys_unread"], unread);
        let before = home.call("residue.before", json!({}));
        assert_eq!(before["keys"][".ssh/authorized_keys"].is_null(), unread != json!([]), "{before}");
    };
    check(json!([]));
    home.mode(".ssh", 0o000);
    check(both);
    home.mode(".ssh", 0o700);
    home.mode(".ssh/authorized_keys", 0o000);
    check(json!([".ssh/authorized_keys"]));
    home.mode(".ssh/authorized_keys", 0o600);
    home.file(".ssh/authorized_keys", &format!("#{}\n{KEY}", "x".repeat(262_144)));
    check(json!([".ssh/authorized_keys"]));
    fs::remove_file(home.path(".ssh/authorized_keys")).unwrap();
    home.pipe(".ssh/authorized_keys");
    check(json!([".ssh/authorized_keys"]));
}

#[test]
fn arguments_that_are_no_numbers_are_refused() {
    let home = Home::new();
    for wrong in ["since", "entries", "ms"] {
        let mut args = json!({"since": 0, "entries": 1, "ms": 1});
        args[wrong] = json!("1");
        assert_eq!(home.ask("residue.left", args)["error"]["code"], "invalid");
    }
    assert_eq!(home.left(0)["places"], json!([]));
}
