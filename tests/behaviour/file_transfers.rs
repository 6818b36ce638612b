//! Uploads and downloads of the file manager: whole, in parts, and cut with the share.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::thread;

use latchkey_tests::audit::audited;
use latchkey_tests::exchange::Request;
use latchkey_tests::file_manager::Managed;
use latchkey_tests::opened::files_beneath;
use latchkey_tests::shares::{person, share};
use latchkey_tests::small_home::{End, SmallHome};
use latchkey_tests::waiting::eventually;
use serde_json::{Value, json};
use xtask::node::Node;

use crate::{MANAGED, MANAGED_TOO};

crate::trials! { beside_others:
    a_file_is_downloaded_whole_or_in_part,
    a_file_is_uploaded_whole_and_replaces_what_is_known,
    an_upload_goes_on_where_it_stopped,
    transfers_need_the_privilege_and_stay_in_the_home,
    transfers_end_with_their_share,
    a_full_disk_leaves_no_part_of_an_upload,
    a_used_up_quota_leaves_no_part_of_an_upload,
}

const BYTES: &str = "application/octet-stream";

/// Text of which no two parts of the same length are equal.
fn text(bytes: usize) -> String {
    (0..)
        .map(|number: u32| format!("{number:07}\n"))
        .flat_map(|line| line.chars().collect::<Vec<_>>())
        .take(bytes)
        .collect()
}

fn a_file_is_downloaded_whole_or_in_part(node: &Node) {
    let may = Managed::new(node, "downloaded", MANAGED);
    let content = text(3_000_001);
    may.plant("large \"text\".txt", &content);
    let name = "large%20%22text%22.txt";
    let whole = may.transfer("GET", name).send();
    assert_eq!((whole.status, whole.body == content), (200, true));
    let header = |name: &str| whole.header(name).unwrap().to_owned();
    assert_eq!(header("content-length"), "3000001");
    assert_eq!((header("content-type").as_str(), header("x-content-type-options").as_str()), (BYTES, "nosniff"));
    assert_eq!(header("content-disposition"), "attachment; filename*=UTF-8''large%20%22text%22.txt");
    audited(node, "downloaded", "file.download", "allowed", |row| row["share"] == may.share.id.as_str());
    let tag = header("etag");
    for (range, from, to) in [
        ("bytes=0-9", 0, 10),
        ("bytes=2999990-", 2_999_990, 3_000_001),
        ("bytes=-7", 2_999_994, 3_000_001),
        ("bytes=1000000-1999999", 1_000_000, 2_000_000),
        ("bytes=3000000-9999999", 3_000_000, 3_000_001),
    ] {
        let part = may.transfer("GET", name).header("Range", range).header("If-Range", &tag).send();
        assert_eq!((part.status, part.body.as_str()), (206, &content[from..to]), "{range}");
        assert_eq!(part.header("content-range"), Some(format!("bytes {from}-{}/3000001", to - 1).as_str()));
    }
    may.transfer("GET", name).header("Range", "bytes=3000001-").send().refused(416, "invalid");
    for range in ["bytes=0-1,5-6", "lines=1-2", "bytes=9-1", "bytes=x-"] {
        assert_eq!(may.transfer("GET", name).header("Range", range).send().status, 200, "{range}");
    }
    // Of another file than the one that is known, all is sent.
    may.plant("large \"text\".txt", text(2_000_000));
    let changed = may.transfer("GET", name).header("Range", "bytes=0-9").header("If-Range", &tag).send();
    assert_eq!((changed.status, changed.body.len()), (200, 2_000_000));
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
    may.plant("empty", "");
    let empty = may.transfer("GET", "empty").send();
    assert_eq!((empty.status, empty.body.as_str(), empty.header("content-length")), (200, "", Some("0")));
    may.transfer("GET", "nothing").send().refused(404, "not_found");
    may.transfer("GET", ".").send().refused(409, "conflict");
}

