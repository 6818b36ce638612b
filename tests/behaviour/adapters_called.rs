//! Adapters that are called: what their runners are, what they keep, and what is left when they break down or are killed.

use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::thread;

use latchkey_tests::adapters::{Adapter, digest};
use latchkey_tests::api::Api;
use latchkey_tests::processes::{Process, held};
use latchkey_tests::waiting::eventually;
use xtask::node::Node;
use xtask::process::{Identity, Program};

use crate::recovery::RunsAgain;
use crate::{ONE, TWO};

crate::trials! {
    beside_others:
        a_runner_is_nobody_and_reaches_nothing,
        state_takes_a_grant_and_is_bounded,
        state_is_apart_for_each_hosting_and_adapter,
        calls_whose_runner_is_killed_are_repeated_once_with_their_keys,
        changes_come_one_after_another_for_each_hosting,
        one_that_breaks_down_five_times_is_put_aside_and_others_are_not,
        compiled_code_that_was_changed_is_not_run;
    alone:
        what_is_kept_outlives_a_restart_of_serve_and_a_crash_of_the_broker,
        what_could_not_be_loaded_at_the_start_is_loaded_once_the_broker_is_back,
        what_another_compiler_compiled_is_not_run,
        calls_leave_neither_descriptors_nor_processes;
}

/// From here on are the user ids of runners.
const FIRST_UID: u32 = 59_000;

#[track_caller]
fn works(adapter: &Adapter<'_>) {
    let _ = adapter.does(ONE, "nothing").done();
}

fn a_runner_is_nobody_and_reaches_nothing(node: &Node) {
    let adapter = Adapter::installed(node, "nobody");
    let other = Adapter::installed(node, "somebody");
    works(&adapter);
    works(&other);
    let runner = adapter.runner();
    let id = |process: Process, name: &str| -> u32 {
        let ids = process.status(name);
        let ids: Vec<u32> = ids.split_whitespace().map(|id| id.parse().unwrap()).collect();
        assert!(ids.len() == 4 && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        ids[0]
    };
    let uid = id(runner, "Uid");
    assert!((FIRST_UID..FIRST_UID + 100).contains(&uid) && id(runner, "Gid") == uid, "{uid}");
    assert_ne!(id(other.runner(), "Uid"), uid);
    for file in ["/etc/passwd", "/etc/group"] {
        let accounts = fs::read_to_string(file).unwrap();
        assert!(!accounts.lines().any(|line| line.split(':').nth(2) == Some(&uid.to_string())), "{accounts}");
    }
    assert_eq!(runner.status("Groups"), "");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(runner.status(set), "0000000000000000", "{set}");
    }
    assert_eq!((runner.status("NoNewPrivs"), runner.status("Seccomp")), ("1".to_owned(), "2".to_owned()));
    // It lets serve go first.
    assert_eq!(runner.nice(), 10);
    // Sockets; and of files its own code to read, and the broker's log that every child of it writes to.
    let compiled = adapter.compiled();
    let (sockets, files): (Vec<_>, Vec<_>) =
        runner.descriptors().into_iter().partition(|open| open.to.to_string_lossy().starts_with("socket:["));
    assert!(!sockets.is_empty());
    let log = node.broker().unwrap().log();
    for file in files {
        assert!(file.to == log || file.to == compiled && file.is_for_reading_only, "{file:?}");
    }
    // Its memory is nobody's to read, also not that of another process of the same number.
    let maps_of = |whose: &str, uid: u32| {
        let read = Program::new("head").args(["-c", "1", &format!("/proc/{whose}/maps")]);
        read.run_as(Identity { uid, gid: uid }).text()
    };
    for uid in [uid, node.hosting(ONE).unwrap().user.uid] {
        assert!(maps_of(&runner.0.to_string(), uid).is_err());
        assert!(maps_of("self", uid).is_ok());
    }
    let broken = adapter.does(ONE, "file");
    assert!(broken.code != 0 && !broken.text.contains("read it"), "{}", broken.text);
    works(&adapter);
}

