//! An account with a quota: what grows has room or is refused in words, whichever way it grows, and what there was stays.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking and starts programs by name"
)]

mod node;

use std::fs;

use node::raw::{APPEND, CREATE, READ, Raw, TRUNCATE, WRITE, string};
use node::{LIMITED, Node, QUOTA_BYTES, WRITER, complaint, noise, text};

const OK: u32 = 0;
const FAILURE: u32 = 4;
const UPLOAD: u32 = WRITE | CREATE | TRUNCATE;
const IN_PLACE: u32 = WRITE | CREATE;
const REMOVE: u8 = 13;
const RENAME: &str = "posix-rename@openssh.com";
/// Four of them are the quota.
const QUARTER: usize = QUOTA_BYTES / 4;
/// The most that one WRITE brings, less than a quarter by more than this little.
const WRITE_MAX: usize = 255 << 10;
const LITTLE: usize = 2048;
const USED_UP: &str = "The quota of 1 MiB of this account is used up";

fn used_up() -> (u32, String) {
    (FAILURE, USED_UP.to_owned())
}

impl Raw {
    /// An upload of noise; closed, whatever becomes of it. What WRITE and CLOSE say.
    async fn put(&mut self, name: &str, bytes: usize) -> [u32; 2] {
        let handle = self.open(name.as_bytes(), UPLOAD).await.handle();
        let (written, _) = self.grow(&handle, 0, bytes).await;
        [written, self.close(&handle).await]
    }

    /// WRITEs of noise up to the first that fails.
    async fn grow(&mut self, handle: &[u8], offset: usize, bytes: usize) -> (u32, String) {
        let mut last = (OK, String::new());
        for (number, piece) in noise(bytes).chunks(WRITE_MAX).enumerate() {
            last = self.writes(handle, (offset + number * WRITE_MAX) as u64, piece).await.words();
            if last.0 != OK {
                break;
            }
        }
        last
    }

    /// SETSTAT of the length.
    async fn resize(&mut self, name: &str, bytes: u64) -> (u32, String) {
        self.ask(9, 7, &[&string(name.as_bytes()), &1_u32.to_be_bytes(), &bytes.to_be_bytes()]).await.words()
    }

    /// How much `statvfs@openssh.com` says there is, and is free, in bytes.
    async fn space(&mut self) -> (u64, u64) {
        let reply = self.extended("statvfs@openssh.com", &[&string(b"/")]).await;
        let number = |at: usize| u64::from_be_bytes(reply.rest[at * 8..][..8].try_into().unwrap());
        (number(1) * number(2), number(1) * number(4))
    }
}

#[test]
fn uploads_fit_into_the_quota_and_beyond_it_are_refused_in_words() {
    let node = Node::start();
    fs::write(node.site("old"), "old").unwrap();
    node.runtime.block_on(async {
        let mut raw = Raw::begin(&node, LIMITED).await;
        assert_eq!(raw.put("a", 3 * QUARTER).await, [OK, OK]);
        let upload = raw.open(b"old", UPLOAD).await.handle();
        assert_eq!(raw.write(&upload, 0, &noise(QUARTER / 2)).await, OK);
        assert_eq!(raw.grow(&upload, QUARTER / 2, QUARTER / 2 + 1).await, used_up());
        // It is not going to be whole any more, also if its next piece has room.
        assert_eq!(raw.writes(&upload, 0, b"x").await.words(), used_up());
        assert_eq!(raw.close(&upload).await, FAILURE);
        assert_eq!(fs::read(node.site("old")).unwrap(), b"old");
        assert_eq!(raw.put("new", QUARTER + 1).await, [FAILURE, FAILURE]);
        assert!(!node.site("new").exists());
        // What is replaced takes its room until the new one is there, and gives it back then.
        assert_eq!(raw.put("a", QUARTER + 1).await, [FAILURE, FAILURE]);
        assert_eq!(raw.put("a", QUARTER / 2).await, [OK, OK]);
        assert_eq!(raw.put("b", 3 * QUARTER).await, [OK, OK]);
        assert_eq!(raw.on_path(REMOVE, b"b").await.status(), OK);
        assert_eq!(raw.put("c", 3 * QUARTER).await, [OK, OK]);
        // Somebody without a quota has none.
        let mut free = Raw::begin(&node, WRITER).await;
        assert_eq!(free.put("large", 2 * QUARTER).await, [OK, OK]);
        assert_eq!(free.put("larger", 3 * QUARTER).await, [OK, OK]);
    });
}

#[test]
fn an_upload_of_the_very_size_fits_and_one_byte_more_does_not() {
    let node = Node::start();
    node.runtime.block_on(async {
        let mut raw = Raw::begin(&node, LIMITED).await;
        for name in ["1", "2", "3"] {
            assert_eq!(raw.put(name, QUARTER).await, [OK, OK]);
        }
        assert_eq!(raw.put("4", QUARTER + 1).await, [FAILURE, FAILURE]);
        assert_eq!(raw.put("4", QUARTER).await, [OK, OK]);
        // What is there can be written anew, and nothing can be added.
        let file = raw.open(b"4", WRITE).await.handle();
        assert_eq!(raw.grow(&file, 0, QUARTER).await.0, OK);
        assert_eq!(raw.writes(&file, QUARTER as u64, b"x").await.words(), used_up());
    });
}

