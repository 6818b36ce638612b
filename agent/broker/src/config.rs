//! The broker's configuration file.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use serde::Deserialize;

use crate::{adapters::config::AdaptersConfig, ftp::config::FtpConfig, log, log_roots::LogRoot};

/// What the operator allows.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where serve connects.
    pub socket: PathBuf,
    /// Where the registry and the audit heads are kept; root's alone.
    pub state_dir: PathBuf,
    /// The system user that serve runs as; nobody else but root is answered.
    pub serve_user: String,
    /// The lowest user id of a hosting.
    pub min_uid: u32,
    /// Homes lie beneath one of these.
    pub home_roots: Vec<PathBuf>,
    /// The program `latchkey-php`.
    pub php_worker: PathBuf,
    /// The script `bridge.php`.
    pub bridge: PathBuf,
    /// The PHP programs that a hosting may name.
    pub php_binaries: Vec<PathBuf>,
    /// Root's directory in which every system user gets one of its own for compiled PHP scripts; absent: no cache.
    pub php_cache: Option<PathBuf>,
    /// Where cron keeps the crontabs of users.
    #[serde(default = "default_crontabs")]
    pub crontabs: PathBuf,
    /// cron's own program `crontab`, which replaces the crontabs of hostings for adapters; absent: they are only read.
    pub crontab_program: Option<PathBuf>,
    /// Directories whose files are logs of hostings; none: no log is opened.
    #[serde(default)]
    pub log_roots: Vec<LogRoot>,
    /// What PHP may reach besides the home and what every PHP needs.
    #[serde(default)]
    pub php_paths: PhpPaths,
    /// How many PHP calls may run at a time.
    #[serde(default = "default_calls")]
    pub php_calls: usize,
    /// How many PHP calls of one hosting may run at a time.
    #[serde(default = "default_calls_per_hosting")]
    pub php_calls_per_hosting: usize,
    /// The program `latchkey-files`.
    #[serde(default = "default_files_worker")]
    pub files_worker: PathBuf,
    /// How many files workers may run at a time: hostings whose files are in use.
    #[serde(default = "default_files_workers")]
    pub files_workers: usize,
    /// How many files workers of one hosting may run at a time. serve uses one; another may still be ending.
    #[serde(default = "default_files_workers_per_hosting")]
    pub files_workers_per_hosting: usize,
    /// How many connections may be open at a time.
    #[serde(default = "default_connections")]
    pub connections: usize,
    /// Where the systemd journal listens, which gets a copy of each audit head. There need not be one.
    #[serde(default = "default_journal")]
    pub journal: PathBuf,
    /// What runs adapters; absent: there are none.
    pub adapters: Option<AdaptersConfig>,
    /// What lets people in by FTP; absent: nobody.
    pub ftp: Option<FtpConfig>,
    /// The form of the log.
    #[serde(default)]
    pub log: log::Format,
}

/// Paths on the node that PHP of every hosting may reach, as far as their permissions allow it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhpPaths {
    /// Files and directories to read.
    #[serde(default)]
    pub read: Vec<PathBuf>,
    /// Files and directories to read and write.
    #[serde(default)]
    pub write: Vec<PathBuf>,
    /// Programs to execute, or directories of such.
    #[serde(default)]
    pub execute: Vec<PathBuf>,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read the configuration {path:?}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// It is not TOML, or it has a key that is unknown, missing or of another type.
    #[error("the configuration {path:?} is not valid")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A value is not usable.
    #[error("the configuration's {key} has to be {expected}")]
    Value {
        /// Its key.
        key: &'static str,
        /// What was expected.
        expected: &'static str,
    },
}