fn state_takes_a_grant_and_is_bounded(node: &Node) {
    let adapter = Adapter::packed(node, "state");
    adapter.describe("1.0.0", "");
    let _ = adapter.install(&["--unsigned"]).done();
    adapter.keeps(ONE, "a", "b").failed(4, "it takes `state = true` under [asks] in adapter.toml");
    adapter.describe("1.0.0", "state = true");
    let installed = adapter.install(&["--unsigned"]);
    assert!(installed.done().ends_with("/etc/adapters.d/state.toml:\n  state = true\n"), "{}", installed.text);
    assert_eq!(adapter.listed().unwrap()["missing"][0], "state = true");
    let file = adapter.operators_file().display().to_string();
    let missing = format!("state is not granted: it takes `state = true` under [grants] in {file}");
    adapter.keeps(ONE, "a", "b").failed(4, &missing);
    // What the operator writes holds from the next call on.
    adapter.write_operators_file("[grants]\nstate = true\n");
    let _ = adapter.keeps(ONE, "a", "b").done();
    assert_eq!(adapter.kept(ONE, ""), [("a".to_owned(), "b".to_owned())]);
    for key in ["", "A", "a b", "ä", &"k".repeat(129)] {
        adapter.keeps(ONE, key, "b").failed(5, "key: expected 1 to 128 of a-z, 0-9 and ._-/");
    }
    let longest = "v".repeat(64 << 10);
    adapter.keeps(ONE, "long", &format!("{longest}v")).failed(5, "value: expected at most 65536 bytes");
    let _ = adapter.keeps(ONE, &"k".repeat(128), "b").done();
    for n in 0..15 {
        let _ = adapter.keeps(ONE, &format!("long/{n}"), &longest).done();
    }
    adapter.keeps(ONE, "last", &longest[1..]).failed(6, "there is no room for more");
    let _ = adapter.keeps(ONE, "last", &longest[2..]).done();
    assert_eq!(adapter.kept(ONE, "long/").len(), 15);
    let _ = adapter.call(ONE, ["databases", "delete-database"], &["name=a"]).done();
    assert_eq!(adapter.kept(ONE, "a"), []);
    adapter.write_operators_file("");
    adapter.call(ONE, ["logs", "locate"], &[]).failed(4, &missing);
    adapter.write_operators_file("[grants]\nshell = true\n");
    let fault = adapter.listed().unwrap()["operators_file_fault"].to_string();
    assert!(fault.contains("is not valid, line 2: unknown field `shell`"), "{fault}");
    adapter.call(ONE, ["logs", "locate"], &[]).failed(5, "is not valid, line 2: ");
}

fn state_is_apart_for_each_hosting_and_adapter(node: &Node) {
    let [one, other] = ["apart", "apart-too"].map(|name| Adapter::installed(node, name));
    for (adapter, hosting, value) in [(&one, ONE, "1"), (&one, TWO, "2"), (&other, ONE, "3")] {
        let _ = adapter.keeps(hosting, "whose", value).done();
    }
    let kept =
        |adapter: &Adapter<'_>, hosting| adapter.kept(hosting, "").into_iter().map(|kept| kept.1).collect::<Vec<_>>();
    assert_eq!([kept(&one, ONE), kept(&one, TWO), kept(&other, ONE)], [["1"], ["2"], ["3"]]);
    assert_eq!(kept(&other, TWO), Vec::<String>::new());
    // What was written before a call broke down is written.
    one.does(TWO, "halfway").failed(12, "the adapter broke down");
    assert_eq!(kept(&one, TWO), ["yes", "2"]);
    let _ = one.remove().done();
    assert_eq!(kept(&other, ONE), ["3"]);
}

/// How often each call of `counts-and-waits` about a hosting was begun.
fn tries(adapter: &Adapter<'_>, hosting: &str) -> Vec<String> {
    let kept = adapter.kept(hosting, "tries/").into_iter();
    let mut tries: Vec<String> = kept.map(|(_key, tries)| tries).collect();
    tries.sort();
    tries
}