fn a_file_is_uploaded_whole_and_replaces_what_is_known(node: &Node) {
    let may = Managed::new(node, "uploaded", MANAGED);
    let put = |name: &str, content: &str, headers: &[(&str, &str)]| {
        let request = may.transfer("PUT", name).body(BYTES, content);
        headers.iter().fold(request, |request, (name, value)| request.header(name, value)).send()
    };
    let content = text(5_000_000);
    let made = put("file", &content, &[]);
    assert_eq!((made.status, &made.done()["is_whole"]), (201, &json!(true)));
    let path = may.folder.join("file");
    let found = fs::metadata(&path).unwrap();
    assert_eq!((found.uid(), found.gid(), found.mode() & 0o777), (may.user.uid, may.user.gid, 0o644));
    assert!(fs::read_to_string(&path).unwrap() == content);
    let tag = may.transfer("GET", "file").send().header("etag").unwrap().to_owned();
    audited(node, "uploaded", "file.upload", "allowed", |row| row["detail"] == format!("/{}", may.at("file")).as_str());
    // What is replaced keeps its mode, and is what is known.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    put("file", "other", &[("If-None-Match", "*")]).refused(412, "conflict");
    put("file", "other", &[("If-Match", "\"other\"")]).refused(412, "conflict");
    let tag_now = may.transfer("GET", "file").send().header("etag").unwrap().to_owned();
    assert_ne!(tag_now, tag, "rights are a part of what is known of a large file");
    let second = put("file", "second", &[("If-Match", &tag_now)]);
    assert_eq!((second.status, second.header("etag")), (200, may.transfer("GET", "file").send().header("etag")));
    assert_eq!((fs::read(&path).unwrap(), fs::metadata(&path).unwrap().mode() & 0o777), (b"second".to_vec(), 0o600));
    put("file", "third", &[("If-Match", &tag_now)]).refused(412, "conflict");
    assert_eq!(put("file", "third", &[("If-Match", "*")]).status, 200);
    assert_eq!(put("new", "", &[("If-None-Match", "*")]).status, 201);
    // A link is written through, as a client expects, as long as it stays in the home.
    symlink("new", may.folder.join("link")).unwrap();
    assert_eq!(put("link", "through", &[]).status, 200);
    assert_eq!(fs::read(may.folder.join("new")).unwrap(), b"through");
    put(".", "folder", &[]).refused(409, "conflict");
    put("nowhere/file", "lost", &[]).refused(404, "not_found");
    for (header, value) in [
        ("If-Match", "unquoted"),
        ("If-None-Match", "\"x\""),
        ("Content-Range", "bytes 1-0/5"),
        ("Content-Range", "bytes 0-9/5"),
    ] {
        assert_eq!(put("file", "x", &[(header, value)]).refused(400, "invalid")["field"], header);
    }
    // Bytes of a name need not be text.
    assert_eq!(put("%FF%0A%22", "bytes", &[]).status, 201);
    assert_eq!(may.transfer("GET", "%FF%0A%22").send().body, "bytes");
    let names: Vec<_> = fs::read_dir(&may.folder).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
}

