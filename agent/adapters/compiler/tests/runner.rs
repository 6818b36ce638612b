//! What stands beside foreign code in the runner: no compiler, no network, no files of the agent.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panicking and runs cargo")]

use std::process::Command;

#[test]
fn the_runner_links_no_compiler_and_nothing_that_reaches_out() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package=latchkey-runner", "--edges=normal", "--prefix=none", "--format={p}"])
        .args(["--target=x86_64-unknown-linux-gnu", "--offline", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(tree.contains("wasmtime v48"), "{tree}");
    for refused in [
        "cranelift-codegen",
        "wasmtime-internal-cranelift",
        "wasmtime-internal-winch",
        "wasmtime-wasi",
        "tokio",
        "hyper",
        "rustls",
        "rusqlite",
        "russh",
    ] {
        assert!(!tree.lines().any(|line| line.starts_with(&format!("{refused} "))), "{refused}");
    }
}
