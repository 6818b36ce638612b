//! What FTP sessions do to files is in the audit: of the right person, merged, and whatever the names are.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use latchkey_tests::audit::rows_about;
use latchkey_tests::command_line::latchkey;
use latchkey_tests::file_accounts::{Account, told};
use latchkey_tests::file_sessions::place;
use latchkey_tests::shares::{Share, person, share};
use latchkey_tests::sites::folder;
use serde_json::{Value, json};
use xtask::node::Node;

use crate::FILES;

crate::trials! {
    alone:
        what_ftp_sessions_do_to_files_is_in_the_audit_of_each_person,
        names_forge_nothing_in_the_audit;
}

#[track_caller]
fn guest<'n>(node: &'n Node, instance: &str) -> (Share<'n>, Account<'n>) {
    let guest = share(node, instance, &person("dev"), &json!({ "role": "developer" }));
    let account = Account::of(node, &guest);
    (guest, account)
}

/// What the audit says that people did to the files of an instance: who, by which share, what, and the words.
#[track_caller]
fn done_to_files(node: &Node, instance: &str) -> Vec<[String; 4]> {
    // What is noted is written once a minute, and when serve ends.
    node.serve().unwrap().restart().unwrap();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let rows = rows_about(node, instance);
    let files = rows.iter().filter(|row| text(row, "operation").starts_with("file."));
    let mut told: Vec<_> = files
        .map(|row| {
            assert_eq!((text(row, "via"), text(row, "outcome")), ("ftp".to_owned(), "allowed".to_owned()), "{row}");
            ["actor", "share", "operation", "detail"].map(|key| text(row, key))
        })
        .collect();
    told.sort();
    told
}

fn what_ftp_sessions_do_to_files_is_in_the_audit_of_each_person(node: &Node) {
    let docroot = folder(node, "ftp-events", FILES);
    // Both are the same system user on the node.
    let (ann, of_ann) = guest(node, "ftp-events");
    let (ben, of_ben) = guest(node, "ftp-events");
    place(&docroot, "old name.txt", "");
    fs::write(of_ann.local("up"), "content").unwrap();
    fs::write(of_ben.local("up"), "content").unwrap();
    of_ann
        .lftp(
            "mkdir deep; put up -o deep/a.txt; put up -o b.txt; put up -o c.txt; get b.txt -o back; \
             mv 'old name.txt' new.txt; rm b.txt; rm c.txt",
        )
        .unwrap();
    told(&of_ben.curl("ben.txt").arg("--upload-file").arg(of_ben.local("up"))).unwrap();
    let row = |share: &Share<'_>, account: &Account<'_>, operation: &str, words: &str| {
        [share.email.clone(), share.id.clone(), operation.to_owned(), format!("{words} as {}", account.login)]
    };
    let mut expected = vec![
        row(&ann, &of_ann, "file.download", "1 times, the first b.txt"),
        row(&ann, &of_ann, "file.remove", "2 times, the first b.txt"),
        row(&ann, &of_ann, "file.rename", "1 times, the first old name.txt"),
        row(&ann, &of_ann, "file.upload", "3 times, the first deep/a.txt"),
        row(&ben, &of_ben, "file.upload", "1 times, the first ben.txt"),
    ];
    expected.sort();
    assert_eq!(done_to_files(node, "ftp-events"), expected);
    // Nothing of it twice, and the command line shows the same.
    assert_eq!(done_to_files(node, "ftp-events"), expected);
    let printed = latchkey(node, &["audit", "tail"]);
    assert!(printed.done().contains("deep/a.txt") && printed.text.contains("file.upload"), "{}", printed.text);
}

fn names_forge_nothing_in_the_audit(node: &Node) {
    const LOOKS_LIKE_A_LINE: &str = "x uploaded  (1 bytes, 1.00KB";
    let docroot = folder(node, "ftp-names", FILES);
    let (_, account) = guest(node, "ftp-names");
    fs::write(account.local("up"), "content").unwrap();
    let encoded = LOOKS_LIKE_A_LINE.replace(' ', "%20");
    let up = account.curl(&format!("{encoded}/sec)")).args(["--ftp-create-dirs", "--upload-file"]);
    told(&up.arg(account.local("up"))).unwrap();
    told(&account.curl(&format!("{encoded}/sec)")).arg("--output").arg(account.local("back"))).unwrap();
    // In the bytes that the site's own code made them of.
    let names: [&[u8]; 5] = [
        b"caf\xe9 \"quoted\".txt",
        "grüße.txt".as_bytes(),
        b") [NOTICE] Deleted somebody's",
        b"b downloaded  (1 bytes, 1.00KB)",
        b"[a]->[b]",
    ];
    for name in names {
        fs::write(docroot.join(OsStr::from_bytes(name)), "").unwrap();
        let delete = [b"DELE ".as_slice(), name].concat();
        told(&account.curl("").arg("--quote").arg(OsStr::from_bytes(&delete))).unwrap();
    }
    // What would be a line of its own is a command of its own, and pure-ftpd knows none of the name.
    place(&docroot, "a\nDeleted b", "");
    told(&account.curl("").arg("--quote").arg("DELE a\nDeleted b")).unwrap_err();
    place(&docroot, "[p]->[q]", "");
    told(&account.curl("").args(["--quote", "RNFR [p]->[q]", "--quote", "RNTO r]->[s"])).unwrap();
    let told: Vec<_> = done_to_files(node, "ftp-names")
        .into_iter()
        .map(|[_, _, operation, words]| format!("{operation}: {}", words.split(" as ").next().unwrap()))
        .collect();
    let name = format!("1 times, the first {LOOKS_LIKE_A_LINE}/sec)");
    let expected = [
        format!("file.download: {name}"),
        "file.remove: 5 times, the first caf\u{fffd} \"quoted\".txt".to_owned(),
        "file.rename: 1 times, the first [p]->[q]]->[r]->[s".to_owned(),
        format!("file.upload: {name}"),
    ];
    assert_eq!(told, expected);
}
