//! A command as the operator wrote it down, and what becomes of it once its places are filled.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use latchkey_protocol::{COMMAND_DEADLINE_MAX_MS, CommandArgument};
use serde::Deserialize;

use super::kinds::Kind;
use crate::{config::is_plain_absolute, operators_file::default_timeout_ms, registry::Hosting};

/// The most that may go to standard input: what a pipe takes at once, whoever reads it.
const STDIN_MAX_BYTES: usize = 4096;

/// The longest name of an argument.
const NAME_MAX_BYTES: usize = 31;

/// A command of the operator's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub(crate) struct Line {
    /// The program.
    pub(super) program: PathBuf,
    /// Its user.
    pub(super) runs_as: RunsAs,
    /// How long it may run.
    pub(super) timeout: Duration,
    rest: Vec<Piece>,
    arguments: BTreeMap<String, Kind>,
    stdin: Vec<String>,
}

/// Whose rights a command has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RunsAs {
    /// The system user's of the hosting that it is about.
    #[default]
    Hosting,
    /// Root's, as far as the broker has them itself.
    Root,
}

/// One of the program's arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    /// `{hosting}`: its id.
    Hosting,
    /// `{system_user}`: its name.
    SystemUser,
    /// `{home}`: its path.
    Home,
    /// A value of the adapter's, by its name.
    Argument(String),
}

/// A command that can be run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    /// Without the program.
    pub(crate) arguments: Vec<String>,
    /// What it reads.
    pub(crate) stdin: Vec<u8>,
}

/// What was expected of the arguments of a call, by the name of the one that is at fault. Tells no value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {expected}")]
pub(crate) struct Expected {
    name: String,
    expected: String,
}

/// As it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    argv: Vec<String>,
    #[serde(default)]
    user: RunsAs,
    #[serde(default = "default_timeout_ms")]
    timeout_ms: u32,
    #[serde(default)]
    arguments: BTreeMap<String, Kind>,
    #[serde(default)]
    stdin: Vec<String>,
}

/// What is wrong with a command as it was written down.
#[derive(Debug, thiserror::Error)]
enum WrittenError {
    #[error("argv: expected the absolute path of a program first, without '.', '..' or a trailing slash")]
    Program,
    #[error("argv: {0:?}: expected text without NUL, in which braces stand only around a whole argument")]
    Argument(String),
    #[error("argv: {{{0}}}: expected hosting, system_user, home or one of the arguments")]
    Place(String),
    #[error("timeout_ms: expected 1 to {COMMAND_DEADLINE_MAX_MS}")]
    Timeout,
    #[error("arguments: {0:?}: expected another name of 1 to 31 of a-z, 0-9, _ and -")]
    Name(String),
    #[error("arguments.{0}: {1}")]
    Kind(String, &'static str),
    #[error("arguments.{0}: expected its place in argv")]
    Unused(String),
    #[error("stdin: {0:?}: expected names of secrets, each once, of 1 to 31 of a-z, 0-9, _ and -")]
    Stdin(String),
}

impl TryFrom<Written> for Line {
    type Error = WrittenError;

