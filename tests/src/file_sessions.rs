//! Sessions of an account under way, one of each kind, and what has to be so when its access has ended.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use xtask::node::Node;

use crate::api::Api;
use crate::file_accounts::{Account, Transfer, With, quoted};
use crate::opened::{OpenFile, files_beneath};
use crate::sftp_wire::{Fault, Wire, flags};
use crate::waiting::eventually;

/// What is carried is as large, and so slow that it does not arrive.
const GIB: u64 = 1 << 30;
/// 10 MB a second, in the words of `sftp` and of curl.
const SFTP_RATE: &str = "80000";
const FTP_RATE: &str = "10M";
/// As much of an upload has come when it counts as under way.
const UNDER_WAY: u64 = 1 << 20;

/// How many sessions by SFTP [`Sessions::begin`] begins.
pub const BY_SFTP: usize = 3;

/// The folders beneath the docroot in which all this happens, and a bystander's upload does.
const WORK: &str = "work";
const ASIDE: &str = "aside";

/// The halves of a bystander's upload.
const BEFORE_THE_END: &[u8] = b"sent before somebody else's end, ";
const AFTER_THE_END: &[u8] = b"and sent after it\n";

/// What was there before.
const FORMER: &str = "what was there before\n";
const WRITTEN: &str = "written before the end";

/// Sessions of one account, under way: an upload and a download of a GiB, one that holds a file open in place and
/// another one half uploaded, and an upload by FTP.
pub struct Sessions {
    /// Where they work.
    folder: PathBuf,
    by_sftp: Option<BySftp>,
    by_ftp: Option<Transfer>,
}

struct BySftp {
    upload: Transfer,
    download: Transfer,
    wire: Wire,
    in_place: Vec<u8>,
    half: Vec<u8>,
}

impl Sessions {
    /// Begins one of each kind by both protocols, beneath the docroot of the account.
    #[must_use]
    #[track_caller]
    pub fn begin(account: &Account<'_>, docroot: &Path) -> Self {
        let ftp = Self::begin_ftp(account, docroot);
        let sftp = Self::begin_sftp(account, docroot);
        Self { by_ftp: ftp.by_ftp, ..sftp }
    }

    /// Those by SFTP.
    #[must_use]
    #[track_caller]
    pub fn begin_sftp(account: &Account<'_>, docroot: &Path) -> Self {
        let folder = &make_folder(docroot, WORK);
        place(folder, "upload.bin", FORMER);
        place(folder, "in-place.txt", FORMER);
        place(folder, "large.bin", "");
        fs::File::options().write(true).open(folder.join("large.bin")).unwrap().set_len(GIB).unwrap();
        let throttled = |commands: &str| Transfer::begin(account.sftp_with(With::Key, &["-l", SFTP_RATE], commands));
        let upload = throttled(&format!("put {} work/upload.bin\n", quoted(&account.large("big", GIB))));
        let download = throttled(&format!("get work/large.bin {}\n", quoted(&account.local("back"))));
        let mut wire = Wire::open(account);
        let in_place = wire.file("work/in-place.txt", flags::READ | flags::WRITE).unwrap();
        wire.write(&in_place, 0, WRITTEN.as_bytes()).unwrap();
        let half = wire.file("work/half.txt", flags::UPLOAD).unwrap();
        wire.write(&half, 0, WRITTEN.as_bytes()).unwrap();
        eventually("an upload and a download under way", || {
            let open = files_beneath(folder);
            open.iter().any(|file| file.path.ends_with("large.bin")) && open.iter().any(is_unnamed_and_under_way)
        });
        let by_sftp = Some(BySftp { upload, download, wire, in_place, half });
        Self { folder: folder.clone(), by_sftp, by_ftp: None }
    }

    /// The one by FTP.
    #[must_use]
    #[track_caller]
    pub fn begin_ftp(account: &Account<'_>, docroot: &Path) -> Self {
        let folder = &make_folder(docroot, WORK);
        place(folder, "ftp.bin", FORMER);
        let curl = account.curl("work/ftp.bin").args(["--limit-rate", FTP_RATE, "--upload-file"]);
        let upload = Transfer::begin(curl.arg(account.large("big-ftp", GIB)));
        eventually("an upload by FTP under way", || files_beneath(folder).iter().any(|file| file.bytes > UNDER_WAY));
        Self { folder: folder.clone(), by_sftp: None, by_ftp: Some(upload) }
    }

    /// Whether a client of these has ended.
    #[must_use]
    pub fn has_one_that_ended(&self) -> bool {
        self.by_ftp.as_ref().is_some_and(Transfer::is_over)
            || self.by_sftp.as_ref().is_some_and(|sftp| sftp.upload.is_over() || sftp.download.is_over())
    }

