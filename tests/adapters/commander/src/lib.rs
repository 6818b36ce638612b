//! An adapter that runs commands and changes configuration files: `logs.locate`, told in place of a domain which one, answers with the exit code as the
//! title and standard output as the path of a log, and with standard error as that of another.
//!
//! The text is a name and a line for each value: `place=value`, or `place:name` for a secret. If it begins with `file `, then
//! what follows is what to do, a directory, a name and a version (`-` for none), and after a line's end the content.

wit_bindgen::generate!({
    inline: "
        package commander:adapter;

        world commander {
            import latchkey:adapter/command@0.1.0;
            import latchkey:adapter/config-file@0.1.0;
            export latchkey:adapter/logs@0.1.0;
        }
    ",
    path: ["../../../wit/latchkey-adapter@0.1.0"],
    world: "commander:adapter/commander",
    generate_all,
});

use exports::latchkey::adapter::logs::{Error, Guest, Hosting, Kind, Location};
use latchkey::adapter::command::{self, Argument, CommandError, Output};
use latchkey::adapter::config_file::{self, FileError};
use latchkey::adapter::types::{Busy, InvalidField};

struct Commander;

impl Guest for Commander {
    fn locate(_: Hosting, text: Option<String>) -> Result<Vec<Location>, Error> {
        let text = text.unwrap_or_default();
        if let Some(text) = text.strip_prefix("file ") {
            return file(text).map_err(not_done);
        }
        let (name, values) = text.split_once('\n').unwrap_or((&text, ""));
        let arguments: Vec<(String, Argument)> =
            values.split('\n').filter(|line| !line.is_empty()).map(value).collect();
        command::run(name, &arguments).map(told).map_err(failed)
    }
}

/// Does something to a file: the version as the title and the content as the path of a log, or names as titles.
fn file(text: &str) -> Result<Vec<Location>, FileError> {
    let (line, content) = text.split_once('\n').unwrap_or((text, ""));
    let words: Vec<&str> = line.split(' ').collect();
    let log = |title: String, path: String| Location { kind: Kind::Other, title, path };
    let (directory, name) = (words.get(1).unwrap_or(&""), words.get(2).unwrap_or(&""));
    let version = words.get(3).filter(|version| **version != "-").copied();
    match words[0] {
        "list" => {
            let names = config_file::list_files(directory)?;
            Ok(names.into_iter().map(|name| log(name, String::new())).collect())
        }
        "read" => {
            let file = config_file::read(directory, name)?;
            Ok(vec![log(file.version, String::from_utf8_lossy(&file.content).into_owned())])
        }
        "write" => config_file::write(directory, name, version, content.as_bytes()).map(|()| vec![]),
        _ => config_file::remove(directory, name, version.unwrap_or_default()).map(|()| vec![]),
    }
}

fn not_done(error: FileError) -> Error {
    match error {
        FileError::Denied(denial) => Error::Denied(denial.message),
        FileError::Invalid(expected) => Error::Invalid(InvalidField { name: "domain".into(), expected }),
        FileError::NotFound => Error::NotFound("no such file".into()),
        FileError::Changed => Error::Changed("changed".into()),
        FileError::Rejected(said) => Error::Refused(format!("rejected: {said}")),
        FileError::Refused(why) => Error::Refused(why),
        FileError::Unavailable(message) => Error::Unavailable(Busy { message, retry_after_ms: None }),
        FileError::Uncertain(why) => Error::Uncertain(why),
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
    let log = |title: String, written: &[u8]| Location {
        kind: Kind::Other,
        title,
        path: String::from_utf8_lossy(written).into_owned(),
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
