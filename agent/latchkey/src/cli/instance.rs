//! `latchkey instance`: the WordPress installations of the node.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Call, CallError, Client};
use super::op::Input;
use super::view::{self, Field};
use super::{Answer, Ask};

const COLUMNS: &[Field] = &[
    ("INSTANCE", "id"),
    ("LABEL", "label"),
    ("URL", "url"),
    ("HOSTING", "hosting"),
    ("STAGING OF", "staging_of"),
    ("SHARED", "shared"),
];

/// What can be done with instances.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the instances: all of them, or with --as those that the person sees.
    ///
    /// Example: latchkey instance list --as editor@example.com
    List,
    /// Show one instance.
    ///
    /// Example: latchkey instance show live
    Show {
        /// The instance's id.
        instance: String,
    },
    /// Register an instance, or replace what is registered: whatever is not named gets its default.
    ///
    /// Example: latchkey instance put live --hosting h1 --docroot /home/alice/public_html --url https://example.com
    /// --label "My shop" --database alice_wp --owner alice@example.com
    Put(Box<Put>),
    /// Remove an instance from the register, ending its shares. Nothing of the site itself is touched.
    ///
    /// Example: latchkey instance delete old
    Delete {
        /// The instance's id.
        instance: String,
    },
}

/// `latchkey instance put`.
#[derive(Debug, Args)]
pub(crate) struct Put {
    /// The instance's id: small letters, digits and `-`.
    instance: String,
    /// The whole registration as JSON, or `-` to read it from standard input; instead of the other options.
    #[arg(long, value_name = "JSON")]
    input: Option<Input>,
    #[command(flatten)]
    registration: Option<Registration>,
}

#[derive(Debug, Args)]
#[group(conflicts_with = "input")]
struct Registration {
    /// The hosting it runs on.
    #[arg(long, required_unless_present = "input")]
    hosting: Option<String>,
    /// The folder that holds wp-load.php.
    #[arg(long, value_name = "DIR", required_unless_present = "input")]
    docroot: Option<PathBuf>,
    /// Where visitors find it, without a slash at the end.
    #[arg(long, required_unless_present = "input")]
    url: Option<String>,
    /// What people call it; its URL without.
    #[arg(long)]
    label: Option<String>,
    /// The full name of its database.
    #[arg(long, required_unless_present = "input")]
    database: Option<String>,
    /// Whom it belongs to; repeat it for more.
    #[arg(long = "owner", value_name = "EMAIL")]
    owners: Vec<String>,
    /// The live instance that this one is a staging of.
    #[arg(long, value_name = "INSTANCE")]
    staging_of: Option<String>,
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
        let fields = [
            ("hosting", json!(self.hosting)),
            ("docroot", json!(self.docroot)),
            ("url", json!(self.url)),
            ("label", json!(self.label.as_ref().or(self.url.as_ref()))),
            ("database", json!(self.database)),
            ("owners", json!(self.owners)),
            ("staging_of", json!(self.staging_of)),
        ];
        fields.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl Ask for Command {
    fn ask(&self, client: &Client) -> Result<Answer, CallError> {
        Ok(match self {
            Self::List => Answer::new(client.send_all(&Call::get(&["instances"]))?, |reply| {
                view::table(reply, COLUMNS, "No instance.")
            }),
            Self::Show { instance } => Answer::new(client.send(&Call::get(&["instances", instance]))?, view::anything),
            Self::Put(put) => {
                Answer::new(client.send(&Call::put(&["instances", &put.instance], put.body()?))?, view::anything)
            }
            Self::Delete { instance } => {
                Answer::new(client.send(&Call::delete(&["instances", instance]))?, super::share::outcome)
            }
        })
    }
}
