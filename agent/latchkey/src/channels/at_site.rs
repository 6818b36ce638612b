//! What is to end at one site, asked of the site itself.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use latchkey_access::{AccessTable, HostingState, InstanceId, LogInAs, Privilege, ShareId, share_holdings};

use crate::serve::Serve;
use crate::store::wordpress_sessions::{BaselineOf, Site, WordpressSession};
use crate::wordpress::bridge::BridgeError;
use crate::wordpress::sessions::{self, EndSessions, Report};

/// What is to end at a site.
pub(super) struct End {
    pub(super) sessions: Vec<WordpressSession>,
    /// By share: the users that it must not become any more, with what they had before.
    pub(super) baselines: BTreeMap<ShareId, Vec<BaselineOf>>,
}

impl End {
    /// The same without the users whom a share may become now.
    pub(super) fn without_allowed(mut self, serve: &Serve) -> Self {
        let (table, now) = (serve.state.table(), serve.state.clock.now());
        for (share, baselines) in &mut self.baselines {
            let still = log_in_as_now(&table, *share, now);
            baselines.retain(|of| !still.as_ref().is_some_and(|who| who.allows(&of.user)));
        }
        self
    }

    /// The instance that all of it is about.
    pub(super) fn instance(&self) -> Option<&InstanceId> {
        self.sessions.first().map(|session| &session.instance)
    }

    /// What the user of a session had before, if the share must not become that user any more.
    pub(super) fn baseline_of(&self, session: &WordpressSession) -> Option<&BaselineOf> {
        self.baselines.get(&session.share?)?.iter().find(|of| of.user == session.user)
    }

    /// Has the site end it within this time. Safe to repeat.
    pub(super) async fn carry_out(&self, serve: &Serve, site: &Site, time: Duration) -> Result<Report, BridgeError> {
        let baselines: Vec<_> = self.baselines.values().flatten().cloned().collect();
        let marks = self.sessions.iter().map(|session| session.mark.clone()).collect();
        let users = self.sessions.iter().map(|session| session.user.clone()).collect();
        let wanted = EndSessions { marks, users, baselines: &baselines };
        let there = sessions::end(&serve.bridge, site, &wanted, time).await;
        match self.instance().and_then(|instance| serve.site(instance).ok()) {
            // The site has moved since then, and its sessions moved with its database.
            Some(now) if (&now.hosting, &now.docroot) != (&site.hosting, &site.docroot) => {
                let here = sessions::end(&serve.bridge, &now, &wanted, time).await?;
                let before = there.map_or(0, |report| report.ended);
                Ok(here.after(before))
            }
            _ => there,
        }
    }
}

/// The WordPress users that a share may still become.
fn log_in_as_now(table: &AccessTable, share: ShareId, now: Timestamp) -> Option<LogInAs> {
    let share = table.share(share)?;
    let hosting = table.hosting(&table.instance(&share.instance)?.hosting)?;
    let holdings = share_holdings(table, share, now);
    let open = hosting.state == HostingState::Active && holdings.privileges.contains(Privilege::WpAdminSso);
    holdings.log_in_as.filter(|_| open)
}
