//! Archives and the jobs that make and extract them.

use std::fs;
use std::time::Duration;

use serde_json::Value;
use xtask::clock::Deadline;
use xtask::node::SystemUser;

use crate::file_manager::Managed;
use crate::waiting::eventually;

/// How long a job may take that packs or extracts some ten megabytes.
const PATIENCE: Duration = Duration::from_secs(90);

/// A job that was begun.
pub struct Begun<'m> {
    /// Its id.
    pub id: String,
    may: &'m Managed<'m>,
}

impl<'m> Begun<'m> {
    /// Begins an operation that must be one that is run as a job.
    #[must_use]
    #[track_caller]
    pub fn of(may: &'m Managed<'m>, operation: &str, input: &Value) -> Self {
        Self::on(may, may.instance, operation, input)
    }

    /// The same on another instance.
    #[must_use]
    #[track_caller]
    pub fn on(may: &'m Managed<'m>, instance: &str, operation: &str, input: &Value) -> Self {
        let answer = may.share.person().operate(instance, operation, input);
        assert_eq!(answer.status, 202, "{operation} {input}: {}", answer.body);
        Self { id: answer.json()["job"].as_str().unwrap().to_owned(), may }
    }

    /// Waits until it has ended, and answers with it.
    #[must_use]
    #[track_caller]
    pub fn ended(&self) -> Value {
        let mut job = Value::Null;
        let has_ended = Deadline::after(PATIENCE).wait_until(|| {
            job = self.may.share.person().get(&format!("/v1/jobs/{}", self.id)).done();
            job["ended_at"].is_string()
        });
        assert!(has_ended, "not within {} s: {job}", PATIENCE.as_secs());
        job
    }

    /// What came of it; it must have gone well.
    #[track_caller]
    pub fn succeeds(&self) -> Value {
        let job = self.ended();
        assert_eq!(job["state"], "succeeded", "{job}");
        job["output"].clone()
    }

    /// What it says of its failure, which must be of this kind.
    #[track_caller]
    pub fn fails(&self, code: &str) -> String {
        let job = self.ended();
        assert_eq!((job["state"].as_str(), job["error"]["code"].as_str()), (Some("failed"), Some(code)), "{job}");
        job["error"]["detail"].as_str().unwrap().to_owned()
    }
}

/// Nothing half made is left out of sight.
#[track_caller]
pub fn is_tidy(may: &Managed<'_>) {
    let new = may.user.home.join(".latchkey/new");
    eventually("what was half made is gone", || fs::read_dir(&new).map_or(0, Iterator::count) == 0);
}

/// Bytes that cannot be compressed, always the same.
#[must_use]
pub fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    std::iter::repeat_with(next).flat_map(u64::to_le_bytes).take(bytes).collect()
}

/// The files workers that run as a system user.
#[must_use]
pub fn files_workers(user: &SystemUser) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let is_one = |path: &std::path::Path| {
        let is_named = fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "latchkey-files");
        let uid = format!("Uid:\t{}\t", user.uid);
        is_named && fs::read_to_string(path.join("status")).is_ok_and(|status| status.contains(&uid))
    };
    processes
        .filter(|process| is_one(&process.path()))
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .collect()
}