const PATIENT: &str = "[grants]\nstate = true\n\n[limits]\ncpu_ms = 60000\nwall_ms = 60000\nhost_calls = 100000\n";

fn calls_whose_runner_is_killed_are_repeated_once_with_their_keys(node: &Node) {
    let adapter = Adapter::installed(node, "killed");
    adapter.write_operators_file(PATIENT);
    let _ = adapter.install(&["--unsigned"]).done();
    let tries = || [ONE, TWO].map(|hosting| tries(&adapter, hosting).join(" "));
    let runner = adapter.runner();
    thread::scope(|scope| {
        let calls = [ONE, TWO].map(|hosting| {
            let adapter = &adapter;
            scope.spawn(move || adapter.does(hosting, "counts-and-waits"))
        });
        eventually("two calls under way", || tries() == ["1", "1"]);
        runner.kill();
        eventually("another runner", || adapter.runners().iter().any(|another| *another != runner));
        eventually("each repeated once", || tries() == ["2", "2"]);
        let _ = [ONE, TWO].map(|hosting| adapter.let_go(hosting));
        calls.into_iter().for_each(|call| drop(call.join().unwrap().done().to_owned()));
    });
    assert_eq!(tries(), ["2", "2"]);
    assert!(adapter.listed().unwrap().get("last_break").is_none());
    // Nor does anybody notice when it is killed between calls.
    adapter.runner().kill();
    works(&adapter);
    assert_eq!(adapter.runners().len(), 1);
}

fn changes_come_one_after_another_for_each_hosting(node: &Node) {
    let adapter = Adapter::installed(node, "turns");
    adapter.write_operators_file(PATIENT);
    let _ = adapter.install(&["--unsigned"]).done();
    thread::scope(|scope| {
        let waits = |hosting| {
            let adapter = &adapter;
            scope.spawn(move || adapter.does(hosting, "counts-and-waits"))
        };
        let first = waits(ONE);
        eventually("the first under way", || tries(&adapter, ONE) == ["1"]);
        // More than there are places: whoever waits for their turn takes none.
        let others: Vec<_> = (0..5).map(|_| waits(ONE)).collect();
        // A change of another hosting, begun later, is done before them.
        let elsewhere = waits(TWO);
        eventually("the other hosting's under way", || tries(&adapter, TWO) == ["1"]);
        adapter.let_go(TWO);
        let _ = elsewhere.join().unwrap().done();
        assert_eq!(tries(&adapter, ONE), ["1"]);
        adapter.let_go(ONE);
        [first].into_iter().chain(others).for_each(|call| drop(call.join().unwrap().done().to_owned()));
    });
    assert_eq!(tries(&adapter, ONE), ["1"; 6]);
}

fn one_that_breaks_down_five_times_is_put_aside_and_others_are_not(node: &Node) {
    let adapter = Adapter::installed(node, "breaks");
    let well = Adapter::installed(node, "well");
    for n in 1..=5 {
        assert_eq!(adapter.listed().unwrap()["state"], "ready", "{n}");
        adapter.does(ONE, "panic").failed(12, "the adapter broke down");
        works(&well);
        assert_eq!(Api::panel(node).get("/v1/health").status, 200);
        if n < 5 {
            works(&adapter);
            // An answer that says no, and a call that makes no sense, are no breakdowns.
            adapter.does(ONE, "odd").failed(5, "not odd");
            adapter.does(ONE, "7").failed(5, "name: expected a string");
        }
    }
    let aside = "the adapter breaks broke down too often and was put aside; see latchkey adapter list";
    adapter.does(ONE, "nothing").failed(12, aside);
    let row = adapter.listed().unwrap();
    assert_eq!(row["state"], "put_aside");
    assert!(row["last_break"].as_str().unwrap().contains("the adapter broke down"), "{row}");
    assert_eq!(well.listed().unwrap()["state"], "ready");
    works(&well);
    let _ = adapter.install(&["--unsigned"]).done();
    works(&adapter);
    let row = adapter.listed().unwrap();
    assert!(row["state"] == "ready" && row.get("last_break").is_none(), "{row}");
}

