//! Adapters as their authors begin them: made by `latchkey adapter new`, built by the line in their README, tested,
//! checked, installed and called.

use std::fs;

use latchkey_tests::adapters::Adapter;
use latchkey_tests::command_line::run;
use xtask::build::target;
use xtask::node::Node;

use crate::ONE;

crate::trials! { beside_others:
    one_in_rust_is_begun_built_tested_checked_installed_and_called,
    one_in_javascript_is_begun_built_tested_checked_installed_and_called,
    none_is_begun_where_something_is_or_under_a_name_that_is_none,
}

/// What was built in other runs is not built again: the crates that the template needs.
fn share_what_is_built(adapter: &Adapter<'_>) {
    let shared = target().join("new-adapters");
    fs::create_dir_all(&shared).unwrap();
    std::os::unix::fs::symlink(shared, adapter.file("target")).unwrap();
}

/// What an author has built without a change has no fault that the kit knows, and its functions were called.
fn passes_the_check(adapter: &Adapter<'_>) {
    let checked = adapter.check();
    assert!(checked.done().contains(", 0 failed, "), "{}", checked.text);
    for seen in ["repeat.same              1 functions", "denied.state             3 functions"] {
        assert!(checked.text.contains(&format!("\n  ok    {seen}")), "{}", checked.text);
    }
}

/// From the built component to the first call of each kind, as the README and the guide say.
fn install_and_call(node: &Node, adapter: &Adapter<'_>) {
    assert_eq!(adapter.readme_line("latchkey adapter install"), "latchkey adapter install . --unsigned");
    let installed = adapter.install(&["--unsigned"]);
    let said = format!("{} 0.1.0 is loaded: it serves accounts, databases.", adapter.name);
    assert!(installed.done().contains(&said), "{}", installed.text);
    let missing = format!("/etc/adapters.d/{}.toml:\n  state = true\n", adapter.name);
    assert!(installed.text.ends_with(&missing), "{}", installed.text);
    let call = adapter.readme_line("latchkey adapter run");
    let words: Vec<&str> = call.split(' ').collect();
    let ["latchkey", "adapter", "run", name, "HOSTING", interface, function] = words[..] else { panic!("{call}") };
    assert_eq!(name, adapter.name);
    let shown = adapter.call(ONE, [interface, function], &["--json"]).json();
    assert_eq!(shown["returned"]["name"], node.hosting(ONE).unwrap().user.name.as_str());

    let databases = |function, more: &[&str]| adapter.call(ONE, ["databases", function], more);
    databases("create-database", &["name=one_a"]).failed(4, "state is not granted: it takes `state = true`");
    adapter.write_operators_file("[grants]\nstate = true\n");
    let _ = adapter.install(&["--unsigned"]).done();
    let _ = databases("create-database", &["name=one_a"]).done();
    databases("create-database", &["name=one_a"]).failed(6, "there is a database one_a already");
    assert!(databases("list-databases", &[]).done().contains("one_a"));
    let _ = databases("delete-database", &["name=one_a"]).done();
    databases("delete-database", &["name=one_a"]).failed(3, "there is no database one_a");
    assert!(!databases("list-databases", &[]).done().contains("one_a"));
    databases("list-users", &[]).failed(11, "this adapter has no list-users");
    assert!(is_logged(node, "made the database one_a") && is_logged(node, "deleted the database one_a"));
}

/// Whether the agent's log has these words.
fn is_logged(node: &Node, words: &str) -> bool {
    fs::read_to_string(node.serve().unwrap().log()).unwrap().contains(words)
}

