//! A share as replies show it.

use jiff::Timestamp;
use latchkey_access::{
    AccessTable, FileAccess, GrantedBy, LogInAs, Person, PersonId, PrivilegeSet, Reach, Role, Share, reach,
    share_holdings,
};
use rusqlite::Connection;
use schemars::JsonSchema;
use serde::Serialize;

use crate::accounts::{self, FileAccountView};
use crate::channels::{Disabled, Unconfirmed};
use crate::cron;
use crate::serve::Serve;
use crate::store::mail_queue::{self, LetterState};
use crate::store::residue::{self, Residue};
use crate::store::{StoreError, gateway_rows};

/// A person as replies show them.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct PersonView {
    /// Stays the same when the email changes.
    pub(crate) id: String,
    /// The address.
    pub(crate) email: String,
    /// How the person likes to be called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
}

impl PersonView {
    pub(crate) fn of(person: &Person) -> Self {
        Self { id: person.id.to_string(), email: person.email.to_string(), name: person.name.clone() }
    }

    fn by_id(table: &AccessTable, id: PersonId) -> Self {
        table
            .person(id)
            .map_or_else(|| Self { id: id.to_string(), email: String::new(), name: None }, |person| Self::of(person))
    }
}

/// On whose authority a share rests.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum GrantedByView {
    /// The panel.
    Panel,
    /// An owner of the instance.
    Owner {
        /// Who.
        person: PersonView,
    },
    /// Another share on the instance.
    Share {
        /// Which.
        share: String,
        /// Who holds it.
        person: PersonView,
    },
}

/// A share.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ShareView {
    /// Its name.
    pub(crate) id: String,
    /// Who holds it.
    pub(crate) person: PersonView,
    /// What it gives access to.
    pub(crate) instance: String,
    /// The role that was chosen.
    pub(crate) role: Role,
    /// Its privileges, frozen when they were granted.
    #[schemars(with = "Vec<String>")]
    pub(crate) privileges: PrivilegeSet,
    /// What it allows now: nothing unless active, and never more than its grantor holds.
    #[schemars(with = "Vec<String>")]
    pub(crate) allows_now: PrivilegeSet,
    /// Whom WP Admin SSO logs in as.
    pub(crate) log_in_as: Option<LogInAs>,
    /// What was wrong with that WordPress user when last seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log_in_as_mismatch: Option<String>,
    /// What it offers of the instance's files.
    pub(crate) file_access: FileAccess,
    /// The file account that comes with that, once the share is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file_account: Option<FileAccountView>,
    /// When it ends by itself.
    #[schemars(with = "Option<String>")]
    pub(crate) expires_at: Option<Timestamp>,
    /// `pending`, `active`, `suspended`, `expired` or `revoked`.
    pub(crate) state: &'static str,
    /// On whose authority it rests.
    pub(crate) granted_by: GrantedByView,
    /// Whether stagings get the same.
    pub(crate) apply_to_staging: bool,
    /// The main share that it ends with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) linked_to: Option<String>,
    /// Grows with every change; the `ETag`.
    pub(crate) generation: u64,
    /// A remark.
    pub(crate) note: Option<String>,
    /// When it was granted.
    #[schemars(with = "String")]
    pub(crate) created_at: Timestamp,
    /// When it was accepted.
    #[schemars(with = "Option<String>")]
    pub(crate) accepted_at: Option<Timestamp>,
    /// Until when the invitation's link is good, while it is pending.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) invitation_expires_at: Option<Timestamp>,
    /// What it really amounts to.
    pub(crate) reach: Reach,
    /// Its privileges that nothing on this node serves (yet).
    #[schemars(with = "Vec<String>")]
    pub(crate) unavailable: PrivilegeSet,
    /// How the last letter about it fares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mail: Option<LetterState>,
    /// What could not be confirmed to have ended; it is tried again until it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unconfirmed: Vec<Unconfirmed>,
    /// What does not run any more since it ended, and is kept until somebody takes it in hand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) disabled: Vec<Disabled>,
    /// What the person can still use because they made or learnt it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) residue: Vec<Residue>,
}

/// Shows a share.
pub(crate) fn view(
    serve: &Serve,
    table: &AccessTable,
    connection: &Connection,
    share: &Share,
    now: Timestamp,
) -> Result<ShareView, StoreError> {
    let id = share.id.to_string();
    let terms = &share.terms;
    let pending = share.state == latchkey_access::ShareState::Pending;
    let invitation = if pending { gateway_rows::invitation_of(connection, share.id)? } else { None };
    let state = if share.state.is_final() || !share.has_expired(now) { share.state.as_str() } else { "expired" };
    Ok(ShareView {
        person: PersonView::by_id(table, share.person),
        instance: share.instance.to_string(),
        role: terms.role,
        privileges: terms.privileges,
        allows_now: share_holdings(table, share, now).privileges,
        log_in_as: terms.log_in_as.clone(),
        log_in_as_mismatch: share.log_in_as_mismatch.clone(),
        file_access: terms.file_access.clone(),
        file_account: accounts::view(table, connection, share, now)?,
        expires_at: terms.expires_at,
        state,
        granted_by: granted_by(table, share),
        apply_to_staging: share.apply_to_staging,
        linked_to: share.linked_to.map(|main| main.to_string()),
        generation: share.generation,
        note: share.note.clone(),
        created_at: share.created_at,
        accepted_at: share.accepted_at,
        invitation_expires_at: invitation.map(|invitation| invitation.expires_at),
        reach: reach(table, share, now),
        unavailable: table
            .instance(&share.instance)
            .map_or(PrivilegeSet::EMPTY, |instance| serve.unserved(table, &instance.hosting, terms.privileges)),
        mail: mail_queue::last_of_share(connection, &id)?,
        unconfirmed: serve.state.channels.unconfirmed_of(share.id),
        disabled: cron::disabled_with(connection, share.id)?,
        residue: residue::of(connection, share.id)?,
        id,
    })
}

fn granted_by(table: &AccessTable, share: &Share) -> GrantedByView {
    match share.granted_by {
        GrantedBy::Panel => GrantedByView::Panel,
        GrantedBy::Owner(owner) => GrantedByView::Owner { person: PersonView::by_id(table, owner) },
        GrantedBy::Share(above) => match table.share(above) {
            Some(row) => {
                GrantedByView::Share { share: above.to_string(), person: PersonView::by_id(table, row.person) }
            }
            None => GrantedByView::Panel,
        },
    }
}
