//! Tars, built block by block.

use std::{io::Write as _, os::unix::fs::MetadataExt as _};

use latchkey_protocol::ArchiveFlaw;
use tar::{EntryType, Header};

use super::{Scene, fs};

/// An entry with its blocks.
fn entry(name: &str, kind: EntryType, content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_mtime(1_500_000_000);
    header.set_size(content.len() as u64);
    header.set_cksum();
    blocks(&header, content)
}

fn blocks(header: &Header, content: &[u8]) -> Vec<u8> {
    let padding = content.len().next_multiple_of(512) - content.len();
    [header.as_bytes(), content, &vec![0; padding]].concat()
}

fn file(name: &str, content: &[u8]) -> Vec<u8> {
    entry(name, EntryType::Regular, content)
}

fn tar(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), vec![0; 1024]].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let record = |(key, value): &(&str, &str)| {
        let rest = format!(" {key}={value}\n");
        let length = (1..).find(|length: &usize| length.to_string().len() + rest.len() == *length).unwrap();
        format!("{length}{rest}")
    };
    entry("pax", EntryType::XHeader, records.iter().map(record).collect::<String>().as_bytes())
}

#[test]
fn an_honest_tar_is_taken_plain_and_compressed_in_one_part_or_several() {
    let scene = Scene::new();
    let long = "n/".repeat(40) + &"x".repeat(200);
    let mut setuid = Header::new_gnu();
    setuid.as_old_mut().name[..6].copy_from_slice(b"setuid");
    setuid.set_mode(0o6777);
    setuid.set_size(1);
    setuid.set_cksum();
    let honest = tar(&[
        entry("./", EntryType::Directory, b""),
        entry("a/", EntryType::Directory, b""),
        file("./a/file", b"content"),
        entry("long", EntryType::GNULongName, format!("{long}\0").as_bytes()),
        file("cut", b"long"),
        pax(&[("path", "p\u{e4}\nx"), ("mtime", "1400000000.5"), ("size", "3")]),
        file("other", b"pax"),
        entry("g", EntryType::XGlobalHeader, b"52 comment=0123456789012345678901234567890123456789\n"),
        blocks(&setuid, b"x"),
    ]);
    let (first, second) = honest.split_at(1000);
    for archive in [
        honest.clone(),
        gzip(&honest),
        zstd(&honest),
        [gzip(first), gzip(second)].concat(),
        [zstd(first), zstd(second)].concat(),
    ] {
        scene.takes(&archive);
        assert_eq!(scene.read("a/file"), b"content");
        assert_eq!(scene.read(&long), b"long");
        assert_eq!(scene.read("p\u{e4}\nx"), b"pax");
        let stat = |name: &str| fs::metadata(scene.home().join("to").join(name)).unwrap();
        assert_eq!(stat("setuid").mode() & 0o7777, 0o755);
        assert_eq!((stat("a/file").mtime(), stat("p\u{e4}\nx").mtime()), (1_500_000_000, 1_400_000_000));
    }
}

#[test]
fn names_that_lead_elsewhere_are_refused_however_they_are_said() {
    let scene = Scene::new();
    for (name, flaw) in
        [("../beside", ArchiveFlaw::Climbs), ("/etc/passwd", ArchiveFlaw::Absolute), ("a/./b", ArchiveFlaw::NoName)]
    {
        let long = entry("long", EntryType::GNULongName, format!("{name}\0").as_bytes());
        for one in [
            tar(&[file(name, b"x")]),
            tar(&[long, file("harmless", b"x")]),
            tar(&[pax(&[("path", name)]), file("harmless", b"x")]),
        ] {
            scene.refuses(&gzip(&one), name, flaw);
        }
    }
    let zero = entry("long", EntryType::GNULongName, b"a\0b\0");
    scene.refuses(&tar(&[zero, file("x", b"x")]), "a\\x00b", ArchiveFlaw::NoName);
    let long = entry("long", EntryType::GNULongName, &[b'x'; 4100]);
    scene.refuses(&tar(&[long, file("x", b"x")]), "", ArchiveFlaw::LongName);
    let everywhere = pax(&[("path", "x")]);
    let mut global = Header::from_byte_slice(&everywhere[..512]).clone();
    global.set_entry_type(EntryType::XGlobalHeader);
    global.set_cksum();
    let global = [&global.as_bytes()[..], &everywhere[512..]].concat();
    scene.refuses(&tar(&[global, file("a", b"x")]), "", ArchiveFlaw::Unsupported);
}

#[test]
fn links_devices_and_sparse_files_are_refused() {
    let scene = Scene::new();
    for (kind, flaw) in [
        (EntryType::Symlink, ArchiveFlaw::Link),
        (EntryType::Link, ArchiveFlaw::Link),
        (EntryType::Char, ArchiveFlaw::Special),
        (EntryType::Block, ArchiveFlaw::Special),
        (EntryType::Fifo, ArchiveFlaw::Special),
        (EntryType::GNUSparse, ArchiveFlaw::Unsupported),
        (EntryType::new(b'M'), ArchiveFlaw::Unsupported),
        (EntryType::new(b'V'), ArchiveFlaw::Unsupported),
    ] {
        let refused = tar(&[file("first", b"x"), entry("entry", kind, b"")]);
        scene.refuses(&refused, "entry", flaw);
        assert_eq!(scene.read("first"), b"x");
    }
    let sparse = pax(&[("GNU.sparse.major", "1")]);
    scene.refuses(&tar(&[sparse, file("a", b"x")]), "", ArchiveFlaw::Unsupported);
}

