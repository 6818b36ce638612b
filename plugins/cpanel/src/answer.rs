//! Reading what came back: two envelopes, each in more than one form, the login page, and what is no answer at all.

use sdk::Error;
use sdk::http::Response;
use serde_json::Value;

use crate::call::{Came, Interface};

/// Longest message of cPanel's that is passed on.
const MESSAGE_MAX_CHARS: usize = 300;

/// What a response means. Status 200 alone means nothing: cPanel sends it with failures, too.
pub(crate) fn read(interface: Interface, response: &Response) -> Came {
    match response.status {
        200 => match serde_json::from_slice::<Value>(&response.body) {
            Ok(Value::Object(answer)) => match interface {
                Interface::Uapi => uapi(&answer.into()),
                Interface::Api2 => api2(&answer.into()),
            },
            // JSON that breaks off is no page.
            _ if response.body.trim_ascii_start().starts_with(b"<") => Came::Nothing(login_page()),
            _ => Came::Unknown("cPanel's answer breaks off".to_owned()),
        },
        401 => Came::Nothing(login_page()),
        403 => Came::Nothing(Error::refused(
            "cPanel denies that: the token may have ended, or the account's package lacks the feature",
        )),
        300..=399 => Came::Nothing(Error::refused(
            "cPanel answers elsewhere: the hosting's setting `server` has to be its own origin, with the port of cPanel",
        )),
        404 => Came::Nothing(Error::unsupported("this cPanel does not have that function")),
        429 => Came::Nothing(Error::unavailable("cPanel has too much to do")),
        status => Came::Unknown(format!("cPanel answered with status {status}")),
    }
}

fn login_page() -> Error {
    Error::refused(
        "cPanel lets nobody in with that token: compare the setting `user` and the secret `token` with its page Manage API Tokens",
    )
}

/// The envelope as documented has the result inside; hosts are said to send the result alone.
fn uapi(answer: &Value) -> Came {
    let result = answer.get("result").filter(|result| result.is_object()).unwrap_or(answer);
    match result.get("status").and_then(number) {
        Some(1) => Came::Done(result.get("data").cloned().unwrap_or_default()),
        Some(0) => Came::Refused(words(result.get("errors"))),
        _ => Came::Unknown("cPanel's answer does not say whether it did it".to_owned()),
    }
}

/// A call of API 2 failed if the function did not run, or if the one row that a change answers with says so.
fn api2(answer: &Value) -> Came {
    let Some(result) = answer.get("cpanelresult") else {
        return Came::Unknown("cPanel's answer does not say whether it did it".to_owned());
    };
    if let Some(error) = result.get("error").and_then(Value::as_str) {
        return Came::Refused(shortened(error));
    }
    let ran = result.get("event").and_then(|event| event.get("result")).and_then(number);
    let data = result.get("data").cloned().unwrap_or_default();
    let row = data.as_array().and_then(|rows| rows.first()).unwrap_or(&data);
    let refused = [row.get("status"), row.get("result")].into_iter().flatten().any(|value| number(value) == Some(0));
    match ran {
        _ if refused => Came::Refused(words(row.get("statusmsg").or_else(|| row.get("reason")))),
        Some(0) => Came::Refused(words(result.get("event").and_then(|event| event.get("reason")))),
        Some(1) => Came::Done(data),
        _ => Came::Unknown("cPanel's answer does not say whether it did it".to_owned()),
    }
}

/// A number that may come as text.
pub(crate) fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// Text that may come as a number.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The rows of a list. `null` and an empty object are empty lists: Perl does not tell them apart.
pub(crate) fn rows(data: Value) -> Vec<Value> {
    match data {
        Value::Array(rows) => rows,
        _ => Vec::new(),
    }
}

/// A text field of a row.
pub(crate) fn field(row: &Value, name: &str) -> Option<String> {
    row.get(name).and_then(text)
}

fn words(errors: Option<&Value>) -> String {
    let said = match errors {
        Some(Value::String(words)) => words.clone(),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        _ => String::new(),
    };
    if said.trim().is_empty() { "cPanel refused it without saying why".to_owned() } else { shortened(&said) }
}

