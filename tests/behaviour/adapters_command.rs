//! Adapters that run commands which the operator wrote down, with real programs: what they are given, as whom they run, how
//! they end, and what is never run.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use latchkey_tests::adapters::Adapter;
use latchkey_tests::audit;
use latchkey_tests::command_line::{Printed, latchkey_told};
use latchkey_tests::processes::{self, Process};
use latchkey_tests::waiting::eventually;
use tempfile::TempDir;
use xtask::node::Node;

use crate::{ONE, TWO};

crate::trials! {
    beside_others:
        a_command_gets_its_arguments_exactly_as_the_operators_line_has_them,
        a_command_runs_as_the_hostings_user_unless_the_operator_says_root,
        a_secret_reaches_a_commands_input_and_nobody_else,
        what_is_not_granted_is_told_as_lines_and_what_is_withdrawn_ends_with_the_next_call,
        an_argument_outside_of_its_kind_starts_nothing,
        a_command_that_takes_too_long_or_writes_too_much_is_ended_with_all_that_it_started,
        a_command_ends_with_the_call_that_runs_it,
        what_others_could_have_written_is_not_run;
}

/// An adapter that runs the command `c`, and the ground of that one's program.
struct Commander<'n> {
    adapter: Adapter<'n>,
    ground: TempDir,
}