#[test]
fn a_name_that_comes_again_is_refused() {
    let scene = Scene::new();
    for (first, second) in [("a", "a"), ("a", "a/b"), ("a/b", "a")] {
        scene.refuses(&tar(&[file(first, b"x"), file(second, b"y")]), second, ArchiveFlaw::Twice);
    }
}

#[test]
fn what_is_cut_off_damaged_or_followed_by_something_is_refused() {
    let scene = Scene::new();
    let whole = tar(&[file("one", b"content"), file("two", &[7; 600])]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // A tar ends with a block of zeros.
    for length in (0..whole.len() - 512).step_by(100) {
        assert!(runtime.block_on(scene.extract(&whole[..length])).is_err(), "cut at {length}");
    }
    for packed in [gzip(&whole), zstd(&whole)] {
        for length in (4..packed.len()).step_by(5) {
            assert!(runtime.block_on(scene.extract(&packed[..length])).is_err(), "cut at {length}");
        }
        let mut damaged = packed.clone();
        let middle = packed.len() / 2;
        damaged[middle] ^= 0x55;
        assert!(runtime.block_on(scene.extract(&damaged)).is_err());
    }
    let mut damaged = whole.clone();
    damaged[5] = b'x';
    scene.refuses(&damaged, "", ArchiveFlaw::Damaged);
    scene.refuses(&[&whole[..], b"more"].concat(), "", ArchiveFlaw::Surrounded);
    scene.refuses(&gzip(&[&whole[..], b"more"].concat()), "", ArchiveFlaw::Surrounded);
    scene.refuses(&[&gzip(&whole)[..], b"something more"].concat(), "", ArchiveFlaw::Damaged);
    scene.refuses(&[&zstd(&whole)[..], b"something more"].concat(), "", ArchiveFlaw::Damaged);
    let short = pax(&[("size", "5000")]);
    scene.refuses(&tar(&[short, file("short", b"x")]), "short", ArchiveFlaw::Truncated);
    let no_record = entry("pax", EntryType::XHeader, b"99 path=x\n");
    scene.refuses(&tar(&[no_record, file("a", b"x")]), "", ArchiveFlaw::Damaged);
    let large = entry("pax", EntryType::XHeader, &vec![b'x'; (64 << 10) + 1]);
    scene.refuses(&tar(&[large, file("a", b"x")]), "", ArchiveFlaw::Unsupported);
}

#[test]
fn a_bomb_is_refused_before_it_unfolds() {
    let scene = Scene::new();
    let bomb = tar(&[file("bomb", &vec![0; 110 << 20])]);
    scene.refuses(&zstd(&bomb), "bomb", ArchiveFlaw::Ratio);
    assert!(fs::metadata(scene.home().join("to/bomb")).unwrap().len() <= 100 << 20);
    // Zeros after the end unfold, too.
    let tail = [tar(&[file("a", b"x")]), vec![0; 110 << 20]].concat();
    scene.refuses(&zstd(&tail), "", ArchiveFlaw::Ratio);
    // The best that gzip does is no bomb.
    assert_eq!(scene.takes(&gzip(&bomb)).bytes, 110 << 20);
}

#[test]
fn holes_in_an_archive_do_not_buy_what_it_unfolds_to() {
    let scene = Scene::new();
    let large = tar(&[file("large", &vec![0; 110 << 20])]);
    assert_eq!(scene.takes(&large).bytes, 110 << 20);
    scene.refuses_sparse(&large, "large", ArchiveFlaw::Ratio);
    // What a folder is said to hold is passed by, and unfolds all the same.
    let mut folder = entry("folder/", EntryType::Directory, b"");
    let mut header = Header::from_byte_slice(&folder[..512]).clone();
    header.set_size(8 << 30);
    header.set_cksum();
    folder = header.as_bytes().to_vec();
    folder.resize(512 + (200 << 20), 0);
    scene.refuses_sparse(&folder, "folder/", ArchiveFlaw::Ratio);
    // Nor does what Zstandard passes by.
    let skipped = |bytes: u32| [&b"\x50\x2a\x4d\x18"[..], &bytes.to_le_bytes(), &vec![0; bytes as usize]].concat();
    let bomb = zstd(&large);
    scene.refuses_sparse(&[zstd(b""), skipped(10 << 20), bomb.clone()].concat(), "large", ArchiveFlaw::Ratio);
    assert_eq!(scene.takes(&[zstd(b""), skipped(1000), zstd(&tar(&[file("a", b"x")]))].concat()).bytes, 1);
}

#[test]
fn what_takes_too_much_memory_to_decompress_is_refused() {
    let scene = Scene::new();
    let honest = tar(&[file("a", b"x")]);
    let with_window = |log: u32| {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(log).unwrap();
        encoder.write_all(&honest).unwrap();
        encoder.finish().unwrap()
    };
    scene.takes(&with_window(25));
    scene.refuses(&with_window(26), "", ArchiveFlaw::Memory);
}

#[test]
fn an_archive_has_so_many_entries_at_most_whether_they_are_named_or_not() {
    let scene = Scene::new();
    // Each makes 63 folders that no entry is about.
    let deep = |number: u32| {
        let name = format!("{number}/{}f", "d/".repeat(62));
        let long = entry("long", EntryType::GNULongName, format!("{name}\0").as_bytes());
        [long, file("cut", b"")].concat()
    };
    let entries: Vec<_> = (0..200_000 / 64 + 1).map(deep).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let refused = runtime.block_on(scene.extract(&gzip(&tar(&entries)))).unwrap_err();
    assert_eq!(refused.flaw, ArchiveFlaw::Entries);
}
