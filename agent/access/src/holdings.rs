//! What somebody holds on an instance at a moment: a share's own terms cut down by everybody above it (A10).

use jiff::Timestamp;

use crate::{
    AccessTable, Actor, FileAccess, GrantedBy, Hosting, Instance, LogInAs, PersonId, Privilege, PrivilegeSet, Share,
    Terms,
};

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
    let Some(instance) = table.instance(&share.instance) else { return Holdings::NONE };
    let offered = Holdings::of_terms(&share.terms);
    cut_down(table, share, now, offered, |held, above| match above {
        Above::Share(terms) => Some(held.meet(&Holdings::of_terms(terms))),
        Above::Owner(owner) => {
            let privileges = owner_holds(table, instance, owner, held.privileges)?;
            Some(held.meet(&Holdings { privileges, ..Holdings::ALL }))
        }
    })
    .unwrap_or(Holdings::NONE)
}

/// Which of the privileges in question somebody holds, and whom they may log in as: the part of [`Holdings`] that a
/// decision needs, without a copy of anything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing<'t> {
    pub(crate) privileges: PrivilegeSet,
    pub(crate) log_in_as: Option<&'t LogInAs>,
}

impl<'t> Standing<'t> {
    pub(crate) const NONE: Self = Self { privileges: PrivilegeSet::EMPTY, log_in_as: None };

    /// The same as [`share_holdings`] says, for a share on this instance.
    pub(crate) fn of_share(
        table: &'t AccessTable,
        instance: &Instance,
        share: &'t Share,
        asked: PrivilegeSet,
        now: Timestamp,
    ) -> Self {
        let privileges = share.terms.privileges.meet(asked);
        if privileges.is_empty() || !share.is_live(now) {
            return Self::NONE;
        }
        let offered = Self { privileges, log_in_as: share.terms.log_in_as.as_ref() };
        cut_down(table, share, now, offered, |held, above| match above {
            Above::Share(terms) => Some(Self {
                privileges: held.privileges.meet(terms.privileges),
                log_in_as: held.log_in_as.zip(terms.log_in_as.as_ref()).and_then(|(mine, its)| mine.narrower(its)),
            }),
            Above::Owner(owner) => {
                Some(Self { privileges: owner_holds(table, instance, owner, held.privileges)?, ..held })
            }
        })
        .unwrap_or(Self::NONE)
    }

    /// What an owner of the instance holds on it (A3); `None` for anybody else.
    pub(crate) fn of_owner(
        table: &AccessTable,
        instance: &Instance,
        person: PersonId,
        asked: PrivilegeSet,
    ) -> Option<Self> {
        let privileges = owner_holds(table, instance, person, asked)?;
        Some(Self { privileges, log_in_as: Some(&LogInAs::ALL) })
    }
}

/// Who stands above a share in its chain of grants.
enum Above<'t> {
    /// A live share with these terms.
    Share(&'t Terms),
    /// Somebody who owned the instance when they granted.
    Owner(PersonId),
}

/// Cuts what a share offers down by everybody above it, the nearest first; `None` where one of them is no more (A10).
fn cut_down<'t, T>(
    table: &'t AccessTable,
    share: &Share,
    now: Timestamp,
    offered: T,
    cut: impl Fn(T, Above<'t>) -> Option<T>,
) -> Option<T> {
    let mut held = offered;
    for by in table.authorities(share) {
        match by {
            GrantedBy::Panel => return Some(held),
            GrantedBy::Owner(owner) => return cut(held, Above::Owner(owner)),
            GrantedBy::Share(above) => {
                let above =
                    table.share(above).filter(|above| above.is_live(now) && above.instance == share.instance)?;
                held = cut(held, Above::Share(&above.terms))?;
            }
        }
    }
    None
}

/// What an actor holds on an instance and may therefore grant on it: an owner what A3 gives, a person what their own
/// share allows, the panel everything.
pub fn actor_holdings(table: &AccessTable, actor: &Actor, instance: &Instance, now: Timestamp) -> Holdings {
    let person = match actor {
        Actor::Panel => return Holdings::ALL,
        Actor::Stranger(_) | Actor::Nobody => return Holdings::NONE,
        Actor::Person(person) => *person,
    };
    if let Some(privileges) = owner_holds(table, instance, person, Privilege::EVERY) {
        return Holdings { privileges, ..Holdings::ALL };
    }
    table.share_of_on(person, &instance.id).map_or(Holdings::NONE, |share| share_holdings(table, share, now))
}

/// Which of these privileges an owner of the instance holds (A3); `None` for anybody else.
fn owner_holds(
    table: &AccessTable,
    instance: &Instance,
    person: PersonId,
    asked: PrivilegeSet,
) -> Option<PrivilegeSet> {
    if !instance.owners.contains(&person) {
        return None;
    }
    let owns_hosting = || table.hosting(&instance.hosting).is_some_and(|hosting| owns_hosting(table, hosting, person));
    let all = asked.meet(Privilege::HOSTING).is_empty() || owns_hosting();
    Some(if all { asked } else { asked.without(Privilege::HOSTING) })
}

/// Whether a person owns the hosting, or every instance on it (A3).
pub(crate) fn owns_hosting(table: &AccessTable, hosting: &Hosting, person: PersonId) -> bool {
    hosting.owners.contains(&person) || {
        let mut instances = table.instances_of(&hosting.id).peekable();
        instances.peek().is_some() && instances.all(|instance| instance.owners.contains(&person))
    }
}