fn an_upload_goes_on_where_it_stopped(node: &Node) {
    let may = Managed::new(node, "resumed", MANAGED);
    let content = text(1_000_000);
    let put = |name: &str, from: usize, to: usize| {
        let range = format!("bytes {from}-{}/{}", to - 1, content.len());
        may.transfer("PUT", name).body(BYTES, &content[from..to]).header("Content-Range", &range).send()
    };
    let there = |name: &str| {
        let asked = may.transfer("PUT", name).header("Content-Range", "bytes */1000000").header("Content-Length", "0");
        let reply = asked.send();
        assert_eq!(reply.status, 202, "{}", reply.body);
        reply.done()["received_bytes"].as_u64().unwrap()
    };
    may.plant("file", "before");
    assert_eq!(there("file"), 0);
    let first = put("file", 0, 400_000);
    assert_eq!((first.status, &first.done()["received_bytes"]), (202, &json!(400_000)));
    assert_eq!(there("file"), 400_000);
    // Neither again nor with a gap.
    put("file", 0, 400_000).refused(409, "conflict");
    put("file", 500_000, 600_000).refused(409, "conflict");
    // One that is cut off has come as far as it came.
    let range = format!("bytes 400000-{}/1000000", 999_999);
    let slow = may.transfer("PUT", "file").body(BYTES, &content[400_000..]).header("Content-Range", &range);
    let cut = slow.option("--limit-rate").option("300K").option("--max-time").option("1").try_send();
    assert!(cut.is_err(), "{cut:?}");
    eventually("the rest of what came is written", || there("file") > 400_000);
    assert_eq!(fs::read(may.folder.join("file")).unwrap(), b"before");
    let came = there("file");
    let done = put("file", usize::try_from(came).unwrap(), 1_000_000);
    assert_eq!((done.status, &done.done()["is_whole"]), (200, &json!(true)));
    assert_eq!(done.header("etag"), may.transfer("GET", "file").send().header("etag"));
    assert!(fs::read_to_string(may.folder.join("file")).unwrap() == content);
    let found = fs::metadata(may.folder.join("file")).unwrap();
    assert_eq!((found.mode() & 0o777, found.uid()), (0o644, may.user.uid));
    // More than was said is refused; and what somebody else began is theirs.
    let more = may.transfer("PUT", "more").body(BYTES, "12345").header("Content-Range", "bytes 0-2/10").send();
    more.refused(400, "invalid");
    assert!(!may.folder.join("more").exists());
    put("theirs", 0, 10).done();
    let terms = json!({ "role": "custom", "privileges": ["hosting.manage_file_manager"] });
    let other = share(node, "resumed", &person("other"), &terms);
    let path = format!("/v1/instances/resumed/files/{}", may.at("theirs"));
    let asked = other.person().request("PUT", &path).header("Content-Range", "bytes */1000000");
    assert_eq!(asked.header("Content-Length", "0").send().done()["received_bytes"], 0);
    let uploads = may.user.home.join(".latchkey/uploads");
    assert_eq!(fs::metadata(&uploads).unwrap().mode() & 0o777, 0o700);
}

fn transfers_need_the_privilege_and_stay_in_the_home(node: &Node) {
    let may = Managed::new(node, "guarded", MANAGED);
    may.plant("file", "ours");
    let may_not = share(node, "guarded", &person("may-not"), &json!({ "role": "developer" }));
    let of = |path: &str| format!("/v1/instances/guarded/files/{path}");
    let get = |path: &str| may_not.person().request("GET", &of(path)).send();
    get(&may.at("file")).refused_by("A1", 403, "forbidden");
    may_not.person().request("PUT", &of(&may.at("file"))).body(BYTES, "theirs").send().refused_by(
        "A1",
        403,
        "forbidden",
    );
    // The decision comes before the path is looked at.
    get("%00").refused_by("A1", 403, "forbidden");
    let stranger = latchkey_tests::api::Api::acting_as(node, &person("stranger"));
    stranger.request("GET", &of(&may.at("file"))).send().refused_by("A2", 404, "not_found");
    let other = node.hosting(MANAGED_TOO).unwrap().user.home;
    let name = other.file_name().unwrap().to_str().unwrap();
    symlink(&other, may.folder.join("out")).unwrap();
    for way in [
        format!("%2e%2e/{name}/x"),
        format!("paper/%2e%2e/%2e%2e/{name}/x"),
        may.at("out/x"),
        "%00".into(),
        "%zz".into(),
    ] {
        for method in ["GET", "PUT"] {
            let reply = may.share.person().request(method, &of(&way)).body(BYTES, "x").send();
            assert!(matches!(reply.status, 400 | 403), "{method} {way}: {}", reply.body);
        }
    }
    assert!(!other.join("x").exists());
    assert_eq!(fs::read(may.folder.join("file")).unwrap(), b"ours");
}

/// Sends a request beside the trial, so slowly that it does not end by itself.
/// More than such a home holds.
const LARGER_BYTES: usize = 224 << 20;

fn slowly(request: Request, rate: &str) -> thread::JoinHandle<Result<u16, String>> {
    let request = request.option("--limit-rate").option(rate).option("--max-time").option("60");
    thread::spawn(move || request.try_send().map(|reply| reply.status))
}

