//! The two listeners of the API, and the way of a request: who asks, for whom, once, carried out, noted if refused.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, Request};
use axum::http::{Method, Response};
use axum::routing::{MethodFilter, MethodRouter};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use latchkey_access::{Actor, InstanceId, ShareId, operation};
use rustls::ServerConfig;
use tokio::net::{TcpListener, UnixListener};

use super::call::Call;
use super::idempotency;
use super::peer::{ACTOR_HEADER, Peer};
use super::reply::{Reply, problem_response};
use super::routes::{Needs, ROUTES, Route};
use crate::caller::{Caller, Note};
use crate::config::Scope;
use crate::counted::COUNTED;
use crate::net::{accept_tls, serve_http};
use crate::problem::{Code, Problem};
use crate::request;
use crate::serve::Serve;
use crate::store::audit::Outcome;

const LONGEST_BODY: usize = 1 << 20;
const MOST_THROWN_AWAY: usize = 16 << 20;
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// Serves the panel until the process ends.
pub(crate) async fn panel(serve: Arc<Serve>, listener: TcpListener, tls: ServerConfig) {
    let router = router(&serve);
    accept_tls(listener, tls, router, move |arrived| {
        let certificate = arrived.certificate.unwrap_or_else(|| Vec::new().into());
        let peer = Peer::of_certificate(&certificate, &serve.config.panel.peers, arrived.address.ip().to_string());
        Arc::new(peer)
    })
    .await;
}

