//! `http`, played: a function of the test's is every platform there is.

use std::fmt;

use super::{Host, play};
use crate::http::{HttpError, Request, Response};

type Serve = Box<dyn FnMut(&Request) -> Result<Response, HttpError>>;

/// Who answers requests.
#[derive(Default)]
pub(super) struct Platform(Option<Serve>);

impl fmt::Debug for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Platform")
    }
}

impl Host {
    /// Answers every request from now on. Secrets come as their names: it is the agent that puts values in.
    pub fn serves(&self, serve: impl FnMut(&Request) -> Result<Response, HttpError> + 'static) {
        play(|played| played.platform = Platform(Some(Box::new(serve))));
    }
}

pub(crate) fn send(request: &Request) -> Result<Response, HttpError> {
    // Taken out meanwhile, so that the function may use what the host plays.
    let taken = play(|played| std::mem::take(&mut played.platform));
    let Platform(Some(mut serve)) = taken else {
        return Err(HttpError::NotSent("nobody plays the platform: call `host.serves(…)`".to_owned()));
    };
    let answer = serve(request);
    play(|played| played.platform = Platform(Some(serve)));
    answer
}