impl<'n> Commander<'n> {
    /// With a shell script as its program, and the operator's line, in which `{program}` is the script's path.
    fn on(node: &'n Node, name: &'static str, script: &str, line: &str) -> Self {
        let adapter = Adapter::commanding(node, name, "c");
        let ground = tempfile::tempdir().unwrap();
        // The hosting's user has to come as far as the program.
        fs::set_permissions(ground.path(), Permissions::from_mode(0o755)).unwrap();
        let commander = Self { adapter, ground };
        fs::write(commander.program(), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(commander.program(), Permissions::from_mode(0o755)).unwrap();
        commander.write_down(line);
        commander
    }

    fn program(&self) -> PathBuf {
        self.at("program")
    }

    /// A file beside the program.
    fn at(&self, name: &str) -> PathBuf {
        self.ground.path().join(name)
    }

    fn write_down(&self, line: &str) {
        let line = line.replace("{program}", &self.program().display().to_string());
        self.adapter.write_operators_file(&format!("[grants.commands.c]\n{line}\n"));
    }

    fn runs(&self, hosting: &str, text: &str) -> Printed {
        self.adapter.call(hosting, ["logs", "locate"], &[&format!("domain={text}"), "--json"])
    }

    /// Its exit code, what it wrote to its output, and to its error output.
    #[track_caller]
    fn ran(printed: &Printed) -> [String; 3] {
        let told = &printed.json()["returned"];
        [&told[0]["title"], &told[0]["path"], &told[1]["path"]].map(|text| text.as_str().unwrap().to_owned())
    }
}

/// Whether a process has this in its command line.
fn is_running(words: &str) -> bool {
    !processes::with_words(words).is_empty()
}

fn a_command_gets_its_arguments_exactly_as_the_operators_line_has_them(node: &Node) {
    let script = "printf '<%s>' \"$#\" \"$@\"; env | sort | tr '\\n' ' '; pwd >&2; exit 3";
    let line = "argv = [\"{program}\", \"--pool\", \"{hosting}\", \"{version}\", \"\", \"$HOME *\", \"{system_user}\", \"{home}\"]\n\
                arguments.version = { one_of = [\"8.2\", \"8.3\"] }";
    let commander = Commander::on(node, "arguments", script, line);
    let [code, stdout, stderr] = Commander::ran(&commander.runs(ONE, "c\nversion=8.3"));
    let hosting = node.hosting(ONE).unwrap();
    let (user, home) = (&hosting.user.name, hosting.user.home.display());
    let arguments = format!("<7><--pool><{ONE}><8.3><><$HOME *><{user}><{home}>");
    assert_eq!(
        stdout,
        format!("{arguments}LANG=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin PWD=/ ")
    );
    assert_eq!((code.as_str(), stderr.as_str()), ("3", "/\n"));
}

fn a_command_runs_as_the_hostings_user_unless_the_operator_says_root(node: &Node) {
    let line = "argv = [\"{program}\"]";
    let commander = Commander::on(node, "users", "id -u; id -G; kill -TERM $$", line);
    let of = |hosting: &str| {
        let ids = fs::metadata(&node.hosting(hosting).unwrap().user.home).unwrap();
        format!("{}\n{}\n", ids.uid(), ids.gid())
    };
    for hosting in [ONE, TWO] {
        assert_eq!(Commander::ran(&commander.runs(hosting, "c")), ["signal".to_owned(), of(hosting), String::new()]);
    }
    commander.write_down(&format!("{line}\nuser = \"root\""));
    let [_, stdout, _] = Commander::ran(&commander.runs(ONE, "c"));
    assert!(stdout.starts_with("0\n"), "{stdout}");
}

fn a_secret_reaches_a_commands_input_and_nobody_else(node: &Node) {
    let script =
        "cat > \"$1/got\"; cat /proc/$$/cmdline /proc/$$/environ > \"$1/seen\"; cat \"$1/got\"; cat \"$1/got\" >&2";
    let commander = Commander::on(node, "commander-secrets", script, "");
    let ground = commander.ground.path().display().to_string();
    let line = format!("argv = [\"{{program}}\", {ground:?}]\nuser = \"root\"\nstdin = [\"password\", \"token\"]");
    let kept = "[hostings.h1.secrets]\ntoken = \"kept-t0ken\"".replace("h1", ONE);
    commander.write_down(&format!("{line}\n{kept}"));
    let run = |hosting: &str, more: &[&str], input: &str| {
        let name = commander.adapter.name;
        let line = ["adapter", "run", name, hosting, "logs", "locate", "domain=c\ntoken:token\npassword:new", "--json"];
        latchkey_told(node, &[&line[..], more].concat(), input)
    };
    let printed = run(ONE, &["--secret", "new"], "new $(p)ss\n");
    assert_eq!(fs::read_to_string(commander.at("got")).unwrap(), "new $(p)ss\nkept-t0ken\n");
    let stars = format!("{}\n{}\n", "*".repeat(10), "*".repeat(10));
    assert_eq!(Commander::ran(&printed), ["0".to_owned(), stars.clone(), stars]);
    let seen = fs::read(commander.at("seen")).unwrap();
    let audited = format!("{:?}", audit::all_rows(node));
    let [serve, broker] = [node.serve().unwrap().log(), node.broker().unwrap().log()].map(|log| fs::read(log).unwrap());
    for told in [seen, audited.into_bytes(), serve, broker, printed.text.into_bytes()] {
        let told = String::from_utf8_lossy(&told);
        assert!(!told.is_empty() && !told.contains("$(p)ss") && !told.contains("kept-t0ken"), "{told}");
    }
    fs::remove_file(commander.at("got")).unwrap();
    run(ONE, &[], "").failed(5, "password: \"new\": expected a secret of this call or of the operator's");
    run(TWO, &["--secret", "new"], "new\n").failed(5, "token: \"token\": expected a secret of this call");
    commander.runs(ONE, "c\npassword=new\ntoken:token").failed(5, "password: expected a secret");
    assert!(!commander.at("got").exists());
}

fn what_is_not_granted_is_told_as_lines_and_what_is_withdrawn_ends_with_the_next_call(node: &Node) {
    let line = "argv = [\"{program}\"]";
    let commander = Commander::on(node, "lines", "echo ran", line);
    let file = commander.adapter.operators_file().display().to_string();
    let ran = || Commander::ran(&commander.runs(ONE, "c"))[1] == "ran\n";
    assert!(ran());
    commander.adapter.write_operators_file("");
    let missing = "commands.c = { argv = [\"/path/of/its/program\"] }";
    let refused = format!(
        "the command c is not granted: it takes `{missing}` under [grants] in {file}; as lines: [grants]\n{missing}"
    );
    let told = commander.runs(ONE, "c");
    assert_eq!(told.code, 4);
    assert!(told.text.replace("\\n", "\n").replace("\\\"", "\"").contains(&refused), "{}", told.text);
    assert_eq!(commander.adapter.listed().unwrap()["missing"], serde_json::json!([missing]));
    // The lines are lines that grant it.
    let granted = missing.replace("/path/of/its/program", &commander.program().display().to_string());
    commander.adapter.write_operators_file(&format!("[grants]\n{granted}\n"));
    assert!(ran());
    assert_eq!(commander.adapter.listed().unwrap()["missing"], serde_json::json!([]));
    commander.adapter.write_operators_file(&format!("[grants]\n{}\n", granted.replace("commands.c", "commands.d")));
    commander.runs(ONE, "c").failed(4, "the command c is not granted");
    // What the operator granted and the manifest does not ask for.
    commander.runs(ONE, "d").failed(4, "the command d is not asked for: it takes `command = [");
    commander.runs(ONE, "/bin/sh").failed(5, "name: expected a lower-case letter or digit");
}

fn an_argument_outside_of_its_kind_starts_nothing(node: &Node) {
    let line = "argv = [\"{program}\", \"{domain}\", \"{workers}\"]\nuser = \"root\"\narguments.domain = \"domain\"\n\
                arguments.workers = { number = { min = 1, max = 64 } }";
    let commander = Commander::on(node, "kinds", "touch \"$0.started\"; echo \"$@\"", line);
    for (text, words) in [
        ("c\ndomain=example.org;id\nworkers=4", "domain: expected a domain in lower case"),
        ("c\ndomain=--help\nworkers=4", "domain: expected a domain in lower case"),
        ("c\ndomain=example.org\nworkers=65", "workers: expected a whole number from 1 to 64"),
        ("c\ndomain=example.org\nworkers=-1", "workers: expected a whole number from 1 to 64"),
        ("c\ndomain=example.org", "workers: expected a value"),
        ("c\ndomain=example.org\nworkers=4\nuser=root", "user: expected no argument of this name"),
        ("c\ndomain=example.org\nworkers=4\nworkers=5", "workers: expected it once"),
    ] {
        commander.runs(ONE, text).failed(5, words);
    }
    let many = (0..33).fold("c".to_owned(), |text, at| format!("{text}\nx{at}=1"));
    commander.runs(ONE, &many).failed(5, "arguments: expected at most 32, of 8192 bytes in all");
    let long = format!("c\ndomain={}", "x".repeat(8192));
    commander.runs(ONE, &long).failed(5, "arguments: expected at most 32, of 8192 bytes in all");
    assert!(!commander.at("program.started").exists());
    let [_, stdout, _] = Commander::ran(&commander.runs(ONE, "c\ndomain=example.org\nworkers=64"));
    assert_eq!((stdout.as_str(), commander.at("program.started").exists()), ("example.org 64\n", true));
}

fn a_command_that_takes_too_long_or_writes_too_much_is_ended_with_all_that_it_started(node: &Node) {
    let sleep = "sleep 86001";
    let slow = format!("trap '' TERM HUP; {sleep} & ({sleep}) & wait");
    let commander = Commander::on(node, "too-long", &slow, "argv = [\"{program}\"]\ntimeout_ms = 500");
    commander.runs(ONE, "c").failed(8, "its time was over");
    eventually("all are gone", || !is_running(sleep));
    // The time of the call is over before that of the command.
    commander.write_down("argv = [\"{program}\"]\ntimeout_ms = 60000\n[limits]\nwall_ms = 2000");
    commander.runs(ONE, "c").failed(8, "its time was over");
    eventually("all are gone", || !is_running(sleep));
    fs::write(commander.program(), format!("#!/bin/sh\nhead -c 262145 /dev/zero\n{sleep}\n")).unwrap();
    commander.runs(ONE, "c").failed(8, "it wrote more than it may");
    eventually("all are gone", || !is_running(sleep));
    fs::write(commander.program(), "#!/bin/sh\nhead -c 262144 /dev/zero | tr '\\0' x\n").unwrap();
    let [code, stdout, _] = Commander::ran(&commander.runs(ONE, "c"));
    assert_eq!((code.as_str(), stdout.len()), ("0", 262_144));
}

fn a_command_ends_with_the_call_that_runs_it(node: &Node) {
    let sleep = "sleep 86002";
    let line = "argv = [\"{program}\"]\ntimeout_ms = 60000\n[limits]\nwall_ms = 60000";
    let commander = Commander::on(node, "hung-up", sleep, line);
    std::thread::scope(|scope| {
        let call = scope.spawn(|| commander.runs(ONE, "c"));
        eventually("it runs", || is_running(sleep));
        // Whoever called is gone.
        let callers = processes::with_words("adapter run hung-up").into_iter();
        let is_no_shell = |process: &Process| processes::children(process.0).is_empty();
        callers.filter(is_no_shell).for_each(Process::kill);
        assert_eq!(call.join().unwrap().code, 137);
        eventually("it is gone", || !is_running(sleep));
    });
}

fn what_others_could_have_written_is_not_run(node: &Node) {
    let commander = Commander::on(node, "others", "echo ran", "argv = [\"{program}\"]\nuser = \"root\"");
    let file = commander.adapter.operators_file();
    let set_mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let ran = || Commander::ran(&commander.runs(ONE, "c"))[1] == "ran\n";
    for (path, right, wrong, code) in [
        (commander.program(), 0o755, 0o775, 6),
        (commander.ground.path().to_owned(), 0o755, 0o777, 6),
        (file.clone(), 0o640, 0o660, 5),
    ] {
        assert!(ran());
        set_mode(&path, wrong);
        let words = format!("{} has to belong to root and to be writable by root alone", path.display());
        commander.runs(ONE, "c").failed(code, &words);
        set_mode(&path, right);
    }
    assert!(ran());
    fs::remove_file(commander.program()).unwrap();
    commander.runs(ONE, "c").failed(6, "there is no ");
    commander.write_down("argv = [\"program\"]");
    commander.runs(ONE, "c").failed(6, "grants.commands.c: argv: expected the absolute path of a program");
    // None of this is the adapter's fault.
    assert_eq!(commander.adapter.listed().unwrap().get("last_break"), None);
}
