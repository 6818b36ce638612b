//! The adapter of a plain node, on real crontabs: what it answers, and what cron's own program says.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use latchkey_tests::adapters::Adapter;
use latchkey_tests::command_line::Printed;
use serde_json::{Value, json};
use xtask::node::Node;
use xtask::process::Program;

crate::trials! {
    beside_others:
        entries_are_made_listed_changed_and_deleted_beside_foreign_lines,
        a_line_that_was_changed_by_hand_is_not_touched,
        changes_at_once_lose_nothing,
        what_cron_does_not_take_is_refused_and_the_old_crontab_stays,
        crontab_takes_a_grant,
        a_link_or_somebody_elses_file_is_no_crontab,
        logs_are_where_the_operator_says;
}

/// The hosting of these trials alone, and one whose crontab is nobody's business.
const TIMED: &str = "timed";
const OTHER: &str = "beside";

const GRANTS: &str = "[grants]\ncrontab = true\nstate = true\n";

/// All that people write: a comment, an odd line end, a setting, odd blanks, bytes that are no UTF-8, nothing.
const FOREIGN: &[u8] = b"# by hand\r\nMAILTO = \"\"\n\n  0  3\t* * *   echo caf\xe9 \\% \n@daily true\n \n";

/// The crontab of that hosting, for one trial at a time.
static TURN: Mutex<()> = Mutex::new(());

struct Linux<'n> {
    node: &'n Node,
    adapter: Adapter<'n>,
    _turn: MutexGuard<'static, ()>,
}

impl<'n> Linux<'n> {
    /// Installed under a name of the trial's own, with this crontab.
    fn with(node: &'n Node, name: &'static str, crontab: &[u8]) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let linux = Self { node, adapter: granted(node, name), _turn: turn };
        linux.put(TIMED, crontab);
        linux
    }

    fn does(&self, function: &str, more: &[&str]) -> Printed {
        self.adapter.call(TIMED, ["cron", function], more)
    }

    fn create(&self, entry: &Value) -> Printed {
        self.does("create-entry", &[&format!("entry={entry}")])
    }

    fn update(&self, listed: &Value, entry: &Value) -> Printed {
        self.does("update-entry", &[&format!("listed={listed}"), &format!("entry={entry}")])
    }

    fn delete(&self, listed: &Value) -> Printed {
        self.does("delete-entry", &[&format!("listed={listed}")])
    }

    fn list(&self) -> Vec<Value> {
        self.does("list-entries", &["--json"]).json()["returned"].as_array().unwrap().clone()
    }

    /// The entry with that tag.
    fn tagged(&self, tag: &str) -> Value {
        self.list().into_iter().find(|listed| listed["entry"]["tag"] == tag).unwrap()
    }

    fn user(&self, hosting: &str) -> String {
        self.node.hosting(hosting).unwrap().user.name.clone()
    }

    /// As somebody at a shell does.
    fn put(&self, hosting: &str, text: &[u8]) {
        let crontab = Program::new("crontab").arg("-").input(text);
        crontab.run_as(self.node.hosting(hosting).unwrap().user.identity()).text().unwrap();
    }

    /// What cron has, byte for byte, without the three lines that are its own; `crontab -l` prints the same, except
    /// that it writes a carriage return as `\\r`.
    fn crontab(&self, hosting: &str) -> Vec<u8> {
        let there = fs::read(file(&self.user(hosting))).unwrap();
        let text = there.splitn(4, |byte| *byte == b'\n').last().unwrap().to_vec();
        let line = format!("crontab -l -u {} | od -An -v -tx1", self.user(hosting));
        let printed = Program::new("sh").args(["-c", &line]).text().unwrap();
        let printed = printed.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap());
        let shown = text.iter().flat_map(|byte| if *byte == b'\r' { b"\\r" } else { std::slice::from_ref(byte) });
        assert_eq!(printed.collect::<Vec<u8>>(), shown.copied().collect::<Vec<u8>>());
        text
    }

    fn file(&self) -> PathBuf {
        file(&self.user(TIMED))
    }

    #[track_caller]
    fn is(&self, ours: &str) {
        let expected = [FOREIGN, ours.as_bytes()].concat();
        assert_eq!(self.crontab(TIMED), expected, "{}", String::from_utf8_lossy(&self.crontab(TIMED)));
    }
}

/// Where cron has it.
fn file(user: &str) -> PathBuf {
    Path::new("/var/spool/cron/crontabs").join(user)
}

fn granted<'n>(node: &'n Node, name: &'static str) -> Adapter<'n> {
    let adapter = Adapter::shipped_as(node, "linux", name);
    adapter.write_operators_file(GRANTS);
    let _ = adapter.install(&["--unsigned"]).done();
    adapter
}

