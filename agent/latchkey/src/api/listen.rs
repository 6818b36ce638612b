//! The two listeners of the API, and the way of a request: who asks, for whom, once, carried out, noted if refused.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request};
use axum::http::{Method, Response};
use axum::routing::{MethodFilter, MethodRouter};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use latchkey_access::{Actor, InstanceId, ShareId, operation};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;

use super::call::Call;
use super::idempotency;
use super::limits::Limits;
use super::peer::{ACTOR_HEADER, Peer};
use super::reply::{Reply, problem_response};
use super::routes::{Needs, ROUTES, Route};
use crate::caller::{Caller, Note};
use crate::config::Scope;
use crate::counted::COUNTED;
use crate::doors::PanelDoor;
use crate::net::{accept_tls, check_head, serve_http};
use crate::problem::{Code, Problem};
use crate::request;
use crate::room::{Places, Room};
use crate::serve::Serve;
use crate::store::audit::Outcome;

const LONGEST_BODY: usize = 1 << 20;
const BODY_PATIENCE: Duration = Duration::from_secs(30);
const PLACES_OF_COMMAND_LINE: Places = Places { in_all: 256, of_one: 256 };

type Params = Result<RawPathParams, RawPathParamsRejection>;

/// Serves the panel until the process ends.
pub(crate) async fn panel(serve: Arc<Serve>, listener: TcpListener, door: watch::Receiver<Arc<PanelDoor>>) {
    accept_tls(listener, door, router(&serve), serve.config.limits.bounds()).await;
}

/// Serves the command line until the process ends. Only root and the agent's own user get in.
pub(crate) async fn cli(serve: Arc<Serve>, listener: UnixListener) {
    let (router, root) = (router(&serve), Arc::new(Peer::cli()));
    let own = rustix::process::getuid().as_raw();
    let room = Room::new(PLACES_OF_COMMAND_LINE);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => match stream.peer_cred() {
                Ok(peer) if peer.uid() == 0 || peer.uid() == own => {
                    let Some(place) = room.enter(peer.uid()).map(Arc::new) else { continue };
                    let (router, root) = (router.clone(), root.clone());
                    tokio::spawn(async move {
                        tokio::select! {
                            () = serve_http(stream, router, root, place.clone()) => {}
                            () = place.displaced() => {}
                        }
                    });
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

/// The calls of the API, for connections whose peer is known.
pub(crate) fn router(serve: &Arc<Serve>) -> Router {
    let mut paths: Vec<(&'static str, MethodRouter)> = Vec::new();
    let limits: Arc<Limits> = Arc::default();
    for route in ROUTES {
        let (serve, limits) = (serve.clone(), limits.clone());
        let answer = move |params: Params, peer: axum::Extension<Arc<Peer>>, request: Request| {
            let params = params_of(route, params, request.uri().path());
            let (serve, limits) = (serve.clone(), limits.clone());
            async move {
                let id = request::new_id();
                request::under(&id, answer(serve, limits, route, params, (peer.0, request, &id))).await
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

/// What the path of a request names. The rest of a path stays as it was written: it need not be text.
fn params_of(route: &Route, params: Params, path: &str) -> HashMap<String, String> {
    let Some(fixed) = route.path.strip_suffix("/{*path}") else {
        // A path that is no text names nothing.
        let params = params.map(|params| params.iter().map(|(name, value)| (name.into(), value.into())).collect());
        return params.unwrap_or_default();
    };
    let mut parts = path.trim_start_matches('/').splitn(fixed.matches('/').count() + 1, '/');
    let names = fixed.trim_start_matches('/').split('/').chain(["{path}"]);
    let named = names
        .zip(parts.by_ref())
        .filter_map(|(name, part)| Some((name.strip_prefix('{')?.strip_suffix('}')?.to_owned(), part.to_owned())));
    named.collect()
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
    limits: Arc<Limits>,
    route: &'static Route,
    params: HashMap<String, String>,
    (peer, request, request_id): (Arc<Peer>, Request, &str),
) -> Response<Body> {
    let about = note_of(route, &params);
    let mut caller = Caller {
        actor: Actor::Nobody,
        via: peer.name.clone(),
        address: peer.address.clone(),
        request_id: Some(request_id.to_owned()),
    };
    let outcome = match admit(&serve, &limits, route, &peer, &request) {
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

fn admit(serve: &Serve, limits: &Limits, route: &Route, peer: &Peer, request: &Request) -> Result<Actor, Problem> {
    check_head(request)?;
    limits.take_of_peer(serve, peer)?;
    match route.needs {
        Needs::Peer => peer.must_be_known().map(|()| Actor::Panel),
        Needs::Metrics => peer.must_have(Scope::Metrics).map(|()| Actor::Panel),
        Needs::Operator => peer.must_be_operator().map(|()| Actor::Panel),
        Needs::Actor => {
            let header = request.headers().get(ACTOR_HEADER).map(axum::http::HeaderValue::as_bytes);
            let actor = peer.actor(&serve.state.table(), header)?;
            limits.take_of_person(serve, &actor, request.method()).map(|()| actor)
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
    let (body, arriving) = match route.takes_stream {
        true => (Bytes::new(), body),
        false if route.method == "GET" => (Bytes::new(), Body::empty()),
        false => (read_body(body).await?, Body::empty()),
    };
    let path = parts.uri.path().to_owned();
    let connection = parts.extensions.get().cloned().unwrap_or_default();
    let (serve, headers, arriving) = (serve.clone(), parts.headers, arriving.into());
    let call = Call { serve, connection, caller, headers, body, arriving, params, query };
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

/// The body, or `None` for one that is too long.
async fn collect(mut body: Body) -> Result<Option<Bytes>, axum::Error> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        bytes.extend_from_slice(&frame?.into_data().unwrap_or_default());
        if bytes.len() > LONGEST_BODY {
            return Ok(None);
        }
    }
    Ok(Some(bytes.freeze()))
}
