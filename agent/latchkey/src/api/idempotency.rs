//! Idempotency keys over calls: a repeated POST gets the first one's reply.

use axum::http::HeaderMap;
use latchkey_access::{Actor, Effect};
use sha2::{Digest, Sha256};

use super::call::Call;
use super::reply::{Content, Reply};
use super::routes::Handler;
use crate::problem::{Code, Problem};
use crate::store::idempotency::{self, Known};

const HEADER: &str = "idempotency-key";

/// Runs a call, or answers with the reply that the first one with its key got.
pub(crate) async fn once(call: Call, method: &str, path: &str, handler: Handler) -> Result<Reply, Problem> {
    let Some(key) = key_of(&call.headers)? else { return handler(call).await };
    // Nothing is lost when a read runs again, and nobody has to keep what it told.
    if latchkey_access::operation(call.param("operation")).is_some_and(|spec| spec.effect == Effect::Read) {
        return handler(call).await;
    }
    let (serve, now) = (call.serve.clone(), call.serve.state.clock.now());
    let caller = format!("{} {}", call.caller.via, whose(call.actor()));
    let hash: [u8; 32] = Sha256::new_with_prefix(method)
        .chain_update(" ")
        .chain_update(path)
        .chain_update("\n")
        .chain_update(&call.body)
        .finalize()
        .into();
    let (by, named) = (caller.clone(), key.clone());
    let begun = serve.write(move |connection| idempotency::begin(connection, &by, &named, &hash, now)).await;
    // What ends access ends it even if nothing can be written down, and what gives access is not written down either.
    if begun.as_ref().is_err_and(|error| error.trouble().is_some()) {
        return handler(call).await;
    }
    match begun? {
        Known::New => {}
        Known::OtherRequest => {
            return Err(Problem {
                field: Some("Idempotency-Key".into()),
                ..Problem::conflict("another request used this key")
            });
        }
        Known::NoReply => {
            let detail =
                "a request with this key was begun and its reply is not kept; look at the state before you try again";
            return Err(Problem::conflict(detail));
        }
        Known::Reply { status, body } => {
            return Ok(Reply {
                status,
                body: Content::Json(body),
                generation: None,
                is_secret: false,
                headers: HeaderMap::new(),
            });
        }
    }
    let outcome = handler(call).await;
    let kept = match &outcome {
        Ok(Reply { status, body: Content::Json(bytes), is_secret: false, .. }) => {
            let (status, bytes) = (*status, bytes.clone());
            serve.write(move |connection| idempotency::finish(connection, &caller, &key, status, &bytes)).await
        }
        Ok(_) => Ok(()),
        Err(_) => serve.write(move |connection| idempotency::forget(connection, &caller, &key)).await,
    };
    if let Err(error) = kept {
        tracing::warn!(error = %crate::problem::chain(&error), "an idempotency key could not be kept");
    }
    outcome
}

/// Whose keys they are: nobody gets a reply that somebody else was given.
fn whose(actor: &Actor) -> String {
    match actor {
        Actor::Panel => "panel".into(),
        Actor::Person(id) => id.to_string(),
        Actor::Stranger(email) => email.to_string(),
        Actor::Nobody => "nobody".into(),
    }
}

fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let plain =
        !text.is_empty() && text.len() <= 200 && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if plain {
        Ok(Some(text.to_owned()))
    } else {
        Err(Problem {
            field: Some("Idempotency-Key".into()),
            ..Problem::new(Code::Invalid, "expected 1 to 200 printable ASCII characters")
        })
    }
}

#[cfg(test)]
mod tests {
    use latchkey_access::{Actor, PersonId};

    use super::whose;

    #[test]
    fn every_actor_has_keys_of_their_own() {
        let stranger = |email: &str| Actor::Stranger(email.parse().unwrap());
        let actors = [
            Actor::Panel,
            Actor::Person(PersonId::from_number(1)),
            stranger("a@example.org"),
            stranger("b@example.org"),
            Actor::Nobody,
        ];
        let mut all: Vec<_> = actors.iter().map(whose).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), actors.len());
    }
}