#[test]
fn no_way_of_growing_leads_past_the_quota() {
    let node = Node::start();
    fs::write(node.site("half"), noise(2 * QUARTER)).unwrap();
    fs::write(node.site("f"), "f").unwrap();
    let size = |name: &str| fs::metadata(node.site(name)).unwrap().len();
    node.runtime.block_on(async {
        let mut raw = Raw::begin(&node, LIMITED).await;
        // A hole counts.
        let file = raw.open(b"f", IN_PLACE).await.handle();
        assert_eq!(raw.writes(&file, 1 << 40, b"x").await.words(), used_up());
        assert_eq!(raw.writes(&file, u64::MAX - 1, b"x").await.words(), used_up());
        assert_eq!(raw.write(&file, 9, b"x").await, OK);
        // Lengths, by name and by handle.
        assert_eq!(raw.resize("f", 1 << 40).await, used_up());
        assert_eq!(raw.resize("f", 2 * QUARTER as u64 + 1).await, used_up());
        let resize = [string(&file), 1_u32.to_be_bytes().to_vec(), (1_u64 << 40).to_be_bytes().to_vec()].concat();
        assert_eq!(raw.ask(10, 8, &[&resize]).await.words(), used_up());
        assert_eq!(size("f"), 10);
        assert_eq!(raw.resize("f", QUARTER as u64).await.0, OK);
        assert_eq!(raw.resize("f", LITTLE as u64).await.0, OK);
        // Appending, whatever offset is said.
        let end = raw.open(b"half", WRITE | APPEND).await.handle();
        assert_eq!(raw.grow(&end, 0, QUARTER).await.0, OK);
        assert_eq!(raw.grow(&end, 0, WRITE_MAX).await, used_up());
        // As on a full disk, the first part of a WRITE may be there.
        assert!(size("half") < (4 * QUARTER - LITTLE) as u64);
        assert_eq!(raw.resize("half", 3 * QUARTER as u64).await.0, OK);
        // Copying, also to what has no name yet.
        let (from, zero) = (string(&raw.open(b"half", READ).await.handle()), 0_u64.to_be_bytes());
        for flags in [UPLOAD, IN_PLACE] {
            let to = raw.open(b"copy", flags).await.handle();
            let copy: [&[u8]; 5] = [&from, &zero, &zero, &string(&to), &zero];
            assert_eq!(raw.extended("copy-data", &copy).await.words(), used_up());
            assert_eq!(raw.close(&to).await, FAILURE);
        }
        let to = raw.open(b"copy", UPLOAD).await.handle();
        let copy: [&[u8]; 5] = [&from, &((2 * QUARTER + LITTLE) as u64).to_be_bytes(), &zero, &string(&to), &zero];
        assert_eq!(raw.extended("copy-data", &copy).await.status(), OK);
        assert_eq!(raw.close(&to).await, OK);
        assert_eq!(raw.put("more", 1).await, [FAILURE, FAILURE]);
    });
    assert_eq!((size("half"), size("copy")), (3 * QUARTER as u64, (QUARTER - LITTLE) as u64));
}

