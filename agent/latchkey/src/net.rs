//! Connections: TLS with deadlines, HTTP/1.1 with deadlines, a bound on how many there are at once.
//!
//! `axum::serve` sets no deadline for headers, so the accept loop is our own.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::counted::COUNTED;
use crate::room::Room;

const HANDSHAKE: Duration = Duration::from_secs(10);
const HEADERS: Duration = Duration::from_secs(15);
const MOST_CONNECTIONS: usize = 1024;
const MOST_OF_ONE_ADDRESS: usize = 256;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsFault {
    /// A certificate or key cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// The certificate does not fit the key, or is none.
    #[error("the certificate {} cannot be used", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The root for client certificates cannot be used.
    #[error("the client root {} cannot be used: {what}", path.display())]
    ClientRoot {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

/// TLS for a listener: its certificate, and the root of its clients' certificates if they need one.
pub(crate) fn tls(certificate: &Path, key: &Path, client_root: Option<&Path>) -> Result<ServerConfig, TlsFault> {
    let read = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsFault::Read { path, source }
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .map_err(read(certificate))?
        .collect::<Result<_, _>>()
        .map_err(read(certificate))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(read(key))?;
    let builder = ServerConfig::builder();
    let builder = match client_root {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let wrong = |what: String| TlsFault::ClientRoot { path: path.to_owned(), what };
            let mut roots = RootCertStore::empty();
            for root in CertificateDer::pem_file_iter(path).map_err(read(path))? {
                roots.add(root.map_err(read(path))?).map_err(|error| wrong(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| wrong(error.to_string()))?)
        }
    };
    let mut config = builder
        .with_single_cert(chain, private)
        .map_err(|source| TlsFault::Certificate { path: certificate.to_owned(), source })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// What is known of a connection before its first request.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    /// Where it came from.
    pub(crate) address: SocketAddr,
    /// The client's certificate, if one was asked for; verified against the root.
    pub(crate) certificate: Option<CertificateDer<'static>>,
}

/// Accepts TLS connections and serves them until the process ends. What `known` makes of a connection stands in the
/// extensions of each of its requests.
pub(crate) async fn accept_tls<T: Clone + Send + Sync + 'static>(
    listener: TcpListener,
    config: ServerConfig,
    router: Router,
    known: impl Fn(Arrived) -> T + Clone + Send + 'static,
) {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let room = Room::new(MOST_CONNECTIONS, MOST_OF_ONE_ADDRESS);
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Some(place) = room.enter(network_of(address.ip())) else {
            COUNTED.connections_refused.count();
            tracing::debug!(%address, "a connection too many");
            continue;
        };
        let (acceptor, router, known) = (acceptor.clone(), router.clone(), known.clone());
        tokio::spawn(async move {
            let _place = place;
            let _ = stream.set_nodelay(true);
            match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let certificates = stream.get_ref().1.peer_certificates();
                    let certificate =
                        certificates.and_then(|chain| chain.first()).map(|leaf| leaf.clone().into_owned());
                    serve_http(stream, router, known(Arrived { address, certificate })).await;
                }
                Ok(Err(error)) => tracing::debug!(%address, %error, "a handshake failed"),
                Err(_) => tracing::debug!(%address, "a handshake took too long"),
            }
        });
    }
}

/// What counts as one address: with IPv6 everybody has a network of their own.
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// Serves HTTP/1.1 on a connection until it ends.
pub(crate) async fn serve_http<T: Clone + Send + Sync + 'static>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    known: T,
) {
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(known.clone());
        router.clone().oneshot(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use super::network_of;

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let of = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::7"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::7"), of("2001:db8:1:3::7"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
