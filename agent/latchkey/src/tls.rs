//! TLS of the two listeners: what they show, and whose certificates the panel's lets in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
};

use crate::pki::revoked::{ListFault, Revoked};

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
    /// The list of revoked certificates cannot be used.
    #[error("the list of revoked certificates cannot be used")]
    Revoked(#[source] ListFault),
}

/// TLS for browsers.
pub(crate) fn for_browsers(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsFault> {
    let builder = ServerConfig::builder().with_no_client_auth();
    shown(certificate, key, |chain, private| builder.with_single_cert(chain, private))
}

/// TLS for clients with a certificate.
///
/// Nobody resumes a session: each connection shows its certificate, to the list of revoked ones as it is then.
pub(crate) fn for_clients(certificate: &Path, key: &Path, clients: Arc<Clients>) -> Result<ServerConfig, TlsFault> {
    let builder = ServerConfig::builder().with_client_cert_verifier(clients);
    let mut config = shown(certificate, key, |chain, private| builder.with_single_cert(chain, private))?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn shown(
    certificate: &Path,
    key: &Path,
    build: impl FnOnce(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) -> Result<ServerConfig, Error>,
) -> Result<ServerConfig, TlsFault> {
    let chain = certificates(certificate)?;
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|source| TlsFault::Read { path: key.to_owned(), source })?;
    let mut config =
        build(chain, private).map_err(|source| TlsFault::Certificate { path: certificate.to_owned(), source })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let read = |source| TlsFault::Read { path: path.to_owned(), source };
    CertificateDer::pem_file_iter(path).map_err(read)?.collect::<Result<_, _>>().map_err(read)
}

/// Whose certificates are good: those of one root that are not revoked.
#[derive(Debug)]
pub(crate) struct Clients {
    of_root: Arc<dyn ClientCertVerifier>,
    revoked: Revoked,
}

impl Clients {
    /// Reads the root and the list of revoked certificates, if there is to be one.
    pub(crate) fn read(root: &Path, revoked: Option<&Path>) -> Result<Self, TlsFault> {
        let wrong = |what: String| TlsFault::ClientRoot { path: root.to_owned(), what };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(root)? {
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
        let of_root =
            WebPkiClientVerifier::builder(Arc::new(roots)).build().map_err(|error| wrong(error.to_string()))?;
        let revoked = revoked.map_or_else(|| Ok(Revoked::default()), Revoked::read).map_err(TlsFault::Revoked)?;
        Ok(Self { of_root, revoked })
    }

    /// Whether a certificate is good now, with those that it came with.
    pub(crate) fn are(&self, chain: &[CertificateDer<'_>]) -> bool {
        let Some((leaf, others)) = chain.split_first() else { return false };
        self.verify_client_cert(leaf, others, UnixTime::now()).is_ok()
    }
}

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.of_root.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.revoked.names(end_entity) {
            return Err(Error::InvalidCertificate(CertificateError::Revoked));
        }
        self.of_root.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.of_root.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.of_root.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.of_root.supported_verify_schemes()
    }
}
