//! Adapters that change configuration files of the node, with nginx as who says whether they are right.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::PathBuf;

use latchkey_tests::adapters::Adapter;
use latchkey_tests::command_line::Printed;
use latchkey_tests::waiting::eventually;
use tempfile::TempDir;
use xtask::node::Node;

use crate::{ONE, TWO};

crate::trials! {
    beside_others:
        a_virtual_host_is_made_replaced_and_removed_and_takes_effect,
        what_nginx_does_not_take_leaves_the_file_as_it_was,
        files_of_others_and_of_directories_that_are_not_granted_are_out_of_reach,
        what_others_could_have_written_is_not_used;
    alone:
        a_change_that_the_broker_died_in_is_taken_back_when_it_is_there_again;
}

/// An adapter that is granted a directory of an nginx of its own.
struct Vhosts<'n> {
    adapter: Adapter<'n>,
    ground: TempDir,
}

impl<'n> Vhosts<'n> {
    fn on(node: &'n Node, name: &'static str) -> Self {
        let adapter = Adapter::commanding(node, name, "c");
        adapter.describe("1.0.0", "config-file = [\"vhosts\"]");
        let _ = adapter.install(&["--unsigned"]).done();
        let vhosts = Self { adapter, ground: tempfile::tempdir().unwrap() };
        fs::create_dir(vhosts.at("conf")).unwrap();
        let ground = vhosts.ground.path().display();
        let main = format!(
            "pid {ground}/nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{ access_log off; include {ground}/conf/*.conf; }}\n"
        );
        fs::write(vhosts.at("nginx.conf"), main).unwrap();
        vhosts.script("apply", &format!("cat {ground}/conf/*.conf > {ground}/applied; exit 0"));
        vhosts.write_down("");
        vhosts
    }

    fn at(&self, name: &str) -> PathBuf {
        self.ground.path().join(name)
    }

