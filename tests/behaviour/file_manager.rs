//! `file.*`: the reply and the hosting's files, by whoever may manage them and nobody else.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use latchkey_tests::archives::Begun;
use latchkey_tests::audit::audited;
use latchkey_tests::file_manager::Managed;
use latchkey_tests::shares::{all_but, person, share};
use latchkey_tests::sites::folder;
use serde_json::{Value, json};
use xtask::node::Node;

use crate::{MANAGED, MANAGED_TOO};

crate::trials! { beside_others:
    files_are_managed_with_the_privilege_and_not_without_it,
    the_privilege_holds_on_every_site_of_the_hosting_and_on_no_other,
    no_path_leads_out_of_the_home,
    a_file_that_has_changed_is_not_overwritten,
    what_was_deleted_comes_back_by_renaming,
    a_folder_is_listed_in_pages_and_in_order,
    a_folder_is_copied_whole_or_not_at_all,
    names_are_bytes,
}

/// What each operation takes; all of it is possible in this order.
fn each(path: &str) -> Vec<(&'static str, Value)> {
    let at = |name: &str| format!("{path}/{name}");
    vec![
        ("file.make_dir", json!({ "path": at("new") })),
        ("file.write", json!({ "path": at("new/text"), "content": "text" })),
        ("file.list", json!({ "path": at("new") })),
        ("file.stat", json!({ "path": at("new/text") })),
        ("file.read", json!({ "path": at("new/text") })),
        ("file.set_mode", json!({ "path": at("new/text"), "mode": "0600" })),
        ("file.copy", json!({ "from": at("new"), "to": at("copy") })),
        ("file.rename", json!({ "from": at("copy"), "to": at("renamed") })),
        ("file.search", json!({ "path": at("renamed"), "name": "text" })),
        ("file.archive", json!({ "paths": [at("renamed/text")], "to": at("renamed/packed.zip") })),
        ("file.extract", json!({ "path": at("renamed/packed.zip"), "to": at("renamed/unpacked") })),
        ("file.delete", json!({ "path": at("renamed") })),
    ]
}

/// Does it, and waits for its end if it is a job.
#[track_caller]
fn does(may: &Managed<'_>, operation: &str, input: &Value) {
    match operation {
        "file.archive" | "file.extract" => drop(Begun::of(may, operation, input).succeeds()),
        _ => drop(may.does(operation, input)),
    }
}

fn files_are_managed_with_the_privilege_and_not_without_it(node: &Node) {
    let may = Managed::new(node, "filed", MANAGED);
    let may_not = share(node, "filed", &person("may-not"), &all_but(node, "hosting.manage_file_manager"));
    for (operation, input) in each(&may.path) {
        let problem = may_not.person().operate("filed", operation, &input).refused_by("A1", 403, "forbidden");
        assert_eq!(problem["privilege"], "hosting.manage_file_manager", "{problem}");
        assert_eq!(fs::read_dir(&may.folder).unwrap().count(), usize::from(operation != "file.make_dir"));
        does(&may, operation, &input);
        if operation == "file.write" {
            let found = fs::metadata(may.folder.join("new/text")).unwrap();
            assert_eq!((found.uid(), found.gid(), found.mode() & 0o777), (may.user.uid, may.user.gid, 0o644));
        }
        if operation == "file.copy" {
            let copied = fs::metadata(may.folder.join("copy/text")).unwrap();
            assert_eq!((copied.uid(), copied.mode() & 0o777), (may.user.uid, 0o600));
            assert_eq!(fs::read(may.folder.join("copy/text")).unwrap(), b"text");
            // The next ones find two.
            fs::rename(may.folder.join("new"), may.folder.join("copy/old")).unwrap();
        }
    }
    assert_eq!(fs::read_dir(&may.folder).unwrap().count(), 0);
    let path = may.at("new/text");
    audited(node, "filed", "file.write", "allowed", |row| {
        row["share"] == may.share.id.as_str() && row["detail"] == format!("/{path}").as_str()
    });
}

