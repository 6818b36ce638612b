//! What every part of the agent works with: state, broker, bridge, and the way of a change.
//!
//! How the parts are started is in `run`; nothing here knows who listens where.

use std::sync::Arc;

use jiff::Timestamp;
use latchkey_access::{InstanceId, Share};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinError;

use crate::accounts::events::Events;
use crate::adapters::Adapters;
use crate::broker::Broker;
use crate::caller::{Caller, Note};
use crate::channels::{self, Ended, Taken};
use crate::config::Config;
use crate::cron;
use crate::database_passwords::{self, Watched};
use crate::databases::Server;
use crate::file_manager::FileManager;
use crate::files::Files;
use crate::jobs::Jobs;
use crate::phpmyadmin::{self, Sessions};
use crate::problem::Problem;
use crate::request::{self, spawn_blocking};
use crate::residue::first_use::FirstUses;
use crate::residue::scan::Scans;
use crate::shares::{self, InviteSettings, ShareView};
use crate::state::restore::{Restored, Unknown};
use crate::state::{Change, State};
use crate::store::StoreError;
use crate::store::audit::Outcome;
use crate::store::backup::Copy;
use crate::store::wordpress_sessions::Site;
use crate::wordpress::bridge::Bridge;
use crate::wordpress::script::Presses;
use crate::wordpress::site_of;

/// What every part of the agent works with.
pub(crate) struct Serve {
    pub(crate) config: Config,
    pub(crate) state: State,
    pub(crate) broker: Broker,
    pub(crate) bridge: Bridge,
    pub(crate) files: Files,
    pub(crate) file_manager: FileManager,
    pub(crate) adapters: Adapters,
    pub(crate) databases: Server,
    pub(crate) shown_passwords: Watched,
    pub(crate) phpmyadmin: Sessions,
    pub(crate) first_uses: FirstUses,
    pub(crate) scans: Scans,
    pub(crate) presses: Presses,
    pub(crate) events: Events,
    pub(crate) jobs: Jobs,
    pub(crate) started_at: Timestamp,
    records: mpsc::Sender<Record>,
}

/// What is noted outside of a change, on its way into the audit.
pub(crate) struct Record {
    pub(crate) caller: Caller,
    pub(crate) note: Note,
    pub(crate) outcome: Outcome,
    /// Told when it is written.
    pub(crate) written: oneshot::Sender<()>,
}

impl Serve {
    /// The agent over this state. What it notes in the audit outside of a change comes out of the receiver.
    pub(crate) fn new(config: Config, state: State) -> (Arc<Self>, mpsc::Receiver<Record>) {
        let (records, to_record) = mpsc::channel(1024);
        let broker = Broker::at(&config.broker.socket);
        let (bridge, files) = (Bridge::new(broker.clone()), Files::new(broker.clone()));
        let adapters = Adapters::new(broker.clone(), &config.adapters.directory, &config.adapters.operators);
        let databases = Server::new(config.mysql.clone());
        let started_at = state.clock.now();
        let serve = Self {
            config,
            state,
            broker,
            bridge,
            files,
            file_manager: FileManager::default(),
            adapters,
            databases,
            shown_passwords: Watched::default(),
            phpmyadmin: Sessions::default(),
            first_uses: FirstUses::default(),
            scans: Scans::default(),
            presses: Presses::default(),
            events: Events::default(),
            jobs: Jobs::default(),
            started_at,
            records,
        };
        (Arc::new(serve), to_record)
    }