fn entry(schedule: &str, command: &str, tag: &str) -> Value {
    json!({ "schedule": schedule, "command": command, "tag": tag, "enabled": true })
}

fn with(entry: &Value, field: &str, value: impl Into<Value>) -> Value {
    let mut entry = entry.clone();
    entry[field] = value.into();
    entry
}

fn entries_are_made_listed_changed_and_deleted_beside_foreign_lines(node: &Node) {
    let linux = Linux::with(node, "linux-cron", FOREIGN);
    linux.put(OTHER, b"@daily echo theirs\n");
    let ours = entry("*/5 * * * *", "echo \"it's\" > $HOME/run; true", "wp-cron");
    let _ = linux.create(&ours).done();
    let _ = linux.create(&ours).done();
    linux.is("# latchkey: wp-cron\n*/5 * * * * echo \"it's\" > $HOME/run; true\n");
    linux.create(&with(&ours, "command", "true")).failed(6, "there is another entry with the tag wp-cron");
    let listed = linux.list();
    let told: Vec<&Value> = listed.iter().map(|listed| &listed["entry"]).collect();
    let theirs = |schedule: &str, command: &str| with(&entry(schedule, command, ""), "tag", Value::Null);
    assert_eq!(told, [&theirs("0 3 * * *", "echo caf\u{fffd} \\% "), &theirs("0 0 * * *", "true"), &ours]);
    let off = with(&with(&ours, "enabled", false), "schedule", "1 2 * * 1-5");
    let _ = linux.update(&listed[2], &off).done();
    linux.is("# latchkey: wp-cron\n# latchkey off: 1 2 * * 1-5 echo \"it's\" > $HOME/run; true\n");
    linux.update(&listed[2], &with(&ours, "command", "true")).failed(6, "list it anew");
    // Somebody else's line, too: it comes back as it was written.
    let _ = linux.update(&listed[0], &with(&listed[0]["entry"], "enabled", false)).done();
    assert_eq!(linux.list()[0]["entry"]["enabled"], false);
    let _ = linux.update(&linux.list()[0], &listed[0]["entry"]).done();
    let ours = linux.tagged("wp-cron");
    let _ = linux.delete(&ours).done();
    linux.is("");
    linux.delete(&ours).failed(3, "there is no such entry any more");
    // The last line goes, and the crontab with it; the first one makes it again.
    linux.put(TIMED, b"@daily true\n");
    let _ = linux.delete(&linux.list()[0]).done();
    assert!(!linux.file().exists());
    assert_eq!(linux.list(), Vec::<Value>::new());
    let _ = linux.create(&entry("0 0 1 1 *", "true", "first")).done();
    assert_eq!(linux.crontab(TIMED), b"# latchkey: first\n0 0 1 1 * true\n");
    assert_eq!(linux.crontab(OTHER), b"@daily echo theirs\n");
}

fn a_line_that_was_changed_by_hand_is_not_touched(node: &Node) {
    let linux = Linux::with(node, "linux-cron-hand", FOREIGN);
    let ours = entry("1 2 * * *", "true", "ours");
    let _ = linux.create(&ours).done();
    let listed = linux.list();
    let by_hand = [FOREIGN, b"# latchkey: ours\n1 2 * * * echo by hand\n"].concat();
    linux.put(TIMED, &by_hand);
    linux.update(&listed[2], &with(&ours, "command", "echo lost")).failed(6, "list it anew");
    linux.delete(&listed[2]).failed(6, "list it anew");
    assert_eq!(linux.crontab(TIMED), by_hand);
    // Other lines that were changed do not matter.
    let listed = linux.tagged("ours");
    linux.put(TIMED, &[b"# first\n", &by_hand[..]].concat());
    let _ = linux.delete(&listed).done();
    assert_eq!(linux.crontab(TIMED), [b"# first\n", FOREIGN].concat());
}

fn changes_at_once_lose_nothing(node: &Node) {
    let linux = Linux::with(node, "linux-cron-once", FOREIGN);
    let another = granted(node, "linux-cron-twice");
    let make = |adapter: &Adapter<'_>| {
        for n in 0..5 {
            let entry = entry("1 2 * * *", "true", &format!("{}-{n}", adapter.name));
            let _ = adapter.call(TIMED, ["cron", "create-entry"], &[&format!("entry={entry}")]).done();
        }
    };
    std::thread::scope(|scope| {
        let made = [&linux.adapter, &another].map(|adapter| scope.spawn(move || make(adapter)));
        made.into_iter().for_each(|made| made.join().unwrap());
    });
    let listed = linux.list();
    let tags = listed.iter().filter_map(|listed| listed["entry"]["tag"].as_str());
    let mut tags: Vec<&str> = tags.collect();
    tags.sort_unstable();
    let expected = ["once", "twice"].iter().flat_map(|name| (0..5).map(move |n| format!("linux-cron-{name}-{n}")));
    assert_eq!(tags, expected.collect::<Vec<_>>());
    assert!(linux.crontab(TIMED).starts_with(FOREIGN));
}