/// The number of the file that a runner runs from.
#[track_caller]
fn file_of(runner: Process, compiled: &Path) -> u64 {
    let maps = runner.maps();
    let line = maps.lines().find(|line| line.contains(compiled.to_str().unwrap()));
    let line = line.unwrap_or_else(|| panic!("{}: {maps}", compiled.display()));
    line.split_whitespace().nth(4).unwrap().parse().unwrap()
}

fn inode(file: &Path) -> u64 {
    fs::metadata(file).unwrap().ino()
}

fn compiled_code_that_was_changed_is_not_run(node: &Node) {
    let adapter = Adapter::installed(node, "tampered");
    let compiled = adapter.compiled();
    let beside = compiled.with_extension("sha256");
    assert_eq!(fs::metadata(&compiled).unwrap().mode() & 0o777, 0o400);
    assert_eq!(fs::metadata(compiled.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
    let whole = digest(&compiled);
    let length = fs::metadata(&compiled).unwrap().len();
    // Beside what is to be refused: what is whole is run as it lies there.
    adapter.runner().kill();
    let before = inode(&compiled);
    works(&adapter);
    assert_eq!((inode(&compiled), file_of(adapter.runner(), &compiled)), (before, before));

    let changes: [(&str, &dyn Fn()); 4] = [
        ("a flipped byte", &|| {
            // Not in what runs: in a copy that takes its place.
            let copy = compiled.with_extension("copy");
            fs::copy(&compiled, &copy).unwrap();
            let file = fs::File::options().read(true).write(true).open(&copy).unwrap();
            let mut byte = [0];
            file.read_exact_at(&mut byte, length / 2).unwrap();
            file.write_all_at(&[!byte[0]], length / 2).unwrap();
            fs::rename(copy, &compiled).unwrap();
        }),
        ("a cut", &|| {
            let cut = fs::read(&compiled).unwrap()[..length as usize / 2].to_vec();
            fs::remove_file(&compiled).unwrap();
            fs::write(&compiled, cut).unwrap();
        }),
        ("another digest", &|| fs::write(&beside, "0".repeat(64)).unwrap()),
        ("no digest", &|| fs::remove_file(&beside).unwrap()),
    ];
    for (what, change) in changes {
        adapter.runner().kill();
        change();
        let changed = inode(&compiled);
        works(&adapter);
        let now = inode(&compiled);
        assert!(now != changed, "{what}: it was not compiled anew");
        assert_eq!(file_of(adapter.runner(), &compiled), now, "{what}");
        assert_eq!(fs::read_to_string(&beside).unwrap(), digest(&compiled), "{what}");
        assert_eq!(digest(&compiled), whole, "{what}");
    }
    let log = fs::read_to_string(node.broker().unwrap().log()).unwrap();
    let key = compiled.file_stem().unwrap().to_str().unwrap();
    let said = |line: &&str| line.contains("a compiled adapter is not what was written") && line.contains(key);
    assert_eq!(log.lines().filter(said).count(), 4);
}

fn what_is_kept_outlives_a_restart_of_serve_and_a_crash_of_the_broker(node: &Node) {
    let adapter = Adapter::installed(node, "restarted");
    let _ = adapter.keeps(ONE, "kept", "value").done();
    let expected = [("kept".to_owned(), "value".to_owned())];
    let row = adapter.listed();
    let is_loaded = || eventually("it is loaded again", || adapter.listed() == row);
    node.serve().unwrap().restart().unwrap();
    is_loaded();
    assert_eq!(adapter.kept(ONE, ""), expected);
    node.serve().unwrap().crash().unwrap();
    is_loaded();
    assert_eq!(adapter.kept(ONE, ""), expected);
    let runner = adapter.runner();
    node.broker().unwrap().crash().unwrap();
    eventually("the runner has ended with the broker", || !runner.is_there());
    assert_eq!(adapter.kept(ONE, ""), expected);
    // Not what does not load any more.
    adapter.write_operators_file("[limits]\ncpu_ms = 1\n");
    node.serve().unwrap().restart().unwrap();
    eventually("serve has said so", || {
        fs::read_to_string(node.serve().unwrap().log()).unwrap().contains("an adapter was not loaded")
    });
    assert_eq!(adapter.listed(), None);
    adapter.does(ONE, "nothing").failed(3, "there is no such adapter");
}

fn what_could_not_be_loaded_at_the_start_is_loaded_once_the_broker_is_back(node: &Node) {
    let adapter = Adapter::installed(node, "late");
    let (serve, broker) = (node.serve().unwrap(), node.broker().unwrap());
    let log = || fs::read_to_string(serve.log()).unwrap();
    let before = log().len();
    let again = RunsAgain(broker);
    broker.kill().unwrap();
    serve.restart().unwrap();
    eventually("serve has tried", || log()[before..].contains("an adapter is not loaded yet; it is tried again"));
    assert_eq!(adapter.listed(), None);
    adapter.does(ONE, "nothing").failed(12, "the adapter late is not loaded yet");
    drop(again);
    eventually("it is loaded", || adapter.listed().is_some());
    works(&adapter);
}

fn what_another_compiler_compiled_is_not_run(node: &Node) {
    let adapter = Adapter::installed(node, "stale");
    let before = adapter.compiled();
    let compiler = node.agent().unwrap().paths().programs.join("latchkey-compiler");
    let original = fs::read(&compiler).unwrap();
    let put = |bytes: &[u8]| {
        let new = compiler.with_extension("new");
        fs::write(&new, bytes).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(&new, &compiler).unwrap();
    };
    // The same program with another digest: what is after its end nobody reads.
    put(&[&original[..], b"another"].concat());
    adapter.runner().kill();
    works(&adapter);
    let all = adapter.all_compiled();
    let new = all.iter().find(|path| **path != before).unwrap();
    assert_eq!(file_of(adapter.runner(), new), inode(new));
    assert!(!adapter.runner().maps().contains(before.to_str().unwrap()));
    put(&original);
    adapter.runner().kill();
    works(&adapter);
    assert_eq!(file_of(adapter.runner(), &before), inode(&before));
}

fn calls_leave_neither_descriptors_nor_processes(node: &Node) {
    let adapter = Adapter::installed(node, "many");
    adapter.write_operators_file("[grants]\nstate = true\n\n[limits]\ncpu_ms = 200\nlog_bytes = 4096\n");
    let _ = adapter.install(&["--unsigned"]).done();
    adapter.begin_anew();
    works(&adapter);
    let [serve, broker] = [node.serve(), node.broker()].map(Result::unwrap);
    let counted = || {
        let ((serve, _), (broker, children)) = (held(serve), held(broker));
        [serve, broker, children.len(), adapter.runner().descriptors().len()]
    };
    let before = counted();
    (0..200).for_each(|_| works(&adapter));
    let ends = [
        ("panic", "the adapter broke down"),
        ("loop", "(cpu_ms)"),
        ("calls", "(host_calls)"),
        ("asks", "(host_calls)"),
        ("memory", "(memory_bytes)"),
        ("string", "(copied_bytes)"),
        ("resources", "(handles)"),
        ("recursion", "called itself too deep"),
        ("log", "(log_bytes)"),
        ("halfway", "the adapter broke down"),
    ];
    for (n, (what, words)) in ends.iter().cycle().take(50).enumerate() {
        adapter.does(ONE, what).failed(12, words);
        if n % 4 == 3 {
            works(&adapter);
            let _ = adapter.install(&["--unsigned"]).done();
        }
    }
    works(&adapter);
    // Connections of commands that have ended are closed a moment later.
    eventually("as many as before", || counted() == before);
    let runner = adapter.runner();
    let _ = adapter.remove().done();
    assert!(!runner.is_there());
}
