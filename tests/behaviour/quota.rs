//! Accounts of a hosting with a quota: what is beyond it is refused, what was there stays, and what was removed has room
//! again, whoever wrote it and by whichever way.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;

use latchkey_tests::api::Api;
use latchkey_tests::file_accounts::{Account, Transfer, told};
use latchkey_tests::file_sessions::{listed, place};
use latchkey_tests::sftp_wire::{Fault, Wire, flags, status};
use latchkey_tests::sites::folder;
use latchkey_tests::trees::noise;
use latchkey_tests::waiting::eventually;
use serde_json::{Value, json};
use xtask::node::Node;

use crate::FILES;

crate::trials! { beside_others:
    what_is_beyond_the_quota_of_an_sftp_account_is_refused_and_what_was_there_stays,
    two_sftp_sessions_have_one_quota_and_other_accounts_have_none,
    a_quota_that_is_changed_ends_the_sessions_that_began_with_another,
    a_folder_that_cannot_be_measured_takes_nothing_more,
    what_is_beyond_the_quota_of_an_ftp_account_is_refused_whoever_filled_it,
    an_ftp_quota_is_counted_anew_whatever_was_made_of_its_count,
    an_ftp_quota_that_is_changed_ends_the_sessions_that_began_with_another,
    what_is_no_quota_is_refused_and_names_its_field,
}

const MIB: usize = 1 << 20;
/// The most that one WRITE brings.
const WRITE_BYTES: usize = 255 << 10;

fn used_up(mib: u32) -> Fault {
    Fault::Refused(status::FAILURE, format!("The quota of {mib} MiB of this account is used up"))
}

/// A folder of a trial's own, and how accounts are made for it.
struct Place<'n> {
    node: &'n Node,
    id: &'static str,
    docroot: PathBuf,
}

impl<'n> Place<'n> {
    #[track_caller]
    fn of(node: &'n Node, id: &'static str) -> Self {
        Self { node, id, docroot: folder(node, id, FILES) }
    }

    #[track_caller]
    fn run(&self, operation: &str, input: &Value) -> Value {
        Api::panel(self.node).operate(self.id, operation, input).done()
    }

    /// An SFTP account that sees the folder, with the key of a computer of its own.
    #[track_caller]
    fn sftp(&self, name: &str, quota_mib: Option<u32>) -> Account<'n> {
        let account = Account::named(self.node, &format!("{name}.{FILES}"));
        let directory = format!("paper/{}", self.id);
        let input =
            json!({ "name": name, "directory": directory, "keys": [account.public_key()], "quota_mib": quota_mib });
        let made = self.run("sftp_account.create", &input);
        assert_eq!(made["account"].get("quota_mib"), quota_mib.map(Value::from).as_ref(), "{made}");
        account
    }

    /// An FTP account that sees the folder, with its password.
    #[track_caller]
    fn ftp(&self, name: &str, quota_mib: Option<u32>) -> Account<'n> {
        let directory = format!("paper/{}", self.id);
        let input = json!({ "name": name, "directory": directory, "quota_mib": quota_mib });
        let made = self.run("ftp_account.create", &input);
        assert_eq!(made["account"].get("quota_mib"), quota_mib.map(Value::from).as_ref(), "{made}");
        Account::named(self.node, &format!("{name}.{FILES}")).with_password(made["password"].as_str().unwrap())
    }

    fn has(&self, name: &str) -> bool {
        self.docroot.join(name).exists()
    }

    fn len(&self, name: &str) -> u64 {
        fs::metadata(self.docroot.join(name)).unwrap().len()
    }
}

/// An upload, closed whatever becomes of it.
fn put(wire: &mut Wire, name: &str, bytes: usize) -> Result<(), Fault> {
    let handle = wire.file(name, flags::UPLOAD)?;
    let mut pieces = (0..bytes).step_by(WRITE_BYTES);
    let written =
        pieces.try_for_each(|offset| wire.write(&handle, offset as u64, &noise(WRITE_BYTES.min(bytes - offset))));
    let closed = wire.close(&handle);
    assert_eq!(written.is_err(), closed.is_err(), "{written:?} {closed:?}");
    written
}

