//! phpMyAdmin without a password: a link that is good once, a temporary account for one database, and a socket at which
//! phpMyAdmin asks for it on every request.
//!
//! phpMyAdmin keeps nothing that would outlive its session: no answer, no page.

mod admitted;
mod sessions;
mod socket;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use latchkey_access::Permit;
use latchkey_access::rows::PhpmyadminOpen;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::later;
use crate::config::ConfigFault;
use crate::databases::{DatabaseError, DatabaseName};
use crate::problem::{Code, Problem, chain};
use crate::serve::Serve;
use crate::store::phpmyadmin_rows::{self, Link};
use crate::token::Token;

pub(crate) use admitted::{admit, uid_of};
pub(crate) use sessions::{Sessions, drop_leftovers};
pub(crate) use socket::listen;

/// The node's phpMyAdmin.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Its origin, without a slash at the end.
    pub(crate) url: String,
    /// Where it asks.
    pub(crate) socket: PathBuf,
    /// Whom its PHP runs as, and nothing else does.
    pub(crate) user: String,
    #[serde(default = "session_life_s")]
    session_life_s: u64,
}

const fn session_life_s() -> u64 {
    4 * 3600
}

impl Settings {
    /// How long a session lasts at most.
    const fn session_life(&self) -> Duration {
        Duration::from_secs(self.session_life_s)
    }

    /// What is wrong with it.
    pub(crate) fn check(&self) -> Result<(), ConfigFault> {
        let wrong = |field, expected| Err(ConfigFault::Value { field, expected });
        let has_scheme = self.url.starts_with("https://") || self.url.starts_with("http://127.0.0.1");
        if !has_scheme || self.url.matches('/').count() != 2 {
            return wrong("phpmyadmin.url", "an origin like https://databases.example.org, without a path");
        }
        if self.session_life_s == 0 {
            return wrong("phpmyadmin.session_life_s", "at least one second");
        }
        Ok(())
    }
}

/// What `phpmyadmin.open` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PhpmyadminOpenInput")]
pub(crate) struct OpenInput {
    /// The database's whole name.
    database: String,
}

/// What `phpmyadmin.open` answers.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PhpmyadminOpenOutput")]
pub(crate) struct OpenOutput {
    /// A page of the gateway that hands over to phpMyAdmin. Good once.
    url: String,
    /// Until when.
    #[schemars(with = "String")]
    expires_at: Timestamp,
}

/// Makes a one-time link that opens phpMyAdmin for one database.
pub(crate) async fn open(
    serve: &Arc<Serve>,
    permit: &Permit<PhpmyadminOpen>,
    prefix: &str,
    input: OpenInput,
) -> Result<OpenOutput, Problem> {
    if serve.config.phpmyadmin.is_none() {
        let detail = "there is no phpMyAdmin on this node: latchkey.toml has no [phpmyadmin]";
        return Err(Problem::new(Code::Unsupported, detail));
    }
    let wrong = |error: crate::databases::NameError| Problem::invalid("database", error.to_string());
    let database = DatabaseName::new(prefix, &input.database).map_err(wrong)?;
    let there = serve.databases.list_databases(prefix).await.map_err(|error| out_of_reach(&error))?;
    if !there.iter().any(|one| one.name == database.as_str()) {
        return Err(Problem::not_found("database"));
    }
    serve.phpmyadmin.has_room_for(permit.actor(), permit.share())?;
    let (token, now) = (Token::generate()?, serve.state.clock.now());
    let link = Link {
        instance: permit.instance().clone(),
        share: permit.share(),
        actor: permit.actor().clone(),
        database: database.to_string(),
        expires_at: later(now, serve.config.sso.token_life()),
    };
    let (hash, expires_at) = (token.hash(), link.expires_at);
    serve.write(move |rows| phpmyadmin_rows::save_link(rows, &hash, &link, now)).await?;
    Ok(OpenOutput { url: format!("{}/phpmyadmin/{}", serve.config.gateway.url, token.text()), expires_at })
}

fn out_of_reach(error: &DatabaseError) -> Problem {
    tracing::error!(error = %chain(error), "the database server is out of reach");
    Problem::new(Code::Unavailable, error.to_string()).retry_after(1)
}
