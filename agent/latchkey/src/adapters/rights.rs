//! What an adapter may use of the agent beyond `log` and `clock`: what its manifest asks for and the operator grants.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::grant_name::GrantName;
use super::origin::{AskedOrigin, Origin};

/// What a manifest asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Asks {
    /// To keep a few values.
    state: bool,
    /// To work on the node's own MariaDB.
    mysql: bool,
    /// To read and replace the crontab of the hosting's system user.
    crontab: bool,
    /// To send requests to these origins.
    http: Vec<AskedOrigin>,
    /// To run these commands of the operator's.
    command: Vec<GrantName>,
    /// To change files in these directories of the operator's.
    #[serde(rename = "config-file")]
    config_file: Vec<GrantName>,
}

/// What the operator grants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Grants {
    state: bool,
    mysql: bool,
    crontab: bool,
    http: Vec<Origin>,
    /// What each of them is the broker reads.
    #[serde(deserialize_with = "names")]
    commands: BTreeSet<GrantName>,
    /// And of these.
    #[serde(rename = "config-files", deserialize_with = "names")]
    config_files: BTreeSet<GrantName>,
}

/// One thing to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use<'o> {
    /// `state`.
    State,
    /// `mysql`.
    Mysql,
    /// `crontab`.
    Crontab,
    /// `http`, to an origin.
    Http(&'o Origin),
    /// `command`, one of them.
    Command(&'o GrantName),
    /// `config-file`, one of the directories.
    ConfigFiles(&'o GrantName),
}

impl fmt::Display for Use<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State => formatter.write_str("state"),
            Self::Mysql => formatter.write_str("mysql"),
            Self::Crontab => formatter.write_str("crontab"),
            Self::Http(origin) => write!(formatter, "http to {origin}"),
            Self::Command(name) => write!(formatter, "the command {name}"),
            Self::ConfigFiles(name) => write!(formatter, "the directory of configuration files {name}"),
        }
    }
}

/// Why something is not allowed, with the line that would allow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The manifest does not ask for it.
    NotAsked(String),
    /// The operator does not grant it.
    NotGranted(String),
}

impl Asks {
    /// Whether something may be used.
    pub(crate) fn check(&self, granted: &Grants, wanted: Use<'_>) -> Result<(), Missing> {
        let (is_asked, is_granted) = match wanted {
            Use::State => (self.state, granted.state),
            Use::Mysql => (self.mysql, granted.mysql),
            Use::Crontab => (self.crontab, granted.crontab),
            Use::Http(origin) => (self.asks_for(origin), granted.http.contains(origin)),
            Use::Command(name) => (self.command.contains(name), granted.commands.contains(name)),
            Use::ConfigFiles(name) => (self.config_file.contains(name), granted.config_files.contains(name)),
        };
        let line = match wanted {
            Use::State | Use::Mysql | Use::Crontab => format!("{wanted} = true"),
            // A key stands once in a file: the whole line, with what is there.
            Use::Http(origin) if is_asked => http(granted.http.iter().chain([origin])),
            Use::Http(origin) => http(self.http.iter().map(AskedOrigin::to_string).chain([origin.to_string()])),
            Use::Command(name) if is_asked => command(name),
            Use::Command(name) => quoted("command", self.command.iter().chain([name])),
            Use::ConfigFiles(name) if is_asked => config_files(name),
            Use::ConfigFiles(name) => quoted("config-file", self.config_file.iter().chain([name])),
        };
        match (is_asked, is_granted) {
            (true, true) => Ok(()),
            (true, false) => Err(Missing::NotGranted(line)),
            (false, _) => Err(Missing::NotAsked(line)),
        }
    }

    /// What is asked for and not granted, as lines for the operator's file.
    pub(crate) fn beyond(&self, granted: &Grants) -> Vec<String> {
        let switches = [
            (Use::State, self.state && !granted.state),
            (Use::Mysql, self.mysql && !granted.mysql),
            (Use::Crontab, self.crontab && !granted.crontab),
        ];
        let switches = switches.into_iter().filter(|(_, is_missing)| *is_missing);
        let asked = self.http.iter().filter(|asked| match asked {
            AskedOrigin::Exactly(origin) => !granted.http.contains(origin),
            AskedOrigin::Granted => granted.http.is_empty(),
        });
        let asked: Vec<String> = asked.map(AskedOrigin::to_string).collect();
        let all = || http(granted.http.iter().map(Origin::to_string).chain(asked.iter().cloned()));
        let http = (!asked.is_empty()).then(all);
        let commands = self.command.iter().filter(|name| !granted.commands.contains(name)).map(command);
        let directories = self.config_file.iter().filter(|name| !granted.config_files.contains(name));
        let commands = commands.chain(directories.map(config_files));
        switches.map(|(wanted, _)| format!("{wanted} = true")).chain(http).chain(commands).collect()
    }

    fn asks_for(&self, origin: &Origin) -> bool {
        self.http.iter().any(|asked| match asked {
            AskedOrigin::Exactly(exactly) => exactly == origin,
            AskedOrigin::Granted => true,
        })
    }
}

fn http(origins: impl IntoIterator<Item = impl ToString>) -> String {
    quoted("http", origins)
}

/// The shortest that grants it: what the program is only the operator knows.
fn command(name: &GrantName) -> String {
    format!("commands.{name} = {{ argv = [\"/path/of/its/program\"] }}")
}

/// The shortest that grants it.
fn config_files(name: &GrantName) -> String {
    let rest = "files = \"{hosting}_*.conf\", check = [\"/path/of/its/check\"]";
    format!("config-files.{name} = {{ directory = \"/path/of/the/files\", {rest} }}")
}

