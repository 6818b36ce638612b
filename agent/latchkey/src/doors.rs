//! The doors of the two listeners: read at the start, and again when their files change or the operator says so.
//!
//! What cannot be used is refused, and the door stays as it was.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::api::peer::Peer;
use crate::config::{Config, ConfigFault, Gateway, Panel, PanelPeer};
use crate::gateway::Address;
use crate::net::{Arrived, Door};
use crate::problem::chain;
use crate::tls::{self, Clients, TlsFault};

/// How soon a changed file is noticed.
const LOOK_AT_FILES: Duration = Duration::from_secs(1);

/// The panel's door: certificates of one root that are not revoked, and what each may be used for.
pub(crate) struct PanelDoor {
    tls: Arc<ServerConfig>,
    clients: Arc<Clients>,
    peers: Vec<PanelPeer>,
}

/// The gateway's: for everybody.
pub(crate) struct GatewayDoor {
    tls: Arc<ServerConfig>,
}

/// Both doors, and what they are made from.
pub(crate) struct Doors {
    panel: watch::Sender<Arc<PanelDoor>>,
    gateway: watch::Sender<Arc<GatewayDoor>>,
    settings: Settings,
}

#[derive(Clone)]
struct Settings {
    panel: Panel,
    gateway: Gateway,
}

/// Why doors cannot be made anew.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the configuration cannot be used")]
    Config(#[source] ConfigFault),
    #[error("the certificates cannot be used")]
    Tls(#[source] TlsFault),
    /// Ports are bound at the start.
    #[error("`listen` can only be changed by a restart")]
    Listen,
}

impl PanelDoor {
    fn make(settings: &Panel) -> Result<Arc<Self>, TlsFault> {
        let clients = Arc::new(Clients::read(&settings.client_ca, settings.revoked.as_deref())?);
        let tls = Arc::new(tls::for_clients(&settings.certificate, &settings.key, clients.clone())?);
        Ok(Arc::new(Self { tls, clients, peers: settings.peers.clone() }))
    }
}

impl GatewayDoor {
    fn make(settings: &Gateway) -> Result<Arc<Self>, TlsFault> {
        Ok(Arc::new(Self { tls: Arc::new(tls::for_browsers(&settings.certificate, &settings.key)?) }))
    }
}

impl Door for PanelDoor {
    type Known = Arc<Peer>;

    fn tls(&self) -> Arc<ServerConfig> {
        self.tls.clone()
    }

    fn admit(&self, arrived: &Arrived) -> Option<Arc<Peer>> {
        let certificate = arrived.certificates.first().filter(|_| self.clients.are(&arrived.certificates))?;
        Some(Arc::new(Peer::of_certificate(certificate, &self.peers, arrived.address.ip().to_string())))
    }
}

impl Door for GatewayDoor {
    type Known = Address;

    fn tls(&self) -> Arc<ServerConfig> {
        self.tls.clone()
    }

    fn admit(&self, arrived: &Arrived) -> Option<Address> {
        Some(Address::new(arrived.address.ip()))
    }
}

impl Doors {
    /// Makes both.
    pub(crate) fn open(config: &Config) -> Result<Self, TlsFault> {
        let settings = Settings { panel: config.panel.clone(), gateway: config.gateway.clone() };
        let (panel, gateway) = (PanelDoor::make(&settings.panel)?, GatewayDoor::make(&settings.gateway)?);
        Ok(Self { panel: watch::Sender::new(panel), gateway: watch::Sender::new(gateway), settings })
    }

    /// The panel's, as it is at any time.
    pub(crate) fn panel(&self) -> watch::Receiver<Arc<PanelDoor>> {
        self.panel.subscribe()
    }

    /// The gateway's, as it is at any time.
    pub(crate) fn gateway(&self) -> watch::Receiver<Arc<GatewayDoor>> {
        self.gateway.subscribe()
    }

    /// Makes them anew whenever a file changes, and from the configuration whenever the process gets SIGHUP, until it ends.
    ///
    /// Signals are caught once this returns; the rest is for a task. Fails if they cannot be.
    pub(crate) fn keep(mut self, config: PathBuf) -> std::io::Result<impl Future<Output = ()> + Send> {
        let mut hangup = signal(SignalKind::hangup())?;
        Ok(async move {
            let mut seen = self.settings.stamps();
            loop {
                let told = tokio::select! {
                    _ = hangup.recv() => true,
                    () = tokio::time::sleep(LOOK_AT_FILES) => false,
                };
                if !told && self.settings.stamps() == seen {
                    continue;
                }
                let settings = if told { self.read_again(&config) } else { Ok(self.settings.clone()) };
                // Looked at before they are read: what changes in between is noticed the next time.
                seen = settings.as_ref().unwrap_or(&self.settings).stamps();
                match settings.and_then(|settings| self.replace(settings)) {
                    Ok(()) => tracing::info!("certificates, revoked certificates and panel peers were read again"),
                    Err(refused) => {
                        tracing::error!(error = %chain(&refused), "what was read again is refused; everything stays as it was");
                    }
                }
            }
        })
    }

    fn read_again(&self, config: &Path) -> Result<Settings, Refused> {
        let config = Config::read(config).map_err(Refused::Config)?;
        let (panel, gateway) = (config.panel, config.gateway);
        if panel.listen != self.settings.panel.listen || gateway.listen != self.settings.gateway.listen {
            return Err(Refused::Listen);
        }
        Ok(Settings { panel, gateway })
    }

    /// Both or none.
    fn replace(&mut self, settings: Settings) -> Result<(), Refused> {
        let panel = PanelDoor::make(&settings.panel).map_err(Refused::Tls)?;
        let gateway = GatewayDoor::make(&settings.gateway).map_err(Refused::Tls)?;
        self.panel.send_replace(panel);
        self.gateway.send_replace(gateway);
        self.settings = settings;
        Ok(())
    }
}

impl Settings {
    /// What tells whether a file is still the one that was read.
    fn stamps(&self) -> Vec<Option<(u64, i64, i64, u64)>> {
        use std::os::unix::fs::MetadataExt;
        let Self { panel, gateway } = self;
        let files = [&panel.certificate, &panel.key, &panel.client_ca, &gateway.certificate, &gateway.key];
        let stamp = |path: &PathBuf| {
            let file = std::fs::metadata(path).ok()?;
            Some((file.ino(), file.mtime(), file.mtime_nsec(), file.len()))
        };
        files.into_iter().chain(&panel.revoked).map(stamp).collect()
    }
}
