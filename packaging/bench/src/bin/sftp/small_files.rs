//! Thousands of small files, by `sftp -r` and by rclone's client, there and back; all have to arrive.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use latchkey_bench::figures::{median, print};

use crate::clients::Local;
use crate::servers::{Server, Servers};

const FILES: usize = 5000;
const FILE_BYTES: usize = 4096;
const ROUNDS: usize = 3;
const CIPHER: &str = "aes128-gcm@openssh.com";

/// Who carries them, and where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    SftpPut,
    SftpGet,
    RclonePut,
    RcloneGet,
}

/// What one way took at one server: seconds, and seconds of its processor.
struct Took {
    way: Way,
    server: &'static str,
    clock_s: f64,
    processor_s: f64,
}

/// All four ways, in rounds.
pub(crate) fn measure(servers: &Servers, local: &Local) -> Result<()> {
    let files = local.path("small");
    std::fs::create_dir(&files).context("make a directory")?;
    for number in 0..FILES {
        std::fs::write(files.join(format!("{number:05}.php")), [b'x'; FILE_BYTES]).context("write a small file")?;
    }
    let mut all = Vec::new();
    for _ in 0..ROUNDS {
        for server in servers.shuffled()? {
            all.extend(round(server, local, &files).with_context(|| format!("against {}", server.name()))?);
        }
    }
    for (way, name) in [
        (Way::SftpPut, "sftp -r put"),
        (Way::SftpGet, "sftp -r get"),
        (Way::RclonePut, "rclone put"),
        (Way::RcloneGet, "rclone get"),
    ] {
        let of = |server: &str, figure: fn(&Took) -> f64| {
            median(all.iter().filter(|took| took.way == way && took.server == server).map(figure).collect())
        };
        for other in ["OpenSSH", "rclone"] {
            let clock = |server| of(server, |took| took.clock_s);
            let (ours, theirs) = (clock("latchkey"), clock(other));
            print(&format!("small files {other}, {name}"), (ours, other, theirs), "s", theirs / ours);
            let processor = |server| of(server, |took| took.processor_s);
            let (ours, theirs) = (processor("latchkey"), processor(other));
            let figures = (ours * 1000.0, other, theirs * 1000.0);
            print(&format!("small-cpu {other}, {name}"), figures, "ms", ours / theirs);
        }
    }
    Ok(())
}

fn round(server: &Server, local: &Local, files: &Path) -> Result<Vec<Took>> {
    let there = server.directory.join("small");
    let (back, remote) = (local.path("back"), format!("{}/small", server.remote));
    let mut all = Vec::new();
    for way in [Way::SftpPut, Way::SftpGet, Way::RclonePut, Way::RcloneGet] {
        let before = server.processor_s()?;
        let (clock_s, arrived) = match way {
            Way::SftpPut => (put_all(server, local, files)?, &there),
            Way::SftpGet => {
                let command = format!("get -r {remote} {}\n", back.display());
                (local.timed_sftp(server, CIPHER, &command)?, &back)
            }
            Way::RclonePut => {
                std::fs::remove_dir_all(&there).context("remove what was put")?;
                (local.timed_rclone(server, &files.display().to_string(), &format!("REMOTE:{remote}"))?, &there)
            }
            Way::RcloneGet => {
                std::fs::remove_dir_all(&back).context("remove what was fetched")?;
                (local.timed_rclone(server, &format!("REMOTE:{remote}"), &back.display().to_string())?, &back)
            }
        };
        let processor_s = server.processor_s()? - before;
        ensure_whole(arrived)?;
        all.push(Took { way, server: server.name(), clock_s, processor_s });
    }
    for directory in [there, back] {
        std::fs::remove_dir_all(directory).context("remove what was carried")?;
    }
    Ok(all)
}

fn put_all(server: &Server, local: &Local, files: &Path) -> Result<f64> {
    let remote = if server.remote.is_empty() { "/" } else { &server.remote };
    local.timed_sftp(server, CIPHER, &format!("cd {remote}\nput -r {}\n", files.display()))
}

fn ensure_whole(directory: &PathBuf) -> Result<()> {
    let mut count = 0;
    for entry in std::fs::read_dir(directory).context("list what arrived")? {
        ensure!(entry?.metadata()?.len() == FILE_BYTES as u64, "a file is not whole");
        count += 1;
    }
    ensure!(count == FILES, "{count} of {FILES} files arrived");
    Ok(())
}