fn the_privilege_holds_on_every_site_of_the_hosting_and_on_no_other(node: &Node) {
    let may = Managed::new(node, "filed-here", MANAGED);
    folder(node, "filed-there", MANAGED);
    folder(node, "filed-elsewhere", MANAGED_TOO);
    let operate = |instance: &str, input: &Value| may.share.person().operate(instance, "file.write", input);
    let written = json!({ "path": "paper/filed-there/text", "content": "by A6" });
    operate("filed-there", &written).done();
    audited(node, "filed-there", "file.write", "allowed", |row| row["rule"] == "A6");
    for (operation, input) in each("paper/filed-elsewhere") {
        let refused = may.share.person().operate("filed-elsewhere", operation, &input);
        refused.refused_by("A2", 404, "not_found");
    }
    let packed = json!({ "paths": ["paper/filed-there/text"], "to": "paper/filed-there/packed.zip" });
    Begun::on(&may, "filed-there", "file.archive", &packed).succeeds();
    audited(node, "filed-there", "file.archive", "allowed", |row| row["rule"] == "A6");
    let extracted = json!({ "path": "paper/filed-there/packed.zip" });
    Begun::on(&may, "filed-there", "file.extract", &extracted).succeeds();
    let search = json!({ "path": "paper/filed-there/packed", "name": "text" });
    let found = may.share.person().operate("filed-there", "file.search", &search).done();
    assert_eq!(found["items"][0]["path"], "paper/filed-there/packed/text", "{found}");
    let zip = |instance: &str| format!("/v1/instances/{instance}/files/paper/{instance}?format=zip");
    let sent = may.share.person().request("GET", &zip("filed-there")).option("--output").option("/dev/null");
    assert_eq!(sent.option("--no-include").option("--dump-header").option("-").send().status, 200);
    may.share.person().request("GET", &zip("filed-elsewhere")).send().refused_by("A2", 404, "not_found");
    let theirs = node.hosting(MANAGED_TOO).unwrap().user.home.join("paper/filed-elsewhere");
    assert_eq!(fs::read_dir(theirs).unwrap().count(), 0);
    may.share.revoke();
    operate("filed-there", &json!({ "path": "paper/filed-there/text", "content": "later", "if_match": "*" }))
        .refused(404, "not_found");
    let home = may.user.home;
    assert_eq!(fs::read(home.join("paper/filed-there/text")).unwrap(), b"by A6");
}

fn no_path_leads_out_of_the_home(node: &Node) {
    let may = Managed::new(node, "confined", MANAGED);
    let other = node.hosting(MANAGED_TOO).unwrap().user;
    let secret = other.home.join("secret");
    fs::write(&secret, "theirs").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(&other.home, fs::Permissions::from_mode(0o777)).unwrap();
    let name = other.home.file_name().unwrap().to_str().unwrap();
    for (link, target) in [("out", other.home.clone()), ("etc", "/etc".into()), ("up", "../../..".into())] {
        symlink(target, may.folder.join(link)).unwrap();
    }
    may.plant("own", "ours");
    let ways = [
        format!("../{name}/secret"),
        format!("%2e%2e/{name}/secret"),
        format!("paper/../../{name}/secret"),
        may.at("out/secret"),
        may.at(&format!("up/{name}/secret")),
        may.at("etc/passwd"),
    ];
    for way in ways {
        for (operation, input) in [
            ("file.list", json!({ "path": way })),
            ("file.read", json!({ "path": way })),
            ("file.write", json!({ "path": way, "content": "ours", "if_match": "*" })),
            ("file.make_dir", json!({ "path": format!("{way}-2") })),
            ("file.rename", json!({ "from": way, "to": may.at("taken") })),
            ("file.copy", json!({ "from": way, "to": may.at("taken") })),
            ("file.delete", json!({ "path": way })),
            ("file.delete", json!({ "path": way, "for_good": true })),
            ("file.set_mode", json!({ "path": way, "mode": "0777" })),
            ("file.archive", json!({ "paths": [way], "to": may.at("taken") , "format": "zip" })),
            ("file.archive", json!({ "paths": [may.at("own")], "to": format!("{way}-2"), "format": "zip" })),
            ("file.extract", json!({ "path": way, "to": may.at("taken") })),
            ("file.extract", json!({ "path": may.at("own"), "to": format!("{way}-2") })),
            ("file.search", json!({ "path": way, "name": "*" })),
        ] {
            let status = may.asks(operation, &input).status;
            assert!(matches!(status, 400 | 403 | 409), "{operation} {way}: {status}");
        }
        let path = format!("/v1/instances/confined/files/{way}?format=zip");
        let request = may.share.person().request("GET", &path).option("--path-as-is");
        let status = request.send().status;
        assert!(matches!(status, 400 | 403 | 404 | 409), "format=zip {way}: {status}");
    }
    assert_eq!(fs::read(&secret).unwrap(), b"theirs");
    assert_eq!(fs::metadata(&secret).unwrap().mode() & 0o777, 0o666);
    assert!(!may.folder.join("taken").exists() && !other.home.join("secret-2").exists());
    // A root that is an absolute path is one within the home.
    may.asks("file.read", &json!({ "path": "/etc/passwd" })).refused(404, "not_found");
    for path in ["", "/", "."] {
        may.asks("file.delete", &json!({ "path": path })).refused(400, "invalid");
    }
    fs::set_permissions(&other.home, fs::Permissions::from_mode(0o711)).unwrap();
    fs::remove_file(secret).unwrap();
}