/// Serves the command line until the process ends. Only root and the agent's own user get in.
pub(crate) async fn cli(serve: Arc<Serve>, listener: UnixListener) {
    let (router, root) = (router(&serve), Arc::new(Peer::cli()));
    let own = rustix::process::getuid().as_raw();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => match stream.peer_cred() {
                Ok(peer) if peer.uid() == 0 || peer.uid() == own => {
                    tokio::spawn(serve_http(stream, router.clone(), root.clone()));
                }
                _ => tracing::warn!("somebody else knocked at the socket of the command line"),
            },
            Err(error) => {
                tracing::warn!(%error, "a connection of the command line could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn router(serve: &Arc<Serve>) -> Router {
    let mut paths: Vec<(&'static str, MethodRouter)> = Vec::new();
    for route in ROUTES {
        let serve = serve.clone();
        let answer = move |params: RawPathParams, peer: axum::Extension<Arc<Peer>>, request: Request| {
            let params = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            let serve = serve.clone();
            async move {
                let id = request::new_id();
                request::under(&id, answer(serve, route, params, peer.0, request, &id)).await
            }
        };
        let filter = method_filter(route.method);
        match paths.iter_mut().find(|(path, _)| *path == route.path) {
            Some((_, methods)) => *methods = std::mem::take(methods).on(filter, answer),
            None => paths.push((route.path, MethodRouter::new().on(filter, answer))),
        }
    }
    let router = paths.into_iter().fold(Router::new(), |router, (path, methods)| router.route(path, methods));
    router
        .fallback(async || unrouted(&Problem::not_found("call")))
        .method_not_allowed_fallback(async || {
            unrouted(&Problem::new(Code::Invalid, "expected another method for this path").with_status(405))
        })
        // The handlers become routes here, once; without this, again with each request.
        .with_state(())
}

fn method_filter(method: &str) -> MethodFilter {
    match method {
        "PUT" => MethodFilter::PUT,
        "POST" => MethodFilter::POST,
        "PATCH" => MethodFilter::PATCH,
        "DELETE" => MethodFilter::DELETE,
        _ => MethodFilter::GET,
    }
}

fn unrouted(problem: &Problem) -> Response<Body> {
    problem_response(problem, &request::new_id())
}

async fn answer(
    serve: Arc<Serve>,
    route: &'static Route,
    params: HashMap<String, String>,
    peer: Arc<Peer>,
    request: Request,
    request_id: &str,
) -> Response<Body> {
    let about = note_of(route, &params);
    let mut caller = Caller {
        actor: Actor::Nobody,
        via: peer.name.clone(),
        address: peer.address.clone(),
        request_id: Some(request_id.to_owned()),
    };
    let outcome = match admit(&serve, route, &peer, &request) {
        Ok(actor) => {
            caller.actor = actor;
            carry_out(&serve, route, params, caller.clone(), request).await
        }
        Err(problem) => Err(problem),
    };
    count(&outcome);
    match outcome {
        Ok(reply) => reply.into_response(request_id),
        Err(problem) => {
            if problem.is_denial() {
                let note = Note { rule: problem.rule.map(|rule| rule.to_string()), ..about };
                let note = note.detail(problem.detail.clone());
                serve.record(caller, note, Outcome::Denied).await;
            }
            problem_response(&problem, request_id)
        }
    }
}

fn count(outcome: &Result<Reply, Problem>) {
    let counter = match outcome {
        Ok(_) => &COUNTED.calls_allowed,
        Err(problem) if problem.is_denial() => &COUNTED.calls_denied,
        Err(problem) if problem.status >= 500 => &COUNTED.calls_failed,
        Err(_) => &COUNTED.calls_invalid,
    };
    counter.count();
}

/// What a path is about, as far as it names things by ids that can be: anything else is not taken into the audit.
fn note_of(route: &Route, params: &HashMap<String, String>) -> Note {
    let param = |name: &str| params.get(name).map_or("", String::as_str);
    let call = || format!("{} {}", route.method, route.path);
    Note {
        operation: operation(param("operation")).map_or_else(call, |spec| spec.name.to_owned()),
        instance: param("instance").parse::<InstanceId>().ok().map(|id| id.to_string()),
        share: param("share").parse::<ShareId>().ok().map(|id| id.to_string()),
        ..Note::default()
    }
}

fn admit(serve: &Serve, route: &Route, peer: &Peer, request: &Request) -> Result<Actor, Problem> {
    match route.needs {
        Needs::Peer => peer.must_be_known().map(|()| Actor::Panel),
        Needs::Metrics => peer.must_have(Scope::Metrics).map(|()| Actor::Panel),
        Needs::Actor => {
            let header = request.headers().get(ACTOR_HEADER).map(axum::http::HeaderValue::as_bytes);
            peer.actor(&serve.state.table(), header)
        }
    }
}

async fn carry_out(
    serve: &Arc<Serve>,
    route: &'static Route,
    params: HashMap<String, String>,
    caller: Caller,
    request: Request,
) -> Result<Reply, Problem> {
    let (parts, body) = request.into_parts();
    let query = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let body = if route.method == "GET" { Bytes::new() } else { read_body(body).await? };
    let path = parts.uri.path().to_owned();
    let call = Call { serve: serve.clone(), caller, headers: parts.headers, body, params, query };
    if parts.method == Method::POST {
        idempotency::once(call, route.method, &path, route.handler).await
    } else {
        (route.handler)(call).await
    }
}

async fn read_body(body: Body) -> Result<Bytes, Problem> {
    match tokio::time::timeout(BODY_PATIENCE, collect(body)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => Err(Problem::new(Code::TooLarge, format!("expected a body of at most {LONGEST_BODY} bytes"))),
        Ok(Err(_)) => Err(Problem::new(Code::Invalid, "the body was cut off")),
        Err(_) => Err(Problem::new(Code::TimedOut, "the body took too long").with_status(408)),
    }
}

/// The body, or `None` for one that is too long. Of such a one some more is read and thrown away: a peer that is still
/// sending when the connection is closed does not see the answer.
async fn collect(mut body: Body) -> Result<Option<Bytes>, axum::Error> {
    let (mut bytes, mut length) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let data = frame?.into_data().unwrap_or_default();
        length += data.len();
        if length <= LONGEST_BODY {
            bytes.extend_from_slice(&data);
        } else if length > MOST_THROWN_AWAY {
            break;
        }
    }
    Ok((length <= LONGEST_BODY).then(|| bytes.freeze()))
}
