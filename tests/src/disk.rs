//! A small filesystem under the agent's state directory, which can be filled up and made to fail.

use std::fs;
use std::path::{Path, PathBuf};

use xtask::node::Node;
use xtask::process::Program;

use crate::command_line::latchkey;

const SIZE_BYTES: u64 = 24 << 20;

/// The filesystem. While it lives the agent runs on it, and has its old directory back when it is dropped, as it was.
pub struct Disk<'n> {
    node: &'n Node,
    state: PathBuf,
    image: PathBuf,
    filler: PathBuf,
}

impl<'n> Disk<'n> {
    /// Puts a filesystem with a copy of the state under the running agent, which is restarted for it.
    #[must_use]
    #[track_caller]
    pub fn under(node: &'n Node) -> Self {
        let state = node.agent().unwrap().paths().state.clone();
        let image = node.root().join("disk.img");
        let copy = node.root().join("copy.db");
        latchkey(node, &["backup", &copy.display().to_string()]).done();
        node.serve().unwrap().stop().unwrap();
        fs::File::create(&image).unwrap().set_len(SIZE_BYTES).unwrap();
        run("mkfs.ext4", &["-q", "-O", "^has_journal", &text(&image)]);
        run("mount", &["-o", "loop,errors=remount-ro", &text(&image), &text(&state)]);
        let disk = Self { node, filler: state.join("filler"), state, image };
        disk.place(&copy);
        node.serve().unwrap().start().unwrap();
        disk
    }

    fn place(&self, copy: &Path) {
        let database = self.state.join("latchkey.db");
        fs::copy(copy, &database).unwrap();
        fs::remove_file(copy).unwrap();
        // That directory is serve's, too.
        let like = format!("--reference={}", text(self.node.agent().unwrap().paths().cli_socket.parent().unwrap()));
        run("chown", &[&like, &text(&self.state), &text(&database)]);
        run("chmod", &["go=", &text(&self.state), &text(&database)]);
    }

    /// Leaves no space.
    pub fn fill(&self) {
        // It ends with an error, as it must.
        drop(Program::new("dd").args(["if=/dev/zero", "bs=4096"]).arg(format!("of={}", text(&self.filler))).text());
    }

    /// Gives the space back.
    pub fn clear(&self) {
        fs::remove_file(&self.filler).unwrap();
    }

    /// Has it fail, upon which the kernel makes it read-only.
    #[track_caller]
    pub fn fail(&self) {
        let device =
            Program::new("findmnt").args(["--noheadings", "--output", "SOURCE"]).arg(&self.state).text().unwrap();
        let name = Path::new(device.trim()).file_name().unwrap().to_owned();
        // The write that triggers the error may report it.
        drop(fs::write(Path::new("/sys/fs/ext4").join(name).join("trigger_fs_error"), "1"));
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let serve = self.node.serve().unwrap();
        drop(serve.stop());
        for (program, arguments) in
            [("umount", vec![text(&self.state)]), ("e2fsck", vec!["-fy".into(), text(&self.image)])]
        {
            drop(Program::new(program).args(arguments).text());
        }
        // What the trial did goes on from where it was: the state that was written last comes back.
        let mounted = self.node.root().join("disk");
        drop(fs::create_dir(&mounted));
        drop(Program::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&mounted).text());
        for name in ["latchkey.db", "latchkey.db-wal", "latchkey.db-shm"] {
            drop(fs::remove_file(self.state.join(name)));
            drop(Program::new("cp").arg("--preserve=all").arg(mounted.join(name)).arg(&self.state).text());
        }
        drop(Program::new("umount").arg(&mounted).text());
        drop(fs::remove_dir(&mounted));
        drop(fs::remove_file(&self.image));
        drop(serve.start());
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[track_caller]
fn run(program: &str, arguments: &[&str]) {
    Program::new(program).args(arguments.iter().copied()).text().unwrap();
}
