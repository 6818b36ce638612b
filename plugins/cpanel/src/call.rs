//! One call of cPanel: the request that it is, and whether cPanel did it, refused it, or nobody knows.

use sdk::http::{self, Encoding, HttpError, Method, Piece, PlacedSecret, Request, RequestHeader};
use sdk::{Error, Secret};
use serde_json::Value;

use crate::account::{Account, TOKEN, percent};
use crate::answer;

/// A function of cPanel with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    interface: Interface,
    module: &'static str,
    function: &'static str,
    arguments: Vec<(&'static str, Argument)>,
}

/// Which of cPanel's two interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interface {
    /// The one that is kept up.
    Uapi,
    /// The old one, which alone has cron.
    Api2,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Argument {
    Text(String),
    Secret(Secret),
}

/// What is known after a request.
#[derive(Debug)]
pub(crate) enum Came {
    /// cPanel says that it did it.
    Done(Value),
    /// cPanel says that it did not, in its words.
    Refused(String),
    /// It did not get as far as cPanel's functions.
    Nothing(Error),
    /// It may have happened or not.
    Unknown(String),
}

impl Call {
    /// A function of UAPI.
    pub(crate) fn uapi(module: &'static str, function: &'static str) -> Self {
        Self { interface: Interface::Uapi, module, function, arguments: Vec::new() }
    }

    /// A function of API 2.
    pub(crate) fn api2(module: &'static str, function: &'static str) -> Self {
        Self { interface: Interface::Api2, module, function, arguments: Vec::new() }
    }

    /// With an argument.
    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.arguments.push((name, Argument::Text(value.to_string())));
        self
    }

    /// With an argument that the agent puts in.
    pub(crate) fn with_secret(mut self, name: &'static str, secret: &Secret) -> Self {
        self.arguments.push((name, Argument::Secret(secret.clone())));
        self
    }

    /// Sends it once, as a form: so secrets have a place in it, and nothing between here and cPanel repeats it.
    pub(crate) fn send(&self, account: &Account) -> Came {
        match http::send(&self.request(account)) {
            Ok(response) => answer::read(self.interface, &response),
            Err(error) => self.unanswered(error),
        }
    }

    fn request(&self, account: &Account) -> Request {
        let token = PlacedSecret { name: TOKEN.to_owned(), prefix: String::new(), encoding: Encoding::Plain };
        let authorization = vec![Piece::Text(format!("cpanel {}:", account.user)), Piece::Secret(token)];
        let form = vec![Piece::Text("application/x-www-form-urlencoded".to_owned())];
        let header = |name: &str, value| RequestHeader { name: name.to_owned(), value };
        Request {
            method: Method::Post,
            url: self.url(account),
            headers: vec![header("Authorization", authorization), header("Content-Type", form)],
            body: self.form(),
            timeout_ms: Some(account.patience_ms()),
        }
    }

    fn url(&self, account: &Account) -> String {
        let (server, module, function) = (&account.server, self.module, self.function);
        match self.interface {
            Interface::Uapi => format!("{server}/execute/{module}/{function}"),
            Interface::Api2 => format!(
                "{server}/json-api/cpanel?cpanel_jsonapi_user={}&cpanel_jsonapi_apiversion=2&cpanel_jsonapi_module={module}&cpanel_jsonapi_func={function}",
                percent(&account.user)
            ),
        }
    }

    fn form(&self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for (at, (name, argument)) in self.arguments.iter().enumerate() {
            let before = format!("{}{name}=", if at == 0 { "" } else { "&" });
            match argument {
                Argument::Text(value) => pieces.push(Piece::Text(before + &percent(value))),
                Argument::Secret(secret) => {
                    let name = secret.clone();
                    let placed = PlacedSecret { name, prefix: String::new(), encoding: Encoding::Percent };
                    pieces.extend([Piece::Text(before), Piece::Secret(placed)]);
                }
            }
        }
        pieces
    }

    fn unanswered(&self, error: HttpError) -> Came {
        let name = format!("{}::{}", self.module, self.function);
        match error {
            HttpError::Denied(denial) => Came::Nothing(denial.into()),
            HttpError::Invalid(expected) => Came::Nothing(Error::failed(format!("{name}: {expected}"))),
            HttpError::TooMany => Came::Nothing(Error::refused(
                "this takes more requests than a call may make: raise `http_requests` in the operator's file",
            )),
            HttpError::NotSent(reason) => Came::Nothing(Error::unavailable(format!("cPanel is not reached: {reason}"))),
            HttpError::NoAnswer(reason) => Came::Unknown(format!("cPanel did not answer {name} to the end: {reason}")),
            HttpError::TooLong(most) => Came::Unknown(format!("cPanel's answer to {name} is longer than {most} bytes")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        let settings = [("server", "https://h:2083"), ("user", "shop"), ("answer_ms", "1000")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Account::of(&sdk::Hosting { settings, ..sdk::fake::hosting() }).unwrap()
    }

    #[test]
    fn secrets_are_named_and_never_in_the_url() {
        let _host = sdk::fake::Host::new();
        let call =
            Call::uapi("Mysql", "create_user").with("name", "shop_a b").with_secret("password", &"new".to_owned());
        let request = call.request(&account());
        assert_eq!(request.url, "https://h:2083/execute/Mysql/create_user");
        let secret = |name: &str, encoding| {
            Piece::Secret(PlacedSecret { name: name.to_owned(), prefix: String::new(), encoding })
        };
        let text = |text: &str| Piece::Text(text.to_owned());
        assert_eq!(request.body, [text("name=shop_a%20b"), text("&password="), secret("new", Encoding::Percent)]);
        assert_eq!(request.headers[0].value, [text("cpanel shop:"), secret(TOKEN, Encoding::Plain)]);
        assert_eq!((request.method, request.timeout_ms), (Method::Post, Some(1_000)));
    }

    #[test]
    fn api_2_is_told_what_is_meant_in_the_url() {
        let _host = sdk::fake::Host::new();
        let request = Call::api2("Cron", "remove_line").with("linekey", 7).request(&account());
        assert!(request.url.starts_with("https://h:2083/json-api/cpanel?cpanel_jsonapi_user=shop&"), "{}", request.url);
        assert!(request.url.ends_with("cpanel_jsonapi_module=Cron&cpanel_jsonapi_func=remove_line"), "{}", request.url);
        assert_eq!(request.body, [Piece::Text("linekey=7".to_owned())]);
    }
}
