//! `latchkey adapter check`: the conformance kit on the command line. It needs no agent.

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;

use clap::Args;
use latchkey_adapters::Limits;
use latchkey_check::{Line, Mark, Options, Programs, Report};
use latchkey_protocol::COMPONENT_MAX_BYTES;
use serde_json::Value;

use crate::cli::client::CallError;
use crate::cli::print::{Screen, visible};

/// `latchkey adapter check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The component.
    file: PathBuf,
    /// A setting that the adapter takes of an operator, as under [hostings.NAME.settings]; may be repeated.
    #[arg(long = "setting", value_name = "NAME=VALUE", value_parser = parse_setting)]
    settings: Vec<(String, String)>,
    /// A limit that is another than by default, as under [limits]; may be repeated.
    #[arg(long = "limit", value_name = "NAME=VALUE", value_parser = parse_limit)]
    limits: Vec<(String, u64)>,
    /// What a command of the operator's prints when the adapter runs it; may be repeated. Other commands print nothing.
    #[arg(long = "command", value_name = "NAME=TEXT", value_parser = parse_setting)]
    commands: Vec<(String, String)>,
    /// The folder of latchkey-compiler and latchkey-runner; without it, that of this program, or /usr/lib/latchkey.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
}

impl Check {
    /// Checks and reports; the exit code is 0 if nothing failed, else 1.
    pub(crate) fn run(&self, as_json: bool, screen: &mut dyn Screen) -> Result<u8, CallError> {
        let fault = |source| CallError::Adapter { attempt: "read", path: self.file.clone(), source };
        let mut component = Vec::new();
        // One byte more than is allowed is enough to see that it is too long.
        let file = fs::File::open(&self.file).map_err(fault)?;
        file.take(COMPONENT_MAX_BYTES + 1).read_to_end(&mut component).map_err(fault)?;
        let options =
            Options { settings: self.settings.clone(), commands: self.commands.clone(), limits: self.limits()? };
        let programs = Programs::find(self.programs.as_deref()).map_err(CallError::check)?;
        let report = latchkey_check::check(&component, &programs, &options).map_err(CallError::check)?;
        if as_json {
            let json = serde_json::to_string(&report).map_err(|_| CallError::NotUnderstood { what: "the report" })?;
            screen.raw(&json);
        } else {
            screen.raw(&self.text(&report, screen.is_coloured()));
        }
        Ok(u8::from(!report.passed))
    }

    fn limits(&self) -> Result<Limits, CallError> {
        let wrong = |what: String| CallError::Argument { argument: "--limit", what };
        let given = self.limits.iter().map(|(name, value)| (name.clone(), Value::from(*value)));
        let limits: Limits =
            serde_json::from_value(Value::Object(given.collect())).map_err(|error| wrong(error.to_string()))?;
        limits.check().map_err(|error| wrong(error.to_string()))?;
        Ok(limits)
    }

    fn text(&self, report: &Report, is_coloured: bool) -> String {
        let mut lines = report.lines().into_iter().map(|line| shown(&line, is_coloured));
        let first = lines.next().unwrap_or_default();
        let file = self.file.display().to_string();
        lines.fold(format!("{}: {first}", visible(&file)), |text, line| text + "\n" + &line)
    }
}

/// A line for a terminal. What the component says cannot colour it.
fn shown(line: &Line, is_coloured: bool) -> String {
    let text = visible(&line.text);
    let (word, colour) = match line.mark {
        None => return text.into_owned(),
        Some(Mark::Passed) => ("ok  ", 32),
        Some(Mark::Failed) => ("FAIL", 31),
        Some(Mark::NotApplicable) => ("-   ", 90),
    };
    if is_coloured { format!("  \u{1b}[{colour}m{word}\u{1b}[0m  {text}") } else { format!("  {word}  {text}") }
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn parse_limit(text: &str) -> Result<(String, u64), String> {
    let expected = || "expected NAME=VALUE with a whole number, such as memory_bytes=134217728".to_owned();
    let (name, value) = text.split_once('=').ok_or_else(expected)?;
    Ok((name.to_owned(), value.parse().map_err(|_| expected())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_component_says_colours_nothing() {
        let line = |mark| Line { mark, text: "said \u{1b}[31mred\n".into() };
        assert_eq!(shown(&line(None), true), "said \\u{1b}[31mred\n");
        assert_eq!(shown(&line(Some(Mark::Failed)), true), "  \u{1b}[31mFAIL\u{1b}[0m  said \\u{1b}[31mred\n");
        assert_eq!(shown(&line(Some(Mark::Passed)), false), "  ok    said \\u{1b}[31mred\n");
    }

    #[test]
    fn settings_and_limits_are_read_or_refused_by_what_was_expected() {
        assert_eq!(parse_setting("server=https://a?b=c").unwrap(), ("server".into(), "https://a?b=c".into()));
        assert!(parse_setting("=x").is_err() && parse_setting("x").is_err());
        let check = |name: &str, value| Check {
            file: "x".into(),
            settings: vec![],
            commands: vec![],
            limits: vec![(name.into(), value)],
            programs: None,
        };
        assert_eq!(check("cpu_ms", 50).limits().unwrap(), Limits { cpu_ms: 50, ..Limits::default() });
        assert!(check("cpu_ms", 1).limits().unwrap_err().to_string().contains("expected 10 to 60000"));
        assert!(check("patience", 1).limits().unwrap_err().to_string().contains("unknown field `patience`"));
        assert!(parse_limit("cpu_ms=x").is_err());
    }
}
