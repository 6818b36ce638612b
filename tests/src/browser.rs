//! A browser as far as pages without JavaScript need one: cookies, forms with their hidden fields, `Origin`.

use std::collections::BTreeMap;

use xtask::node::Node;

use crate::exchange::{Request, Response};

/// A browser with its cookies for one origin.
#[derive(Clone, Debug)]
pub struct Browser {
    origin: String,
    root: Option<std::path::PathBuf>,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// A browser at the gateway.
    #[must_use]
    pub fn at_gateway(node: &Node) -> Self {
        let agent = node.agent().unwrap();
        Self { origin: agent.urls().gateway.clone(), root: Some(agent.ca()), cookies: BTreeMap::new() }
    }

    /// A browser at a site.
    #[must_use]
    pub fn at_site(url: &str) -> Self {
        Self { origin: url.to_owned(), root: None, cookies: BTreeMap::new() }
    }

    /// Its cookies.
    #[must_use]
    pub const fn cookies(&self) -> &BTreeMap<String, String> {
        &self.cookies
    }

    /// A request with its cookies that is not sent yet. `target` is a path, or a URL of its origin.
    #[must_use]
    #[track_caller]
    pub fn request(&self, method: &str, target: &str) -> Request {
        let path = target.strip_prefix(&self.origin).unwrap_or(target);
        assert!(path.starts_with('/'), "{target} is not of {}", self.origin);
        let mut request = Request::new(method, format!("{}{path}", self.origin));
        if let Some(root) = &self.root {
            request = request.trusting(root);
        }
        if !self.cookies.is_empty() {
            let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header("Cookie", &pairs.join("; "));
        }
        request
    }

    /// Sends a request and keeps the cookies of the response.
    #[track_caller]
    pub fn send(&mut self, request: Request) -> Response {
        let response = request.send();
        self.keep_cookies(&response);
        response
    }

    /// Opens a page.
    #[track_caller]
    pub fn open(&mut self, target: &str) -> Response {
        let request = self.request("GET", target);
        self.send(request)
    }

    /// Submits a form as a page of the same origin does.
    #[track_caller]
    pub fn submit(&mut self, target: &str, fields: &[(&str, &str)]) -> Response {
        let request = self.request("POST", target).header("Origin", &self.origin).form(fields);
        self.send(request)
    }

    /// Keeps the cookies that a response sets, and forgets those that it clears.
    pub fn keep_cookies(&mut self, response: &Response) {
        for (_, line) in response.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let pair = line.split(';').next().unwrap_or_default();
            let Some((name, value)) = pair.split_once('=') else { continue };
            if ["", "+", "%20"].contains(&value.trim()) {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// The value of the field with this name in a page's forms.
#[must_use]
pub fn field_of(page: &str, name: &str) -> Option<String> {
    let tag =
        page.split('<').find(|tag| tag.starts_with("input") && attribute(tag, "name").as_deref() == Some(name))?;
    attribute(tag, "value")
}

/// Where a page's form with this content posts to.
#[must_use]
pub fn action_of(page: &str, content: &str) -> Option<String> {
    let form = page
        .split("<form")
        .skip(1)
        .find(|form| form.split("</form>").next().is_some_and(|form| form.contains(content)))?;
    attribute(form, "action")
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let quoted = ['"', '\''].into_iter().find_map(|quote| {
        let rest = tag.split_once(&format!("{name}={quote}"))?.1;
        rest.split_once(quote).map(|(value, _)| value.to_owned())
    });
    quoted.map(|value| value.replace("&amp;", "&").replace("&#38;", "&"))
}