impl Config {
    /// Reads and checks the file.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Config::parse(path, &text)
    }

    /// Parses and checks the text of the file at `path`, which is named in errors only.
    pub fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
        let config: Config = toml::from_str(text)
            .map_err(|source| ConfigError::Parse { path: path.to_owned(), source: Box::new(source) })?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let paths: [(&'static str, &[PathBuf]); 13] = [
            ("socket", std::slice::from_ref(&self.socket)),
            ("state_dir", std::slice::from_ref(&self.state_dir)),
            ("home_roots", &self.home_roots),
            ("php_worker", std::slice::from_ref(&self.php_worker)),
            ("files_worker", std::slice::from_ref(&self.files_worker)),
            ("bridge", std::slice::from_ref(&self.bridge)),
            ("php_binaries", &self.php_binaries),
            ("php_cache", self.php_cache.as_slice()),
            ("crontabs", std::slice::from_ref(&self.crontabs)),
            ("crontab_program", self.crontab_program.as_slice()),
            ("php_paths.read", &self.php_paths.read),
            ("php_paths.write", &self.php_paths.write),
            ("php_paths.execute", &self.php_paths.execute),
        ];
        let ftp = self.ftp.iter().flat_map(|ftp| {
            [("ftp.socket", &ftp.socket), ("ftp.serve_socket", &ftp.serve_socket), ("ftp.folders", &ftp.folders)]
        });
        let adapters = self.adapters.iter().flat_map(|adapters| {
            [
                ("adapters.directory", &adapters.directory),
                ("adapters.cache", &adapters.cache),
                ("adapters.operators", &adapters.operators),
                ("adapters.runner", &adapters.runner),
                ("adapters.compiler", &adapters.compiler),
            ]
        });
        let sections = ftp.chain(adapters).map(|(key, path)| (key, std::slice::from_ref(path)));
        for (key, paths) in paths.into_iter().chain(sections) {
            if !paths.iter().all(|path| is_plain_absolute(path)) {
                return Err(ConfigError::Value { key, expected: "absolute, without '.', '..' or a trailing slash" });
            }
        }
        if self.min_uid == 0 {
            return Err(ConfigError::Value { key: "min_uid", expected: "at least 1, usually 1000" });
        }
        if self.home_roots.iter().any(|root| root.parent().is_none()) {
            return Err(ConfigError::Value { key: "home_roots", expected: "directories below '/'" });
        }
        if self.adapters.as_ref().is_some_and(|adapters| adapters.first_uid < 1000) {
            return Err(ConfigError::Value { key: "adapters.first_uid", expected: "at least 1000" });
        }
        for (key, count) in [
            ("php_calls", self.php_calls),
            ("php_calls_per_hosting", self.php_calls_per_hosting),
            ("files_workers", self.files_workers),
            ("files_workers_per_hosting", self.files_workers_per_hosting),
            ("connections", self.connections),
            ("adapters.runners", self.adapters.as_ref().map_or(1, |adapters| adapters.runners)),
            ("adapters.commands", self.adapters.as_ref().map_or(1, |adapters| adapters.commands)),
            (
                "adapters.commands_per_hosting",
                self.adapters.as_ref().map_or(1, |adapters| adapters.commands_per_hosting),
            ),
            ("ftp.sessions", self.ftp.as_ref().map_or(1, |ftp| ftp.sessions)),
        ] {
            if count == 0 {
                return Err(ConfigError::Value { key, expected: "at least 1" });
            }
        }
        Ok(())
    }
}

/// Whether a path is absolute and written in the one way that has nothing to resolve.
pub(crate) fn is_plain_absolute(path: &Path) -> bool {
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    // Components drop doubled and trailing slashes and inner dots; the text must not hold any.
    plain && path.is_absolute() && path.components().collect::<PathBuf>().as_os_str() == path.as_os_str()
}

fn default_crontabs() -> PathBuf {
    PathBuf::from("/var/spool/cron/crontabs")
}

fn default_journal() -> PathBuf {
    "/run/systemd/journal/socket".into()
}

fn default_calls() -> usize {
    16
}

fn default_calls_per_hosting() -> usize {
    6
}

fn default_files_worker() -> PathBuf {
    PathBuf::from("/usr/lib/latchkey/latchkey-files")
}

fn default_files_workers() -> usize {
    256
}

fn default_files_workers_per_hosting() -> usize {
    4
}

fn default_connections() -> usize {
    64
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        socket = "/run/latchkey-broker/broker.sock"
        state_dir = "/var/lib/latchkey-broker"
        serve_user = "latchkey"
        min_uid = 1000
        home_roots = ["/home"]
        php_worker = "/usr/lib/latchkey/latchkey-php"
        bridge = "/usr/lib/latchkey/bridge.php"
        php_binaries = ["/usr/bin/php8.2"]
    "#;

    fn parse(text: &str) -> Result<Config, String> {
        let config: Config = toml::from_str(text).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn the_documented_keys_are_enough() {
        let config = parse(GOOD).unwrap();
        assert_eq!((config.php_calls, config.php_calls_per_hosting), (16, 6));
    }

    #[test]
    fn the_packaged_configuration_is_valid() {
        parse(include_str!("../../../packaging/config/broker.toml")).unwrap();
    }

    #[test]
    fn an_unknown_key_root_as_lowest_uid_and_a_crooked_path_are_refused() {
        assert!(parse(&format!("{GOOD}\nshell = true")).is_err());
        assert!(parse(&GOOD.replace("= 1000", "= 0")).is_err());
        assert!(parse(&format!("{GOOD}\nphp_paths.write = [\"/mnt/uploads\"]")).is_ok());
        assert!(parse(&format!("{GOOD}\nphp_paths.write = [\"mnt/uploads\"]")).is_err());
        for path in ["home", "/home/", "/home/../etc", "/./home", "//home", "/"] {
            assert!(parse(&GOOD.replace("\"/home\"", &format!("{path:?}"))).is_err(), "{path}");
        }
    }
}
