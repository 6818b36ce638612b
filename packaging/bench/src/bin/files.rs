//! The file manager beside what anybody would use: 1 GiB up and down over mutual TLS with nginx (which takes the same
//! certificates, the same cipher and the same client, curl), and pages of a folder with 100,000 entries with `ls -l`.
//!
//! Turn about. Client and servers share the processors.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and prints what it saw"
)]

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use latchkey_bench::figures::{median, print};
use latchkey_bench::node::{Api, Node};
use serde_json::{Value, json};

const GIB: u64 = 1 << 30;
const ROUNDS: usize = 5;
const ENTRIES: usize = 100_000;
/// As many as a page may have.
const PAGE: usize = 1000;
/// Beneath the home, all that is made here.
const FOLDER: &str = "latchkey-bench";

fn main() -> Result<()> {
    let node = Node::running()?;
    let home = node.live()?.docroot.ancestors().nth(2).context("the docroot is not in a home")?.to_owned();
    let folder = Folder::make(&home)?;
    let peer = Nginx::start(&node, &folder.0)?;
    transfers(&node, &folder.0, &peer)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(listings(&node, &folder.0))
}

/// A folder of the hosting's system user, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn make(home: &Path) -> Result<Self> {
        let folder = Self(home.join(FOLDER));
        fs::create_dir_all(&folder.0).context("make a folder in the home")?;
        folder.own(&folder.0)?;
        Ok(folder)
    }

    fn own(&self, path: &Path) -> Result<()> {
        let home = fs::metadata(self.0.parent().context("a folder in the home")?)?;
        chown(path, Some(home.uid()), Some(home.gid())).with_context(|| format!("give {} away", path.display()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left goes with the node.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// nginx with the agent's certificates over a folder, which it may write to.
struct Nginx {
    child: Child,
    port: u16,
    _files: tempfile::TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

impl Nginx {
    fn start(node: &Node, folder: &Path) -> Result<Self> {
        let files = tempfile::tempdir().context("make a folder for nginx")?;
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).context("find a port")?.port();
        let (certificate, key) = node.server_certificate();
        let (at, arrives) = (files.path().display(), folder.join("arriving"));
        let config = format!(
            "daemon off;\nuser root;\nworker_processes 2;\npid {at}/pid;\nerror_log {at}/error.log;\n\
             events {{}}\n\
             http {{\n  access_log off;\n  sendfile on;\n  default_type application/octet-stream;\n\
             client_body_temp_path {};\n  client_max_body_size 2g;\n\
             server {{\n    listen 127.0.0.1:{port} ssl;\n    ssl_protocols TLSv1.3;\n\
             ssl_certificate {};\n    ssl_certificate_key {};\n\
             ssl_client_certificate {};\n    ssl_verify_client on;\n    ssl_verify_depth 3;\n\
             root {};\n    location / {{ dav_methods PUT; }}\n  }}\n}}\n",
            arrives.display(),
            certificate.display(),
            key.display(),
            node.panel.ca.display(),
            folder.display(),
        );
        let file = files.path().join("nginx.conf");
        fs::write(&file, config).context("write nginx's configuration")?;
        let child = Command::new("nginx")
            .arg("-e")
            .arg(files.path().join("error.log"))
            .arg("-c")
            .arg(&file)
            .stderr(Stdio::null())
            .spawn()
            .context("start nginx")?;
        let nginx = Self { child, port, _files: files };
        let until = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            ensure!(Instant::now() < until, "nginx did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(nginx)
    }
}

/// One of the two servers, and its processes.
struct Side {
    url: String,
    pids: Vec<u32>,
    took_s: Vec<f64>,
    processor_s: Vec<f64>,
}

impl Side {
    fn of(url: String, pids: Vec<u32>) -> Self {
        Self { url, pids, took_s: Vec::new(), processor_s: Vec::new() }
    }

    fn transfer(&mut self, node: &Node, method: &[&str]) -> Result<()> {
        let before = self.processor_s()?;
        let start = Instant::now();
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--fail", "--http1.1", "--tlsv1.3"])
            .args(["--tls13-ciphers", "TLS_AES_128_GCM_SHA256", "--output", "/dev/null"])
            .arg("--cacert")
            .arg(&node.panel.ca)
            .arg("--cert")
            .arg(&node.panel.cert)
            .arg("--key")
            .arg(&node.panel.key)
            .args(["--header", &format!("Latchkey-Actor: {}", node.owner)])
            .args(method)
            .arg(&self.url)
            .output()
            .context("start curl")?;
        ensure!(output.status.success(), "{}: {}", self.url, String::from_utf8_lossy(&output.stderr));
        self.took_s.push(start.elapsed().as_secs_f64());
        self.processor_s.push(self.processor_s()? - before);
        Ok(())
    }

    fn processor_s(&self) -> Result<f64> {
        let ticks = self.pids.iter().map(|pid| {
            let text = fs::read_to_string(format!("/proc/{pid}/stat")).context("read the time that a server used")?;
            let fields = text.rsplit_once(')').context("expected a name in brackets")?.1.split_whitespace();
            Ok(fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>())
        });
        // The kernel counts in hundredths of a second.
        Ok(ticks.sum::<Result<u64>>()? as f64 / 100.0)
    }

    fn mib_per_s(&self) -> f64 {
        (GIB >> 20) as f64 / median(self.took_s.clone())
    }
}

fn transfers(node: &Node, folder: &Path, peer: &Nginx) -> Result<()> {
    let large = folder.join("large");
    write_gib(&large)?;
    let live = &node.live()?.id;
    let workers = children(peer.child.id())?;
    let upload = vec!["--upload-file", large.to_str().context("a path is text")?];
    // What nginx writes is root's.
    for (name, file, peers, method) in
        [("get", "large", "large", vec![]), ("put", "arrived", "arrived-at-nginx", upload)]
    {
        let url = format!("{}/v1/instances/{live}/files/{FOLDER}/{file}", node.panel.url);
        let mut ours = Side::of(url, vec![node.pids.serve]);
        let mut theirs = Side::of(format!("https://127.0.0.1:{}/{peers}", peer.port), workers.clone());
        for round in 0..=ROUNDS {
            let mut sides = [&mut ours, &mut theirs];
            sides.rotate_left(round % 2);
            for side in sides {
                side.transfer(node, &method)?;
            }
            if round == 0 {
                // Of a cold start nothing is counted.
                for side in [&mut ours, &mut theirs] {
                    side.took_s.clear();
                    side.processor_s.clear();
                }
            }
        }
        ensure!(name == "get" || fs::metadata(folder.join(file))?.len() == GIB, "what arrived is not whole");
        let ratio = median(ours.took_s.iter().zip(&theirs.took_s).map(|(one, other)| other / one).collect());
        print(&format!("files {name} 1 GiB"), (ours.mib_per_s(), "nginx", theirs.mib_per_s()), "MiB/s", ratio);
        let (one, other) = (median(ours.processor_s), median(theirs.processor_s));
        print(&format!("files-cpu {name} 1 GiB"), (one, "nginx", other), "s", one / other);
    }
    Ok(())
}

fn write_gib(path: &Path) -> Result<()> {
    let mut file = fs::File::create(path).context("make a large file")?;
    let piece: Vec<u8> = (0..1_u32 << 20).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for _ in 0..GIB >> 20 {
        file.write_all(&piece).context("write a large file")?;
    }
    Ok(())
}

fn children(pid: u32) -> Result<Vec<u32>> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).context("find nginx's workers")?;
    Ok(text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

async fn listings(node: &Node, folder: &Path) -> Result<()> {
    let many = folder.join("many");
    fs::create_dir(&many).context("make a folder")?;
    for number in 0..ENTRIES {
        let content = vec![b'x'; number % 97];
        fs::write(many.join(format!("entry-{:06}", number * 7919 % ENTRIES)), content).context("make an entry")?;
    }
    let api = Api::of(node)?;
    let ls = || {
        let start = Instant::now();
        let listed = Command::new("ls").args(["-l", "--numeric-uid-gid"]).arg(&many).stdout(Stdio::null()).status()?;
        ensure!(listed.success(), "ls ended with {listed}");
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    for (name, sort, pages) in
        [("by name", "name", 1), ("by size", "size", 1), ("one after the other", "name", ENTRIES / PAGE)]
    {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let (one, other) = if round % 2 == 0 {
                let other = ls()?;
                (list(&api, node, sort, pages).await?, other)
            } else {
                (list(&api, node, sort, pages).await?, ls()?)
            };
            if round > 0 {
                ours.push(one);
                theirs.push(other);
            }
        }
        let ratio = median(ours.iter().zip(&theirs).map(|(one, other)| one / other).collect());
        let what = if pages == 1 { "a page" } else { "all pages" };
        print(&format!("list {what} of {ENTRIES}, {name}"), (median(ours), "ls -l", median(theirs)), "ms", ratio);
    }
    Ok(())
}

/// Milliseconds for so many pages, one after the other.
async fn list(api: &Api, node: &Node, sort: &str, pages: usize) -> Result<f64> {
    let path = format!("/v1/instances/{}/operations/file.list", node.live()?.id);
    let mut input = json!({ "path": format!("{FOLDER}/many"), "sort": sort, "limit": PAGE });
    let start = Instant::now();
    let mut seen = 0;
    for _ in 0..pages {
        let page = api.call(&node.owner, "POST", &path, &input).await?;
        seen += page.get("items").and_then(Value::as_array).map_or(0, Vec::len);
        ensure!(page.get("total") == Some(&json!(ENTRIES)), "a page says another number of entries");
        if let Some(next) = page.get("next") {
            input.as_object_mut().context("the input is an object")?.insert("cursor".into(), next.clone());
        }
    }
    let took = start.elapsed().as_secs_f64() * 1e3;
    ensure!(seen == pages * PAGE, "the pages have {seen} entries");
    Ok(took)
}