fn a_file_that_has_changed_is_not_overwritten(node: &Node) {
    let may = Managed::new(node, "tagged", MANAGED);
    let path = may.at("wp-config.php");
    let write = |content: &str, more: Value| {
        let mut input = json!({ "path": path, "content": content });
        more.as_object().unwrap().iter().for_each(|(name, value)| input[name] = value.clone());
        may.asks("file.write", &input)
    };
    let made = write("one", json!({ "mode": "0640" })).done();
    assert_eq!(made["created"], true);
    // Without a tag only what is not there is written.
    write("two", json!({})).refused(412, "conflict");
    let read = may.does("file.read", &json!({ "path": path }));
    assert_eq!((&read["content"], &read["encoding"], &read["tag"]), (&json!("one"), &json!("utf-8"), &made["tag"]));
    // Somebody else was quicker, within the same second and with as many bytes.
    may.plant("wp-config.php", "eno");
    write("two", json!({ "if_match": read["tag"] })).refused(412, "conflict");
    assert_eq!(fs::read(may.folder.join("wp-config.php")).unwrap(), b"eno");
    let read = may.does("file.read", &json!({ "path": path }));
    let written = write("two", json!({ "if_match": read["tag"] })).done();
    assert_eq!(written["created"], false);
    write("three", json!({ "if_match": read["tag"] })).refused(412, "conflict");
    write("three", json!({ "if_match": written["tag"] })).done();
    let found = fs::metadata(may.folder.join("wp-config.php")).unwrap();
    assert_eq!((found.mode() & 0o777, found.uid()), (0o640, may.user.uid));
    fs::remove_file(may.folder.join("wp-config.php")).unwrap();
    write("four", json!({ "if_match": written["tag"] })).refused(412, "conflict");
    // Two who know the same file: one of them wins.
    may.plant("wp-config.php", "five");
    let known = may.does("file.read", &json!({ "path": path }))["tag"].clone();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let writing = |content| {
            let known = known.clone();
            scope.spawn(move || write(content, json!({ "if_match": known })).status)
        };
        let both = [writing("six"), writing("seven")];
        both.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    // Bytes that are no text come as base64, and go the same way.
    write("/wD+", json!({ "encoding": "base64", "if_match": "*" })).done();
    assert_eq!(fs::read(may.folder.join("wp-config.php")).unwrap(), [0xff, 0, 0xfe]);
    let read = may.does("file.read", &json!({ "path": path }));
    assert_eq!((&read["content"], &read["encoding"]), (&json!("/wD+"), &json!("base64")));
    let latin = may.does("file.read", &json!({ "path": path, "encoding": "iso-8859-1" }));
    assert_eq!(latin["content"], "\u{ff}\0\u{fe}");
    may.asks("file.read", &json!({ "path": path, "encoding": "utf-8" })).refused(409, "conflict");
    assert!(fs::read_dir(&may.folder).unwrap().count() == 1, "nothing is left beside it");
    // What fits into a reply is read, and a byte more is not.
    may.plant("wp-config.php", "x".repeat(1 << 20));
    assert_eq!(may.does("file.read", &json!({ "path": path }))["size_bytes"], 1 << 20);
    may.plant("wp-config.php", "x".repeat((1 << 20) + 1));
    may.asks("file.read", &json!({ "path": path })).refused(413, "too_large");
}

