//! `latchkey hosting`: the hosting accounts of the node.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::client::{Call, CallError, Client};
use super::op::Input;
use super::view::{self, Field};
use super::{Answer, Ask};

const COLUMNS: &[Field] =
    &[("HOSTING", "id"), ("SYSTEM USER", "system_user"), ("HOME", "home"), ("STATE", "state"), ("OWNERS", "owners")];

/// What can be done with hostings.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the hostings of this node.
    ///
    /// Example: latchkey hosting list
    List,
    /// Show one hosting.
    ///
    /// Example: latchkey hosting show h1
    Show {
        /// The hosting's id.
        hosting: String,
    },
    /// Register a hosting, or replace what is registered: whatever is not named gets its default.
    ///
    /// Example: latchkey hosting put h1 --system-user alice --home /home/alice --db-prefix alice_
    /// --owner alice@example.com --php-binary /usr/bin/php8.2
    Put(Box<Put>),
    /// Remove a hosting from the register. Nothing of the account itself is touched.
    ///
    /// Example: latchkey hosting delete h1
    Delete {
        /// The hosting's id.
        hosting: String,
    },
}

/// `latchkey hosting put`.
#[derive(Debug, Args)]
pub(crate) struct Put {
    /// The hosting's id: small letters, digits and `-`.
    hosting: String,
    /// The whole registration as JSON, or `-` to read it from standard input; instead of the other options.
    #[arg(long, value_name = "JSON")]
    input: Option<Input>,
    #[command(flatten)]
    registration: Option<Registration>,
}

#[derive(Debug, Args)]
#[group(conflicts_with = "input")]
struct Registration {
    /// The Unix account.
    #[arg(long, value_name = "USER", required_unless_present = "input")]
    system_user: Option<String>,
    /// The account's home.
    #[arg(long, value_name = "DIR", required_unless_present = "input")]
    home: Option<PathBuf>,
    /// What the names of its databases begin with; ends in `_`.
    #[arg(long, value_name = "PREFIX", required_unless_present = "input")]
    db_prefix: Option<String>,
    /// Whom it belongs to; repeat it for more.
    #[arg(long = "owner", value_name = "EMAIL")]
    owners: Vec<String>,
    /// The adapters that serve it, in order; repeat it for more.
    #[arg(long = "adapter", value_name = "NAME")]
    adapters: Vec<String>,
    /// The command-line PHP of its sites.
    #[arg(long, value_name = "FILE", required_unless_present = "input")]
    php_binary: Option<PathBuf>,
    /// A php.ini of its own.
    #[arg(long, value_name = "FILE")]
    php_ini: Option<PathBuf>,
    /// Its web server.
    #[arg(long, value_enum, default_value_t = WebKind::Nginx)]
    web: WebKind,
    /// What opens WP Admin.
    #[arg(long, value_enum, default_value_t = Sso::Location)]
    sso: Sso,
    /// A log file of its sites, with `{instance}` or `{domain}` in its path if each has its own; repeat it for more.
    #[arg(long = "log-path", value_name = "FILE")]
    log_paths: Vec<PathBuf>,
    /// Let nobody but the panel in.
    #[arg(long)]
    suspended: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WebKind {
    Nginx,
    Apache,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Sso {
    /// An exact location of its web server, which you set up once per site; see latchkey-sso.conf
    Location,
    /// A one-use file in the docroot, for web servers that you cannot set up; promises less, see the README
    Script,
}

impl Put {
    fn body(&self) -> Result<Value, CallError> {
        match (&self.input, &self.registration) {
            (Some(input), _) => input.read(),
            (None, Some(registration)) => Ok(registration.body()),
            (None, None) => Ok(json!({})),
        }
    }
}

impl Registration {
    fn body(&self) -> Value {
        let mut php = Map::from_iter([("binary".to_owned(), json!(self.php_binary))]);
        if let Some(ini) = &self.php_ini {
            php.insert("ini".into(), json!(ini));
        }
        let web = match self.web {
            WebKind::Nginx => "nginx",
            WebKind::Apache => "apache",
        };
        let sso = match self.sso {
            Sso::Location => "location",
            Sso::Script => "script",
        };
        json!({
            "system_user": self.system_user,
            "home": self.home,
            "db_prefix": self.db_prefix,
            "owners": self.owners,
            "adapters": self.adapters,
            "state": if self.suspended { "suspended" } else { "active" },
            "php": php,
            "web": { "kind": web, "sso": sso },
            "log_paths": self.log_paths,
        })
    }
}

impl Ask for Command {
    fn ask(&self, client: &Client) -> Result<Answer, CallError> {
        Ok(match self {
            Self::List => Answer::new(client.send_all(&Call::get(&["hostings"]))?, |reply| {
                view::table(reply, COLUMNS, "No hosting is registered.")
            }),
            Self::Show { hosting } => Answer::new(client.send(&Call::get(&["hostings", hosting]))?, view::anything),
            Self::Put(put) => {
                Answer::new(client.send(&Call::put(&["hostings", &put.hosting], put.body()?))?, view::anything)
            }
            Self::Delete { hosting } => {
                Answer::new(client.send(&Call::delete(&["hostings", hosting]))?, super::share::outcome)
            }
        })
    }
}
