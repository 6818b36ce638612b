//! Commands of the node that the operator wrote down for this adapter, by their names. The manifest asks with
//! `command = ["reload-php"]`; the operator's file says which program that is. There is no shell.
//!
//! ```
//! use latchkey_adapter_sdk::{command::Command, fake};
//!
//! let host = fake::Host::new();
//! host.command_prints("reload-php", "reloaded\n");
//! let output = Command::new("reload-php").text("version", "8.3").secret("token", "panel").run().unwrap();
//! assert!(output.succeeded());
//! assert_eq!(output.stdout, b"reloaded\n");
//! assert_eq!(host.commands_run()[0].name, "reload-php");
//! ```

pub use crate::bindings::latchkey::adapter::command::{Argument, CommandError, Output};

use crate::Error;
#[cfg(target_family = "wasm")]
use crate::bindings::latchkey::adapter::command as host;
#[cfg(not(target_family = "wasm"))]
use crate::fake::command as host;

/// A command with values for the places that the operator's line has.
#[derive(Debug, Clone)]
#[must_use = "it runs when it is told to"]
pub struct Command {
    name: String,
    arguments: Vec<(String, Argument)>,
}

impl Command {
    /// The one of this name.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), arguments: Vec::new() }
    }

    /// With a value that is an argument of the program's.
    pub fn text(self, place: &str, value: &str) -> Self {
        self.with(place, Argument::Text(value.to_owned()))
    }

    /// With a secret, by its name, that the program reads from its standard input.
    pub fn secret(self, place: &str, secret: &str) -> Self {
        self.with(place, Argument::Secret(secret.to_owned()))
    }

    /// Runs it and waits for its end. Whether repeating is safe depends on the command.
    pub fn run(&self) -> Result<Output, CommandError> {
        host::run(&self.name, &self.arguments)
    }

    fn with(mut self, place: &str, value: Argument) -> Self {
        self.arguments.push((place.to_owned(), value));
        self
    }
}

impl Output {
    /// Whether it ended by itself with 0.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }
}

/// As for a command that changes something: what may have had its effect is *uncertain*.
impl From<CommandError> for Error {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Denied(denial) => denial.into(),
            CommandError::Invalid(expected) => Self::invalid("command", expected),
            CommandError::Busy => Self::unavailable("too many commands are running"),
            CommandError::NotStarted(reason) => Self::refused(reason),
            CommandError::Ended(reason) => Self::uncertain(reason),
        }
    }
}