fn what_is_beyond_the_quota_of_an_sftp_account_is_refused_and_what_was_there_stays(node: &Node) {
    let here = Place::of(node, "quota-sftp");
    let account = here.sftp("quota-sftp", Some(10));
    let eight = noise(8 * MIB);
    fs::write(account.local("eight"), &eight).unwrap();
    fs::write(account.local("three"), &eight[..3 * MIB]).unwrap();
    place(&here.docroot, "old", "old");
    account.sftp("put eight\n").unwrap();
    let refused = account.sftp("put three old\n").unwrap_err();
    assert!(refused.contains("write remote \"/old\": Failure"), "{refused}");
    assert_eq!(fs::read(here.docroot.join("old")).unwrap(), b"old");
    let names = fs::read_dir(&here.docroot).unwrap().count();
    assert_eq!(names, 2, "nothing else is left");
    // In words, to clients that show them.
    let mut wire = Wire::open(&account);
    assert_eq!(put(&mut wire, "new", 3 * MIB), Err(used_up(10)));
    // `df` of the client.
    let shown = account.sftp("df\n").unwrap();
    let row = shown.lines().last().unwrap().split_ascii_whitespace().collect::<Vec<_>>();
    assert_eq!((row[0], row[4]), ("10240", "80%"), "{shown}");
    // A hole, and a length.
    let file = wire.file("hole", flags::WRITE | flags::CREATE).unwrap();
    assert_eq!(wire.write(&file, 1 << 40, b"x"), Err(used_up(10)));
    assert_eq!(here.len("hole"), 0);
    // What was removed has room again, and what is resumed counts by what is added.
    account.sftp("rm eight\nput three\nrename three eight\nput -a eight\n").unwrap();
    assert!(fs::read(here.docroot.join("eight")).unwrap() == eight, "what was resumed is something else");
    // What others have written counts, too.
    place(&here.docroot, "theirs", &"x".repeat(2 * MIB));
    let mut later = Wire::open(&account);
    eventually("the sum that is measured anew", || put(&mut later, "one", MIB / 2) == Err(used_up(10)));
    fs::remove_file(here.docroot.join("theirs")).unwrap();
    eventually("the room that others left", || put(&mut later, "one", MIB / 2) == Ok(()));
    here.run("sftp_account.delete", &json!({ "login": account.login }));
}

fn two_sftp_sessions_have_one_quota_and_other_accounts_have_none(node: &Node) {
    let here = Place::of(node, "quota-two");
    let account = here.sftp("quota-two", Some(2));
    let free = here.sftp("quota-free", None);
    let (mut one, mut other) = (Wire::open(&account), Wire::open(&account));
    let handle = one.file("a", flags::UPLOAD).unwrap();
    for number in 0..6 {
        one.write(&handle, (number * WRITE_BYTES) as u64, &noise(WRITE_BYTES)).unwrap();
    }
    // What is under way counts.
    assert_eq!(put(&mut other, "b", MIB), Err(used_up(2)));
    one.close(&handle).unwrap();
    assert_eq!(put(&mut other, "b", MIB), Err(used_up(2)));
    assert_eq!(put(&mut other, "c", MIB / 4), Ok(()));
    assert_eq!(put(&mut Wire::open(&free), "large", 4 * MIB), Ok(()));
    assert_eq!(here.len("large"), 4 * MIB as u64);
    for login in [account.login, free.login] {
        here.run("sftp_account.delete", &json!({ "login": login }));
    }
}