fn shortened(words: &str) -> String {
    words.chars().filter(|character| !character.is_control()).take(MESSAGE_MAX_CHARS).collect()
}

/// What a refusal is, as far as its words tell, which differ by version and language: whoever knows better looks first.
pub(crate) fn refused(words: &str) -> Error {
    let lower = words.to_lowercase();
    let says = |any: &[&str]| any.iter().any(|part| lower.contains(part));
    if says(&["already exist", "already in use", "already taken"]) {
        Error::already_exists(words)
    } else if says(&["does not exist", "do not exist", "not found", "no such"]) {
        Error::not_found(words)
    } else if says(&["password"]) && says(&["weak", "strength", "strong"]) {
        Error::invalid("password", words)
    } else {
        Error::refused(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(interface: Interface, status: u16, body: &str) -> String {
        match read(interface, &Response { status, headers: vec![], body: body.into() }) {
            Came::Done(data) => format!("done {data}"),
            Came::Refused(words) => format!("refused {words}"),
            Came::Nothing(Error::Refused(_)) => "nothing, refused".to_owned(),
            Came::Nothing(_) => "nothing".to_owned(),
            Came::Unknown(_) => "unknown".to_owned(),
        }
    }

    #[test]
    fn both_envelopes_of_uapi_are_read() {
        let uapi = |body: &str| came(Interface::Uapi, 200, body);
        assert_eq!(uapi(r#"{"status":1,"data":[1],"errors":null}"#), "done [1]");
        assert_eq!(uapi(r#"{"apiversion":3,"result":{"status":"1","data":null}}"#), "done null");
        assert_eq!(uapi(r#"{"status":0,"errors":["It is","so."]}"#), "refused It is so.");
        assert_eq!(uapi(r#"{"status":0,"errors":null}"#), "refused cPanel refused it without saying why");
        assert_eq!(uapi(r#"{"result":{"status":0,"errors":"No."}}"#), "refused No.");
        assert_eq!(uapi("{}"), "unknown");
    }

    #[test]
    fn api_2_fails_in_three_places() {
        let api2 = |body: &str| came(Interface::Api2, 200, body);
        assert_eq!(
            api2(r#"{"cpanelresult":{"event":{"result":1},"data":[{"linekey":3}]}}"#),
            r#"done [{"linekey":3}]"#
        );
        assert_eq!(
            api2(r#"{"cpanelresult":{"event":{"result":1},"data":[{"status":0,"statusmsg":"No."}]}}"#),
            "refused No."
        );
        assert_eq!(api2(r#"{"cpanelresult":{"error":"Denied.","data":{}}}"#), "refused Denied.");
        assert_eq!(api2(r#"{"cpanelresult":{"event":{"result":0,"reason":"No."}}}"#), "refused No.");
        assert_eq!(api2(r#"{"cpanelresult":{}}"#), "unknown");
        assert_eq!(api2(r#"{"status":1}"#), "unknown");
    }

    #[test]
    fn what_is_no_answer_is_not_taken_for_one() {
        let uapi = |status: u16, body: &str| came(Interface::Uapi, status, body);
        assert_eq!(uapi(200, r#"{"status":1,"da"#), "unknown");
        assert_eq!(uapi(200, ""), "unknown");
        assert_eq!(uapi(200, "[1]"), "unknown");
        assert_eq!(uapi(500, r#"{"status":1}"#), "unknown");
        assert_eq!(uapi(502, "<html>"), "unknown");
        assert_eq!(uapi(200, "\n<!DOCTYPE html>"), "nothing, refused");
        assert_eq!(uapi(401, ""), "nothing, refused");
        assert_eq!(uapi(403, ""), "nothing, refused");
        assert_eq!(uapi(302, ""), "nothing, refused");
        assert_eq!(uapi(429, ""), "nothing");
    }

    #[test]
    fn words_become_the_case_that_they_mean() {
        assert!(matches!(refused("The database already exists."), Error::AlreadyExists(_)));
        assert!(matches!(refused("That user does not exist."), Error::NotFound(_)));
        assert!(matches!(refused("Your password is too weak."), Error::Invalid(field) if field.name == "password"));
        assert!(matches!(refused("You have reached your limit."), Error::Refused(_)));
    }
}
