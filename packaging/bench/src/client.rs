//! An HTTP/1.1 client that does next to nothing, so that what is measured is the server.
//!
//! It knows replies with a `Content-Length`, and replies that end with their connection. No chunks, no redirects.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, IpAddr, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// One connection that is kept alive.
pub struct Connection<S> {
    stream: S,
    buffer: Vec<u8>,
}

/// A reply. Its parts live in the connection's buffer.
pub struct Answer<'c> {
    /// The status code.
    pub status: u16,
    /// Status line and headers.
    pub head: &'c [u8],
    /// The body; of a reply without `Content-Length`, what came with the head.
    pub body: &'c [u8],
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// A client on this stream.
    pub fn on(stream: S) -> Self {
        Self { stream, buffer: Vec::with_capacity(16 << 10) }
    }

    /// Sends a request and reads the reply, whole if its length is told, else its head.
    ///
    /// # Errors
    /// When the connection breaks or the other end does not speak HTTP.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request).await.context("send a request")?;
        self.stream.flush().await.context("send a request")?;
        self.buffer.clear();
        let head = loop {
            self.read_some().await?;
            if let Some(end) = end_of_head(&self.buffer) {
                break end;
            }
        };
        let length = length_of_body(self.buffer.get(..head).unwrap_or_default());
        while self.buffer.len() < head + length.unwrap_or(0) {
            self.read_some().await?;
        }
        let (head, body) = self.buffer.split_at(head);
        let status = head.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        Ok(Answer { status: status.context("expected a status")?, head, body })
    }

    /// Reads until the other end closes the connection.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn drain(mut self) -> Result<()> {
        self.stream.read_to_end(&mut self.buffer).await.map(drop).context("read to the end")
    }

    async fn read_some(&mut self) -> Result<()> {
        let read = self.stream.read_buf(&mut self.buffer).await.context("read a reply")?;
        ensure!(read > 0, "the connection was closed in the middle of a reply");
        Ok(())
    }
}

/// A client certificate and the root that servers are checked against.
#[derive(Clone)]
pub struct Credentials(TlsConnector);

impl Credentials {
    /// Reads them. TLS 1.3 only.
    ///
    /// # Errors
    /// When a file cannot be read or used.
    pub fn read(ca: &Path, certificate: &Path, key: &Path) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).context("read the root")?).context("use the root")?;
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .context("read the client certificate")?;
        let key = PrivateKeyDer::from_pem_file(key).context("read the client's key")?;
        let config = ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .context("use the client certificate")?;
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Connects to a port of 127.0.0.1.
    ///
    /// # Errors
    /// When nobody listens or the handshake fails.
    pub async fn connect(&self, port: u16) -> Result<Connection<TlsStream<TcpStream>>> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.context("connect")?;
        self.shake_hands(stream).await.map(Connection::on)
    }

    /// Shakes hands with 127.0.0.1 over this connection.
    ///
    /// # Errors
    /// When the handshake fails.
    pub async fn shake_hands(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>> {
        stream.set_nodelay(true).context("switch Nagle's algorithm off")?;
        let name = ServerName::IpAddress(IpAddr::V4([127, 0, 0, 1].into()));
        self.0.connect(name, stream).await.context("shake hands")
    }
}

/// The port of an origin.
///
/// # Errors
/// When it names none.
pub fn port_of(origin: &str) -> Result<u16> {
    let Some((_, port)) = origin.rsplit_once(':') else { bail!("{origin} names no port") };
    port.parse().with_context(|| format!("{origin} names no port"))
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

fn length_of_body(head: &[u8]) -> Option<usize> {
    let mut headers =
        head.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok()?.split_once(':'));
    headers.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?.1.trim().parse().ok()
}
