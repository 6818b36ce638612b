//! `latchkey people`: the people that the node knows.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::client::{Call, CallError, Client};
use super::view::{self, Field, at, items};
use super::{Answer, Ask, share};

const COLUMNS: &[Field] = &[("PERSON", "id"), ("EMAIL", "email"), ("NAME", "name")];

/// What can be done with people.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List people, or those whose name or address has the text.
    ///
    /// Example: latchkey people list example.com
    List {
        /// What to look for.
        query: Option<String>,
    },
    /// Change a person's name or address. A new address ends their sign-ins.
    ///
    /// Example: latchkey people rename editor@example.com --name "Eve Editor"
    Rename(Rename),
    /// End all shares and sign-ins of a person. They can be invited again.
    ///
    /// Example: latchkey people end-shares editor@example.com
    EndShares {
        /// The person's id or address.
        person: String,
    },
}

/// `latchkey people rename`.
#[derive(Debug, Args)]
pub(crate) struct Rename {
    /// The person's id or address.
    person: String,
    /// The new name; an empty one removes it.
    #[arg(long, required_unless_present = "email")]
    name: Option<String>,
    /// The new address.
    #[arg(long)]
    email: Option<String>,
}

impl Rename {
    fn body(&self) -> Value {
        let mut body = Map::new();
        if let Some(name) = &self.name {
            body.insert("name".into(), if name.is_empty() { Value::Null } else { json!(name) });
        }
        if let Some(email) = &self.email {
            body.insert("email".into(), json!(email));
        }
        Value::Object(body)
    }
}

impl Ask for Command {
    fn ask(&self, client: &Client) -> Result<Answer, CallError> {
        Ok(match self {
            Self::List { query } => {
                let call = Call::get(&["people"]);
                let call = query.iter().fold(call, |call, query| call.query("query", query));
                Answer::new(client.send_all(&call)?, |reply| view::table(reply, COLUMNS, "Nobody."))
            }
            Self::Rename(rename) => {
                let id = find(client, &rename.person)?;
                Answer::new(client.send(&Call::patch(&["people", &id], rename.body()))?, share::outcome)
            }
            Self::EndShares { person } => {
                let id = find(client, person)?;
                Answer::new(client.send(&Call::delete(&["people", &id, "shares"]))?, share::outcome)
            }
        })
    }
}

/// The id of a person that was named by id or by address.
fn find(client: &Client, person: &str) -> Result<String, CallError> {
    if !person.contains('@') {
        return Ok(person.to_owned());
    }
    let found = client.send_all(&Call::get(&["people"]).query("query", person))?;
    let is_meant = |item: &&Value| at(item, "email").as_str().is_some_and(|email| email.eq_ignore_ascii_case(person));
    let id = items(&found.json).iter().find(is_meant).and_then(|item| at(item, "id").as_str());
    id.map(str::to_owned).ok_or_else(|| CallError::NoSuchPerson { email: person.to_owned() })
}
