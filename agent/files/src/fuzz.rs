//! What a client can write as a path, and what serve or whoever took it over can send to a worker, as functions of bytes:
//! the fuzz targets of this crate.
//!
//! `cargo xtask fuzz` drives them; the tests replay what is kept in `fuzz/corpus`.

use std::{fs, path::Path, time::Duration};

use latchkey_protocol::{
    FileAnswered, FileAsked, FileReply, FileRequest, FileTask, FileTaskDone, FrameError, NAME_MAX_BYTES, Place,
    SITE_PATH_MAX_BYTES, SitePath,
};

use crate::worker::in_thread;

/// A target: any bytes, and a panic if something is wrong.
pub type Target = fn(&[u8]);

/// Every target of this crate, by the name of its folder in `fuzz/corpus`.
pub const TARGETS: [(&str, Target); 3] = [("site-path", site_paths), ("files-frames", frames), ("archives", archives)];

/// A path as a client writes it: parsed, it climbs nowhere, and is read again as it was written.
fn site_paths(bytes: &[u8]) {
    let strict = SitePath::parse_strict(bytes);
    let Ok(path) = SitePath::parse(bytes) else {
        assert!(strict.is_err(), "what may not climb is more than what may");
        return;
    };
    assert!(path.as_bytes().len() <= SITE_PATH_MAX_BYTES);
    for name in path.names() {
        assert!(name.len() <= NAME_MAX_BYTES && !matches!(name, b"" | b"." | b".."));
        assert!(!name.contains(&b'/') && !name.contains(&0));
    }
    assert_eq!(SitePath::parse(path.as_bytes()).as_ref(), Ok(&path));
    assert_eq!(SitePath::parse_strict(path.as_bytes()).as_ref(), Ok(&path));
    let frame = serde_json::to_string(&path).expect("a path has a text");
    assert_eq!(serde_json::from_str::<SitePath>(&frame).expect("its text is a path"), path);
    assert_eq!(path.to_string().lines().count(), 1, "a path is one line of a log");
    assert!(path.is_beneath(&SitePath::ROOT) && path.is_beneath(&path));
    if let Some((parent, name)) = path.split() {
        assert_eq!(parent.child(name).as_ref(), Ok(&path));
        assert!(path.is_beneath(&parent) && !parent.is_beneath(&path));
    }
}

/// A frame to a worker: whatever it says, what lies beside the home stays as it is.
fn frames(bytes: &[u8]) {
    let dir = tempfile::tempdir().expect("a directory");
    let home = dir.path().join("home");
    fs::create_dir_all(home.join("d")).expect("a home");
    fs::write(home.join("f"), "f").expect("a file");
    let beside = dir.path().join("beside");
    fs::write(&beside, "beside").expect("a file beside the home");
    std::os::unix::fs::symlink("../beside", home.join("l")).expect("a link out");
    let (socket, _mount) = in_thread(&home).expect("a worker");
    socket.set_timeouts(Some(Duration::from_secs(10))).expect("timeouts");
    // A frame that is longer than a socket takes does not go.
    if !bytes.is_empty() && socket.send_bytes(bytes, &[]).is_ok() {
        match socket.receive::<FileAnswered>() {
            Ok(_) | Err(FrameError::Closed) => {}
            Err(error) => panic!("an answer that is none: {error}"),
        }
    }
    assert_eq!(fs::read(&beside).expect("the file beside the home"), b"beside");
    assert_eq!(entries(dir.path()), ["beside", "home"]);
}

/// An archive that somebody made: it is extracted into the folder that is named, or refused, and nothing else changes.
fn archives(bytes: &[u8]) {
    let dir = tempfile::tempdir().expect("a directory");
    let home = dir.path().join("home");
    fs::create_dir(&home).expect("a home");
    fs::write(home.join("archive"), bytes).expect("an archive");
    let (socket, _mount) = in_thread(&home).expect("a worker");
    socket.set_timeouts(Some(Duration::from_secs(60))).expect("timeouts");
    let at = |name: &str| Place { root: SitePath::ROOT, path: SitePath::parse(name.as_bytes()).expect("a path") };
    let task = FileTask::Extract { from: at("archive"), to: at("to") };
    for request in [FileRequest::BeginTask { task }, FileRequest::CarryOutTask { task: 1 }] {
        socket.send(&FileAsked { number: 1, request }, &[]).expect("a request");
        let (answered, _none) = socket.receive::<FileAnswered>().expect("an answer");
        match answered.reply {
            FileReply::Task { task: 1 } | FileReply::TaskDone(FileTaskDone::Worked(_) | FileTaskDone::Refused(_)) => {}
            other => panic!("neither extracted nor refused: {other:?}"),
        }
    }
    assert_eq!(entries(dir.path()), ["home"]);
    assert_eq!(entries(&home), ["archive", "to"]);
    assert_eq!(fs::read(home.join("archive")).expect("the archive"), bytes);
}

fn entries(directory: &Path) -> Vec<String> {
    let read = fs::read_dir(directory).expect("the directory");
    let mut names: Vec<_> =
        read.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_each_target_holds() {
        let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
        for (name, target) in TARGETS {
            let kept = fs::read_dir(corpora.join(name)).unwrap().map(|entry| entry.unwrap().path());
            let inputs: Vec<_> = kept.map(|path| fs::read(path).unwrap()).collect();
            assert!(inputs.len() >= 5, "the corpus of {name} is too small");
            inputs.iter().for_each(|input| target(input));
        }
    }
}
