//! What a taken-over serve can send, and an operator can write, as functions of bytes: the broker's fuzz targets.
//!
//! `cargo xtask fuzz` drives them; the tests replay what is kept in `fuzz/corpus`.

use std::{
    fs::File,
    net::IpAddr,
    os::fd::{AsFd as _, BorrowedFd},
    path::Path,
    time::Duration,
};

use latchkey_protocol::{CommandArgument, DESCRIPTORS_MAX, FrameError, FrameSocket, FtpDeed, Reply};

use crate::{
    audit_heads::AuditHeads,
    commands::Line,
    config::Config,
    ftp::{log_line, question},
    listen,
    operators_file::{self, Grant},
    registry::{Hosting, Registry},
    slots::Slots,
    verbs::Broker,
};

/// A target: any bytes, and a panic if something is wrong.
pub type Target = fn(&[u8]);

/// Every target of this crate, by the name of its folder in `fuzz/corpus`.
pub const TARGETS: [(&str, Target); 5] = [
    ("frames", frames),
    ("broker-configuration", configurations),
    ("operators-commands", operators_commands),
    ("ftp-question", ftp_questions),
    ("ftp-log", ftp_log_lines),
];

const CONFIG: &str = r#"
socket = "/nonexistent/broker.sock"
state_dir = "/nonexistent"
serve_user = "nobody"
min_uid = 1000
home_roots = ["/nonexistent"]
php_worker = "/nonexistent/latchkey-php"
bridge = "/nonexistent/bridge.php"
php_binaries = ["/nonexistent/php"]

[adapters]
directory = "/nonexistent/adapters"
operators = "/nonexistent/adapters.d"
"#;

/// One frame of serve: the first byte says how many descriptors come beside it, the rest is the frame.
fn frames(bytes: &[u8]) {
    let Some((count, frame)) = bytes.split_first() else { return };
    let state_dir = tempfile::tempdir().expect("a directory");
    let config = Config::parse(Path::new("broker.toml"), CONFIG).expect("a configuration");
    let registry = Registry::load(state_dir.path()).expect("an empty registry");
    let heads = AuditHeads::open(state_dir.path()).expect("no heads");
    let broker = Broker::new(config, registry, heads);
    let (near, far) = FrameSocket::pair().expect("a pair of sockets");
    let null = File::open("/dev/null").expect("the null device");
    let descriptors: Vec<BorrowedFd<'_>> =
        (0..usize::from(*count) % (DESCRIPTORS_MAX + 2)).map(|_| null.as_fd()).collect();
    if near.send_bytes(frame, &descriptors).is_err() {
        return;
    }
    let slot = Slots::new(1, 1).take("").expect("a free slot");
    listen::answer_one(&broker, &far, slot);
    drop(far);
    near.set_timeouts(Some(Duration::from_secs(5))).expect("timeouts");
    match near.receive::<Reply>() {
        // No home is beneath a folder that does not exist: nothing can have been registered or started.
        Ok((Reply::Hostings { items }, _)) => assert!(items.is_empty(), "a hosting was registered"),
        Ok((Reply::PhpEnded { .. }, _)) => panic!("PHP was started"),
        Ok((Reply::CommandEnded { .. }, _)) => panic!("a command was started"),
        Ok((Reply::ConfigFile(_), _)) => panic!("a file was looked at"),
        Ok((Reply::Done | Reply::Refused { .. }, _)) | Err(FrameError::Closed) => {}
        Ok((other, _)) => drop(other),
        Err(error) => panic!("a reply that is none: {error}"),
    }
}

/// A configuration file.
fn configurations(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(config) = Config::parse(Path::new("broker.toml"), &text) {
        assert!(config.min_uid > 0);
        assert!(config.home_roots.iter().all(|root| root.is_absolute() && root.parent().is_some()));
    }
}

/// An operator's file with the command `c`, and after NUL a value of an adapter's for its place `a`.
fn operators_commands(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (file, value) = text.split_once('\0').unwrap_or((&text, ""));
    let Ok(Some(line)) = operators_file::in_text::<Line>(Path::new("linux.toml"), file, Grant::Command, "c") else {
        return;
    };
    let hosting = Hosting {
        hosting: "h1".into(),
        system_user: "alice".into(),
        uid: 1001,
        gid: 1001,
        home: "/home/alice".into(),
        php_binary: "/usr/bin/php8.2".into(),
        php_ini: None,
    };
    let given = [("a".to_owned(), CommandArgument::Text(value.to_owned()))];
    if line.filled(&hosting, &given).is_ok() {
        let is_option = value.is_empty() || value.starts_with('-');
        assert!(!is_option && !value.contains(char::is_control), "an option, or no text, was taken for a value");
    }
}

/// What an FTP server asks, which holds what its client typed.
fn ftp_questions(bytes: &[u8]) {
    if let Ok(sign_in) = question::parse(bytes) {
        assert!(question::is_whole(bytes), "half a question was answered");
        assert!(!sign_in.login.contains('\n') && !sign_in.password.0.contains('\n'), "two lines became one");
        assert!(sign_in.peer.parse::<IpAddr>().is_ok());
    }
}

/// A line of an FTP server's log, which holds names that its client made.
fn ftp_log_lines(bytes: &[u8]) {
    let folder = Path::new("/run/folders/7-99");
    let Some(did) = log_line::parse(bytes, folder) else { return };
    let text = String::from_utf8_lossy(bytes);
    assert!(text.contains(") [NOTICE] "), "a line without a head was believed");
    let of_folder = text.contains("/run/folders/7-99/");
    assert!(of_folder || did.what == FtpDeed::Renamed, "what was done elsewhere was believed");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_each_target_holds() {
        let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
        for (name, target) in TARGETS {
            let kept = std::fs::read_dir(corpora.join(name)).unwrap().map(|entry| entry.unwrap().path());
            let inputs: Vec<_> = kept.map(|path| std::fs::read(path).unwrap()).collect();
            assert!(inputs.len() >= 5, "the corpus of {name} is too small");
            inputs.iter().for_each(|input| target(input));
        }
    }
}