    fn script(&self, name: &str, script: &str) {
        fs::write(self.at(name), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(self.at(name), Permissions::from_mode(0o755)).unwrap();
    }

    /// The operator's file, with nginx as the check.
    fn write_down(&self, more: &str) {
        let main = self.at("nginx.conf");
        self.write_down_with(&format!("[\"/usr/sbin/nginx\", \"-t\", \"-q\", \"-c\", {main:?}]"), more);
    }

    fn write_down_with(&self, check: &str, more: &str) {
        let [conf, apply] = [self.at("conf"), self.at("apply")];
        self.adapter.write_operators_file(&format!(
            "[grants.config-files.vhosts]\ndirectory = {conf:?}\nfiles = \"{{hosting}}_*.conf\"\ncheck = {check}\n\
             apply = [{apply:?}]\n{more}\n"
        ));
    }

    fn does(&self, hosting: &str, text: &str) -> Printed {
        self.adapter.call(hosting, ["logs", "locate"], &[&format!("domain=file {text}"), "--json"])
    }

    /// The version and the content of a file.
    #[track_caller]
    fn reads(&self, hosting: &str, name: &str) -> (String, String) {
        let told = self.does(hosting, &format!("read vhosts {name}")).json();
        let text = |key: &str| told["returned"][0][key].as_str().unwrap().to_owned();
        (text("title"), text("path"))
    }

    #[track_caller]
    fn lists(&self, hosting: &str) -> Vec<String> {
        let told = self.does(hosting, "list vhosts").json();
        told["returned"].as_array().unwrap().iter().map(|row| row["title"].as_str().unwrap().to_owned()).collect()
    }

    /// All that is in the directory.
    fn entries(&self) -> Vec<String> {
        let entries = fs::read_dir(self.at("conf")).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// A virtual host that nginx takes, which answers with this.
fn vhost(text: &str) -> String {
    format!("server {{ listen 127.0.0.1:8099; return 200 \"{text}\"; }}")
}

fn a_virtual_host_is_made_replaced_and_removed_and_takes_effect(node: &Node) {
    let vhosts = Vhosts::on(node, "vhosts");
    let name = format!("{ONE}_shop.conf");
    let applied = || fs::read_to_string(vhosts.at("applied")).unwrap();
    assert_eq!(vhosts.lists(ONE), Vec::<String>::new());
    let _ = vhosts.does(ONE, &format!("write vhosts {name} -\n{}", vhost("one"))).done();
    let (version, content) = vhosts.reads(ONE, &name);
    assert_eq!((content, applied(), version.len()), (vhost("one"), vhost("one"), 64));
    vhosts.does(ONE, &format!("write vhosts {name} -\n{}", vhost("two"))).failed(6, "changed");
    let _ = vhosts.does(ONE, &format!("write vhosts {name} {version}\n{}", vhost("two"))).done();
    vhosts.does(ONE, &format!("remove vhosts {name} {version}")).failed(6, "changed");
    assert_eq!((applied(), vhosts.lists(ONE), vhosts.lists(TWO)), (vhost("two"), vec![name.clone()], vec![]));
    let (version, _) = vhosts.reads(ONE, &name);
    let _ = vhosts.does(ONE, &format!("remove vhosts {name} {version}")).done();
    vhosts.does(ONE, &format!("read vhosts {name}")).failed(3, "no such file");
    assert_eq!((applied().as_str(), vhosts.entries().len()), ("", 0));
}

fn what_nginx_does_not_take_leaves_the_file_as_it_was(node: &Node) {
    let vhosts = Vhosts::on(node, "vhosts-wrong");
    let name = format!("{ONE}_shop.conf");
    let refused = vhosts.does(ONE, &format!("write vhosts {name} -\nserver {{ listne 80; }}"));
    refused.failed(6, "unknown directive");
    assert!(refused.text.contains("rejected: /usr/sbin/nginx: exit code 1: "), "{}", refused.text);
    assert_eq!((vhosts.entries().len(), vhosts.at("applied").exists()), (0, false));
    let _ = vhosts.does(ONE, &format!("write vhosts {name} -\n{}", vhost("one"))).done();
    let (version, _) = vhosts.reads(ONE, &name);
    vhosts.does(ONE, &format!("write vhosts {name} {version}\nserver {{")).failed(6, "unexpected end of file");
    vhosts.script("apply", "echo not now; exit 1");
    vhosts.does(ONE, &format!("write vhosts {name} {version}\n{}", vhost("two"))).failed(6, "not now");
    vhosts.does(ONE, &format!("remove vhosts {name} {version}")).failed(6, "not now");
    assert_eq!((vhosts.reads(ONE, &name), vhosts.entries()), ((version, vhost("one")), vec![name]));
    // None of this is the adapter's fault.
    assert_eq!(vhosts.adapter.listed().unwrap().get("last_break"), None);
}

fn files_of_others_and_of_directories_that_are_not_granted_are_out_of_reach(node: &Node) {
    let vhosts = Vhosts::on(node, "vhosts-others");
    let theirs = format!("{TWO}_shop.conf");
    let _ = vhosts.does(TWO, &format!("write vhosts {theirs} -\n{}", vhost("two"))).done();
    for name in [theirs.as_str(), "../nginx.conf", "/etc/passwd", "nginx.conf", ".conf", &format!("{ONE}_x.txt")] {
        let expected = format!("name: expected {ONE}_*.conf");
        vhosts.does(ONE, &format!("read vhosts {name}")).failed(5, &expected);
        vhosts.does(ONE, &format!("write vhosts {name} -\nx")).failed(5, &expected);
        vhosts.does(ONE, &format!("remove vhosts {name} 0")).failed(5, &expected);
    }
    vhosts.does(ONE, &format!("read vhosts {ONE}_{}.conf", "x".repeat(100))).failed(5, "name: expected at most 100");
    vhosts.does(ONE, "list other").failed(4, "is not asked for: it takes `config-file = [\"vhosts\", \"other\"]`");
    vhosts.does(ONE, "list /etc").failed(5, "directory: expected a lower-case letter");
    vhosts.adapter.write_operators_file("");
    let file = vhosts.adapter.operators_file().display().to_string();
    let denied = vhosts.does(ONE, "list vhosts");
    denied.failed(4, "the directory of configuration files vhosts is not granted: it takes `config-files.vhosts = {");
    assert!(denied.text.contains(&format!("under [grants] in {file}")), "{}", denied.text);
    vhosts.write_down("");
    assert_eq!((vhosts.lists(TWO), vhosts.lists(ONE)), (vec![theirs], vec![]));
}

fn what_others_could_have_written_is_not_used(node: &Node) {
    let vhosts = Vhosts::on(node, "vhosts-open");
    let write = || vhosts.does(ONE, &format!("write vhosts {ONE}_a.conf -\n{}", vhost("one")));
    let set_mode = |name: &str, mode| fs::set_permissions(vhosts.at(name), Permissions::from_mode(mode)).unwrap();
    for (name, right) in [("conf", 0o755), ("apply", 0o755)] {
        set_mode(name, right | 0o020);
        write().failed(6, "has to belong to root and to be writable by root alone");
        set_mode(name, right);
        chown(vhosts.at(name), Some(node.hosting(ONE).unwrap().user.uid), None).unwrap();
        write().failed(6, "has to belong to root and to be writable by root alone");
        chown(vhosts.at(name), Some(0), None).unwrap();
    }
    vhosts.write_down_with("[\"nginx\", \"-t\"]", "");
    write().failed(6, "grants.config-files.vhosts: check: expected the absolute path of a program");
    assert_eq!(vhosts.entries(), Vec::<String>::new());
    vhosts.write_down("");
    let _ = write().done();
}

fn a_change_that_the_broker_died_in_is_taken_back_when_it_is_there_again(node: &Node) {
    let vhosts = Vhosts::on(node, "vhosts-cut");
    let name = format!("{ONE}_shop.conf");
    let _ = vhosts.does(ONE, &format!("write vhosts {name} -\n{}", vhost("one"))).done();
    let (version, _) = vhosts.reads(ONE, &name);
    let ground = vhosts.ground.path().display();
    vhosts.script("slow", &format!("touch {ground}/checking; while [ -e {ground}/wait ]; do sleep 0.1; done"));
    vhosts.write_down_with(&format!("[{:?}]", vhosts.at("slow")), "timeout_ms = 60000\n[limits]\nwall_ms = 60000");
    fs::write(vhosts.at("wait"), "").unwrap();
    let is = |text: &str| fs::read_to_string(vhosts.at("conf").join(&name)).is_ok_and(|is| is == vhost(text));
    std::thread::scope(|scope| {
        let call = scope.spawn(|| vhosts.does(ONE, &format!("write vhosts {name} {version}\n{}", vhost("two"))));
        eventually("it is being checked", || vhosts.at("checking").exists());
        assert!(is("two"));
        node.broker().unwrap().kill().unwrap();
        // The runner went with it, and there is no other one.
        assert_ne!(call.join().unwrap().code, 0);
    });
    assert!(is("two") && vhosts.entries().len() > 1);
    fs::remove_file(vhosts.at("wait")).unwrap();
    node.broker().unwrap().start().unwrap();
    eventually("it is put back", || is("one") && vhosts.entries() == [name.clone()]);
}
