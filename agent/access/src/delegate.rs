//! Delegation: who may grant, change or end which share (A9, A10).

use jiff::Timestamp;

use crate::operations::{ShareInvite, ShareUpdate};
use crate::{
    AccessTable, Actor, Denial, DenialKind, GrantedBy, Holdings, Instance, Permit, Privilege, Rule, Share, Terms,
    actor_holdings, decide, share_terms_now,
};

/// Why terms go beyond what somebody holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantFault {
    /// A privilege that they do not hold.
    Privilege(Privilege),
    /// A WordPress user that they may not log in as themselves.
    LogInAs,
    /// Files that they do not reach themselves.
    FileAccess,
    /// A later end than their own.
    ExpiresAt,
}

impl GrantFault {
    /// The first way in which the wanted holdings exceed the held ones.
    pub fn of(wanted: &Holdings, held: &Holdings) -> Option<Self> {
        if let Some(privilege) = wanted.privileges.without(held.privileges).iter().next() {
            return Some(Self::Privilege(privilege));
        }
        let log_in_as_fits = match (&wanted.log_in_as, &held.log_in_as) {
            (None, _) => true,
            (Some(wanted), Some(held)) => wanted.meet(held).as_ref() == Some(wanted),
            (Some(_), None) => false,
        };
        if !log_in_as_fits {
            return Some(Self::LogInAs);
        }
        if !wanted.file_access.is_within(&held.file_access) {
            return Some(Self::FileAccess);
        }
        let ends_in_time = match (wanted.expires_at, held.expires_at) {
            (_, None) => true,
            (Some(wanted), Some(held)) => wanted <= held,
            (None, Some(_)) => false,
        };
        (!ends_in_time).then_some(Self::ExpiresAt)
    }

    fn denial(self, whose: &str) -> Denial {
        let (privilege, what) = match self {
            Self::Privilege(privilege) => (Some(privilege), format!("the privilege {}", privilege.entry().title)),
            Self::LogInAs => (None, "that Log In As".to_owned()),
            Self::FileAccess => (None, "that file access".to_owned()),
            Self::ExpiresAt => (None, "access that lasts that long".to_owned()),
        };
        let detail = format!("{whose} {what}, which you do not hold yourself");
        Denial { kind: DenialKind::Forbidden, rule: Rule::A10, privilege, detail }
    }
}

/// Checks that the actor of the permit may grant these terms on its instance, and says on whose authority they rest.
///
/// Refuses first what goes beyond what the actor holds (A10), then a Log In As without the privilege for it (A9).
pub fn may_grant(
    table: &AccessTable,
    permit: &Permit<ShareInvite>,
    terms: &Terms,
    now: Timestamp,
) -> Result<GrantedBy, Denial> {
    let instance = table.instance(permit.instance()).ok_or_else(|| Denial::not_found("instance"))?;
    covers(table, permit.actor(), instance, &Holdings::of_terms(terms), now)
        .map_err(|fault| fault.denial("the share would give"))?;
    log_in_as_has_its_privilege(terms)?;
    authority(table, permit.actor(), instance)
}

/// Decides `share.update` and checks that the actor may change or end this share: not their own, and none that is
/// wider than their own.
///
/// An owner may take back anything on their own instance (A3), but gives no more than they hold. A share that rests on
/// the actor is never wider. Any other counts with all that its terms offer: that the one who
/// granted it is suspended or narrowed today does not hand it to somebody who holds less.
///
/// `wanted` are the terms it shall have afterwards, if they change; a share that is over has none to change. The answer
/// says on whose authority it rests then: the one who granted it as long as they hold as much, otherwise the actor.
pub fn may_change(
    table: &AccessTable,
    actor: &Actor,
    share: &Share,
    wanted: Option<&Terms>,
    now: Timestamp,
) -> Result<GrantedBy, Denial> {
    decide::<ShareUpdate>(table, actor, &share.instance, now)?;
    if actor.person() == Some(share.person) {
        return Err(Denial::forbidden(Rule::A10, "nobody changes their own share"));
    }
    let instance = table.instance(&share.instance).ok_or_else(|| Denial::not_found("instance"))?;
    let authority = authority(table, actor, instance)?;
    let owns = matches!(authority, GrantedBy::Owner(_));
    if !owns && !table.authorities(share).any(|by| by == authority) {
        covers(table, actor, instance, &Holdings::of_terms(&share.terms), now)
            .map_err(|fault| fault.denial("the share gives"))?;
    }
    let Some(terms) = wanted else { return Ok(share.granted_by) };
    if share.is_over(now) {
        return Err(Denial::not_found("share"));
    }
    let wanted = Holdings::of_terms(terms);
    covers(table, actor, instance, &wanted, now).map_err(|fault| fault.denial("the share would give"))?;
    log_in_as_has_its_privilege(terms)?;
    let still_held = GrantFault::of(&wanted, &above(table, share, now)).is_none();
    Ok(if still_held { share.granted_by } else { authority })
}

fn log_in_as_has_its_privilege(terms: &Terms) -> Result<(), Denial> {
    if terms.log_in_as.is_none() || terms.privileges.contains(Privilege::WpAdminSso) {
        return Ok(());
    }
    let detail = format!("expected the privilege {} beside log_in_as", Privilege::WpAdminSso.entry().title);
    Err(Denial::invalid(Rule::A9, "log_in_as", detail))
}

/// What the one who granted the share holds now.
fn above(table: &AccessTable, share: &Share, now: Timestamp) -> Holdings {
    let all = Holdings::ALL;
    let terms = Terms {
        role: share.terms.role,
        privileges: all.privileges,
        log_in_as: all.log_in_as,
        file_access: all.file_access,
        expires_at: all.expires_at,
    };
    share_terms_now(table, &Share { terms, ..share.clone() }, now)
}

fn covers(
    table: &AccessTable,
    actor: &Actor,
    instance: &Instance,
    wanted: &Holdings,
    now: Timestamp,
) -> Result<(), GrantFault> {
    match GrantFault::of(wanted, &actor_holdings(table, actor, instance, now)) {
        Some(fault) => Err(fault),
        None => Ok(()),
    }
}

/// On whose authority rests what the actor grants on the instance.
pub(crate) fn authority(table: &AccessTable, actor: &Actor, instance: &Instance) -> Result<GrantedBy, Denial> {
    match actor {
        Actor::Panel => Ok(GrantedBy::Panel),
        Actor::Person(person) if instance.owners.contains(person) => Ok(GrantedBy::Owner(*person)),
        Actor::Person(person) => match table.share_of_on(*person, &instance.id) {
            Some(share) => Ok(GrantedBy::Share(share.id)),
            None => Err(Denial::not_found("instance")),
        },
        Actor::Stranger(_) | Actor::Nobody => Err(Denial::not_found("instance")),
    }
}
