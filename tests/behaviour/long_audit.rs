//! An audit of many rows: what reads all of it never has all of it in memory.

use std::fs;

use latchkey_tests::command_line::latchkey;
use latchkey_tests::waiting::eventually;
use serde_json::Value;
use xtask::build::workspace;
use xtask::node::Node;
use xtask::process::Program;

use crate::recovery::RunsAgain;

// Last of all: the node's audit stays long.
crate::trials! { alone: an_export_of_a_hundred_thousand_rows_is_never_whole_in_memory }

const ROWS: u64 = 100_000;
/// Each row has more than 500 bytes, so all of them together are more than either process may take.
const WHOLE_BYTES: u64 = 50_000_000;
/// What serve may grow by: two batches of rows, and what the allocator and SQLite keep of them.
const SERVE_MAY_GROW_KIB: u64 = 16 << 10;
/// What the command may have resident, the program itself included.
const COMMAND_MAY_HAVE_KIB: u64 = 48 << 10;

fn client(script: &str) -> Program {
    Program::new("/usr/bin/python3").arg(workspace().join("tests/clients").join(script))
}

/// The most memory that a process had resident since this was last forgotten.
#[track_caller]
fn peak_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

/// Forgets it (proc(5), `clear_refs`).
#[track_caller]
fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
}

#[expect(clippy::print_stderr, reason = "the figures are what a run wants to tell")]
fn an_export_of_a_hundred_thousand_rows_is_never_whole_in_memory(node: &Node) {
    let (serve, paths) = (node.serve().unwrap(), node.agent().unwrap().paths());
    let again = RunsAgain(serve);
    serve.stop().unwrap();
    client("long_audit.py").arg(paths.state.join("latchkey.db")).arg(ROWS.to_string()).text().unwrap();
    drop(again);
    let pid = serve.pid().unwrap();
    // What a start does beside, and loading adapters, is none of it.
    eventually("the adapters are loaded", || latchkey(node, &["doctor", "adapters"]).code == 0);
    let mut calm = (0, 0);
    eventually("serve is calm after its start", || {
        forget_peak(pid);
        let now = peak_kib(pid);
        calm = if calm.0 == now { (now, calm.1 + 1) } else { (now, 0) };
        calm.1 > 50
    });
    let before = calm.0;
    let export = client("measured.py").arg(paths.programs.join("latchkey")).args(["audit", "export", "--config"]);
    let exported: Value = serde_json::from_str(&export.arg(&paths.serve_config).text().unwrap()).unwrap();
    assert_eq!(exported["exit"], 0, "{exported}");
    assert!(exported["lines"].as_u64().unwrap() >= ROWS, "{exported}");
    let bytes = exported["bytes"].as_u64().unwrap();
    assert!(bytes >= WHOLE_BYTES, "{exported}");
    let (grown, taken) = (peak_kib(pid) - before, exported["peak_kib"].as_u64().unwrap());
    eprintln!("an export of {} MiB: serve grew by {grown} KiB, the command had {taken} KiB", bytes >> 20);
    assert!(grown <= SERVE_MAY_GROW_KIB, "serve grew by {grown} KiB");
    assert!(taken <= COMMAND_MAY_HAVE_KIB, "the command had {taken} KiB");
    // What was read is sound to the end.
    let _ = latchkey(node, &["audit", "verify"]).done();
}
