//! SFTP: the server of `latchkey-sftp` on the accounts and files of this node.

use std::collections::HashMap;
use std::fs;
use std::future::Future;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use anyhow::Context as _;
use latchkey_access::FileProtocol;
use latchkey_protocol::SitePath;
use latchkey_sftp::{
    Access, Entrance, FileEvent, Gatekeeper, HostKey, Limits, Peer, PublicKey, Quota, Refused, Server, SessionHandle,
};
use tokio::net::TcpListener;

use crate::accounts::{self, Credential, Entry, QuotaMib, SignedIn};
use crate::channels::Switch;
use crate::config::Sftp;
use crate::problem::chain;
use crate::request;
use crate::serve::Serve;

/// Serves SFTP for ever.
pub(crate) async fn listen(serve: Arc<Serve>, listener: TcpListener, key: HostKey) {
    Server::new(Arc::new(Accounts { serve, quotas: Quotas::default() }), &key, Limits::default()).serve(listener).await;
}

/// The node's host key; made at the first start.
pub(crate) fn host_key(settings: &Sftp) -> anyhow::Result<HostKey> {
    let path = &settings.host_key;
    let context = || format!("the SFTP host key {}", path.display());
    match fs::read_to_string(path) {
        Ok(text) => HostKey::parse(&text).with_context(context),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_host_key(path).with_context(context),
        Err(error) => Err(error).with_context(context),
    }
}

/// Whole under its name or not there at all: a half-written one would keep the agent from starting.
fn make_host_key(path: &Path) -> anyhow::Result<HostKey> {
    let key = HostKey::generate()?;
    let unnamed = path.with_extension("new");
    let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&unnamed)?;
    file.write_all(key.to_secret_text()?.as_bytes())?;
    file.sync_all()?;
    fs::rename(&unnamed, path)?;
    tracing::info!(fingerprint = key.fingerprint(), "made an SFTP host key");
    Ok(key)
}

/// Who may come in by SFTP: whoever has a file account here.
struct Accounts {
    serve: Arc<Serve>,
    quotas: Quotas,
}

impl Accounts {
    async fn sign_in(&self, login: &str, credential: Credential<'_>, peer: &Peer) -> Option<SignedIn> {
        let peer = accounts::Peer { address: peer.address, client: peer.client.clone() };
        let signed_in = accounts::sign_in(&self.serve, login, credential, FileProtocol::Sftp, &peer);
        request::under(&request::new_id(), signed_in).await.ok()
    }
}

impl Gatekeeper for Accounts {
    type SignedIn = SignedIn;
    type Entry = Entry;

    async fn knows_key(&self, login: &str, key: &PublicKey, _peer: &Peer) -> bool {
        match key.to_bytes() {
            Ok(wire) => accounts::knows_key(&self.serve, login, &wire).await,
            Err(_) => false,
        }
    }

    async fn by_key(&self, login: &str, key: &PublicKey, peer: &Peer) -> Option<SignedIn> {
        let wire = key.to_bytes().ok()?;
        self.sign_in(login, Credential::Key(&wire), peer).await
    }

    async fn by_password(&self, login: &str, password: &str, peer: &Peer) -> Option<SignedIn> {
        self.sign_in(login, Credential::Password(password), peer).await
    }

    async fn enter(&self, who: SignedIn, session: SessionHandle) -> Result<Entrance<Entry>, Refused> {
        let entered = accounts::enter(&self.serve, who, Arc::new(Session(session)));
        let accounts::Entrance { permit, quota, entry } = request::under(&request::new_id(), entered)
            .await
            .map_err(|accounts::Refused| Refused { reason: "this access has ended" })?;
        let unavailable = Refused { reason: "the files of this site cannot be reached at the moment" };
        let root = SitePath::parse_strict(permit.root().as_bytes()).map_err(|_| unavailable)?;
        let quota = quota.map(|quota| self.quotas.of(entry.login(), quota, &root));
        let tree = self.serve.files.tree(permit.hosting(), root).await.map_err(|error| {
            tracing::warn!(error = %chain(&error), hosting = %permit.hosting(), "an SFTP session has no files");
            unavailable
        })?;
        let access = if permit.is_read_only() { Access::ReadOnly } else { Access::ReadWrite };
        Ok(Entrance { tree, access, quota, entry })
    }

    fn noted(&self, entry: &Entry, event: FileEvent) {
        use accounts::FileEvent as Noted;
        let (noted, path) = match event {
            FileEvent::Uploaded { path, .. } => (Noted::Upload, path),
            FileEvent::Downloaded { path, .. } => (Noted::Download, path),
            FileEvent::Removed { path } | FileEvent::DirectoryRemoved { path } => (Noted::Remove, path),
            FileEvent::Renamed { from, .. } => (Noted::Rename, from),
            FileEvent::DirectoryMade { path } | FileEvent::Linked { path } => (Noted::Make, path),
            FileEvent::AttributesChanged { path } => (Noted::Change, path),
        };
        entry.noted(noted, path.as_bytes());
    }
}

/// The quotas of the accounts that have sessions, one for all sessions of an account.
#[derive(Default)]
struct Quotas(Mutex<HashMap<String, KnownQuota>>);

/// What a sum is good for. Whoever comes in after the account was changed begins another one: those before are killed.
struct KnownQuota {
    mib: QuotaMib,
    root: SitePath,
    quota: Weak<Quota>,
}

impl Quotas {
    fn of(&self, login: &str, mib: QuotaMib, root: &SitePath) -> Arc<Quota> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, known| known.quota.strong_count() > 0);
        let same = all.get(login).filter(|known| known.mib == mib && known.root == *root);
        if let Some(quota) = same.and_then(|known| known.quota.upgrade()) {
            return quota;
        }
        let quota = Arc::new(Quota::of_mib(mib.get()));
        all.insert(login.to_owned(), KnownQuota { mib, root: root.clone(), quota: Arc::downgrade(&quota) });
        quota
    }
}

/// How a session is ended.
struct Session(SessionHandle);

impl Switch for Session {
    fn kill(&self) {
        self.0.kill();
    }

    fn ended(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.0.ended())
    }
}
