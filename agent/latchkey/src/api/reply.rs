//! Replies as HTTP: JSON, problem documents, event streams.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use crate::problem::Problem;

/// What a call answers.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Content,
    pub(crate) generation: Option<u64>,
    /// Whether it holds a secret: then it is not kept for a repeat.
    pub(crate) is_secret: bool,
    /// Headers beside those of every reply.
    pub(crate) headers: HeaderMap,
}

/// The body of a reply.
pub(crate) enum Content {
    /// JSON.
    Json(Vec<u8>),
    /// Text of another kind.
    Text(&'static str, String),
    /// A stream of this kind.
    Stream(&'static str, Body),
}

impl Reply {
    /// A value as JSON.
    pub(crate) fn json(value: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_vec(value).map_err(|error| Problem::internal(&error))?;
        Ok(Self {
            status: 200,
            body: Content::Json(body),
            generation: None,
            is_secret: false,
            headers: HeaderMap::new(),
        })
    }

    /// A stream of this kind.
    pub(crate) fn stream(kind: &'static str, body: Body) -> Self {
        let body = Content::Stream(kind, body);
        Self { status: 200, body, generation: None, is_secret: false, headers: HeaderMap::new() }
    }

    /// The same with another status.
    pub(crate) const fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The same with the generation of what it shows.
    pub(crate) const fn with_generation(mut self, generation: u64) -> Self {
        self.generation = Some(generation);
        self
    }

    /// The same, marked as holding a secret.
    pub(crate) const fn with_secret(mut self) -> Self {
        self.is_secret = true;
        self
    }

    /// The same with a header, unless its value is none.
    pub(crate) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// The reply as HTTP.
    pub(crate) fn into_response(self, request_id: &str) -> Response<Body> {
        let (kind, body) = match self.body {
            Content::Json(bytes) => ("application/json", Body::from(bytes)),
            Content::Text(kind, text) => (kind, Body::from(text)),
            Content::Stream(kind, body) => (kind, body),
        };
        let mut response = response(self.status, kind, body, request_id);
        response.headers_mut().extend(self.headers);
        if let Some(tag) =
            self.generation.and_then(|generation| HeaderValue::from_str(&format!("\"{generation}\"")).ok())
        {
            response.headers_mut().insert(ETAG, tag);
        }
        response
    }
}

/// A problem as it is told (RFC 9457).
#[derive(Serialize, JsonSchema)]
pub(super) struct ProblemDocument<'a> {
    /// What its status is called.
    title: &'static str,
    #[serde(flatten)]
    problem: &'a Problem,
    /// The request in the agent's log and audit.
    request_id: &'a str,
}

/// A problem as HTTP.
pub(crate) fn problem_response(problem: &Problem, request_id: &str) -> Response<Body> {
    let title =
        StatusCode::from_u16(problem.status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Problem");
    let body = serde_json::to_vec(&ProblemDocument { title, problem, request_id }).unwrap_or_default();
    let mut response = response(problem.status, "application/problem+json", Body::from(body), request_id);
    if let Some(wait) = problem.retry_after_s {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait));
    }
    response
}

fn response(status: u16, kind: &'static str, body: Body, request_id: &str) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("latchkey-request-id", id);
    }
    response
}