    fn try_from(written: Written) -> Result<Self, WrittenError> {
        let Written { argv, user, timeout_ms, arguments, stdin } = written;
        let mut argv = argv.into_iter();
        let is_program =
            |program: &PathBuf| is_plain_absolute(program) && !has_nul_or_braces(&program.to_string_lossy());
        let program = argv.next().map(PathBuf::from).filter(is_program).ok_or(WrittenError::Program)?;
        if !(1..=COMMAND_DEADLINE_MAX_MS).contains(&timeout_ms) {
            return Err(WrittenError::Timeout);
        }
        for (name, kind) in &arguments {
            if !is_name(name) || built_in(name).is_some() {
                return Err(WrittenError::Name(name.clone()));
            }
            if let Some(fault) = kind.fault() {
                return Err(WrittenError::Kind(name.clone(), fault));
            }
        }
        for (at, name) in stdin.iter().enumerate() {
            let is_before = stdin.iter().take(at).any(|before| before == name);
            if !is_name(name) || is_before || arguments.contains_key(name) {
                return Err(WrittenError::Stdin(name.clone()));
            }
        }
        let rest: Vec<Piece> = argv.map(|text| piece(text, &arguments)).collect::<Result<_, _>>()?;
        let is_used = |name: &String| rest.iter().any(|piece| matches!(piece, Piece::Argument(used) if used == name));
        if let Some(unused) = arguments.keys().find(|name| !is_used(name)) {
            return Err(WrittenError::Unused(unused.clone()));
        }
        let timeout = Duration::from_millis(timeout_ms.into());
        Ok(Self { program, runs_as: user, timeout, rest, arguments, stdin })
    }
}

impl Line {
    /// With its places filled, from the registry and from what is given. Each value is looked at, whoever gives it.
    pub(crate) fn filled(&self, hosting: &Hosting, given: &[(String, CommandArgument)]) -> Result<Filled, Expected> {
        let mut values = BTreeMap::new();
        for (name, value) in given {
            if !self.arguments.contains_key(name) && !self.stdin.contains(name) {
                return Err(expected(name, "expected no argument of this name"));
            }
            if values.insert(name.as_str(), value).is_some() {
                return Err(expected(name, "expected it once"));
            }
        }
        for (name, kind) in &self.arguments {
            kind.check(text(&values, name)?).map_err(|what| Expected { name: name.clone(), expected: what })?;
        }
        let argument = |piece: &Piece| {
            Ok(match piece {
                Piece::Literal(text) => text.clone(),
                Piece::Hosting => hosting.hosting.clone(),
                Piece::SystemUser => hosting.system_user.clone(),
                Piece::Home => hosting.home.to_string_lossy().into_owned(),
                Piece::Argument(name) => text(&values, name)?.to_owned(),
            })
        };
        let arguments = self.rest.iter().map(argument).collect::<Result<_, Expected>>()?;
        let mut stdin = Vec::new();
        for name in &self.stdin {
            stdin.extend(secret(&values, name)?.as_bytes());
            stdin.push(b'\n');
            if stdin.len() > STDIN_MAX_BYTES {
                return Err(expected(name, "expected at most 4096 bytes of secrets in all"));
            }
        }
        Ok(Filled { arguments, stdin })
    }
}

fn piece(text: String, arguments: &BTreeMap<String, Kind>) -> Result<Piece, WrittenError> {
    let place = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    match place {
        None if has_nul_or_braces(&text) => Err(WrittenError::Argument(text)),
        None => Ok(Piece::Literal(text)),
        Some(name) => match built_in(name) {
            Some(piece) => Ok(piece),
            None if arguments.contains_key(name) => Ok(Piece::Argument(name.to_owned())),
            None => Err(WrittenError::Place(name.to_owned())),
        },
    }
}

/// What the broker fills in itself.
fn built_in(name: &str) -> Option<Piece> {
    match name {
        "hosting" => Some(Piece::Hosting),
        "system_user" => Some(Piece::SystemUser),
        "home" => Some(Piece::Home),
        _ => None,
    }
}

fn has_nul_or_braces(text: &str) -> bool {
    text.contains(['\0', '{', '}'])
}

fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    (1..=NAME_MAX_BYTES).contains(&name.len()) && name.bytes().all(is_plain)
}

fn text<'v>(values: &BTreeMap<&str, &'v CommandArgument>, name: &str) -> Result<&'v str, Expected> {
    match values.get(name) {
        Some(CommandArgument::Text(text)) => Ok(text),
        Some(CommandArgument::Secret(_)) => Err(expected(name, "expected text, which a secret is not")),
        None => Err(expected(name, "expected a value")),
    }
}

fn secret<'v>(values: &BTreeMap<&str, &'v CommandArgument>, name: &str) -> Result<&'v str, Expected> {
    match values.get(name) {
        Some(CommandArgument::Secret(secret)) if !secret.0.contains(char::is_control) => Ok(&secret.0),
        Some(CommandArgument::Secret(_)) => Err(expected(name, "expected a secret without control characters")),
        Some(CommandArgument::Text(_)) | None => Err(expected(name, "expected a secret")),
    }
}

fn expected(name: &str, expected: &str) -> Expected {
    Expected { name: name.chars().take(NAME_MAX_BYTES).collect(), expected: expected.to_owned() }
}

#[cfg(test)]
mod tests {
    use latchkey_protocol::CommandSecret;

    use super::*;

    const RELOAD: &str = r#"
        argv = ["/usr/local/bin/pool-reload", "--pool", "{hosting}", "{version}", "{home}", "{system_user}", ""]
        user = "root"
        stdin = ["token", "password"]
        arguments.version = { one_of = ["8.2", "8.3"] }
    "#;

    fn line(text: &str) -> Result<Line, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    fn hosting() -> Hosting {
        Hosting {
            hosting: "h1".into(),
            system_user: "alice".into(),
            uid: 1001,
            gid: 1001,
            home: "/home/alice".into(),
            php_binary: "/usr/bin/php8.2".into(),
            php_ini: None,
        }
    }

    fn given(text: &[(&str, &str)], secrets: &[(&str, &str)]) -> Vec<(String, CommandArgument)> {
        let text = text.iter().map(|(name, value)| ((*name).to_owned(), CommandArgument::Text((*value).to_owned())));
        let secret = |value: &str| CommandArgument::Secret(CommandSecret(value.to_owned()));
        text.chain(secrets.iter().map(|(name, value)| ((*name).to_owned(), secret(value)))).collect()
    }