fn quoted(key: &str, values: impl IntoIterator<Item = impl ToString>) -> String {
    let quoted: Vec<String> = values.into_iter().map(|value| format!("\"{}\"", value.to_string())).collect();
    format!("{key} = [{}]", quoted.join(", "))
}

fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<GrantName>, D::Error> {
    BTreeMap::<GrantName, IgnoredAny>::deserialize(deserializer).map(|sections| sections.into_keys().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(text: &str) -> Asks {
        toml::from_str(text).unwrap()
    }

    fn grants(text: &str) -> Grants {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn what_is_asked_for_and_granted_may_be_used_and_nothing_else() {
        let switches = [(Use::State, "state = true"), (Use::Mysql, "mysql = true"), (Use::Crontab, "crontab = true")];
        for (wanted, line) in switches {
            let told = |asked: &str, granted: &str| asks(asked).check(&grants(granted), wanted);
            assert_eq!(told(line, line), Ok(()));
            assert_eq!(told(line, ""), Err(Missing::NotGranted(line.to_owned())));
            assert_eq!(told("", line), Err(Missing::NotAsked(line.to_owned())));
            assert_eq!(told("", ""), Err(Missing::NotAsked(line.to_owned())));
        }
    }

    #[test]
    fn an_origin_is_allowed_exactly() {
        let origin: Origin = "https://a.example".parse().unwrap();
        let told = |asked: &str, granted: &str| asks(asked).check(&grants(granted), Use::Http(&origin));
        let a = "http = [\"https://a.example\"]";
        assert_eq!(told(a, a), Ok(()));
        assert_eq!(told("http = [\"https://*\"]", a), Ok(()));
        assert_eq!(told("http = [\"https://*\"]", ""), Err(Missing::NotGranted(a.to_owned())));
        let other = "http = [\"https://a.example:444\"]";
        let both = "http = [\"https://a.example:444\", \"https://a.example\"]";
        assert_eq!(told(a, other), Err(Missing::NotGranted(both.to_owned())));
        assert_eq!(told(other, a), Err(Missing::NotAsked(both.to_owned())));
    }

    #[test]
    fn a_command_is_allowed_by_its_name_and_the_line_that_is_missing_is_one_that_grants_it() {
        let name: GrantName = "reload-php".parse().unwrap();
        let told = |asked: &str, granted: &str| asks(asked).check(&grants(granted), Use::Command(&name));
        let (asked, line) =
            ("command = [\"reload-php\"]", "commands.reload-php = { argv = [\"/path/of/its/program\"] }");
        assert_eq!(told(asked, line), Ok(()));
        assert_eq!(told(asked, "[commands.reload-php]\nargv = [\"/bin/x\"]\nuser = \"root\""), Ok(()));
        assert_eq!(told(asked, ""), Err(Missing::NotGranted(line.to_owned())));
        assert_eq!(told(asked, &format!("{line}\n[commands.other]\nargv = []")), Ok(()));
        assert_eq!(told(asked, "[commands.other]\nargv = []"), Err(Missing::NotGranted(line.to_owned())));
        assert_eq!(told("", line), Err(Missing::NotAsked(asked.to_owned())));
        let both = "command = [\"a\", \"reload-php\"]";
        assert_eq!(told("command = [\"a\"]", line), Err(Missing::NotAsked(both.to_owned())));
        assert_eq!(asks(both).beyond(&grants(line)), ["commands.a = { argv = [\"/path/of/its/program\"] }"]);
        assert!(toml::from_str::<Asks>("command = [\"a b\"]").is_err());
    }

    #[test]
    fn a_directory_is_allowed_by_its_name_and_beside_commands() {
        let name: GrantName = "vhosts".parse().unwrap();
        let told = |asked: &str, granted: &str| asks(asked).check(&grants(granted), Use::ConfigFiles(&name));
        let asked = "config-file = [\"vhosts\"]";
        let Err(Missing::NotGranted(line)) = told(asked, "") else { panic!("{asked}") };
        assert!(line.starts_with("config-files.vhosts = { directory = "), "{line}");
        assert_eq!(told(asked, &line), Ok(()));
        assert_eq!(told(asked, &format!("{line}\n[commands.vhosts]\nargv = []")), Ok(()));
        assert_eq!(told(asked, "commands.vhosts = {}"), Err(Missing::NotGranted(line.clone())));
        assert_eq!(told("command = [\"vhosts\"]", &line), Err(Missing::NotAsked(asked.to_owned())));
        assert_eq!(asks(asked).beyond(&grants("")), [line]);
    }

    #[test]
    fn what_is_missing_is_told_as_lines() {
        let told = |asked: &str, granted: &str| asks(asked).beyond(&grants(granted));
        let asked = "state = true\nhttp = [\"https://a.example\", \"https://b.example\"]";
        assert_eq!(told(asked, ""), ["state = true", "http = [\"https://a.example\", \"https://b.example\"]"]);
        let one = "state = true\nhttp = [\"https://b.example\"]";
        assert_eq!(told(asked, one), ["http = [\"https://b.example\", \"https://a.example\"]"]);
        assert_eq!(told(asked, asked), Vec::<String>::new());
        assert_eq!(told("crontab = true\nmysql = true", "mysql = true"), ["crontab = true"]);
        assert_eq!(told("http = [\"https://*\"]", ""), ["http = [\"https://*\"]"]);
        assert_eq!(told("http = [\"https://*\"]", "http = [\"https://a.example\"]"), Vec::<String>::new());
    }

    #[test]
    fn a_grant_is_exact() {
        for text in
            ["http = [\"https://*\"]", "http = \"https://a.example\"", "http = [\"http://a.example\"]", "shell = true"]
        {
            assert!(toml::from_str::<Grants>(text).is_err(), "{text}");
        }
        assert!(toml::from_str::<Asks>("http = [\"https://*.example\"]").is_err());
    }
}
