//! `command`, played: what was to be run is kept, and answered as the test says.

use std::collections::BTreeMap;

use super::{Host, play};
use crate::command::{Argument, CommandError, Output};

/// A command as it was to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its name.
    pub name: String,
    /// The values for its places; a secret is its name.
    pub arguments: Vec<(String, Argument)>,
}

/// The operator's commands.
#[derive(Default)]
pub(super) struct Commands {
    answers: BTreeMap<String, Result<Output, CommandError>>,
    ran: Vec<Ran>,
}

/// Commands.
impl Host {
    /// Has a command answer this from now on. Without that it succeeds and prints nothing.
    pub fn command_answers(&self, name: &str, answer: Result<Output, CommandError>) {
        play(|played| played.commands.answers.insert(name.to_owned(), answer));
    }

    /// Has a command succeed and print this from now on.
    pub fn command_prints(&self, name: &str, text: &str) {
        self.command_answers(name, Ok(Output { code: Some(0), stdout: text.into(), stderr: Vec::new() }));
    }

    /// What was run, in order; not what was answered with an error.
    #[must_use]
    pub fn commands_run(&self) -> Vec<Ran> {
        play(|played| played.commands.ran.clone())
    }
}

pub(crate) fn run(name: &str, arguments: &[(String, Argument)]) -> Result<Output, CommandError> {
    play(|played| {
        let nothing = || Ok(Output { code: Some(0), stdout: Vec::new(), stderr: Vec::new() });
        let output = played.commands.answers.get(name).cloned().unwrap_or_else(nothing)?;
        played.commands.ran.push(Ran { name: name.to_owned(), arguments: arguments.to_vec() });
        Ok(output)
    })
}

#[cfg(test)]
mod tests {
    use crate::command::{Argument, Command, CommandError, Output};
    use crate::{Denial, Error, fake::Host};

    #[test]
    fn a_command_answers_what_the_test_says_and_is_kept_when_it_ran() {
        let host = Host::new();
        let reload = Command::new("reload").text("version", "8.3").secret("token", "panel");
        assert!(reload.run().unwrap().succeeded());
        let failed = Output { code: Some(1), stdout: Vec::new(), stderr: b"no".to_vec() };
        host.command_answers("reload", Ok(failed.clone()));
        assert_eq!(reload.run(), Ok(failed));
        let denial = Denial { message: "the command reload is not granted".into(), grant: None };
        host.command_answers("reload", Err(CommandError::Denied(denial)));
        assert_eq!(Error::from(reload.run().unwrap_err()), Error::denied("the command reload is not granted"));
        host.command_answers("reload", Err(CommandError::Ended("its time was over".into())));
        assert_eq!(Error::from(reload.run().unwrap_err()), Error::uncertain("its time was over"));
        let ran = host.commands_run();
        let version = ("version".to_owned(), Argument::Text("8.3".into()));
        let token = ("token".to_owned(), Argument::Secret("panel".into()));
        assert_eq!((ran.len(), &ran[0].arguments), (2, &vec![version, token]));
    }
}