    /// Changes the state and closes what it no longer allows. Answers within three seconds of the change.
    ///
    /// Once begun it is carried through, whether the caller waits for it or not.
    pub(crate) async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        caller: Caller,
        work: impl FnOnce(&mut Change<'_>) -> Result<T, Problem> + Send + 'static,
    ) -> Result<(T, Ended), Problem> {
        let serve = self.clone();
        let carried_through = request::spawn(async move {
            let (outcome, dead) = serve.apply(caller, work).await?;
            let ended = channels::close(&serve, dead).await;
            Ok::<_, JoinError>(outcome.map(|value| (value, ended)))
        });
        match carried_through.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) | Err(error) => Err(Problem::internal(&error)),
        }
    }

    /// Changes the state, and has somebody else close what it no longer allows: no site keeps the caller waiting.
    pub(crate) async fn change_at_once<T: Send + 'static>(
        self: &Arc<Self>,
        caller: Caller,
        work: impl FnOnce(&mut Change<'_>) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let (outcome, dead) = self.apply(caller, work).await.map_err(|error| Problem::internal(&error))?;
        let serve = self.clone();
        request::spawn(async move {
            let ended = channels::close(&serve, dead).await;
            if ended != Ended::default() {
                tracing::info!(?ended, "channels were closed");
            }
        });
        outcome
    }

    /// Changes the state; what it no longer allows is the caller's to close.
    async fn apply<T: Send + 'static>(
        self: &Arc<Self>,
        caller: Caller,
        work: impl FnOnce(&mut Change<'_>) -> Result<T, Problem> + Send + 'static,
    ) -> Result<(Result<T, Problem>, Taken), JoinError> {
        let serve = self.clone();
        spawn_blocking(move || serve.state.change(&caller, work)).await
    }

    /// Goes back to a backup and closes what is not allowed any more. Once begun it is carried through.
    pub(crate) async fn restore(
        self: &Arc<Self>,
        caller: Caller,
        copy: Copy,
        unknown: Unknown,
    ) -> Result<Restored, Problem> {
        let serve = self.clone();
        let carried_through = request::spawn(async move {
            let state = serve.clone();
            let (outcome, dead) = spawn_blocking(move || state.state.restore(&caller, copy, unknown)).await?;
            let ended = channels::close(&serve, dead).await;
            Ok::<_, JoinError>(outcome.map(|restored| Restored { ended, ..restored }))
        });
        let restored = carried_through.await.and_then(|outcome| outcome).map_err(|error| Problem::internal(&error))?;
        database_passwords::watch_all(self).await;
        // What the backup does not know of may be on the node all the same.
        tokio::spawn(cron::look_at_all(self.clone()));
        tokio::spawn(phpmyadmin::drop_leftovers(self.clone()));
        restored
    }

    /// Runs something that blocks.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        spawn_blocking(work).await.map_err(|error| Problem::internal(&error))
    }

    /// Writes rows that are no part of the access table.
    pub(crate) async fn write<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let serve = self.clone();
        let written = spawn_blocking(move || serve.state.store.write(work)).await;
        written.unwrap_or_else(|_| Err(cut_off()))
    }

    /// Reads rows that are no part of the access table.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let serve = self.clone();
        let read = spawn_blocking(move || work(&serve.state.store.reader())).await;
        read.unwrap_or_else(|_| Err(cut_off()))
    }

    /// Notes something in the audit. What was done is written when this returns; a denial may be written a moment later,
    /// so that nobody can slow others down by being refused.
    pub(crate) async fn record(&self, caller: Caller, note: Note, outcome: Outcome) {
        let (written, is_written) = oneshot::channel();
        // The receiver ends with the process only, and says itself when it cannot write.
        let queued = self.records.send(Record { caller, note, outcome, written }).await;
        if queued.is_ok() && outcome != Outcome::Denied {
            let _ = is_written.await;
        }
    }

    /// Where the bridge finds an instance.
    pub(crate) fn site(&self, instance: &InstanceId) -> Result<Site, Problem> {
        site_of(&self.state.table(), instance)
    }

    /// Shows shares.
    pub(crate) async fn view_shares(self: &Arc<Self>, shares: Vec<Share>) -> Result<Vec<ShareView>, Problem> {
        if shares.is_empty() {
            return Ok(Vec::new());
        }
        let serve = self.clone();
        let views = self.read(move |connection| {
            let (table, now) = (serve.state.table(), serve.state.clock.now());
            let view = |share| shares::view(&serve, &table, connection, share, now);
            shares.iter().map(view).collect()
        });
        Ok(views.await?)
    }

    /// Shows a share.
    pub(crate) async fn view_share(self: &Arc<Self>, share: Share) -> Result<ShareView, Problem> {
        let views = self.view_shares(vec![share]).await?;
        views.into_iter().next().ok_or_else(|| Problem::not_found("share"))
    }

    /// What the operator decides about invitations.
    pub(crate) fn invite_settings(&self) -> InviteSettings {
        InviteSettings {
            gateway_url: self.config.gateway.url.clone(),
            life: self.config.invitations.life(),
            resend_after: self.config.invitations.resend_after(),
        }
    }
}

fn cut_off() -> StoreError {
    StoreError::Malformed { what: "answer of a database thread", text: String::new() }
}