fn what_cron_does_not_take_is_refused_and_the_old_crontab_stays(node: &Node) {
    let linux = Linux::with(node, "linux-cron-bad", FOREIGN);
    linux.create(&entry("61 * * * *", "true", "bad")).failed(6, "bad minute");
    linux.create(&entry("@reboot", "true", "bad")).failed(5, "five fields");
    for command in ["date \\%F", "true\n* * * * * false", "true\\", "* true", &"x".repeat(999)] {
        linux.create(&entry("1 2 * * *", command, "bad")).failed(5, "command");
    }
    linux.create(&entry("1 2 * * *", "true", "bad\n* * * * * false")).failed(5, "tag");
    linux.is("");
    let _ = linux.create(&entry("1 2 * * *", "date +%F", "good")).done();
    linux.is("# latchkey: good\n1 2 * * * date +\\%F\n");
    let _ = linux.delete(&linux.tagged("good")).done();
    linux.is("");
}

fn crontab_takes_a_grant(node: &Node) {
    let linux = Linux::with(node, "linux-cron-grant", FOREIGN);
    let ours = entry("1 2 * * *", "true", "ours");
    let _ = linux.create(&ours).done();
    let before = linux.crontab(TIMED);
    let listed = linux.tagged("ours");
    linux.adapter.write_operators_file("[grants]\nstate = true\n");
    let file = linux.adapter.operators_file().display().to_string();
    let missing = format!("crontab is not granted: it takes `crontab = true` under [grants] in {file}");
    linux.does("list-entries", &[]).failed(4, &missing);
    linux.create(&entry("1 2 * * *", "true", "other")).failed(4, &missing);
    linux.update(&listed, &with(&ours, "command", "false")).failed(4, &missing);
    linux.delete(&listed).failed(4, &missing);
    assert_eq!(linux.crontab(TIMED), before);
    assert_eq!(linux.adapter.listed().unwrap()["missing"], json!(["mysql = true", "crontab = true"]));
    linux.adapter.write_operators_file(GRANTS);
    let _ = linux.delete(&listed).done();
    linux.is("");
}

fn a_link_or_somebody_elses_file_is_no_crontab(node: &Node) {
    let linux = Linux::with(node, "linux-cron-link", FOREIGN);
    let expected = "expected its crontab to be a file of its system user";
    let theirs = linux.node.root().join("theirs-cron");
    fs::write(&theirs, "@daily true\n").unwrap();
    let replaced: [&dyn Fn(); 2] =
        [&|| symlink(&theirs, linux.file()).unwrap(), &|| fs::copy(&theirs, linux.file()).map(drop).unwrap()];
    for put in replaced {
        fs::remove_file(linux.file()).unwrap();
        put();
        linux.does("list-entries", &[]).failed(6, expected);
        linux.create(&entry("1 2 * * *", "true", "ours")).failed(6, expected);
        assert_eq!(fs::read_to_string(linux.file()).unwrap(), "@daily true\n");
    }
    chown(linux.file(), Some(linux.node.hosting(TIMED).unwrap().user.uid), None).unwrap();
    assert_eq!(linux.list()[0]["entry"]["schedule"], "0 0 * * *");
    fs::remove_file(theirs).unwrap();
}

fn logs_are_where_the_operator_says(node: &Node) {
    let linux = Linux::with(node, "linux-logs", FOREIGN);
    let locate = |domain: &str| linux.adapter.call(TIMED, ["logs", "locate"], &[&format!("domain={domain}"), "--json"]);
    let paths = |domain: &str| {
        let located = locate(domain).json()["returned"].as_array().unwrap().clone();
        located.into_iter().map(|row| row["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(paths("a.example"), ["/var/log/nginx/a.example.access.log", "/var/log/nginx/a.example.error.log"]);
    let settings =
        "access-log = \"/logs/{system_user}/{domain}.log\"\nerror-log = \"\"\nphp-log = \"{home}/php.log\"\n";
    linux.adapter.write_operators_file(&format!("{GRANTS}\n[hostings.{TIMED}.settings]\n{settings}"));
    let hosting = linux.node.hosting(TIMED).unwrap();
    let (user, home) = (&hosting.user.name, hosting.user.home.display());
    assert_eq!(paths("a.example"), [format!("/logs/{user}/a.example.log"), format!("{home}/php.log")]);
    locate("../../etc/passwd").failed(5, "domain");
}
