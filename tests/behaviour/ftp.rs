//! FTP: over TLS only, with the rights of the hosting's system user, and over whenever anybody of those who keep it dies.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;

use latchkey_tests::audit::audited;
use latchkey_tests::file_accounts::{Account, Transfer, told};
use latchkey_tests::file_sessions::{Sessions, listed, make_folder, place};
use latchkey_tests::opened::{files_beneath, ftp_folders, ftp_mounts, ftp_processes};
use latchkey_tests::shares::{Share, person, share};
use latchkey_tests::sites::folder;
use latchkey_tests::trees::{Names, inventory, noise, plant};
use latchkey_tests::waiting::{PATIENCE, eventually, eventually_some};
use serde_json::json;
use xtask::node::Node;

use crate::FILES;
use crate::recovery::RunsAgain;

crate::trials! {
    beside_others:
        without_tls_nobody_is_let_in,
        a_wrong_password_is_refused_and_noted_and_the_right_one_lets_in,
        lftp_mirrors_a_tree_there_and_back_byte_for_byte,
        curl_uploads_and_downloads_as_the_system_user_beneath_the_root_only,
        a_session_is_over_when_its_client_is_and_leaves_nothing;
    alone:
        a_session_is_unconfirmed_while_ftpauth_is_down_and_over_when_it_is_back,
        sessions_are_over_when_serve_is_killed,
        sessions_are_over_when_the_ftp_server_is_killed;
}

#[track_caller]
fn guest<'n>(node: &'n Node, instance: &str) -> (Share<'n>, Account<'n>, std::path::PathBuf) {
    let docroot = folder(node, instance, FILES);
    let dev = share(node, instance, &person("dev"), &json!({ "role": "developer" }));
    let account = Account::of(node, &dev);
    (dev, account, docroot)
}

fn without_tls_nobody_is_let_in(node: &Node) {
    let (_, account, _) = guest(node, "ftp-tls");
    told(&account.curl("")).unwrap();
    let mut clear = TcpStream::connect(node.agent().unwrap().urls().ftp).unwrap();
    clear.set_read_timeout(Some(PATIENCE)).unwrap();
    let login = format!("USER {}\r\nPASS {}\r\nPWD\r\n", account.login, account.password);
    clear.write_all(login.as_bytes()).unwrap();
    let mut told_in_the_clear = String::new();
    // It may be cut off without a word more.
    drop(clear.read_to_string(&mut told_in_the_clear));
    assert!(told_in_the_clear.contains("421 "), "{told_in_the_clear}");
    assert!(!told_in_the_clear.contains("230 ") && !told_in_the_clear.contains("257 "), "{told_in_the_clear}");
    // Nor without it for what is carried.
    let half = account.curl_in_the_clear("").arg("--ftp-ssl-control");
    told(&half).unwrap_err();
}

fn a_wrong_password_is_refused_and_noted_and_the_right_one_lets_in(node: &Node) {
    let (dev, mut account, docroot) = guest(node, "ftp-wrong");
    let right = std::mem::replace(&mut account.password, "wrong".into());
    let refused = account.tries_ftp();
    refused.is_refused();
    audited(node, "ftp-wrong", "ftp.sign_in", "denied", |row| {
        row["address"] == refused.address.as_str() && row["detail"].as_str().unwrap().contains(&account.login)
    });
    let nobody = Account::named(node, "nobody.ftp-wrong").with_password(&right);
    nobody.tries_ftp().is_refused();
    account.password = right;
    let let_in = account.tries_ftp();
    let_in.is_in();
    let row = audited(node, "ftp-wrong", "ftp.sign_in", "allowed", |row| row["address"] == let_in.address.as_str());
    assert_eq!((&row["actor"], &row["share"]), (&json!(dev.email), &json!(dev.id)), "{row}");
    assert_eq!(files_beneath(&docroot), []);
}

fn lftp_mirrors_a_tree_there_and_back_byte_for_byte(node: &Node) {
    let (_, account, docroot) = guest(node, "ftp-mirror");
    plant(&account.local("tree"), 300, Names::Lines);
    account.lftp("mirror -R -P 4 tree tree").unwrap();
    let contents = |folder: &std::path::Path| -> Vec<_> {
        inventory(folder).into_iter().map(|(path, kept)| (path, kept.content)).collect()
    };
    let planted = contents(&account.local("tree"));
    assert_eq!(planted.len(), 303);
    assert!(contents(&docroot.join("tree")) == planted, "the site has something else");
    account.lftp("mirror -P 4 tree back").unwrap();
    assert!(contents(&account.local("back")) == planted, "what came back is something else");
}