fn one_in_rust_is_begun_built_tested_checked_installed_and_called(node: &Node) {
    let adapter = Adapter::begun(node, "rust-first", "rust");
    share_what_is_built(&adapter);
    let locked = fs::read(adapter.file("Cargo.lock")).unwrap();
    adapter.shell(&adapter.readme_line("cargo build --release"));
    adapter.shell(&adapter.readme_line("cp target/"));
    assert_eq!(fs::read(adapter.file("Cargo.lock")).unwrap(), locked);
    passes_the_check(&adapter);
    install_and_call(node, &adapter);

    let tested = adapter.shell(&adapter.readme_line("cargo test"));
    assert!(tested.contains("test result: ok. 5 passed"), "{tested}");
    adapter.shell("cargo fmt --check");
    adapter.shell("cargo clippy --quiet --all-targets -- --deny warnings");

    // A panic is told with its words and its place, to the author before the operator meets it.
    let platform = fs::read_to_string(adapter.file("src/platform.rs")).unwrap();
    let body = "pub fn names() -> Result<Vec<String>> {\n";
    let broken = platform.replace(body, &format!("{body}    assert!(state::get(\"x\")?.is_some(), \"no x today\");\n"));
    assert_ne!(broken, platform);
    fs::write(adapter.file("src/platform.rs"), broken).unwrap();
    adapter.shell(&adapter.readme_line("cargo build --release"));
    adapter.shell(&adapter.readme_line("cp target/"));
    let words = "panicked at src/platform.rs:7: no x today";
    let checked = adapter.check();
    checked.failed(1, "\n  FAIL  calls.answer             1 of 28 calls went wrong\n");
    assert!(checked.text.contains(words) && checked.text.contains("\n        To do: "), "{}", checked.text);
    let _ = adapter.install(&["--unsigned"]).done();
    adapter.call(ONE, ["databases", "list-databases"], &[]).failed(12, words);
    assert!(is_logged(node, words));
}

fn one_in_javascript_is_begun_built_tested_checked_installed_and_called(node: &Node) {
    let adapter = Adapter::begun(node, "js-first", "js");
    adapter.shell(&adapter.readme_line("npm ci"));
    passes_the_check(&adapter);
    install_and_call(node, &adapter);

    let tested = adapter.shell(&adapter.readme_line("npm test"));
    assert!(tested.contains("# fail 0") && tested.contains("# pass 13"), "{tested}");

    // An exception is told with its words, and logged with its place.
    let platform = fs::read_to_string(adapter.file("src/platform.js")).unwrap();
    let body = "export const names = () => ";
    let broken = platform.replace(body, &format!("{body}state.get('x').length || "));
    assert_ne!(broken, platform);
    fs::write(adapter.file("src/platform.js"), broken).unwrap();
    adapter.shell("npm run build");
    let _ = adapter.install(&["--unsigned"]).done();
    let listed = adapter.call(ONE, ["databases", "list-databases"], &[]);
    listed.failed(12, "the adapter broke down: TypeError: cannot read property 'length' of undefined");
    assert!(is_logged(node, "list-databases: TypeError: cannot read property 'length' of undefined (at names"));
}

fn none_is_begun_where_something_is_or_under_a_name_that_is_none(node: &Node) {
    let ground = tempfile::tempdir().unwrap();
    let folder = ground.path().join("mine").display().to_string();
    for name in ["", "Mine", "my_platform", "-x", "../x", &"n".repeat(32)] {
        let begun = run(node, &["adapter", "new", "--lang", "rust", "--", name, &folder]);
        begun.failed(2, "expected 1 to 31 characters of a-z, 0-9 and dash, not starting with a dash");
    }
    run(node, &["adapter", "new", "mine", &folder]).failed(2, "--lang");
    run(node, &["adapter", "new", "mine", "--lang", "cobol", &folder]).failed(2, "[possible values: rust");
    assert_eq!(fs::read_dir(ground.path()).unwrap().count(), 0);
    let _ = run(node, &["adapter", "new", "mine", "--lang", "rust", &folder]).done();
    let before = fs::metadata(ground.path().join("mine/README.md")).unwrap().modified().unwrap();
    run(node, &["adapter", "new", "mine", "--lang", "rust", &folder]).failed(2, "is there already");
    assert_eq!(fs::metadata(ground.path().join("mine/README.md")).unwrap().modified().unwrap(), before);
    run(node, &["adapter", "new", "mine", "--lang", "rust", &format!("{folder}/no/where")]).failed(1, "cannot make");
    assert_eq!(fs::read_dir(ground.path()).unwrap().count(), 1);
}