fn a_quota_that_is_changed_ends_the_sessions_that_began_with_another(node: &Node) {
    let here = Place::of(node, "quota-changed");
    let account = here.sftp("quota-changed", Some(1));
    let mut wire = Wire::open(&account);
    assert_eq!(put(&mut wire, "a", 2 * MIB), Err(used_up(1)));
    let update = |quota: Value| here.run("sftp_account.update", &json!({ "login": account.login, "quota_mib": quota }));
    let changed = update(json!(3));
    assert_eq!((&changed["account"]["quota_mib"], &changed["ended"]["closed"]["sftp"]), (&json!(3), &json!(1)));
    wire.sees_the_end();
    let mut wire = Wire::open(&account);
    assert_eq!(put(&mut wire, "a", 2 * MIB), Ok(()));
    assert_eq!(put(&mut wire, "b", 2 * MIB), Err(used_up(3)));
    // Absent: it stays. `null`: there is none any more.
    let kept = here.run("sftp_account.update", &json!({ "login": account.login, "read_only": false }));
    assert_eq!(kept["account"]["quota_mib"], 3, "{kept}");
    assert_eq!(update(Value::Null)["account"].get("quota_mib"), None);
    assert_eq!(put(&mut Wire::open(&account), "b", 2 * MIB), Ok(()));
    eventually("the end of all sessions", || listed(node, &account.login).is_empty());
    here.run("sftp_account.delete", &json!({ "login": account.login }));
}

fn a_folder_that_cannot_be_measured_takes_nothing_more(node: &Node) {
    let here = Place::of(node, "quota-hidden");
    let account = here.sftp("quota-hidden", Some(1));
    let mut wire = Wire::open(&account);
    fs::write(account.local("half"), noise(MIB / 2)).unwrap();
    account.sftp("mkdir hidden\nput half hidden/half\nchmod 000 hidden\n").unwrap();
    let refused = Fault::Refused(
        status::FAILURE,
        "A folder here cannot be read, so nobody knows how much of the quota is used".to_owned(),
    );
    assert_eq!(put(&mut wire, "more", 3 * MIB / 4), Err(refused));
    let hidden = here.docroot.join("hidden");
    assert_eq!(fs::metadata(&hidden).unwrap().permissions().mode() & 0o777, 0);
    account.sftp("chmod 755 hidden\n").unwrap();
    assert_eq!(put(&mut wire, "more", 3 * MIB / 4), Err(used_up(1)));
    assert_eq!(put(&mut wire, "more", MIB / 4), Ok(()));
    drop(wire);
    here.run("sftp_account.delete", &json!({ "login": account.login }));
}

/// An upload by curl.
fn upload(account: &Account<'_>, name: &str, bytes: usize) -> Result<String, String> {
    fs::write(account.local("up"), noise(bytes)).unwrap();
    told(&account.curl(name).arg("--upload-file").arg(account.local("up")))
}

/// The FTP server says that the quota is exceeded, before the upload or within it. What curl makes of the latter depends
/// on what it sees first: the words, or the end of what it sends over.
#[track_caller]
fn exceeds(result: Result<String, String>) {
    let error = result.expect_err("expected a refusal");
    let codes = ["curl: (25) Failed FTP upload: 552", "curl: (70)", "curl: (55)"];
    assert!(codes.iter().any(|code| error.contains(code)), "{error}");
}

fn what_is_beyond_the_quota_of_an_ftp_account_is_refused_whoever_filled_it(node: &Node) {
    let here = Place::of(node, "quota-ftp");
    let account = here.ftp("quota-ftp", Some(4));
    let free = here.ftp("quota-ftp-free", None);
    upload(&account, "three", 3 * MIB).unwrap();
    exceeds(upload(&account, "two", 2 * MIB));
    assert!(!here.has("two") && here.len("three") == 3 * MIB as u64);
    upload(&account, "half", MIB / 2).unwrap();
    // In one session: what was deleted has room again.
    fs::write(account.local("two"), noise(2 * MIB)).unwrap();
    account.lftp("put two").unwrap_err();
    account.lftp("rm three; put two").unwrap();
    // What came by another way counts from the next sign-in on: by SFTP, or by an account that has no quota.
    let sftp = here.sftp("quota-ftp-sftp", None);
    assert_eq!(put(&mut Wire::open(&sftp), "by-sftp", 2 * MIB), Ok(()));
    exceeds(upload(&account, "one", MIB));
    upload(&free, "five", 5 * MIB).unwrap();
    exceeds(upload(&account, "one", 1));
    assert!(!here.has("one"));
    for name in ["by-sftp", "five"] {
        fs::remove_file(here.docroot.join(name)).unwrap();
    }
    upload(&account, "one", MIB).unwrap();
    for login in [&account.login, &free.login] {
        here.run("ftp_account.delete", &json!({ "login": login }));
    }
    here.run("sftp_account.delete", &json!({ "login": sftp.login }));
}

