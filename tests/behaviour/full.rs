//! Hostings without any room left, on their disk or within their quota: what needs none works, what needs some says what it
//! lacks and leaves no half of it, and once there is room all is as before.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use latchkey_tests::api::Api;
use latchkey_tests::file_accounts::Account;
use latchkey_tests::sftp_wire::{Body, Fault, Wire, flags, status};
use latchkey_tests::shares::{Share, person, pinned_editor, share};
use latchkey_tests::small_home::{End, SmallHome};
use latchkey_tests::waiting::eventually;
use latchkey_tests::wp_admin;
use serde_json::json;
use xtask::node::{Instance, Node};

use crate::variants::has_ended_one;

crate::trials! { beside_others:
    a_full_disk_is_named_and_keeps_nobody_in,
    a_used_up_quota_is_named_and_keeps_nobody_in,
}

fn a_full_disk_is_named_and_keeps_nobody_in(node: &Node) {
    check(node, "full-disk", End::Disk, "No space left on device", "The disk is full");
}

fn a_used_up_quota_is_named_and_keeps_nobody_in(node: &Node) {
    let over_sftp = "The disk quota of this hosting is used up";
    check(node, "full-quota", End::Quota, "Disk quota exceeded", over_sftp);
}

#[track_caller]
fn check(node: &Node, id: &str, end: End, says: &str, over_sftp: &'static str) {
    let site = node.instance(id).unwrap();
    let home = SmallHome::of(node, &site.hosting, end);
    let maintenance = |enabled: bool| Api::panel(node).operate(id, "maintenance.set", &json!({ "enabled": enabled }));
    maintenance(true).done();
    maintenance(false).done();
    let before = share(node, id, &person("guest"), &pinned_editor());
    let mut inside = wp_admin::log_in(node, &before.email, &site, None);
    let mut transfers = Transfers::begin(node, &site, over_sftp);
    let told = home.fill();
    assert!(told.contains(says), "{told}");

    let problem = maintenance(true).refused(507, "quota");
    assert!(problem["detail"].as_str().unwrap().contains("no room left"), "{problem}");
    let names = fs::read_dir(&site.docroot).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with(".maintenance")).collect();
    assert!(left.is_empty(), "{left:?}");
    // The database has room, and so have neighbours.
    let name = json!({ "name": "No room" });
    assert_eq!(Api::panel(node).operate(id, "site_name.set", &name).done(), name);
    Api::panel(node).operate("live", "site_name.show", &json!({})).done();
    // Ways in and out.
    wp_admin::is_in_as(&mut inside, "editor");
    has_ended_one(&before.revoke());
    wp_admin::is_out(&mut inside);
    let guest = share(node, id, &person("guest"), &pinned_editor());
    let mut browser = wp_admin::log_in(node, &guest.email, &site, None);
    wp_admin::is_in_as(&mut browser, "editor");
    has_ended_one(&guest.revoke());
    wp_admin::is_out(&mut browser);
    transfers.say_what_they_lack();

    home.make_room();
    assert_eq!(maintenance(true).done(), json!({ "enabled": true }));
    maintenance(false).done();
    transfers.go_on();
}

/// The most that one WRITE brings.
const WRITE_BYTES: usize = 255 << 10;
const OLD_BYTES: usize = 100_000;
const NEW_BYTES: usize = 3_000_000;
/// More than a home with an end holds.
const LARGE_BYTES: usize = 224 << 20;

/// A developer, and one SFTP session of theirs.
struct Transfers<'n> {
    share: Share<'n>,
    wire: Wire,
    docroot: PathBuf,
    /// What the server says when there is no room.
    says: &'static str,
    _account: Account<'n>,
}

impl<'n> Transfers<'n> {
    #[track_caller]
    fn begin(node: &'n Node, site: &Instance, says: &'static str) -> Self {
        let share = share(node, &site.id, &person("dev"), &json!({ "role": "developer" }));
        let account = Account::of(node, &share);
        let wire = Wire::open(&account);
        let mut transfers = Self { share, wire, docroot: site.docroot.clone(), says, _account: account };
        transfers.put("kept", b'o', OLD_BYTES).unwrap();
        transfers
    }

    /// An upload of this many equal bytes, as clients do it: also after a WRITE that failed it is closed.
    fn put(&mut self, name: &str, byte: u8, bytes: usize) -> Result<(), Fault> {
        let handle = self.wire.file(name, flags::UPLOAD)?;
        let mut written = Ok(());
        for offset in (0..bytes).step_by(WRITE_BYTES) {
            let piece = vec![byte; WRITE_BYTES.min(bytes - offset)];
            written = self.wire.write(&handle, offset as u64, &piece);
            if written.is_err() {
                break;
            }
        }
        let closed = self.wire.close(&handle);
        // What is not whole is not published, and CLOSE says so once more.
        assert_eq!(written.is_err(), closed.is_err(), "{written:?} {closed:?}");
        written
    }

    #[track_caller]
    fn holds(&self, name: &str, byte: u8, bytes: usize) {
        let content = fs::read(self.docroot.join(name)).unwrap();
        assert!(content.len() == bytes && content.iter().all(|one| *one == byte), "{name}: {} bytes", content.len());
    }

    fn names(&self) -> Vec<OsString> {
        let entries = fs::read_dir(&self.docroot).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    /// No upload fits: that is said in words, what was there before stays, and what needs no room works.
    #[track_caller]
    fn say_what_they_lack(&mut self) {
        let (before, lacks) = (self.names(), Fault::Refused(status::FAILURE, self.says.to_owned()));
        for name in ["kept", "new"] {
            assert_eq!(self.put(name, b'n', NEW_BYTES), Err(lacks.clone()), "{name}");
        }
        let long = format!("folder-{}", "x".repeat(200));
        assert_eq!(self.wire.ask(14, &Body::new().text(long).number(0)).map(drop), Err(lacks));
        self.holds("kept", b'o', OLD_BYTES);
        let handle = self.wire.file("kept", flags::READ).unwrap();
        assert_eq!(self.wire.read(&handle, 0).unwrap(), vec![b'o'; 32 << 10]);
        self.wire.close(&handle).unwrap();
        assert_eq!(self.names(), before);
    }

    /// The same session goes on now that there is room. An upload that takes all of it gives all of it back.
    #[track_caller]
    fn go_on(mut self) {
        self.put("kept", b'n', NEW_BYTES).unwrap();
        self.holds("kept", b'n', NEW_BYTES);
        let (before, lacks) = (self.names(), Fault::Refused(status::FAILURE, self.says.to_owned()));
        assert_eq!(self.put("large", b'l', LARGE_BYTES), Err(lacks));
        assert_eq!(self.names(), before);
        // Some file systems give back a moment later.
        eventually("room for a new file", || self.put("new", b'n', NEW_BYTES).is_ok());
        self.holds("new", b'n', NEW_BYTES);
        drop(self.wire);
        assert_eq!(self.share.revoke()["unconfirmed"], json!([]));
    }
}