fn what_was_deleted_comes_back_by_renaming(node: &Node) {
    let may = Managed::new(node, "trashed", MANAGED);
    fs::create_dir(may.folder.join("theme")).unwrap();
    may.user.own(&may.folder.join("theme")).unwrap();
    may.plant("theme/style.css", "old");
    let deleted = may.does("file.delete", &json!({ "path": may.at("theme") }));
    assert!(!may.folder.join("theme").exists());
    let trash = deleted["trash"].as_str().unwrap().to_owned();
    // The path that it had can be read off.
    assert!(trash.starts_with(".latchkey/trash/") && trash.ends_with("/paper/trashed/theme"), "{trash}");
    for folder in [".latchkey", ".latchkey/trash"] {
        let found = fs::metadata(may.user.home.join(folder)).unwrap();
        assert_eq!((found.mode() & 0o777, found.uid()), (0o700, may.user.uid), "{folder}");
    }
    // The same again does not meet the one before.
    may.does("file.make_dir", &json!({ "path": may.at("theme") }));
    let again = may.does("file.delete", &json!({ "path": may.at("theme") }))["trash"].as_str().unwrap().to_owned();
    assert_ne!(again, trash);
    let back = may.does("file.rename", &json!({ "from": trash, "to": may.at("theme") }));
    assert_eq!(back["kind"], "folder");
    assert_eq!(fs::read(may.folder.join("theme/style.css")).unwrap(), b"old");
    // What is deleted in the trash is gone, and so is what is deleted for good.
    assert_eq!(may.does("file.delete", &json!({ "path": again })), json!({}));
    assert!(!may.user.home.join(&again).exists());
    assert_eq!(may.does("file.delete", &json!({ "path": may.at("theme"), "for_good": true })), json!({}));
    assert!(!may.folder.join("theme").exists());
    may.asks("file.delete", &json!({ "path": may.at("theme") })).refused(404, "not_found");
    // A link is deleted itself.
    may.plant("kept", "kept");
    symlink("kept", may.folder.join("link")).unwrap();
    may.does("file.delete", &json!({ "path": may.at("link"), "for_good": true }));
    assert_eq!(fs::read(may.folder.join("kept")).unwrap(), b"kept");
}

