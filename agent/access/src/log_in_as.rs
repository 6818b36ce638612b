//! Log In As: which WordPress user a person becomes through WP Admin SSO (A9).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::operations::SsoOpen;
use crate::{Denial, Permit, Rule};

/// A row of `wp_users`, named by id and login so that a deleted, renamed or replaced user is noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WpUser {
    /// `wp_users.ID`.
    pub id: u64,
    /// `wp_users.user_login`.
    pub login: String,
}

/// Which WordPress users a share may become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected \"all\" or an object with `id` and `login` of a WordPress user")]
pub enum LogInAs {
    /// The text `all`: any of them, named each time.
    All(AllUsers),
    /// Exactly this one.
    Pinned(WpUser),
}

/// The word `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AllUsers {
    /// `"all"`.
    #[serde(rename = "all")]
    All,
}

impl LogInAs {
    /// Any WordPress user.
    pub const ALL: Self = Self::All(AllUsers::All);

    /// What both allow.
    pub fn meet(&self, other: &Self) -> Option<Self> {
        self.narrower(other).cloned()
    }

    /// The narrower of both; none if neither is within the other.
    pub(crate) fn narrower<'a>(&'a self, other: &'a Self) -> Option<&'a Self> {
        match (self, other) {
            (Self::All(_), one) | (one, Self::All(_)) => Some(one),
            (Self::Pinned(mine), Self::Pinned(theirs)) => (mine == theirs).then_some(self),
        }
    }

    /// Whether it lets somebody become this WordPress user.
    pub fn allows(&self, user: &WpUser) -> bool {
        match self {
            Self::All(_) => true,
            Self::Pinned(pinned) => pinned == user,
        }
    }
}

/// Which WordPress user one hand-over is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WpUserChoice {
    /// The share pins this one: a mismatch on the site is refused, never replaced.
    Pinned(WpUser),
    /// Named by the person; its login is read from the site.
    Named(u64),
}

/// Chooses the WordPress user for a hand-over.
///
/// Refuses (A9) when no user is set on the share, when none is named under *all*, or when another than the pinned one
/// is named.
pub fn choose_wp_user(permit: &Permit<SsoOpen>, named: Option<u64>) -> Result<WpUserChoice, Denial> {
    match (permit.log_in_as(), named) {
        (None, _) => {
            Err(Denial::forbidden(Rule::A9, "the share names no WordPress user to log in as; set log_in_as first"))
        }
        (Some(LogInAs::All(_)), Some(id)) => Ok(WpUserChoice::Named(id)),
        (Some(LogInAs::All(_)), None) => {
            Err(Denial::invalid(Rule::A9, "user", "expected the id of the WordPress user to log in as"))
        }
        (Some(LogInAs::Pinned(user)), None) => Ok(WpUserChoice::Pinned(user.clone())),
        (Some(LogInAs::Pinned(user)), Some(id)) if user.id == id => Ok(WpUserChoice::Pinned(user.clone())),
        (Some(LogInAs::Pinned(user)), Some(_)) => {
            Err(Denial::forbidden(Rule::A9, format!("the share logs in as {} only", user.login)))
        }
    }
}