fn transfers_end_with_their_share(node: &Node) {
    let may = Managed::new(node, "cut", MANAGED);
    let content = text(30_000_000);
    may.plant("large", &content);
    // Takes next to nothing: what ends it does not wait for the client.
    let down = slowly(may.transfer("GET", "large"), "100K");
    let up = slowly(may.transfer("PUT", "arriving").body(BYTES, content.clone()), "200K");
    let range = format!("bytes 0-{}/{}", content.len() - 1, content.len());
    let part = slowly(may.transfer("PUT", "in-parts").body(BYTES, content).header("Content-Range", &range), "200K");
    let of_transfers = || {
        let all = latchkey_tests::api::Api::acting_as(node, &may.share.email).get("/v1/sessions").done();
        let all = all["items"].as_array().unwrap().clone();
        all.into_iter().filter(|one| one["kind"] == "transfer").collect::<Vec<Value>>()
    };
    eventually("three transfers", || of_transfers().len() == 3);
    assert!(of_transfers().iter().all(|one| one["share"] == may.share.id.as_str() && one["instance"] == "cut"));
    let ended = may.share.revoke();
    assert_eq!((&ended["closed"]["transfer"], &ended["unconfirmed"]), (&json!(3), &json!([])), "{ended}");
    assert_eq!(files_beneath(&may.folder), [], "nobody reads or writes any of them");
    for upload in [up, part] {
        assert_eq!(upload.join().unwrap(), Ok(403), "told while it was still sending");
    }
    assert_eq!(fs::read_dir(&may.folder).unwrap().count(), 1, "no part of a file has its name");
    assert!(down.join().unwrap().is_err(), "the download is cut");
}

fn a_full_disk_leaves_no_part_of_an_upload(node: &Node) {
    without_room(node, "cramped-disk", End::Disk);
}

fn a_used_up_quota_leaves_no_part_of_an_upload(node: &Node) {
    without_room(node, "cramped-quota", End::Quota);
}

#[track_caller]
fn without_room(node: &Node, hosting: &'static str, end: End) {
    let home = SmallHome::of(node, hosting, end);
    let may = Managed::new(node, hosting, hosting);
    may.plant("kept", "before");
    in_the_middle(&may, &home);
    let _told = home.fill();
    let content = text(3_000_000);
    let put = |name: &str| may.transfer("PUT", name).body(BYTES, content.clone()).send();
    let range = format!("bytes 0-{}/{}", content.len() - 1, content.len());
    for name in ["kept", "new"] {
        let problem = put(name).refused(507, "quota");
        assert!(problem["detail"].as_str().unwrap().contains("disk"), "{problem}");
        let in_parts = may.transfer("PUT", name).body(BYTES, content.clone()).header("Content-Range", &range).send();
        in_parts.refused(507, "quota");
    }
    may.asks("file.write", &json!({ "path": may.at("new"), "content": content[..900_000] })).refused(507, "quota");
    assert_eq!(fs::read(may.folder.join("kept")).unwrap(), b"before");
    let names: Vec<_> = fs::read_dir(&may.folder).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert_eq!(names, ["kept"]);
    home.make_room();
    eventually("room", || put("new").status < 300);
    assert!(fs::read_to_string(may.folder.join("new")).unwrap() == content);
}

/// Uploads for which there is room at first.
#[track_caller]
fn in_the_middle(may: &Managed<'_>, home: &SmallHome) {
    let larger = vec![b'x'; LARGER_BYTES];
    let before = home.free_bytes();
    for name in ["kept", "new"] {
        may.transfer("PUT", name).body(BYTES, larger.clone()).send().refused(507, "quota");
        let range = format!("bytes 0-{}/{}", LARGER_BYTES - 1, LARGER_BYTES);
        let in_parts = may.transfer("PUT", name).body(BYTES, larger.clone()).header("Content-Range", &range);
        in_parts.send().refused(507, "quota");
    }
    eventually("all of it is given back", || home.free_bytes().abs_diff(before) < 1 << 20);
    assert_eq!(fs::read(may.folder.join("kept")).unwrap(), b"before");
    assert_eq!(fs::read_dir(&may.folder).unwrap().count(), 1);
    assert_eq!(fs::read_dir(may.user.home.join(".latchkey/uploads")).unwrap().count(), 0);
    assert_eq!(may.transfer("PUT", "small").body(BYTES, "small").send().status, 201);
    fs::remove_file(may.folder.join("small")).unwrap();
}
