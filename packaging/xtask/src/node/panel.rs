//! The few calls of the panel API that set a node up, made with curl. Not a client for tests.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::agent::Agent;
use crate::process::Program;

/// Sends a PUT as the panel.
pub(crate) fn put(agent: &Agent, path: &str, body: &Value) -> Result<()> {
    let client = agent.panel_certificate();
    let answer = Program::new("curl")
        .args(["--silent", "--show-error", "--max-time", "10", "--request", "PUT", "--data-binary", "@-"])
        .args(["--header", "Latchkey-Actor: panel", "--header", "Content-Type: application/json"])
        .args(["--write-out", "\n%{http_code}", "--cacert"])
        .arg(agent.ca())
        .arg("--cert")
        .arg(&client.certificate)
        .arg("--key")
        .arg(&client.key)
        .arg(format!("{}{path}", agent.urls().panel))
        .input(body.to_string())
        .text()?;
    let (text, status) = answer.rsplit_once('\n').unwrap_or((&answer, ""));
    ensure!(status.starts_with('2'), "PUT {path} was answered with {status}: {text}");
    Ok(())
}
