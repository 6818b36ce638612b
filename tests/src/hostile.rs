//! A client that behaves badly on purpose: `tests/clients/hostile.py`, from an address of loopback of its own.

use serde_json::Value;
use xtask::build::workspace;
use xtask::process::Program;

/// A hostile client that is not started yet.
#[derive(Clone, Debug)]
pub struct Hostile {
    program: Program,
}

impl Hostile {
    /// One that does `mode` so many times from an address, against the port of this origin.
    #[must_use]
    pub fn new(mode: &str, origin: &str, address: &str, count: usize) -> Self {
        let port = origin.rsplit(':').next().unwrap().to_owned();
        let script = workspace().join("tests/clients/hostile.py");
        let program = Program::new("/usr/bin/python3").arg(script).args([mode.to_owned(), port, address.to_owned()]);
        Self { program: program.arg(count.to_string()) }
    }

    /// The same with an option of the script.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.program = self.program.arg(format!("{name}={value}"));
        self
    }

    /// Runs it to its end; what it saw. Blocks.
    #[must_use]
    #[track_caller]
    pub fn saw(self) -> Value {
        let text = self.program.text().unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}
