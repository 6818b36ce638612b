//! Thousands of small files, by `sftp -r` and by rclone's client, there and back; all have to arrive.

use std::path::Path;

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
    for number in 0..ROUNDS {
        // Names of which rclone's server remembers nothing.
        let names = [format!("small{number}"), format!("small{number}-more")];
        for server in servers.shuffled()? {
            all.extend(
                round(server, local, &files, &names)
                    .with_context(|| format!("against {}: {}", server.name(), server.last_words()))?,
            );
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

fn round(server: &Server, local: &Local, files: &Path, names: &[String; 2]) -> Result<Vec<Took>> {
    let back = local.path("back");
    let mut all = Vec::new();
    for way in [Way::SftpPut, Way::SftpGet, Way::RclonePut, Way::RcloneGet] {
        let [by_sftp, by_rclone] = names;
        let name = if matches!(way, Way::SftpPut | Way::SftpGet) { by_sftp } else { by_rclone };
        let (there, remote) = (server.directory.join(name), format!("{}/{name}", server.remote));
        let before = server.processor_s()?;
        let clock_s = match way {
            Way::SftpPut => {
                let command = format!("mkdir {remote}\nput -r {}/. {remote}\n", files.display());
                local.timed_sftp(server, CIPHER, &command)?
            }
            Way::SftpGet => local.timed_sftp(server, CIPHER, &format!("get -r {remote} {}\n", back.display()))?,
            Way::RclonePut => local.timed_rclone(server, &files.display().to_string(), &format!("REMOTE:{remote}"))?,
            Way::RcloneGet => local.timed_rclone(server, &format!("REMOTE:{remote}"), &back.display().to_string())?,
        };
        let processor_s = server.processor_s()? - before;
        if matches!(way, Way::SftpPut | Way::RclonePut) {
            ensure_whole(&there)?;
        } else {
            ensure_whole(&back)?;
            for directory in [&there, &back] {
                std::fs::remove_dir_all(directory).context("remove what was carried")?;
            }
        }
        all.push(Took { way, server: server.name(), clock_s, processor_s });
    }
    Ok(all)
}

fn ensure_whole(directory: &Path) -> Result<()> {
    let mut count = 0;
    for entry in std::fs::read_dir(directory).context("list what arrived")? {
        ensure!(entry?.metadata()?.len() == FILE_BYTES as u64, "a file is not whole");
        count += 1;
    }
    ensure!(count == FILES, "{count} of {FILES} files arrived");
    Ok(())
}
