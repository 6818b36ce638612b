//! Connections: TLS with deadlines, HTTP/1.1 with deadlines, a bound on how many there are at once.
//!
//! `axum::serve` sets no deadline for headers, so the accept loop is our own.

mod bodies;

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use hyper::body::{Body as HttpBody, Incoming};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_rustls::LazyConfigAcceptor;
use tower::ServiceExt;

use self::bodies::{Arriving, Leaving};
use crate::counted::COUNTED;
use crate::patience::Patient;
use crate::problem::{Code, Problem};
use crate::room::{Place, Places, Room};
use crate::turns::{Percents, Turns};

const HANDSHAKE: Duration = Duration::from_secs(10);
/// From the end of the last reply on.
const HEADERS: Duration = Duration::from_secs(15);
/// For the other end to take something of a reply.
const READING: Duration = Duration::from_secs(30);
/// Request line and headers, as the other end writes them.
const LONGEST_HEAD: usize = 32 << 10;
const MOST_HEADERS: usize = 100;
/// Certificates run out while a connection lasts.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What a listener shows, and what it makes of whoever comes. It may be replaced while the listener runs.
pub(crate) trait Door: Send + Sync + 'static {
    /// What stands in the extensions of each request.
    type Known: Clone + PartialEq + Send + Sync + 'static;

    /// The TLS settings for new connections.
    fn tls(&self) -> Arc<ServerConfig>;

    /// What is known of a connection; `None` if there must be none.
    fn admit(&self, arrived: &Arrived) -> Option<Self::Known>;
}

/// What is known of a connection before its first request.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    /// Where it came from.
    pub(crate) address: SocketAddr,
    /// The client's certificate and those that came with it, if one was asked for.
    pub(crate) certificates: Vec<CertificateDer<'static>>,
}

/// How many connections a listener has at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Before their handshake, and again in the middle of it.
    pub(crate) handshakes: Places,
    /// What these may cost.
    pub(crate) handshake_percents: Percents,
    /// After it.
    pub(crate) connections: Places,
}

struct Rooms {
    /// For those that have not begun their handshake.
    silent: Room<IpAddr>,
    handshakes: Room<IpAddr>,
    turns: Turns<IpAddr>,
    connections: Room<IpAddr>,
}

