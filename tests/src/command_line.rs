//! The `latchkey` program as an operator runs it.

use serde_json::Value;
use xtask::node::Node;
use xtask::process::Program;

/// What a command printed, on both of its outputs, and its exit code.
#[derive(Clone, Debug)]
pub struct Printed {
    /// The text.
    pub text: String,
    /// The exit code.
    pub code: i32,
}

/// Runs `latchkey` as root with the node's configuration.
#[must_use]
#[track_caller]
pub fn latchkey(node: &Node, arguments: &[&str]) -> Printed {
    latchkey_told(node, arguments, "")
}

/// The same, with something to read on its standard input.
#[must_use]
#[track_caller]
pub fn latchkey_told(node: &Node, arguments: &[&str], input: &str) -> Printed {
    let configuration = node.agent().unwrap().paths().serve_config.display().to_string();
    run_told(node, &[arguments, &["--config", &configuration]].concat(), input)
}

/// Runs `latchkey` as root with these arguments only.
#[must_use]
#[track_caller]
pub fn run(node: &Node, arguments: &[&str]) -> Printed {
    run_told(node, arguments, "")
}

#[track_caller]
fn run_told(node: &Node, arguments: &[&str], input: &str) -> Printed {
    let program = node.agent().unwrap().paths().programs.join("latchkey");
    let shell = Program::new("sh").args(["-c", "\"$@\" 2>&1; echo \"exit $?\"", "sh"]).arg(program);
    let text = shell.args(arguments.iter().copied()).input(input).text().unwrap();
    let (text, code) = text.rsplit_once("exit ").unwrap();
    Printed { text: text.to_owned(), code: code.trim().parse().unwrap() }
}

impl Printed {
    /// The text of a command that must have worked.
    #[track_caller]
    pub fn done(&self) -> &str {
        assert_eq!(self.code, 0, "{}", self.text);
        &self.text
    }

    /// The same as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(self.done()).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Asserts this exit code and these words.
    #[track_caller]
    pub fn failed(&self, code: i32, words: &str) {
        assert_eq!(self.code, code, "{}", self.text);
        assert!(self.text.contains(words), "expected {words:?}: {}", self.text);
    }
}