fn a_folder_is_listed_in_pages_and_in_order(node: &Node) {
    let may = Managed::new(node, "listed", MANAGED);
    for (name, bytes) in [("a", 3), ("b", 1), ("c", 2), ("B", 2), ("10", 0), ("9", 2)] {
        may.plant(name, "x".repeat(bytes));
    }
    fs::create_dir(may.folder.join("d")).unwrap();
    symlink("a", may.folder.join("l")).unwrap();
    let path = &may.path;
    assert_eq!(may.names(&json!({ "path": path })), ["10", "9", "B", "a", "b", "c", "d", "l"]);
    assert_eq!(may.names(&json!({ "path": path, "descending": true, "limit": 3 })), ["l", "d", "c"]);
    for (sort, descending) in
        [("name", false), ("size", false), ("size", true), ("modified", true), ("modified", false)]
    {
        let whole = may.names(&json!({ "path": path, "sort": sort, "descending": descending }));
        assert_eq!(whole.len(), 8);
        let (mut paged, mut cursor) = (Vec::new(), Value::Null);
        loop {
            let input = json!({ "path": path, "sort": sort, "descending": descending, "limit": 3, "cursor": cursor });
            let page = may.does("file.list", &input);
            assert_eq!(page["total"], 8);
            paged.extend(page["items"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()));
            match page.get("next") {
                Some(next) => cursor = next.clone(),
                None => break,
            }
        }
        assert_eq!(paged, whole, "{sort}");
    }
    let sizes = may.names(&json!({ "path": path, "sort": "size" }));
    let files: Vec<&str> = sizes.iter().map(String::as_str).filter(|name| !matches!(*name, "d" | "l")).collect();
    assert_eq!(files, ["10", "b", "9", "B", "c", "a"]);
    let listed = may.does("file.list", &json!({ "path": path, "limit": 1000 }));
    let one = |name: &str| listed["items"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone();
    assert_eq!((&one("d")["kind"], &one("l")["kind"]), (&json!("folder"), &json!("link")));
    assert_eq!(one("a")["owner"], may.user.name.as_str());
    assert_eq!(one("d")["owner"], "0", "root's own");
    assert_eq!(may.does("file.stat", &json!({ "path": may.at("l") }))["target"], "a");
    for (input, field) in [
        (json!({ "limit": 0 }), "limit"),
        (json!({ "limit": 1001 }), "limit"),
        (json!({ "cursor": "x" }), "cursor"),
        (json!({ "sort": "colour" }), "sort"),
        (json!({ "path": "%" }), "path"),
    ] {
        assert_eq!(may.asks("file.list", &input).refused(400, "invalid")["field"], field);
    }
}

fn a_folder_is_copied_whole_or_not_at_all(node: &Node) {
    let may = Managed::new(node, "copied", MANAGED);
    may.does("file.make_dir", &json!({ "path": may.at("from"), "mode": "0750" }));
    may.does("file.make_dir", &json!({ "path": may.at("from/deep") }));
    may.plant("from/deep/text", "text");
    symlink("deep/text", may.folder.join("from/link")).unwrap();
    symlink("../..", may.folder.join("from/climbing")).unwrap();
    symlink("/etc/passwd", may.folder.join("from/leading-out")).unwrap();
    let fifo = may.folder.join("from/pipe");
    xtask::process::Program::new("mkfifo").arg(&fifo).text().unwrap();
    let copied = may.does("file.copy", &json!({ "from": may.at("from"), "to": may.at("to") }));
    assert_eq!((&copied["size_bytes"], &copied["left_out"]), (&json!(4), &json!(3)), "{copied}");
    assert_eq!(fs::read(may.folder.join("to/link")).unwrap(), b"text");
    assert_eq!(fs::read_link(may.folder.join("to/link")).unwrap(), PathBuf::from("deep/text"));
    let to = fs::metadata(may.folder.join("to")).unwrap();
    assert_eq!((to.mode() & 0o777, to.uid(), to.gid()), (0o750, may.user.uid, may.user.gid));
    assert_eq!(fs::read_dir(may.folder.join("to")).unwrap().count(), 2);
    // Where something is, nothing is copied; and nothing is left out of sight.
    may.asks("file.copy", &json!({ "from": may.at("from/deep/text"), "to": may.at("to") })).refused(409, "conflict");
    may.asks("file.copy", &json!({ "from": may.at("from"), "to": may.at("from/deep/within") })).refused(400, "invalid");
    may.asks("file.copy", &json!({ "from": may.at("nothing"), "to": may.at("else") })).refused(404, "not_found");
    may.asks("file.copy", &json!({ "from": may.at("from"), "to": may.at("nowhere/else") })).refused(404, "not_found");
    latchkey_tests::waiting::eventually("what was half made is gone", || {
        fs::read_dir(may.user.home.join(".latchkey/new")).unwrap().count() == 0
    });
}

fn names_are_bytes(node: &Node) {
    let may = Managed::new(node, "named-so", MANAGED);
    let names: [&[u8]; 12] = [
        b"'; DROP TABLE users; --",
        b"\"quoted\"",
        b"line\nbreak\r\n",
        b"$(reboot)`id`",
        b"-rf",
        b" leading and trailing ",
        b"\xff\xfe\x80",
        "wp\u{2010}admin\u{202e}php.exe".as_bytes(),
        "\u{ff0e}\u{ff0e}".as_bytes(),
        b"...",
        b"%2e%2e",
        b"back\\slash",
    ];
    for name in names {
        let encoded: String = name.iter().map(|byte| format!("%{byte:02X}")).collect();
        let path = may.at(&encoded);
        may.does("file.write", &json!({ "path": path, "content": "text" }));
        let there: Vec<_> = fs::read_dir(&may.folder).unwrap().map(|one| one.unwrap().file_name()).collect();
        assert_eq!(there.len(), 1, "{there:?}");
        assert_eq!(std::os::unix::ffi::OsStrExt::as_bytes(there[0].as_os_str()), name);
        // What a listing says of it is a path that leads there.
        let listed = may.does("file.list", &json!({ "path": may.path }))["items"][0]["path"].clone();
        assert_eq!(may.does("file.read", &json!({ "path": listed }))["content"], "text");
        may.does("file.delete", &json!({ "path": listed, "for_good": true }));
    }
    for path in ["a%00b".to_owned(), "x".repeat(256), "x/".repeat(3000), "x".repeat(64 << 10), "%2e%2e".to_owned()] {
        for operation in ["file.write", "file.read", "file.make_dir", "file.delete"] {
            let mut input = json!({ "path": path });
            if operation == "file.write" {
                input["content"] = json!("text");
            }
            assert_eq!(may.asks(operation, &input).refused(400, "invalid")["field"], "path");
        }
    }
    assert_eq!(fs::read_dir(&may.folder).unwrap().count(), 0);
}