/// Accepts TLS connections and serves them until the process ends. A connection whose certificate a new door does not
/// let in, or lets in as another, is cut.
pub(crate) async fn accept_tls<D: Door>(
    listener: TcpListener,
    door: watch::Receiver<Arc<D>>,
    router: Router,
    bounds: Bounds,
) {
    let rooms = Arc::new(Rooms {
        silent: Room::new(bounds.handshakes),
        handshakes: Room::new(bounds.handshakes),
        turns: Turns::new(bounds.handshake_percents),
        connections: Room::new(bounds.connections),
    });
    let gives = rooms.clone();
    tokio::spawn(async move { gives.turns.give().await });
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                // Entered here, so that more connections than places never wait for their task to run.
                let Some(place) = rooms.silent.enter(network_of(address.ip())) else { continue };
                tokio::spawn(serve_tls(stream, address, place, rooms.clone(), door.clone(), router.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve_tls<D: Door>(
    stream: TcpStream,
    address: SocketAddr,
    place: Place<IpAddr>,
    rooms: Arc<Rooms>,
    mut door: watch::Receiver<Arc<D>>,
    router: Router,
) {
    let _ = stream.set_nodelay(true);
    let (origin, until) = (network_of(address.ip()), Instant::now() + HANDSHAKE);
    let begins = LazyConfigAcceptor::new(Acceptor::default(), Patient::new(stream, READING));
    let Some(begun) = within(until, begins, &place, address).await else { return };
    // From here on those that say nothing take nobody's place.
    drop(place);
    let Some(place) = rooms.handshakes.enter(origin) else { return };
    let tls = door.borrow().tls();
    let shaken = async { rooms.turns.turn(origin).await.carry(begun.into_stream(tls)).await };
    let Some(stream) = within(until, shaken, &place, address).await else { return };
    drop(place);
    let Some(place) = rooms.connections.enter(origin) else {
        COUNTED.connections_refused.count();
        return tracing::debug!(%address, "all places are at work");
    };
    let place = Arc::new(place);
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let certificates = certificates.iter().map(|one| one.clone().into_owned()).collect();
    let arrived = Arrived { address, certificates };
    let admitted = door.borrow_and_update().admit(&arrived);
    let Some(known) = admitted else { return };
    tokio::select! {
        () = serve_http(stream, router, known.clone(), place.clone()) => {}
        () = place.displaced() => evicted(address, "a connection"),
        () = no_longer_admitted(&mut door, &arrived, &known) => tracing::info!(%address, "a connection is cut: its certificate is not let in any more, or as another"),
    }
}

/// A part of a handshake, unless it fails, takes too long, or makes place for another.
async fn within<T>(
    until: Instant,
    part: impl Future<Output = std::io::Result<T>>,
    place: &Place<IpAddr>,
    address: SocketAddr,
) -> Option<T> {
    tokio::select! {
        outcome = tokio::time::timeout_at(until, part) => match outcome {
            Ok(Ok(done)) => return Some(done),
            Ok(Err(error)) => tracing::debug!(%address, %error, "a handshake failed"),
            Err(_) => tracing::debug!(%address, "a handshake took too long"),
        },
        () = place.displaced() => evicted(address, "a handshake"),
    }
    None
}

fn evicted(address: SocketAddr, what: &str) {
    COUNTED.connections_evicted.count();
    tracing::debug!(%address, "{what} made place for another");
}

/// Waits until the door, as it is then, does not let this connection in as the same.
async fn no_longer_admitted<D: Door>(door: &mut watch::Receiver<Arc<D>>, arrived: &Arrived, known: &D::Known) {
    loop {
        // An error means that the door stays as it is.
        if let Ok(Err(_)) = tokio::time::timeout(LOOK_AGAIN, door.changed()).await {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        if door.borrow_and_update().admit(arrived).as_ref() != Some(known) {
            return;
        }
    }
}

/// What counts as one address: with IPv6 everybody has a network of their own.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// Serves HTTP/1.1 on a connection until it ends. While a request is worked on, the place cannot be taken away.
pub(crate) async fn serve_http<T, K>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    known: T,
    place: Arc<Place<K>>,
) where
    T: Clone + Send + Sync + 'static,
    K: Clone + Eq + Hash + Send + Sync + 'static,
{
    serve_http_within(HEADERS, stream, router, known, place).await;
}

async fn serve_http_within<T, K>(
    headers: Duration,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    known: T,
    place: Arc<Place<K>>,
) where
    T: Clone + Send + Sync + 'static,
    K: Clone + Eq + Hash + Send + Sync + 'static,
{
    let cut = Cut::default();
    let cuts = cut.clone();
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(cuts.clone());
        answer(router.clone(), known.clone(), place.clone(), request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(headers)
        .max_headers(MOST_HEADERS)
        .max_buf_size(2 * LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = connection => if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        },
        () = cut.0.notified() => {}
    }
}

/// In the extensions of a request: cuts its connection, also while the other end takes nothing of a reply.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cut(Arc<Notify>);

impl Cut {
    /// Cuts it.
    pub(crate) fn now(&self) {
        self.0.notify_one();
    }
}

async fn answer<T, K>(
    router: Router,
    known: T,
    place: Arc<Place<K>>,
    request: Request<Incoming>,
) -> Result<Response<Body>, std::convert::Infallible>
where
    T: Clone + Send + Sync + 'static,
    K: Clone + Eq + Hash + Send + Sync + 'static,
{
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(known);
    let body = if body.is_end_stream() {
        if !place.begin_work() {
            // Displaced a moment ago: the connection is about to be cut.
            return Ok(status_only(StatusCode::SERVICE_UNAVAILABLE));
        }
        Body::empty()
    } else {
        Body::new(Arriving::new(body, place.clone()))
    };
    let response = router.oneshot(Request::from_parts(parts, body)).await?;
    if let Some(Held(pause)) = response.extensions().get() {
        // Waiting is no work: whoever has many such connections loses them to the next.
        place.end_work();
        tokio::time::sleep(*pause).await;
        return Ok(response);
    }
    Ok(if response.body().size_hint().exact().is_some() {
        place.end_work();
        response
    } else {
        response.map(|body| Body::new(Leaving { body, place }))
    })
}

/// In the extensions of a reply: it is sent after this pause only, and until then its connection is unfinished.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held(pub(crate) Duration);

fn status_only(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Refuses a request whose line and headers are too long together. hyper's own bound is of its buffer, about twice as much.
pub(crate) fn check_head<B>(request: &Request<B>) -> Result<(), Problem> {
    let line = request.method().as_str().len() + request.uri().to_string().len() + " HTTP/1.1\r\n".len() + 1;
    let each =
        |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| name.as_str().len() + value.len() + 4;
    if line + request.headers().iter().map(each).sum::<usize>() + 2 <= LONGEST_HEAD {
        return Ok(());
    }
    let detail = format!("expected a request line and headers of at most {LONGEST_HEAD} bytes together");
    Err(Problem::new(Code::TooLarge, detail).with_status(431))
}

#[cfg(test)]
mod tests;
