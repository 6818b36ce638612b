//! Pages as HTTP: strict headers on everything, and problems as pages.

use askama::Template;
use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, LOCATION, REFERRER_POLICY, RETRY_AFTER,
    SET_COOKIE,
};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;

use super::pages::{DeadLinkPage, ProblemPage};
use crate::problem::{Code, Problem};

/// A page, a redirection, or a problem as a page.
pub(super) struct Answer {
    status: u16,
    body: String,
    location: Option<String>,
    cookie: Option<String>,
    /// Another origin that the page's form may post to.
    posts_to: Option<String>,
    retry_after_s: Option<u64>,
}

impl Answer {
    /// A page.
    pub(super) fn page(page: &impl Template) -> Self {
        match page.render() {
            Ok(body) => Self { body, ..Self::empty(200) },
            Err(error) => {
                tracing::error!(%error, "a page could not be rendered");
                Self { body: "The page could not be shown.".into(), ..Self::empty(500) }
            }
        }
    }

    /// On to another page of the gateway, with GET.
    pub(super) fn see(path: impl Into<String>) -> Self {
        Self { location: Some(path.into()), ..Self::empty(303) }
    }

    const fn empty(status: u16) -> Self {
        Self { status, body: String::new(), location: None, cookie: None, posts_to: None, retry_after_s: None }
    }

    /// A problem in words.
    pub(super) fn problem(title: &str, text: &str) -> Self {
        let page = ProblemPage {
            title: title.to_owned(),
            text: text.to_owned(),
            link_text: "To your instances".to_owned(),
            link: "/".to_owned(),
        };
        Self::page(&page)
    }

    pub(super) const fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(super) fn with_cookie(mut self, cookie: String) -> Self {
        self.cookie = Some(cookie);
        self
    }

    pub(super) fn posting_to(mut self, origin: String) -> Self {
        self.posts_to = Some(origin);
        self
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        let (title, text) = match problem.code {
            Code::NotFound => ("Not found", "There is nothing here for you, or not any more.".to_owned()),
            Code::Forbidden => ("Not allowed", sentence(&problem.detail)),
            Code::Internal => ("That did not work", "The fault is ours. Try again in a moment.".to_owned()),
            Code::TimedOut | Code::Unavailable | Code::Busy => {
                ("That did not work", format!("{} Try again in a moment.", sentence(&problem.detail)))
            }
            _ => ("That did not work", sentence(&problem.detail)),
        };
        Self { retry_after_s: problem.retry_after_s, ..Self::problem(title, &text).with_status(problem.status) }
    }
}

fn sentence(detail: &str) -> String {
    let mut letters = detail.trim_end_matches('.').chars();
    let first = letters.next().map(|letter| letter.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response<Body> {
        let posts_elsewhere = self.posts_to.is_some();
        let form_action = self.posts_to.map(|origin| format!(" {origin}")).unwrap_or_default();
        let policy = format!(
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'{form_action}; \
             base-uri 'none'; frame-ancestors 'none'"
        );
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        let mut set = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        set(CONTENT_TYPE, "text/html; charset=utf-8");
        set(CONTENT_SECURITY_POLICY, &policy);
        set(CACHE_CONTROL, "no-store");
        // The path may hold a token and stays here. The site's redeemer checks the origin of the hand-over, also where
        // the site has no TLS: there `strict-origin` would send `null`.
        set(REFERRER_POLICY, if posts_elsewhere { "origin" } else { "strict-origin" });
        set(HeaderName::from_static("x-content-type-options"), "nosniff");
        set(HeaderName::from_static("strict-transport-security"), "max-age=31536000");
        if let Some(wait) = self.retry_after_s {
            set(RETRY_AFTER, &wait.to_string());
        }
        if let Some(location) = &self.location {
            set(LOCATION, location);
        }
        if let Some(cookie) = &self.cookie {
            set(SET_COOKIE, cookie);
        }
        response
    }
}

/// A file that the pages use.
pub(super) fn asset(kind: &'static str, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

/// One text for links that were accepted, expired, cancelled, or never existed.
pub(super) fn dead_link() -> Answer {
    Answer::page(&DeadLinkPage).with_status(404)
}

/// The page for what is not there.
pub(super) fn not_found() -> Answer {
    Answer::from(Problem::not_found("page"))
}
