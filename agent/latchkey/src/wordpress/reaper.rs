//! Removes one-use scripts from docroots when their minute is over. Ending access removes them by itself.
//!
//! Whoever unlinks a script decides: the person who redeems it, or we. So one that is removed here opened nothing, and
//! never will; one that is gone already has been used.

use std::sync::Arc;
use std::time::Duration;

use latchkey_protocol::RefusalCode;
use serde::{Deserialize, Serialize};

use super::bridge::{BridgeError, Plugins};
use crate::broker::BrokerError;
use crate::channels;
use crate::clock::{Pauses, later};
use crate::problem::chain;
use crate::serve::Serve;
use crate::store::StoreError;
use crate::store::sso_scripts::{self, Script};
use crate::store::wordpress_sessions::{self, Site};

const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A script that cannot be removed for so long is given up: past its minute it opens nothing.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(24 * 3600);

#[derive(Serialize)]
struct RemoveArgs<'a> {
    names: [&'a str; 1],
}

#[derive(Deserialize)]
struct RemoveReply {
    removed: Vec<String>,
}

/// What became of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// It was there. Nobody has used it, or can.
    Unused,
    /// It was not.
    Gone,
}

/// Removes the scripts whose minute is over, for as long as the process runs.
pub(crate) async fn reap(serve: Arc<Serve>) {
    let mut pauses = Pauses::between(PAUSE, LONGEST_PAUSE);
    loop {
        let now = serve.state.clock.now();
        let expired = serve.read(move |connection| sso_scripts::expired(connection, now)).await;
        let mut stuck = false;
        for script in expired.inspect_err(log_store).unwrap_or_default() {
            stuck |= !reap_one(&serve, script).await;
        }
        if !stuck {
            pauses.begin_again();
        }
        tokio::time::sleep(pauses.next()).await;
    }
}

/// Removes one script and settles what it stood for. False if that has to be tried again.
async fn reap_one(serve: &Arc<Serve>, script: Script) -> bool {
    let found = match remove(serve, &script).await {
        Ok(found) => found,
        Err(error) if !is_for_good(serve, &script, &error) => {
            tracing::info!(error = %chain(&error), site = %script.site.url, "a used-up script could not be removed yet");
            return false;
        }
        Err(error) => {
            tracing::warn!(error = %chain(&error), site = %script.site.url, name = %script.name, "a script is left behind");
            Found::Gone
        }
    };
    match (found, &script.path) {
        // The session never was.
        (Found::Unused, _) => forget_channel(serve, &script).await,
        // It opened one, or the end of its share removed it.
        (Found::Gone, Some(_)) => {}
        // Nobody was told where it is; whatever came of it all the same is ended.
        (Found::Gone, None) => {
            if let Some(taken) = serve.state.channels.take(&script.mark) {
                channels::close(serve, taken).await;
            }
        }
    }
    let forgotten = serve.write(move |connection| sso_scripts::delete(connection, &script.name)).await;
    let is_done = forgotten.is_ok();
    log_failure(forgotten);
    is_done
}

/// Whether nothing more can be done about it: the hosting is not registered any more, or it was tried for a day.
fn is_for_good(serve: &Serve, script: &Script, error: &BridgeError) -> bool {
    let unregistered = matches!(error, BridgeError::Broker(BrokerError::Refused { code: RefusalCode::NotFound, .. }));
    unregistered || later(script.expires_at, GIVEN_UP_AFTER) <= serve.state.clock.now()
}

async fn forget_channel(serve: &Arc<Serve>, script: &Script) {
    serve.state.channels.forget(&script.mark);
    let mark = script.mark.clone();
    log_failure(serve.write(move |connection| wordpress_sessions::delete(connection, &mark)).await);
}

/// Removes a script from wherever its site is or was.
async fn remove(serve: &Serve, script: &Script) -> Result<Found, BridgeError> {
    let there = remove_at(serve, &script.site, script).await;
    match site_now(serve, script) {
        // The file moved along with its folder.
        Some(now) if !matches!(there, Ok(Found::Unused)) => remove_at(serve, &now, script).await,
        _ => there,
    }
}

/// Where the site of a script is now, if that is elsewhere.
fn site_now(serve: &Serve, script: &Script) -> Option<Site> {
    let now = serve.site(&script.instance).ok()?;
    ((&now.hosting, &now.docroot) != (&script.site.hosting, &script.site.docroot)).then_some(now)
}

async fn remove_at(serve: &Serve, site: &Site, script: &Script) -> Result<Found, BridgeError> {
    let args = RemoveArgs { names: [&script.name] };
    let reply: RemoveReply = serve.bridge.attempt(site, "sso_script.remove", &args, Plugins::Skipped, PATIENCE).await?;
    Ok(if reply.removed.contains(&script.name) { Found::Unused } else { Found::Gone })
}

fn log_failure(written: Result<(), StoreError>) {
    if let Err(error) = written {
        log_store(&error);
    }
}

fn log_store(error: &StoreError) {
    tracing::error!(error = %chain(error), "what became of a script could not be read or written down");
}
