//! A platform with users, over `http`. Where a habit is about a trouble of the platform it is here.

use crate::{
    exports::latchkey::adapter::databases::{Error, Hosting},
    habit,
    latchkey::adapter::{
        http::{self, HttpError, Method, Piece, Request, Response},
        types::{Busy, InvalidField},
    },
};

/// What the platform says when something worked.
const WORKED: &str = "\"success\":true";

/// All users; changes nothing.
pub(crate) fn users(hosting: &Hosting) -> Result<(), Error> {
    judged(hosting, send(hosting, Method::Get, "")?, false)
}

/// Makes one, and looks whether that worked when the platform does not answer.
pub(crate) fn create_user(hosting: &Hosting, key: &str, name: &str) -> Result<(), Error> {
    let body = format!("{{\"name\":\"{name}\",\"key\":\"{key}\"}}");
    let answer = send(hosting, Method::Post, &body)?;
    let answer = match (habit(hosting), answer) {
        ("insists", Err(HttpError::NoAnswer(_))) => send(hosting, Method::Post, &body)?,
        ("forgets-doubt", answer @ Err(HttpError::NoAnswer(_))) => return judged(hosting, answer, false),
        (_, Err(HttpError::NoAnswer(_))) => send(hosting, Method::Get, "")?,
        (_, answer) => answer,
    };
    judged(hosting, answer, true)
}

fn send(hosting: &Hosting, method: Method, body: &str) -> Result<Result<Response, HttpError>, Error> {
    let server = hosting.settings.iter().find(|(name, _)| name == "server").map(|(_, value)| value);
    let server = server.filter(|server| !server.is_empty()).ok_or_else(|| {
        Error::Invalid(InvalidField { name: "hosting".into(), expected: "the setting server, an address".into() })
    })?;
    let body = if body.is_empty() { vec![] } else { vec![Piece::Text(body.to_owned())] };
    Ok(http::send(&Request { method, url: format!("{server}/users"), headers: vec![], body, timeout_ms: None }))
}

fn judged(hosting: &Hosting, answer: Result<Response, HttpError>, is_change: bool) -> Result<(), Error> {
    let habit = habit(hosting);
    let busy =
        |message: &str, retry_after_ms| Err(Error::Unavailable(Busy { message: message.into(), retry_after_ms }));
    let response = match answer {
        Ok(response) => response,
        Err(HttpError::Denied(_)) if habit == "hides-http" => return Err(Error::Failed("something went wrong".into())),
        Err(HttpError::Denied(denial)) => return Err(Error::Denied(denial.message)),
        Err(HttpError::NotSent(why)) if habit == "despairs" => return Err(Error::Failed(why)),
        Err(HttpError::NotSent(why)) => return busy(&why, None),
        Err(HttpError::TooLong(_)) if habit == "skims" => return Ok(()),
        Err(HttpError::TooLong(_)) if !is_change => return Err(Error::Failed("the answer is too long".into())),
        Err(HttpError::NoAnswer(why)) if !is_change => return busy(&why, None),
        Err(_) => return Err(Error::Uncertain("whether it happened is not known".into())),
    };
    let text = String::from_utf8_lossy(&response.body);
    let text = text.trim();
    match (response.status, habit) {
        (500, "never-minds") | (302, "is-elsewhere") => return Ok(()),
        (401, "tries-again") => return busy("not allowed", None),
        (429, "hurries") => return busy("slow down", Some(10)),
        (200, "believes-pages") if text.starts_with('<') => return Ok(()),
        (200, "reads-half") if text.starts_with('{') && !text.ends_with('}') => return Ok(()),
        (200, "believes-200") if text.starts_with('{') && text.ends_with('}') => return Ok(()),
        _ => {}
    }
    match response.status {
        200 if text.ends_with('}') && text.contains(WORKED) => Ok(()),
        200 if is_change => Err(Error::Uncertain("the platform's answer makes no sense".into())),
        401 | 403 => Err(Error::Refused("the platform does not take the secret".into())),
        429 => busy("the platform wants a slower pace", Some(7_000)),
        status => Err(Error::Failed(format!("the platform answers {status}"))),
    }
}