fn an_ftp_quota_is_counted_anew_whatever_was_made_of_its_count(node: &Node) {
    let here = Place::of(node, "quota-ftp-count");
    let account = here.ftp("quota-ftp-count", Some(2));
    upload(&account, "one", MIB).unwrap();
    let count = here.docroot.join(".ftpquota");
    let user = node.hosting(FILES).unwrap().user;
    assert_eq!(fs::metadata(&count).unwrap().uid(), user.uid);
    let over = |account: &Account<'_>| exceeds(upload(account, "more", 2 * MIB));
    eventually("the end of all sessions", || listed(node, &account.login).is_empty());
    fs::remove_file(&count).unwrap();
    over(&account);
    eventually("the end of all sessions", || listed(node, &account.login).is_empty());
    fs::write(&count, "0 0\n").unwrap();
    over(&account);
    eventually("the end of all sessions", || listed(node, &account.login).is_empty());
    fs::remove_file(&count).unwrap();
    std::os::unix::fs::symlink("one", &count).unwrap();
    over(&account);
    assert_eq!(here.len("one"), MIB as u64);
    // Clients cannot touch it.
    account.lftp("rm .ftpquota").unwrap_err();
    account.lftp("mv .ftpquota aside").unwrap_err();
    // Where it cannot be set right nobody is let in.
    eventually("the end of all sessions", || listed(node, &account.login).is_empty());
    fs::remove_file(&count).unwrap();
    fs::create_dir(&count).unwrap();
    account.tries_ftp().is_refused();
    fs::remove_dir(&count).unwrap();
    account.tries_ftp().is_in();
    here.run("ftp_account.delete", &json!({ "login": account.login }));
}

fn an_ftp_quota_that_is_changed_ends_the_sessions_that_began_with_another(node: &Node) {
    let here = Place::of(node, "quota-ftp-changed");
    let account = here.ftp("quota-ftp-changed", Some(1));
    exceeds(upload(&account, "two", 2 * MIB));
    // The one of the upload may still be ending.
    eventually("the end of all sessions", || listed(node, &account.login).is_empty());
    place(&here.docroot, "down", "");
    fs::File::options().write(true).open(here.docroot.join("down")).unwrap().set_len(MIB as u64 / 2).unwrap();
    let get = account.curl("down").args(["--limit-rate", "10k", "--output"]).arg(account.local("down"));
    let download = Transfer::begin(get);
    eventually("the session", || listed(node, &account.login).len() == 1);
    let update = |quota: Value| here.run("ftp_account.update", &json!({ "login": account.login, "quota_mib": quota }));
    let changed = update(json!(3));
    assert_eq!((&changed["account"]["quota_mib"], &changed["ended"]["closed"]["ftp"]), (&json!(3), &json!(1)));
    download.end().unwrap_err();
    upload(&account, "two", 2 * MIB).unwrap();
    exceeds(upload(&account, "more", MIB));
    assert_eq!(update(Value::Null)["account"].get("quota_mib"), None);
    upload(&account, "more", 2 * MIB).unwrap();
    here.run("ftp_account.delete", &json!({ "login": account.login }));
}

fn what_is_no_quota_is_refused_and_names_its_field(node: &Node) {
    let here = Place::of(node, "quota-none");
    for operation in ["sftp_account.create", "ftp_account.create", "sftp_account.update", "ftp_account.update"] {
        for wrong in [json!(0), json!(-1), json!(1.5), json!("10"), json!(1_048_577), json!(true)] {
            let mut input = if operation.ends_with("create") {
                json!({ "name": "quota-none" })
            } else {
                json!({ "login": format!("quota-none.{FILES}") })
            };
            input["quota_mib"] = wrong;
            let problem = Api::panel(node).operate(here.id, operation, &input).refused(400, "invalid");
            assert_eq!(problem["field"], "quota_mib", "{operation} {input} {problem}");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("expected a whole number of MiB from 1 to 1048576"), "{input}: {detail}");
        }
    }
}
