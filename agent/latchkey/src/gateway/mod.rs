//! The gateway: server-rendered pages for the people whom a site is shared with. They need no JavaScript.

mod answer;
mod files;
mod hand_over;
mod invitation;
mod limits;
mod my_instances;
mod pages;
mod phpmyadmin;
mod session;
mod sign_in;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use latchkey_access::PersonId;
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::answer::Answer;
use crate::doors::GatewayDoor;
use crate::net::accept_tls;
use crate::problem::{Code, Problem};
use crate::rates::Rates;
use crate::request;
use crate::serve::Serve;

/// Twenty long keys with every `+` and `/` escaped, and room.
const LONGEST_BODY: usize = 32 << 10;
const BODY_PATIENCE: Duration = Duration::from_secs(15);

/// What every page works with.
#[derive(Clone)]
pub(crate) struct Gateway {
    serve: Arc<Serve>,
    limits: Arc<limits::Limits>,
    /// Who was sent a link to sign in.
    links_sent: Arc<Rates<PersonId>>,
}

/// The address a request came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    ip: IpAddr,
    /// The same for the audit.
    text: String,
}

impl Address {
    /// Somebody's.
    pub(crate) fn new(ip: IpAddr) -> Self {
        Self { ip, text: ip.to_string() }
    }
}

/// Serves the gateway until the process ends.
pub(crate) async fn listen(serve: Arc<Serve>, listener: TcpListener, door: watch::Receiver<Arc<GatewayDoor>>) {
    let bounds = serve.config.limits.bounds();
    accept_tls(listener, door, router_of(serve), bounds).await;
}

/// The pages, for connections whose address is known.
pub(crate) fn router_of(serve: Arc<Serve>) -> Router {
    let gateway = Gateway { serve, limits: Arc::default(), links_sent: Arc::default() };
    Router::new()
        .route("/", get(my_instances::show))
        .route("/instances/{instance}/wp-admin", get(my_instances::wp_users).post(my_instances::open_wp_admin))
        .route("/shares/{share}/leave", post(my_instances::leave))
        .route("/shares/{share}/files", get(files::show))
        .route("/shares/{share}/files/keys", post(files::set_keys))
        .route("/shares/{share}/files/password", post(files::new_password))
        .route("/sign-in", get(sign_in::show).post(sign_in::send))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/s/{token}", get(sign_in::confirm).post(sign_in::redeem))
        .route("/i/{token}", get(invitation::show).post(invitation::accept))
        .route("/sso/{token}", get(hand_over::show).post(hand_over::submit))
        .route("/phpmyadmin/{token}", get(phpmyadmin::show))
        .route("/style.css", get(async || answer::asset("text/css; charset=utf-8", pages::STYLE_CSS)))
        .route("/hand-over.js", get(async || answer::asset("text/javascript; charset=utf-8", pages::HAND_OVER_JS)))
        .fallback(async || answer::not_found())
        .method_not_allowed_fallback(async || answer::not_found().with_status(405))
        .layer(axum::middleware::from_fn(whole_body))
        .layer(axum::middleware::from_fn_with_state(gateway.clone(), limits::within_limits))
        .layer(axum::middleware::from_fn(with_an_id))
        .with_state(gateway)
}

/// Gives each request its id.
async fn with_an_id(request: Request, next: Next) -> Response {
    request::under(&request::new_id(), next.run(request)).await
}

/// Waits for the body of a form, which is short, and not for long: whoever sends it bit by bit holds nothing up.
async fn whole_body(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match tokio::time::timeout(BODY_PATIENCE, to_bytes(body, LONGEST_BODY)).await {
        Ok(Ok(bytes)) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Ok(Err(_)) => Answer::from(Problem::new(Code::TooLarge, "the form is too long")).into_response(),
        Err(_) => {
            let problem = Problem::new(Code::TimedOut, "the form took too long to arrive").with_status(408);
            Answer::from(problem).into_response()
        }
    }
}