    /// All of them have ended: the reply counts them, the clients have seen it, nothing is open, and what was not whole
    /// is not there.
    #[track_caller]
    pub fn are_over(self, ended: &Value) {
        let expected = json!([if self.by_sftp.is_some() { BY_SFTP } else { 0 }, u64::from(self.by_ftp.is_some())]);
        assert_eq!(json!([ended["closed"]["sftp"], ended["closed"]["ftp"]]), expected, "{ended}");
        assert_eq!(ended["unconfirmed"], json!([]), "{ended}");
        // At once: the reply says that it is so.
        assert_eq!(files_beneath(&self.folder), []);
        self.are_seen_to_be_over();
    }

    /// The same where no reply counts them.
    #[track_caller]
    pub fn are_over_soon(self) {
        eventually("the end of what is open", || files_beneath(&self.folder).is_empty());
        self.are_seen_to_be_over();
    }

    #[track_caller]
    fn are_seen_to_be_over(self) {
        let Self { folder, by_sftp, by_ftp } = self;
        if let Some(mut sftp) = by_sftp {
            assert_eq!(sftp.wire.write(&sftp.in_place, 0, b"after the end"), Err(Fault::Over));
            assert_eq!(sftp.wire.close(&sftp.half), Err(Fault::Over));
            for (what, transfer) in [("upload", sftp.upload), ("download", sftp.download)] {
                let error = transfer.end().expect_err(what);
                assert!(error.contains(" ended with "), "{what}: {error}");
            }
            assert_eq!(fs::read_to_string(folder.join("upload.bin")).unwrap(), FORMER);
            assert!(fs::read_to_string(folder.join("in-place.txt")).unwrap().starts_with(WRITTEN));
            assert!(!folder.join("half.txt").exists());
        }
        if let Some(upload) = by_ftp {
            let error = upload.end().expect_err("upload by FTP");
            assert!(error.contains("curl: ("), "{error}");
            assert_eq!(fs::read_to_string(folder.join("ftp.bin")).unwrap(), FORMER);
        }
        assert_eq!(files_beneath(&folder), []);
        let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        // What pure-ftpd had so far it leaves under a name of its own when it is killed.
        let known = ["upload.bin", "in-place.txt", "large.bin", "ftp.bin"];
        let more: Vec<_> =
            names.filter(|name| !known.contains(&name.as_str()) && !name.starts_with(".pureftpd-upload.")).collect();
        assert!(more.is_empty(), "{more:?}");
    }
}

/// Somebody else's upload, half of it sent before an end and the rest after it.
pub struct Bystander {
    wire: Wire,
    upload: Vec<u8>,
    path: PathBuf,
}

impl Bystander {
    /// Begins it, beneath the docroot of the account.
    #[must_use]
    #[track_caller]
    pub fn begin(account: &Account<'_>, docroot: &Path) -> Self {
        let folder = make_folder(docroot, ASIDE);
        let mut wire = Wire::open(account);
        let upload = wire.file("aside/whole.txt", flags::UPLOAD).unwrap();
        wire.write(&upload, 0, BEFORE_THE_END).unwrap();
        Self { wire, upload, path: folder.join("whole.txt") }
    }

    /// It goes on where it was at the end of the other, to its own.
    #[track_caller]
    pub fn goes_on(mut self) {
        self.wire.write(&self.upload, BEFORE_THE_END.len() as u64, AFTER_THE_END).unwrap();
        self.wire.close(&self.upload).unwrap();
        assert_eq!(fs::read(&self.path).unwrap(), [BEFORE_THE_END, AFTER_THE_END].concat());
    }
}

/// The sessions of a login that the panel sees.
#[must_use]
#[track_caller]
pub fn listed(node: &Node, login: &str) -> Vec<Value> {
    let all = Api::panel(node).get("/v1/sessions?limit=500").done();
    all["items"].as_array().unwrap().iter().filter(|one| one["login"] == login).cloned().collect()
}

fn is_unnamed_and_under_way(file: &OpenFile) -> bool {
    file.path.to_string_lossy().ends_with(" (deleted)") && file.bytes > UNDER_WAY
}

/// A file as the site's own user makes it.
#[track_caller]
pub fn place(folder: &Path, name: &str, content: &str) {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    own_like(folder, &path);
}

/// A folder as the site's own user makes it; its path. Safe to repeat.
#[track_caller]
pub fn make_folder(beneath: &Path, name: &str) -> PathBuf {
    let path = beneath.join(name);
    fs::create_dir_all(&path).unwrap();
    own_like(beneath, &path);
    path
}

fn own_like(parent: &Path, path: &Path) {
    let owner = fs::metadata(parent).unwrap();
    std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
}
