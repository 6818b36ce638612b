//! Tokens that do not work: so many a minute of one origin are looked up, then only those that do.
//!
//! 256 random bits are not guessed. What this protects is the database; and whoever shares an address with somebody who
//! tries keeps their links.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::problem::Problem;
use crate::rates::{Rates, too_many};
use crate::serve::Serve;
use crate::store::live_tokens;
use crate::token::{Token, TokenHash};

/// How old what is known of the tokens that work may be.
const FRESH: Duration = Duration::from_secs(1);

/// Who has presented how many tokens that do not work.
#[derive(Debug)]
pub(crate) struct Guesses<K> {
    wrong: Rates<K>,
    /// The tokens that worked, and when that was.
    working: Mutex<Option<(Duration, Arc<HashSet<TokenHash>>)>>,
}

impl<K> Default for Guesses<K> {
    fn default() -> Self {
        Self { wrong: Rates::default(), working: Mutex::default() }
    }
}

impl<K: Clone + Eq + Hash> Guesses<K> {
    /// Refuses to look a token up for somebody who has presented too many that do not work, unless this one does.
    ///
    /// The database is asked at most once a second, however many there are.
    pub(crate) async fn admit(&self, serve: &Arc<Serve>, origin: &K, token: Option<&Token>) -> Result<(), Problem> {
        let now = serve.state.clock.ticking();
        let Some(wait) = self.wrong.wait(origin, serve.config.limits.wrong_tokens, now) else { return Ok(()) };
        if let Some(token) = token
            && self.working(serve, now).await?.contains(&token.hash())
        {
            return Ok(());
        }
        Err(too_many("too many links that do not work were tried from here", wait))
    }

    /// Notes that a token did not work.
    pub(crate) fn missed(&self, serve: &Serve, origin: &K) {
        // Nothing is left to take from whoever guesses beside their own guesses.
        let _ = self.wrong.take(origin, serve.config.limits.wrong_tokens, serve.state.clock.ticking());
    }

    async fn working(&self, serve: &Arc<Serve>, now: Duration) -> Result<Arc<HashSet<TokenHash>>, Problem> {
        let mut known = self.working.lock().await;
        if let Some((at, tokens)) = &*known
            && now < *at + FRESH
        {
            return Ok(tokens.clone());
        }
        let moment = serve.state.clock.now();
        let tokens = Arc::new(serve.read(move |connection| live_tokens::all(connection, moment)).await?);
        *known = Some((now, tokens.clone()));
        Ok(tokens)
    }
}
