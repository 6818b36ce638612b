//! The agent's problem documents (RFC 9457): how they are read, put in words, and turned into exit codes.

use std::fmt::Write;

use serde::Deserialize;

/// Why the agent did not do what it was asked.
#[derive(Debug, Deserialize)]
pub(crate) struct Refusal {
    /// One of the closed list of codes.
    pub(crate) code: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    request_id: Option<String>,
    #[serde(default)]
    field: Option<String>,
    #[serde(default)]
    privilege: Option<String>,
    #[serde(default)]
    rule: Option<String>,
    #[serde(default)]
    retry_after_s: Option<u64>,
}

/// The exit code of the program for a code of the closed list.
pub(super) fn exit_code(code: &str) -> u8 {
    match code {
        "not_found" => 3,
        "forbidden" => 4,
        "invalid" => 5,
        "conflict" => 6,
        "busy" => 7,
        "timed_out" => 8,
        "too_large" => 9,
        "quota" => 10,
        "unsupported" => 11,
        "unavailable" => 12,
        _ => 1,
    }
}

impl Refusal {
    /// Reads a problem document. A body that is none gives a refusal that says so: something else answered.
    pub(crate) fn parse(status: u16, body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_else(|_| Self {
            code: "internal".into(),
            detail: format!("the agent answered {status} without saying why"),
            request_id: None,
            field: None,
            privilege: None,
            rule: None,
            retry_after_s: None,
        })
    }

    /// The exit code of the program.
    pub(crate) fn exit_code(&self) -> u8 {
        exit_code(&self.code)
    }

    /// The refusal in a few lines.
    pub(crate) fn for_people(&self) -> String {
        let mut text = format!("latchkey: {} ({})", self.detail, self.code);
        let lines = [
            ("field", &self.field),
            ("privilege", &self.privilege),
            ("rule", &self.rule),
            ("request id", &self.request_id),
        ];
        for (name, value) in lines {
            if let Some(value) = value {
                let _ = write!(text, "\n  {name}: {value}");
            }
        }
        if let Some(seconds) = self.retry_after_s {
            let _ = write!(text, "\n  try again in {seconds} s");
        }
        text
    }
}
