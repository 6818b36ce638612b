//! Zips, built byte by byte.

use std::os::unix::fs::MetadataExt as _;

use latchkey_protocol::ArchiveFlaw;
use rawzip::crc32;

use super::{Scene, fs};

/// A zip and where its parts are, so that a test can change any of them.
#[derive(Default)]
struct Zip {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    count: u16,
}

/// An entry: first as an honest one.
#[derive(Clone)]
struct Entry {
    name: Vec<u8>,
    /// Its name in its own header, if that differs.
    local_name: Option<Vec<u8>>,
    packed: Vec<u8>,
    size: u32,
    sum: u32,
    method: u16,
    flags: u16,
    /// Which system made it, in the upper byte.
    made_by: u16,
    mode: u32,
    /// Where its own header is said to be.
    offset: Option<u32>,
    /// What the sizes in its own header say.
    local_size: Option<u32>,
}

fn stored(name: &str, content: &[u8]) -> Entry {
    Entry {
        name: name.into(),
        local_name: None,
        packed: content.to_vec(),
        size: u32::try_from(content.len()).unwrap(),
        sum: crc32(content),
        method: 0,
        flags: 0,
        made_by: 3 << 8,
        mode: 0o100_644,
        offset: None,
        local_size: None,
    }
}

fn deflated(name: &str, content: &[u8]) -> Entry {
    use std::io::Write as _;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content).unwrap();
    Entry { packed: encoder.finish().unwrap(), method: 8, ..stored(name, content) }
}

impl Zip {
    fn with(mut self, entry: Entry) -> Self {
        let offset = entry.offset.unwrap_or(u32::try_from(self.bytes.len()).unwrap());
        let length = u32::try_from(entry.packed.len()).unwrap();
        let name = entry.local_name.as_ref().unwrap_or(&entry.name);
        let local_size = entry.local_size.unwrap_or(entry.size);
        self.bytes.extend(b"PK\x03\x04\x14\x00");
        add(&mut self.bytes, &[entry.flags, entry.method, 0, 0x21]);
        add_long(&mut self.bytes, &[entry.sum, length, local_size]);
        add(&mut self.bytes, &[u16::try_from(name.len()).unwrap(), 0]);
        self.bytes.extend(name);
        self.bytes.extend(&entry.packed);
        self.directory.extend(b"PK\x01\x02");
        add(&mut self.directory, &[entry.made_by | 20, 20, entry.flags, entry.method, 0, 0x21]);
        add_long(&mut self.directory, &[entry.sum, length, entry.size]);
        add(&mut self.directory, &[u16::try_from(entry.name.len()).unwrap(), 0, 0, 0, 0]);
        add_long(&mut self.directory, &[entry.mode << 16, offset]);
        self.directory.extend(&entry.name);
        self.count += 1;
        self
    }

    fn end(&self) -> Vec<u8> {
        self.end_with(self.count, b"")
    }

    fn end_with(&self, count: u16, comment: &[u8]) -> Vec<u8> {
        let mut all = [self.bytes.as_slice(), &self.directory, b"PK\x05\x06"].concat();
        add(&mut all, &[0, 0, count, count]);
        let lengths = [self.directory.len(), self.bytes.len()].map(|length| u32::try_from(length).unwrap());
        add_long(&mut all, &lengths);
        add(&mut all, &[u16::try_from(comment.len()).unwrap()]);
        all.extend(comment);
        all
    }