fn curl_uploads_and_downloads_as_the_system_user_beneath_the_root_only(node: &Node) {
    let (dev, account, docroot) = guest(node, "ftp-curl");
    let user = node.hosting(FILES).unwrap().user;
    let content = noise(3_000_000);
    fs::write(account.local("up"), &content).unwrap();
    told(&account.curl("up.bin").arg("--upload-file").arg(account.local("up"))).unwrap();
    let landed = fs::metadata(docroot.join("up.bin")).unwrap();
    assert_eq!((landed.uid(), landed.gid(), landed.mode() & 0o7777), (user.uid, user.gid, 0o644));
    told(&account.curl("up.bin").arg("--output").arg(account.local("back"))).unwrap();
    assert_eq!(fs::read(account.local("back")).unwrap(), content);
    // What lies beside it is not there, by no way.
    let beside = folder(node, "ftp-curl-other", FILES);
    place(&beside, "secret.txt", "secret");
    std::os::unix::fs::symlink(beside.join("secret.txt"), docroot.join("link.txt")).unwrap();
    std::os::unix::fs::symlink("../ftp-curl-other", docroot.join("link")).unwrap();
    let absolute = format!("%2F{}", beside.join("secret.txt").display());
    for path in
        ["../ftp-curl-other/secret.txt", "%2F..%2Fftp-curl-other/secret.txt", "link.txt", "link/secret.txt", &absolute]
    {
        let got = account.curl(path).arg("--path-as-is").arg("--output").arg(account.local("got"));
        let error = told(&got).expect_err(path);
        assert!(error.contains("curl: (78)") || error.contains("curl: (9)"), "{path}: {error}");
        let put = account.curl(path).arg("--path-as-is").arg("--upload-file").arg(account.local("up"));
        // An upload replaces the link itself; there is nothing else that it could reach.
        assert!(path == "link.txt" || told(&put).is_err(), "{path}");
    }
    assert!(!account.local("got").exists());
    assert_eq!(fs::read_to_string(beside.join("secret.txt")).unwrap(), "secret");
    // A deeper root is the root.
    make_folder(&docroot, "deeper");
    dev.update(&json!({ "file_access": { "kind": "ftp", "path": "deeper" } }));
    told(&account.curl("up.bin").arg("--output").arg(account.local("got"))).unwrap_err();
    told(&account.curl("deep.bin").arg("--upload-file").arg(account.local("up"))).unwrap();
    assert_eq!(fs::read(docroot.join("deeper/deep.bin")).unwrap(), content);
}

fn a_session_is_over_when_its_client_is_and_leaves_nothing(node: &Node) {
    let (_, account, docroot) = guest(node, "ftp-over");
    place(&docroot, "large.bin", "");
    fs::File::options().write(true).open(docroot.join("large.bin")).unwrap().set_len(30 << 20).unwrap();
    let get = account.curl("large.bin").args(["--limit-rate", "10M", "--output"]).arg(account.local("back"));
    let download = Transfer::begin(get);
    eventually("the session", || listed(node, &account.login).len() == 1);
    let session = listed(node, &account.login).remove(0);
    assert_eq!(session["kind"], "ftp", "{session}");
    let opened = eventually_some("a file that is open", || files_beneath(&docroot).pop());
    let folders = || ftp_folders(node).iter().any(|path| is_of(path, opened.pid));
    assert!(folders() && ftp_processes(node, FILES).contains(&opened.pid));
    download.end().unwrap();
    eventually("the end of the session", || listed(node, &account.login).is_empty() && !folders());
    assert!(!ftp_processes(node, FILES).contains(&opened.pid));
}

/// Whether a session's folder is that of this process.
fn is_of(folder: &std::path::Path, pid: u32) -> bool {
    folder.file_name().unwrap().to_str().unwrap().starts_with(&format!("{pid}-"))
}

/// No session by FTP has left anything.
#[track_caller]
fn nothing_is_left(node: &Node) {
    eventually("the end of folders, mounts and processes", || {
        ftp_folders(node).is_empty() && ftp_mounts(node).is_empty() && ftp_processes(node, FILES).is_empty()
    });
}

fn a_session_is_unconfirmed_while_ftpauth_is_down_and_over_when_it_is_back(node: &Node) {
    let (dev, account, docroot) = guest(node, "ftp-auth-down");
    let sessions = Sessions::begin_ftp(&account, &docroot);
    let auth = node.ftpauth().unwrap();
    let again = RunsAgain(auth);
    auth.kill().unwrap();
    account.tries_ftp().is_refused();
    let ended = dev.revoke();
    assert_eq!(ended["closed"]["ftp"], 0, "{ended}");
    let what = format!("the session of {}", account.login);
    assert_eq!(ended["unconfirmed"], json!([{ "channel": "ftp", "what": what }]), "{ended}");
    assert!(!sessions.has_one_that_ended());
    assert_eq!(dev.shown()["unconfirmed"], ended["unconfirmed"]);
    drop(again);
    sessions.are_over_soon();
    eventually("the end that is confirmed", || dev.shown().get("unconfirmed").is_none());
    nothing_is_left(node);
    account.tries_ftp().is_refused();
}

fn sessions_are_over_when_serve_is_killed(node: &Node) {
    let (dev, account, docroot) = guest(node, "ftp-serve-down");
    let sessions = Sessions::begin_ftp(&account, &docroot);
    let serve = node.serve().unwrap();
    let again = RunsAgain(serve);
    serve.kill().unwrap();
    sessions.are_over_soon();
    nothing_is_left(node);
    account.tries_ftp().is_refused();
    drop(again);
    account.tries_ftp().is_in();
    assert_eq!(dev.revoke()["closed"]["ftp"], 0);
}

fn sessions_are_over_when_the_ftp_server_is_killed(node: &Node) {
    let (dev, account, docroot) = guest(node, "ftp-server-down");
    let sessions = Sessions::begin_ftp(&account, &docroot);
    let server = node.ftp_server().unwrap();
    let again = RunsAgain(server);
    server.kill().unwrap();
    sessions.are_over_soon();
    nothing_is_left(node);
    eventually("the end that serve knows of", || listed(node, &account.login).is_empty());
    drop(again);
    account.tries_ftp().is_in();
    eventually("the end of that one", || listed(node, &account.login).is_empty());
    assert_eq!(dev.revoke()["closed"]["ftp"], 0);
}
