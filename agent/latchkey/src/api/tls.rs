//! The TLS settings of the two listeners.

use rustls::ServerConfig;

use crate::config::{Gateway, Panel};
use crate::net::{TlsFault, tls};

/// For the panel: a client certificate of the one root is needed.
pub(crate) fn panel(settings: &Panel) -> Result<ServerConfig, TlsFault> {
    tls(&settings.certificate, &settings.key, Some(&settings.client_ca))
}

/// For browsers.
pub(crate) fn gateway(settings: &Gateway) -> Result<ServerConfig, TlsFault> {
    tls(&settings.certificate, &settings.key, None)
}
