//! What somebody holds on an instance at a moment: a share's own terms cut down by everybody above it (A10).

use jiff::Timestamp;

use crate::{
    AccessTable, Actor, FileAccess, GrantedBy, Hosting, Instance, LogInAs, PersonId, Privilege, PrivilegeSet, Share,
    Terms,
};

/// No chain of grants is longer; a longer one grants nothing.
const LONGEST_CHAIN: usize = 64;

/// What somebody holds on an instance. Holdings form a lattice: [`Holdings::meet`] only ever takes away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holdings {
    /// The privileges.
    pub privileges: PrivilegeSet,
    /// Whom WP Admin SSO may log in as.
    pub log_in_as: Option<LogInAs>,
    /// The file account.
    pub file_access: FileAccess,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

impl Holdings {
    /// Everything there is.
    pub const ALL: Self = Self {
        privileges: Privilege::EVERY,
        log_in_as: Some(LogInAs::ALL),
        file_access: FileAccess::ALL,
        expires_at: None,
    };

    /// Nothing at all.
    pub const NONE: Self =
        Self { privileges: PrivilegeSet::EMPTY, log_in_as: None, file_access: FileAccess::NONE, expires_at: None };

    /// What these terms offer by themselves.
    pub fn of_terms(terms: &Terms) -> Self {
        Self {
            privileges: terms.privileges,
            log_in_as: terms.log_in_as.clone(),
            file_access: terms.file_access.clone(),
            expires_at: terms.expires_at,
        }
    }

    /// What both allow.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        let privileges = self.privileges.meet(other.privileges);
        let log_in_as = match (&self.log_in_as, &other.log_in_as) {
            (Some(mine), Some(theirs)) => mine.meet(theirs),
            _ => None,
        };
        Self {
            privileges,
            log_in_as: log_in_as.filter(|_| privileges.contains(Privilege::WpAdminSso)),
            file_access: self.file_access.meet(&other.file_access),
            expires_at: self.expires_at.into_iter().chain(other.expires_at).min(),
        }
    }
}

/// What a share allows now: nothing unless it is active and in time, and never more than the one who granted it holds.
pub fn share_holdings(table: &AccessTable, share: &Share, now: Timestamp) -> Holdings {
    if share.is_live(now) { share_terms_now(table, share, now) } else { Holdings::NONE }
}

/// What a share would allow now if it were active: its terms, cut down by everybody above it.
pub fn share_terms_now(table: &AccessTable, share: &Share, now: Timestamp) -> Holdings {
    let mut holdings = Holdings::of_terms(&share.terms);
    let Some(instance) = table.instance(&share.instance) else { return Holdings::NONE };
    let mut granted_by = share.granted_by;
    for _ in 0..LONGEST_CHAIN {
        match granted_by {
            GrantedBy::Panel => return holdings,
            GrantedBy::Owner(owner) => return holdings.meet(&owner_holdings(table, instance, owner)),
            GrantedBy::Share(above) => match table.share(above) {
                Some(above) if above.is_live(now) && above.instance == share.instance => {
                    holdings = holdings.meet(&Holdings::of_terms(&above.terms));
                    granted_by = above.granted_by;
                }
                _ => return Holdings::NONE,
            },
        }
    }
    Holdings::NONE
}

/// What an actor holds on an instance and may therefore grant on it: an owner what A3 gives, a person what their own
/// share allows, the panel everything.
pub fn actor_holdings(table: &AccessTable, actor: &Actor, instance: &Instance, now: Timestamp) -> Holdings {
    match actor {
        Actor::Panel => Holdings::ALL,
        Actor::Stranger(_) => Holdings::NONE,
        Actor::Person(person) if instance.owners.contains(person) => owner_holdings(table, instance, *person),
        Actor::Person(person) => match table.share_of_on(*person, &instance.id) {
            Some(share) => share_holdings(table, share, now),
            None => Holdings::NONE,
        },
    }
}

/// What an owner of the instance holds on it (A3); nothing for anybody else.
fn owner_holdings(table: &AccessTable, instance: &Instance, person: PersonId) -> Holdings {
    if !instance.owners.contains(&person) {
        return Holdings::NONE;
    }
    let owns_hosting = table.hosting(&instance.hosting).is_some_and(|hosting| owns_hosting(table, hosting, person));
    let withheld = if owns_hosting { PrivilegeSet::EMPTY } else { Privilege::HOSTING };
    Holdings { privileges: Privilege::EVERY.without(withheld), ..Holdings::ALL }
}

/// Whether a person owns the hosting, or every instance on it (A3).
pub(crate) fn owns_hosting(table: &AccessTable, hosting: &Hosting, person: PersonId) -> bool {
    hosting.owners.contains(&person) || {
        let mut instances = table.instances_of(&hosting.id).peekable();
        instances.peek().is_some() && instances.all(|instance| instance.owners.contains(&person))
    }
}
