//! A share: one person's access to one instance, its terms and its state.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{FileAccess, InstanceId, LogInAs, PersonId, PrivilegeSet, Role, ShareId};

/// Where a share is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShareState {
    /// Invited; grants nothing.
    Pending,
    /// Grants what its terms say.
    Active,
    /// Grants nothing until it is reinstated.
    Suspended,
    /// Past its `expires_at`; final.
    Expired,
    /// Ended by somebody; final.
    Revoked,
}

impl ShareState {
    /// Whether the share is over for good.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Expired | Self::Revoked)
    }

    /// Its name in replies and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// On whose authority a share rests (A10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantedBy {
    /// The panel: the top of every chain.
    Panel,
    /// An owner of the instance, for as long as they are one.
    Owner(PersonId),
    /// Another share on the same instance.
    Share(ShareId),
}

/// What a share offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The role that was chosen.
    pub role: Role,
    /// The privileges, frozen when they were granted.
    pub privileges: PrivilegeSet,
    /// Whom WP Admin SSO logs in as.
    pub log_in_as: Option<LogInAs>,
    /// The file account.
    pub file_access: FileAccess,
    /// When the share ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// One person's access to one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Its name.
    pub id: ShareId,
    /// Who holds it.
    pub person: PersonId,
    /// What it gives access to.
    pub instance: InstanceId,
    /// What it offers.
    pub terms: Terms,
    /// Where it is in its life.
    pub state: ShareState,
    /// On whose authority it rests.
    pub granted_by: GrantedBy,
    /// Whether stagings of the instance get a linked share (A11).
    pub apply_to_staging: bool,
    /// The main share that this one on a staging ends with.
    pub linked_to: Option<ShareId>,
    /// Whether it still takes over what changes on the main share.
    pub follows: bool,
    /// Grows with every change.
    pub generation: u64,
    /// A remark of the one who granted it.
    pub note: Option<String>,
    /// When it was granted.
    pub created_at: Timestamp,
    /// When the person accepted it.
    pub accepted_at: Option<Timestamp>,
    /// Whether the pinned WordPress user was an administrator when last seen.
    pub pinned_is_administrator: Option<bool>,
    /// What was wrong with the pinned WordPress user when last seen.
    pub log_in_as_mismatch: Option<String>,
}

impl Share {
    /// Whether it could grant anything now, judged by its own state and expiry alone (A4, A5).
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.state == ShareState::Active && !self.has_expired(now)
    }

    /// Whether its time is over.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.terms.expires_at.is_some_and(|end| end <= now)
    }

    /// Whether it is over for good, be it written down or by the clock.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.state.is_final() || self.has_expired(now)
    }
}
