//! The bare handler: axum on hyper and rustls, a client certificate, fixed bytes. Nothing is asked and nothing decided.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Serves until it is killed. The arguments: certificate, key, root of clients, bytes of the body. Prints its port.
pub(crate) fn serve() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(2).map(PathBuf::from).collect();
    let [certificate, key, ca, length] = arguments.as_slice() else { anyhow::bail!("expected four arguments") };
    let length: usize = length.to_string_lossy().parse().context("expected a length")?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).context("read the root")?).context("use the root")?;
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .context("read the certificate")?;
    let tls = ServerConfig::builder()
        .with_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(roots)).build().context("use the root")?)
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key).context("read the key")?)
        .context("use the certificate")?;
    let body = "x".repeat(length);
    let answer = move || {
        let body = body.clone();
        async move { ([(CONTENT_TYPE, "application/json")], body) }
    };
    let router = Router::new().route("/v1/instances/{instance}", get(answer)).with_state(());
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(listen(tls, router))
}

async fn listen(tls: ServerConfig, router: Router) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("listen")?;
    println!("{}", listener.local_addr().context("find our port")?.port());
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    loop {
        let (stream, _) = listener.accept().await.context("accept")?;
        let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            if let Ok(stream) = acceptor.accept(stream).await {
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            }
        });
    }
}
