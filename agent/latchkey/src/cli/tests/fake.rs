//! A small fake agent on a Unix socket, and the command line run against it.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use clap::Parser;
use serde_json::json;

use super::super::*;

#[derive(Debug, Parser)]
pub(super) struct Line {
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Keeps what a terminal would show.
#[derive(Debug, Default)]
pub(super) struct Paper {
    pub(super) out: String,
    pub(super) err: String,
}

impl Screen for Paper {
    fn text(&mut self, text: &str) {
        self.out += &format!("{text}\n");
    }

    fn raw(&mut self, text: &str) {
        self.out += &format!("{text}\n");
    }

    fn problem(&mut self, text: &str) {
        self.err += &format!("{text}\n");
    }

    fn is_left(&self) -> bool {
        false
    }
}

/// What the fake agent was asked.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) line: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Value,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// What came of a command.
pub(super) struct Ran {
    pub(super) exit: u8,
    pub(super) out: String,
    pub(super) err: String,
    pub(super) asked: Vec<Asked>,
}

impl Ran {
    #[track_caller]
    pub(super) fn asked_once(&self) -> &Asked {
        assert_eq!(self.asked.len(), 1, "{:?} {}", self.asked, self.err);
        &self.asked[0]
    }
}

/// Answers one request after another with these replies.
pub(super) fn agent(socket: &Path, replies: Vec<(u16, String)>) -> JoinHandle<Vec<Asked>> {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        let serve = |(status, body): (u16, String)| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut lines = Vec::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if line.trim().is_empty() {
                    break;
                }
                lines.push(line.trim().to_owned());
            }
            let headers: Vec<_> = lines[1..]
                .iter()
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect();
            let length =
                headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, n)| n.parse().unwrap());
            let mut sent = vec![0; length];
            reader.read_exact(&mut sent).unwrap();
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(body.as_bytes()).unwrap();
            Asked { line: lines[0].clone(), headers, body: serde_json::from_slice(&sent).unwrap_or(Value::Null) }
        };
        replies.into_iter().map(serve).collect()
    })
}

/// Runs a command line (words between blanks) against an agent with these replies, in order.
#[track_caller]
pub(super) fn run_texts(words: &str, replies: Vec<(u16, String)>) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let socket: PathBuf = dir.path().join("cli.sock");
    let agent = agent(&socket, replies);
    let words = ["latchkey"].into_iter().chain(words.split(' ')).chain(["--socket", socket.to_str().unwrap()]);
    let line = Line::try_parse_from(words).unwrap_or_else(|error| panic!("{error}"));
    let mut paper = Paper::default();
    let exit = carry_out(&line.command, &mut paper);
    let asked = agent.join().unwrap();
    Ran { exit, out: paper.out, err: paper.err, asked }
}

#[track_caller]
pub(super) fn run(words: &str, status: u16, reply: Value) -> Ran {
    run_texts(words, vec![(status, reply.to_string())])
}

/// The request line and body of a command that asks once.
#[track_caller]
pub(super) fn check(words: &str, line: &str, body: Value) {
    let ran = run(words, 200, json!({}));
    let asked = ran.asked_once();
    assert_eq!((asked.line.as_str(), &asked.body), (format!("{line} HTTP/1.1").as_str(), &body), "{words}");
    assert_eq!(ran.exit, 0, "{}", ran.err);
}

#[track_caller]
pub(super) fn refused_usage(words: &str) {
    let error = Line::try_parse_from(["latchkey"].into_iter().chain(words.split(' '))).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{words}: {error}");
}
