//! From a name to an answer: resolve, check, connect to what was checked, and exchange one message.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::http::response::Parts;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use rustls_platform_verifier::ConfigVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use url::Host;

use crate::adapters::address::is_public;
use crate::adapters::origin::Origin;
use crate::problem::chain;

/// One of several addresses has so long to answer.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How certificates are checked.
pub(in crate::adapters) type Tls = Arc<ClientConfig>;

/// Where one request goes.
pub(super) struct Target<'o> {
    pub(super) origin: &'o Origin,
    /// When the whole answer has to be there.
    pub(super) deadline: Instant,
    /// So long may the body of the answer be.
    pub(super) response_max: u32,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cut {
    /// The name stands for an address that names may not stand for.
    #[error(
        "{host} resolves to {address}, which is not public: only a grant that names the address itself allows that"
    )]
    NotPublic { host: String, address: IpAddr },
    /// Nothing of the request went out.
    #[error("{0}")]
    NotSent(String),
    /// Some of it may have.
    #[error("{0}")]
    NoAnswer(String),
    /// More came than is taken.
    #[error("the answer is longer than {0} bytes")]
    TooLong(u32),
}

impl Target<'_> {
    /// Where the origin is: the address that the grant names, or those public ones that its name resolves to.
    pub(super) async fn addresses(&self) -> Result<Vec<SocketAddr>, Cut> {
        let port = self.origin.port();
        match self.origin.host() {
            Host::Ipv4(address) => Ok(vec![(*address, port).into()]),
            Host::Ipv6(address) => Ok(vec![(*address, port).into()]),
            Host::Domain(name) => {
                let resolving = timeout_at(self.deadline, tokio::net::lookup_host((name.as_str(), port)));
                let unresolved = |why: &str| Cut::NotSent(format!("{name} does not resolve: {why}"));
                let found = resolving.await.map_err(|_elapsed| unresolved("no answer in time"))?;
                public_only(name, found.map_err(|error| unresolved(&error.to_string()))?)
            }
        }
    }

    /// Sends a request to one of these addresses, and no other, and waits for the whole answer.
    pub(super) async fn exchange(
        &self,
        addresses: &[SocketAddr],
        message: hyper::Request<Full<Bytes>>,
        tls: impl FnOnce() -> Result<Tls, rustls::Error>,
    ) -> Result<(Parts, Bytes), Cut> {
        let is_sent = AtomicBool::new(false);
        let work = async {
            let stream = self.connect(addresses).await?;
            if !self.origin.is_tls() {
                return self.talk(stream, message, &is_sent).await;
            }
            let untrusted = |error: &dyn std::error::Error| self.not_sent(&format!("TLS fails: {}", chain(error)));
            let config = tls().map_err(|error| untrusted(&error))?;
            let stream = TlsConnector::from(config).connect(self.server_name()?, stream).await;
            self.talk(stream.map_err(|error| untrusted(&error))?, message, &is_sent).await
        };
        match timeout_at(self.deadline, work).await {
            Ok(came) => came,
            Err(_elapsed) if is_sent.load(Ordering::Relaxed) => Err(self.no_answer("no whole answer came in time")),
            Err(_elapsed) => Err(self.not_sent("no connection in time")),
        }
    }

    async fn connect(&self, addresses: &[SocketAddr]) -> Result<TcpStream, Cut> {
        let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses {
            match timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failed = error,
                Err(_elapsed) => failed = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(self.not_sent(&failed.to_string()))
    }

    async fn talk(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        message: hyper::Request<Full<Bytes>>,
        is_sent: &AtomicBool,
    ) -> Result<(Parts, Bytes), Cut> {
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.not_sent(&chain(&error)))?;
        is_sent.store(true, Ordering::Relaxed);
        let answer = async {
            let response = sender.send_request(message).await.map_err(|error| self.no_answer(&chain(&error)))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, usize::try_from(self.response_max).unwrap_or(usize::MAX)).collect().await;
            let body = body.map_err(|error| match error.is::<LengthLimitError>() {
                true => Cut::TooLong(self.response_max),
                false => self.no_answer(&chain(error.as_ref())),
            })?;
            Ok((head, body.to_bytes()))
        };
        let (mut answer, mut connection) = (pin!(answer), pin!(connection));
        tokio::select! {
            biased;
            came = &mut answer => came,
            // Its end is told in the answer as well.
            _ended = &mut connection => answer.await,
        }
    }

    fn server_name(&self) -> Result<ServerName<'static>, Cut> {
        match self.origin.host() {
            Host::Ipv4(address) => Ok(ServerName::IpAddress(IpAddr::from(*address).into())),
            Host::Ipv6(address) => Ok(ServerName::IpAddress(IpAddr::from(*address).into())),
            Host::Domain(name) => {
                ServerName::try_from(name.clone()).map_err(|_| self.not_sent("the name is none that a certificate has"))
            }
        }
    }

    fn not_sent(&self, why: &str) -> Cut {
        Cut::NotSent(format!("{}: {why}", self.origin))
    }

    fn no_answer(&self, why: &str) -> Cut {
        Cut::NoAnswer(format!("{}: {why}", self.origin))
    }
}

/// Checks certificates against the authorities that the node trusts.
pub(in crate::adapters) fn tls() -> Result<Tls, rustls::Error> {
    let mut config = ClientConfig::with_platform_verifier()?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn public_only(name: &str, found: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, Cut> {
    let (public, other): (Vec<_>, Vec<_>) = found.partition(|address| is_public(address.ip()));
    match other.first() {
        Some(address) if public.is_empty() => Err(Cut::NotPublic { host: name.to_owned(), address: address.ip() }),
        _ => Ok(public),
    }
}

#[cfg(test)]
mod tests;