    /// With an end in 64 bits that says so.
    fn end_64(&self, count: u64, size: u64, offset: u64) -> Vec<u8> {
        let mut all = [self.bytes.as_slice(), &self.directory].concat();
        let end = all.len() as u64;
        all.extend(b"PK\x06\x06");
        all.extend(44_u64.to_le_bytes());
        add(&mut all, &[45, 45]);
        add_long(&mut all, &[0, 0]);
        for number in [count, count, size, offset] {
            all.extend(number.to_le_bytes());
        }
        all.extend(b"PK\x06\x07\0\0\0\0");
        all.extend(end.to_le_bytes());
        add_long(&mut all, &[1]);
        all.extend(b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0");
        all
    }
}

fn add(to: &mut Vec<u8>, numbers: &[u16]) {
    numbers.iter().for_each(|number| to.extend(number.to_le_bytes()));
}

fn add_long(to: &mut Vec<u8>, numbers: &[u32]) {
    numbers.iter().for_each(|number| to.extend(number.to_le_bytes()));
}

fn zip(entry: Entry) -> Vec<u8> {
    Zip::default().with(entry).end()
}

#[test]
fn an_honest_zip_is_taken_with_modes_and_times_and_never_with_more_rights() {
    let scene = Scene::new();
    let text = b"text ".repeat(1000);
    let honest = Zip::default()
        .with(deflated("a/b/text", &text))
        .with(Entry { mode: 0o104_777, ..stored("a/setuid", b"x") })
        .with(Entry { mode: 0o041_777, ..stored("sticky/", b"") })
        .with(Entry { made_by: 0, mode: 0, ..stored("dos", b"y") })
        .with(stored("back\\slash", b"z"));
    let work = scene.takes(&honest.end_with(5, b"a comment"));
    assert_eq!((work.entries, work.bytes), (7, 5003));
    assert_eq!(scene.read("a/b/text"), text);
    assert_eq!(scene.read("back\\slash"), b"z");
    let mode = |name: &str| fs::metadata(scene.home().join("to").join(name)).unwrap().mode() & 0o7777;
    assert_eq!(["a/setuid", "sticky", "dos", "a/b/text"].map(mode), [0o755, 0o755, 0o644, 0o644]);
    assert_eq!(scene.takes(&Zip::default().end()).entries, 0, "an empty one");
}

#[test]
fn names_that_lead_elsewhere_or_are_none_are_refused() {
    let scene = Scene::new();
    for (name, flaw) in [
        ("../beside", ArchiveFlaw::Climbs),
        ("a/../../beside", ArchiveFlaw::Climbs),
        ("/etc/passwd", ArchiveFlaw::Absolute),
        ("a//b", ArchiveFlaw::NoName),
        ("", ArchiveFlaw::NoName),
    ] {
        scene.refuses(&zip(stored(name, b"x")), name, flaw);
    }
    scene.refuses(&zip(stored("a\0b", b"x")), "a\\x00b", ArchiveFlaw::NoName);
    let of_windows = Entry { made_by: 0, ..stored("..\\beside", b"x") };
    scene.refuses(&zip(of_windows), "..\\\\beside", ArchiveFlaw::Backslash);
    let long = "x".repeat(256);
    scene.refuses(&zip(stored(&long, b"x")), &"x".repeat(200), ArchiveFlaw::LongName);
    let deep = "d/".repeat(64) + "f";
    scene.refuses(&zip(stored(&deep, b"x")), &deep, ArchiveFlaw::Depth);
    let no_text = Entry { flags: 1 << 11, name: b"\xff".to_vec(), ..stored("", b"x") };
    scene.refuses(&zip(no_text), "\\xff", ArchiveFlaw::Damaged);
}

#[test]
fn links_devices_and_what_is_encrypted_are_refused() {
    let scene = Scene::new();
    let of_mode = |mode| zip(Entry { mode, ..stored("entry", b"/etc/passwd") });
    scene.refuses(&of_mode(0o120_777), "entry", ArchiveFlaw::Link);
    for device in [0o020_644, 0o060_644, 0o010_644, 0o140_644] {
        scene.refuses(&of_mode(device), "entry", ArchiveFlaw::Special);
    }
    scene.refuses(&of_mode(0o040_755), "entry", ArchiveFlaw::Ambiguous);
    scene.refuses(&zip(Entry { flags: 1, ..stored("entry", b"x") }), "entry", ArchiveFlaw::Encrypted);
    for method in [1, 9, 12, 14, 93, 98] {
        scene.refuses(&zip(Entry { method, ..stored("entry", b"x") }), "entry", ArchiveFlaw::Unsupported);
    }
    scene.refuses(&zip(stored("folder/", b"x")), "folder/", ArchiveFlaw::Ambiguous);
}

#[test]
fn a_name_that_comes_again_is_refused() {
    let scene = Scene::new();
    for (first, second) in [("a", "a"), ("a", "a/b"), ("a/b", "a"), ("a", "a/"), ("a/", "a")] {
        let content = |name: &str| if name.ends_with('/') { &b""[..] } else { b"x" };
        let twice = Zip::default().with(stored(first, content(first))).with(stored(second, content(second)));
        scene.refuses(&twice.end(), second, ArchiveFlaw::Twice);
    }
    // Another case is another name, and a folder may be named again.
    let others = Zip::default().with(stored("A/", b"")).with(stored("a", b"x")).with(stored("A/", b""));
    assert_eq!(scene.takes(&others.end()).entries, 2);
}

#[test]
fn sizes_and_sums_that_lie_are_refused() {
    let scene = Scene::new();
    let text = b"text ".repeat(100);
    for size in [499, 501, 0, u32::MAX - 1] {
        let local_size = Some(size);
        scene.refuses(&zip(Entry { size, local_size, ..deflated("entry", &text) }), "entry", ArchiveFlaw::Size);
        scene.refuses(&zip(Entry { size, local_size, ..stored("entry", &text) }), "entry", ArchiveFlaw::Size);
    }
    scene.refuses(&zip(Entry { sum: 7, ..deflated("entry", &text) }), "entry", ArchiveFlaw::Checksum);
    scene.refuses(&zip(Entry { sum: 7, ..stored("empty", b"") }), "empty", ArchiveFlaw::Checksum);
    let mut cut = deflated("entry", &text);
    cut.packed.truncate(5);
    scene.refuses(&zip(cut), "entry", ArchiveFlaw::Truncated);
    let mut more = deflated("entry", &text);
    more.packed.extend(b"hidden");
    scene.refuses(&zip(more), "entry", ArchiveFlaw::Size);
    let noise = Entry { packed: b"\xff\xff\xff".to_vec(), ..deflated("entry", &text) };
    scene.refuses(&zip(noise), "entry", ArchiveFlaw::Damaged);
}

#[test]
fn what_is_told_in_two_ways_or_shares_bytes_is_refused() {
    let scene = Scene::new();
    let other_name = Entry { local_name: Some(b"enTry".to_vec()), ..stored("entry", b"x") };
    scene.refuses(&zip(other_name), "entry", ArchiveFlaw::Ambiguous);
    scene.refuses(&zip(Entry { local_size: Some(9), ..stored("entry", b"x") }), "entry", ArchiveFlaw::Ambiguous);
    let overlapping = Zip::default().with(stored("one", b"x")).with(Entry { offset: Some(0), ..stored("two", b"x") });
    scene.refuses(&overlapping.end(), "", ArchiveFlaw::Overlaps);
    // An entry within another one, which is stored.
    let within = Zip::default().with(stored("inner", b"x")).bytes;
    let outer = Zip::default().with(stored("outer", &within));
    let offset = Some(u32::try_from(30 + "outer".len()).unwrap());
    let nested = outer.with(Entry { offset, ..stored("inner", b"x") });
    scene.refuses(&nested.end(), "", ArchiveFlaw::Overlaps);
    let beyond = Zip::default().with(stored("one", b"x")).with(Entry { offset: Some(40_000), ..stored("two", b"x") });
    scene.refuses(&beyond.end(), "two", ArchiveFlaw::Truncated);
    let one = Zip::default().with(stored("one", b"x"));
    scene.refuses(&one.end_with(2, b""), "", ArchiveFlaw::Ambiguous);
    scene.refuses(&one.end_with(0, b""), "", ArchiveFlaw::Ambiguous);
}

#[test]
fn what_stands_before_or_after_or_is_missing_is_refused() {
    let scene = Scene::new();
    let whole = Zip::default().with(stored("one", b"content")).with(stored("two", b"content")).end();
    scene.takes(&whole);
    scene.refuses(&[&whole[..], b"x"].concat(), "", ArchiveFlaw::Surrounded);
    let before = Zip::default().with(stored("zero", b"content")).bytes;
    scene.refuses(&[before, whole.clone()].concat(), "", ArchiveFlaw::Surrounded);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert!(runtime.block_on(scene.extract(&[&whole[..], &whole].concat())).is_err());
    // Wherever it is cut, it is not taken.
    for length in (4..whole.len()).step_by(3) {
        assert!(runtime.block_on(scene.extract(&whole[..length])).is_err(), "cut at {length}");
    }
}

#[test]
fn sizes_of_64_bits_that_make_no_sense_are_refused() {
    let scene = Scene::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let one = Zip::default().with(stored("one", b"x"));
    for (count, size, offset) in [(u64::MAX, 0, 0), (1, u64::MAX, u64::MAX), (1, 49, u64::MAX - 10), (1, 0, 1 << 40)] {
        assert!(runtime.block_on(scene.extract(&one.end_64(count, size, offset))).is_err(), "{count} {size} {offset}");
    }
}

#[test]
fn a_zip_that_says_to_have_too_many_entries_is_not_read() {
    let scene = Scene::new();
    let one = Zip::default().with(stored("one", b"x"));
    let [size, offset] = [&one.directory, &one.bytes].map(|part| part.len() as u64);
    assert_eq!(scene.takes(&one.end_64(1, size, offset)).entries, 1);
    scene.refuses(&one.end_64(200_000, size, offset), "", ArchiveFlaw::Ambiguous);
    scene.refuses(&one.end_64(200_001, size, offset), "", ArchiveFlaw::Entries);
}

#[test]
fn a_bomb_is_refused_before_it_unfolds() {
    let scene = Scene::new();
    let zeros = vec![0; 110 << 20];
    // The best that it can be compressed is no bomb; holes are.
    assert_eq!(scene.takes(&zip(deflated("bomb", &zeros))).bytes, 110 << 20);
    scene.refuses_sparse(&zip(stored("bomb", &zeros)), "bomb", ArchiveFlaw::Ratio);
    assert!(fs::metadata(scene.home().join("to/bomb")).unwrap().len() <= 100 << 20);
    // In many small ones, too.
    let many = |count: u32| {
        (0..count).fold(Zip::default(), |zip, number| zip.with(stored(&format!("{number}"), &zeros[..10 << 20]))).end()
    };
    scene.refuses_sparse(&many(12), "10", ArchiveFlaw::Ratio);
    assert_eq!(scene.takes(&many(12)).bytes, 120 << 20);
}
