//! An adapter that runs commands: `logs.locate`, told in place of a domain which one, answers with the exit code as the
//! title and standard output as the path of a log, and with standard error as that of another.
//!
//! The text is a name and a line for each value: `place=value`, or `place:name` for a secret.

wit_bindgen::generate!({
    inline: "
        package commander:adapter;

        world commander {
            import latchkey:adapter/command@0.1.0;
            export latchkey:adapter/logs@0.1.0;
        }
    ",
    path: ["../../../wit/latchkey-adapter@0.1.0"],
    world: "commander:adapter/commander",
    generate_all,
});

use exports::latchkey::adapter::logs::{Error, Guest, Hosting, Kind, Location};
use latchkey::adapter::command::{self, Argument, CommandError, Output};
use latchkey::adapter::types::{Busy, InvalidField};

struct Commander;

impl Guest for Commander {
    fn locate(_: Hosting, text: Option<String>) -> Result<Vec<Location>, Error> {
        let text = text.unwrap_or_default();
        let (name, values) = text.split_once('\n').unwrap_or((&text, ""));
        let arguments: Vec<(String, Argument)> = values.split('\n').filter(|line| !line.is_empty()).map(value).collect();
        command::run(name, &arguments).map(told).map_err(failed)
    }
}

fn value(line: &str) -> (String, Argument) {
    match (line.split_once('='), line.split_once(':')) {
        (Some((place, text)), _) => (place.to_owned(), Argument::Text(text.to_owned())),
        (None, Some((place, secret))) => (place.to_owned(), Argument::Secret(secret.to_owned())),
        (None, None) => (line.to_owned(), Argument::Text(String::new())),
    }
}

fn told(output: Output) -> Vec<Location> {
    let code = output.code.map_or_else(|| "signal".to_owned(), |code| code.to_string());
    let log = |title: String, written: &[u8]| {
        Location { kind: Kind::Other, title, path: String::from_utf8_lossy(written).into_owned() }
    };
    vec![log(code, &output.stdout), log("stderr".into(), &output.stderr)]
}

fn failed(error: CommandError) -> Error {
    match error {
        CommandError::Denied(denial) => {
            Error::Denied(format!("{}; as lines: {}", denial.message, denial.grant.unwrap_or_default()))
        }
        CommandError::Invalid(expected) => Error::Invalid(InvalidField { name: "domain".into(), expected }),
        CommandError::Busy => Error::Unavailable(Busy { message: "too many run".into(), retry_after_ms: None }),
        CommandError::NotStarted(why) => Error::Refused(why),
        CommandError::Ended(why) => Error::Uncertain(why),
    }
}

export!(Commander);