    #[test]
    fn places_are_filled_and_nothing_else_is_changed() {
        let line = line(RELOAD).unwrap();
        assert_eq!((line.runs_as, line.timeout), (RunsAs::Root, Duration::from_secs(10)));
        let filled = line.filled(&hosting(), &given(&[("version", "8.3")], &[("password", "p w"), ("token", "t")]));
        let Filled { arguments, stdin } = filled.unwrap();
        assert_eq!(arguments, ["--pool", "h1", "8.3", "/home/alice", "alice", ""]);
        assert_eq!(stdin, b"t\np w\n");
    }

    #[test]
    fn arguments_that_are_not_what_the_line_expects_are_refused_by_name_and_not_by_value() {
        let line = line(RELOAD).unwrap();
        let secrets = [("password", "s3cret"), ("token", "t")];
        let said = |text: &[(&str, &str)], secrets: &[(&str, &str)]| {
            line.filled(&hosting(), &given(text, secrets)).unwrap_err().to_string()
        };
        assert_eq!(said(&[("version", "8.1")], &secrets), "version: expected one of 8.2, 8.3");
        assert_eq!(said(&[], &secrets), "version: expected a value");
        assert_eq!(said(&[("version", "8.2"), ("version", "8.3")], &secrets), "version: expected it once");
        assert_eq!(said(&[("version", "8.2"), ("home", "/")], &secrets), "home: expected no argument of this name");
        let secret = [("version", "8.2"), ("password", "s3cret"), ("token", "t")];
        assert_eq!(said(&[], &secret), "version: expected text, which a secret is not");
        let text = [("version", "8.2"), ("password", "s3cret")];
        assert_eq!(said(&text, &[("token", "t")]), "password: expected a secret");
        assert_eq!(said(&text[..1], &[("password", "s3cret")]), "token: expected a secret");
        let two_lines = [("password", "s3cret\nx"), ("token", "t")];
        assert_eq!(said(&text[..1], &two_lines), "password: expected a secret without control characters");
        let long = "x".repeat(4096);
        assert!(said(&text[..1], &[("password", &long), ("token", "")]).starts_with("password: expected at most 4096"));
        let most = given(&text[..1], &[("password", &long[..4094]), ("token", "")]);
        assert_eq!(line.filled(&hosting(), &most).unwrap().stdin.len(), 4096);
    }

    #[test]
    fn what_cannot_be_a_command_is_refused_by_what_was_expected() {
        let said = |text: &str| line(text).unwrap_err();
        assert!(said("argv = []").contains("argv: expected the absolute path"));
        for program in ["ls", "./ls", "/bin/../bin/ls", "/bin/ls/", "{program}", "/bin/{x}", ""] {
            assert!(said(&format!("argv = [\"{program}\"]")).contains("argv: expected the absolute"), "{program}");
        }
        assert!(said("argv = [\"/bin/ls\", \"--pool={hosting}\"]").contains("around a whole argument"));
        assert!(said("argv = [\"/bin/ls\", \"a\\u0000\"]").contains("text without NUL"));
        assert!(said("argv = [\"/bin/ls\", \"{uid}\"]").contains("{uid}: expected hosting, system_user"));
        assert!(said("argv = [\"/bin/ls\"]\nuser = \"www-data\"").contains("unknown variant"));
        assert!(said("argv = [\"/bin/ls\"]\nshell = true").contains("unknown field `shell`"));
        for timeout_ms in [0, 60_001] {
            assert!(said(&format!("argv = [\"/bin/ls\"]\ntimeout_ms = {timeout_ms}")).contains("1 to 60000"));
        }
        assert!(said("argv = [\"/bin/ls\"]\narguments.a = \"name\"").contains("arguments.a: expected its place"));
        let with = |kind: &str| said(&format!("argv = [\"/bin/ls\", \"{{a}}\"]\narguments.a = {kind}"));
        assert!(with("\"regex\"").contains("unknown variant"));
        assert!(with("{ one_of = [] }").contains("arguments.a: one_of: expected at least one"));
        assert!(with("{ number = { max = 1, step = 1 } }").contains("step"));
        assert!(said("argv = [\"/bin/ls\", \"{home}\"]\narguments.home = \"name\"").contains("expected another name"));
        for stdin in ["[\"a\", \"a\"]", "[\"A\"]", "[\"\"]"] {
            assert!(said(&format!("argv = [\"/bin/ls\"]\nstdin = {stdin}")).contains("stdin: "), "{stdin}");
        }
    }
}