#[test]
fn two_sessions_at_once_have_one_quota() {
    let node = Node::start();
    node.runtime.block_on(async {
        let (mut one, mut other) = (Raw::begin(&node, LIMITED).await, Raw::begin(&node, LIMITED).await);
        let (a, b) = (one.open(b"a", UPLOAD).await.handle(), other.open(b"b", UPLOAD).await.handle());
        assert_eq!(one.grow(&a, 0, 2 * QUARTER).await.0, OK);
        assert_eq!(other.grow(&b, 0, QUARTER + LITTLE).await.0, OK);
        // What is not published counts as well.
        assert_eq!(other.grow(&b, QUARTER + LITTLE, WRITE_MAX).await, used_up());
        assert_eq!(one.grow(&a, 2 * QUARTER, WRITE_MAX).await, used_up());
        // What was given up has room again.
        assert_eq!(other.close(&b).await, FAILURE);
        assert_eq!(other.put("c", 2 * QUARTER - 2 * WRITE_MAX).await, [OK, OK]);
        assert_eq!(other.put("d", 2 * WRITE_MAX + 1).await, [FAILURE, FAILURE]);
        // As has what a session that is gone leaves.
        drop((one.connection, one.channel));
        let mut last = [FAILURE, FAILURE];
        for _ in 0..1000 {
            last = other.put("d", 3 * QUARTER).await;
            if last == [OK, OK] {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_eq!(last, [OK, OK]);
    });
}

#[test]
fn files_that_were_removed_count_while_a_session_has_them_open() {
    let node = Node::start();
    node.runtime.block_on(async {
        let (mut raw, mut other) = (Raw::begin(&node, LIMITED).await, Raw::begin(&node, LIMITED).await);
        let hidden = raw.open(b"a", IN_PLACE).await.handle();
        assert_eq!(raw.grow(&hidden, 0, 2 * QUARTER).await.0, OK);
        assert_eq!(other.on_path(REMOVE, b"a").await.status(), OK);
        assert_eq!(other.put("b", 3 * QUARTER).await, [FAILURE, FAILURE]);
        assert_eq!(raw.grow(&hidden, 4 * QUARTER, 1).await, used_up());
        // One that is only read, too.
        assert_eq!(other.put("b", 2 * QUARTER).await, [OK, OK]);
        assert_eq!(raw.close(&hidden).await, FAILURE);
        let read = other.open(b"b", READ).await.handle();
        assert_eq!(raw.on_path(REMOVE, b"b").await.status(), OK);
        assert_eq!(raw.put("c", 3 * QUARTER).await, [FAILURE, FAILURE]);
        assert_eq!(other.close(&read).await, OK);
        assert_eq!(raw.put("c", 3 * QUARTER).await, [OK, OK]);
    });
}

#[test]
fn what_others_have_written_counts_and_what_they_remove_has_room_again() {
    let node = Node::start();
    fs::create_dir(node.site("d")).unwrap();
    fs::write(node.site("d/theirs"), noise(3 * QUARTER)).unwrap();
    fs::hard_link(node.site("d/theirs"), node.site("again")).unwrap();
    node.runtime.block_on(async {
        let mut raw = Raw::begin(&node, LIMITED).await;
        assert_eq!(raw.put("a", 2 * QUARTER).await, [FAILURE, FAILURE]);
        assert_eq!(raw.put("a", QUARTER).await, [OK, OK]);
        fs::remove_file(node.site("again")).unwrap();
        fs::remove_file(node.site("d/theirs")).unwrap();
        // A sum is believed for a second.
        let mut last = FAILURE;
        for _ in 0..1000 {
            last = raw.put("b", 3 * QUARTER).await[1];
            if last == OK {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_eq!(last, OK);
    });
}

#[test]
fn the_quota_is_shown_as_the_size_of_the_file_system() {
    let node = Node::start();
    node.runtime.block_on(async {
        let mut raw = Raw::begin(&node, LIMITED).await;
        let whole = QUOTA_BYTES as u64;
        assert_eq!(raw.space().await, (whole, whole));
        assert_eq!(raw.put("a", QUARTER).await, [OK, OK]);
        assert_eq!(raw.space().await, (whole, 3 * QUARTER as u64));
        assert_eq!(raw.on_path(REMOVE, b"a").await.status(), OK);
        assert_eq!(raw.space().await, (whole, whole));
        let mut free = Raw::begin(&node, WRITER).await;
        assert!(free.space().await.0 > whole);
    });
}

#[test]
fn what_is_moved_is_not_lost_from_the_sum() {
    let node = Node::start();
    node.runtime.block_on(async {
        let mut raw = Raw::begin(&node, LIMITED).await;
        assert_eq!(raw.put("a", 3 * QUARTER).await, [OK, OK]);
        assert_eq!(raw.extended(RENAME, &[&string(b"a"), &string(b"b")]).await.status(), OK);
        assert_eq!(raw.put("c", 2 * QUARTER).await, [FAILURE, FAILURE]);
        assert_eq!(raw.put("c", QUARTER).await, [OK, OK]);
    });
}

#[test]
fn openssh_is_told_and_goes_on_once_there_is_room() {
    let node = Node::start();
    fs::write(node.local("large"), noise(3 * QUARTER)).unwrap();
    text(&node.sftp(LIMITED, &[], "put large a\n"));
    let refused = complaint(&node.sftp(LIMITED, &[], "put large b\n"));
    // Its words are OpenSSH's own for the code.
    assert!(refused.contains("write remote \"/b\": Failure"), "{refused}");
    assert_eq!(fs::metadata(node.site("a")).unwrap().len(), 3 * QUARTER as u64);
    assert!(!node.site("b").exists());
    text(&node.sftp(LIMITED, &[], "rm a\nput large b\n"));
    // Of a resumed upload only what is new counts.
    fs::write(node.local("half"), noise(QUARTER)).unwrap();
    text(&node.sftp(LIMITED, &[], "rm b\nput half r\nrename r large\nput -a large\n"));
    assert_eq!(fs::read(node.site("large")).unwrap(), noise(3 * QUARTER));
    fs::write(node.local("large"), noise(5 * QUARTER)).unwrap();
    let refused = complaint(&node.sftp(LIMITED, &[], "put -a large\n"));
    assert!(refused.contains("Failure"), "{refused}");
    // OpenSSH's client cuts off by itself what it believes to be no good, as on a full disk.
    assert!(fs::metadata(node.site("large")).unwrap().len() <= QUOTA_BYTES as u64);
}
