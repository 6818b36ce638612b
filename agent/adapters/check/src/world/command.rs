//! The host interface `command`: a table of what commands print, as whoever checks has written it down. Nothing runs.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_adapters::host::command::{Argument, CommandError, Output};
use serde_json::{Value, json};

use super::{Misunderstood, Model, decoded, encoded, unknown};

const VALUE_MAX_BYTES: usize = 253;

/// The operator's commands: every one is granted, takes what it is given, and succeeds.
#[derive(Debug, Default)]
pub(super) struct Commands {
    prints: BTreeMap<String, String>,
    ran: BTreeSet<(String, Vec<(String, Argument)>)>,
}

impl Model for Commands {
    fn answer(&mut self, function: &str, arguments: &[u8]) -> Result<Vec<u8>, Misunderstood> {
        match function {
            "run" => {
                let (name, arguments): (String, Vec<(String, Argument)>) = decoded(arguments)?;
                encoded(&check(&name, &arguments).map(|()| self.run(name, arguments)))
            }
            _ => Err(unknown(function)),
        }
    }

    /// What ran at all: whether a command may run twice the operator's line says, and not the kit.
    fn kept(&self) -> Value {
        self.ran.iter().map(|(name, arguments)| json!([name, format!("{arguments:?}")])).collect()
    }
}

impl Commands {
    /// What commands print, by their names. The others print nothing.
    pub(super) fn print(&mut self, table: &[(String, String)]) {
        self.prints = table.iter().cloned().collect();
    }

    fn run(&mut self, name: String, arguments: Vec<(String, Argument)>) -> Output {
        let stdout = self.prints.get(&name).map_or_else(Vec::new, |text| text.clone().into_bytes());
        self.ran.insert((name, arguments));
        Output { code: Some(0), stdout, stderr: Vec::new() }
    }
}

/// What the agent checks whatever the operator's line says.
fn check(name: &str, arguments: &[(String, Argument)]) -> Result<(), CommandError> {
    let invalid = |what: &str| Err(CommandError::Invalid(what.to_owned()));
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=31).contains(&name.len()) || name.starts_with('-') || !name.bytes().all(is_plain) {
        return invalid("name: expected a lower-case letter or digit, then up to 30 of a-z, 0-9 and -");
    }
    for (argument, value) in arguments {
        let Argument::Text(text) = value else { continue };
        let is_text = (1..=VALUE_MAX_BYTES).contains(&text.len()) && !text.contains(char::is_control);
        if !is_text || text.starts_with('-') {
            return invalid(&format!("{argument}: expected 1 to 253 bytes without control characters, first not '-'"));
        }
    }
    Ok(())
}
