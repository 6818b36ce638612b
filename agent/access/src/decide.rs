//! The decision: may this actor do this on that instance now? [`decide`] is the only maker of a [`Permit`].

use std::fmt;
use std::marker::PhantomData;

use jiff::Timestamp;
use serde::Serialize;

use crate::holdings::{Standing, owns_hosting};
use crate::{
    AccessTable, Email, HostingState, Instance, InstanceId, LogInAs, Operation, OperationSpec, PersonId, Privilege,
    PrivilegeSet, ShareId, ShareState,
};

/// On whose behalf a request is made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Actor {
    /// The panel itself.
    Panel,
    /// A person that the table knows.
    Person(PersonId),
    /// An address that nobody known has: a person without shares.
    Stranger(Email),
    /// Somebody who was not let in at all and acts for no one; nothing exists for them.
    Nobody,
}

impl Actor {
    /// The actor with this address.
    pub fn by_email(table: &AccessTable, email: Email) -> Self {
        match table.person_by_email(&email) {
            Some(person) => Self::Person(person.id),
            None => Self::Stranger(email),
        }
    }

    /// The person, if it is a known one.
    pub const fn person(&self) -> Option<PersonId> {
        match self {
            Self::Person(person) => Some(*person),
            Self::Panel | Self::Stranger(_) | Self::Nobody => None,
        }
    }
}

/// The access rules. ARCHITECTURE.md says what each means; replies and the audit name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[expect(missing_docs, reason = "the numbers are the names; ARCHITECTURE.md holds their texts once")]
pub enum Rule {
    A1,
    A2,
    A3,
    A4,
    A5,
    A6,
    A7,
    A8,
    A9,
    A10,
    A11,
    A12,
    A13,
    A14,
}

impl fmt::Display for Rule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, out)
    }
}

/// What kind of refusal a denial is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenialKind {
    /// To this actor the thing does not exist.
    NotFound,
    /// The actor sees it and may not.
    Forbidden,
    /// The actor may, but not with this input.
    Invalid {
        /// The field at fault.
        field: &'static str,
    },
}

/// Why something was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Denial {
    /// What kind of refusal.
    pub kind: DenialKind,
    /// The rule that refused.
    pub rule: Rule,
    /// The privilege that is missing; only for somebody who may see the instance.
    pub privilege: Option<Privilege>,
    /// A sentence for the one who asked.
    pub detail: String,
}

impl Denial {
    /// The thing does not exist for this actor (A2).
    pub fn not_found(what: &str) -> Self {
        let detail = format!("there is no such {what}");
        Self { kind: DenialKind::NotFound, rule: Rule::A2, privilege: None, detail }
    }

    /// The actor may not.
    pub fn forbidden(rule: Rule, detail: impl Into<String>) -> Self {
        Self { kind: DenialKind::Forbidden, rule, privilege: None, detail: detail.into() }
    }

    /// The input is at fault.
    pub fn invalid(rule: Rule, field: &'static str, detail: impl Into<String>) -> Self {
        Self { kind: DenialKind::Invalid { field }, rule, privilege: None, detail: detail.into() }
    }

    fn lacks(rule: Rule, privilege: Privilege) -> Self {
        let title = &privilege.entry().title;
        let detail = match rule {
            Rule::A10 => {
                format!("whoever granted the share does not hold the privilege {title} now")
            }
            Rule::A3 => format!("the privilege {title} needs ownership of the hosting or of all its instances"),
            _ => format!("the privilege {title} is missing"),
        };
        Self { kind: DenialKind::Forbidden, rule, privilege: Some(privilege), detail }
    }
}

/// What a decision rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Grounds {
    rule: Rule,
    share: Option<ShareId>,
    log_in_as: Option<LogInAs>,
}

/// The right to run one operation once, on one instance, for one actor.
///
/// Only [`decide`] makes it. It is a statement about one moment: who keeps a channel open decides again whenever the
/// table changes.
#[derive(Debug, Clone)]
pub struct Permit<O> {
    actor: Actor,
    instance: InstanceId,
    grounds: Grounds,
    operation: PhantomData<fn(O)>,
}

impl<O> Permit<O> {
    /// On whose behalf.
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Where.
    pub const fn instance(&self) -> &InstanceId {
        &self.instance
    }

    /// The rule that allowed it.
    pub const fn rule(&self) -> Rule {
        self.grounds.rule
    }

    /// The share it rests on; none for owners and the panel.
    pub const fn share(&self) -> Option<ShareId> {
        self.grounds.share
    }

    /// Whom the actor may log in as; only a permit of WP Admin SSO says so.
    pub const fn log_in_as(&self) -> Option<&LogInAs> {
        self.grounds.log_in_as.as_ref()
    }
}

/// Decides whether the actor may run the operation on the instance now.
pub fn decide<O: Operation>(
    table: &AccessTable,
    actor: &Actor,
    instance: &InstanceId,
    now: Timestamp,
) -> Result<Permit<O>, Denial> {
    let grounds = judge(table, actor, instance, O::SPEC, now)?;
    Ok(Permit { actor: actor.clone(), instance: instance.clone(), grounds, operation: PhantomData })
}

/// What [`decide`] would say, for the one who asks why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The refusal, if it is one.
    pub denial: Option<Denial>,
    /// The rule that decided.
    pub rule: Rule,
    /// The share that the decision rests on.
    pub share: Option<ShareId>,
}

/// Explains the decision for an operation. Decides nothing by itself: it is [`decide`] with the reasons kept.
pub fn explain(
    table: &AccessTable,
    actor: &Actor,
    instance: &InstanceId,
    operation: &OperationSpec,
    now: Timestamp,
) -> Explanation {
    match judge(table, actor, instance, operation, now) {
        Ok(grounds) => Explanation { denial: None, rule: grounds.rule, share: grounds.share },
        Err(denial) => {
            let share = actor.person().and_then(|person| table.share_of_on(person, instance)).map(|share| share.id);
            Explanation { rule: denial.rule, denial: Some(denial), share }
        }
    }
}

/// Whether the instance exists for this actor (A2): by ownership, an active share, or a hosting privilege (A6).
pub fn sees(table: &AccessTable, actor: &Actor, instance: &Instance, now: Timestamp) -> bool {
    let Actor::Person(person) = actor else { return *actor == Actor::Panel };
    instance.owners.contains(person)
        || table.share_of_on(*person, &instance.id).is_some_and(|share| share.is_live(now))
        || through_hosting(table, *person, instance, Privilege::HOSTING, now).is_some()
}

/// Which hosting privileges [`decide`] would find a person to have on the instance now: all of them by owning the
/// hosting (A3), or those of shares on any of its sites (A6). One look instead of one decision for each.
pub fn hosting_privileges(table: &AccessTable, actor: &Actor, instance: &Instance, now: Timestamp) -> PrivilegeSet {
    let person = match actor {
        Actor::Panel => return Privilege::HOSTING,
        Actor::Stranger(_) | Actor::Nobody => return PrivilegeSet::EMPTY,
        Actor::Person(person) => *person,
    };
    let Some(hosting) = table.hosting(&instance.hosting).filter(|hosting| hosting.state == HostingState::Active) else {
        return PrivilegeSet::EMPTY;
    };
    if owns_hosting(table, hosting, person) {
        return Privilege::HOSTING;
    }
    let shares =
        table.instances_of(&instance.hosting).filter_map(|site| Some((site, table.share_of_on(person, &site.id)?)));
    shares.fold(PrivilegeSet::EMPTY, |held, (site, share)| {
        held.join(Standing::of_share(table, site, share, Privilege::HOSTING, now).privileges)
    })
}

fn judge(
    table: &AccessTable,
    actor: &Actor,
    id: &InstanceId,
    operation: &OperationSpec,
    now: Timestamp,
) -> Result<Grounds, Denial> {
    let instance = table.instance(id).ok_or_else(|| Denial::not_found("instance"))?;
    let person = match actor {
        Actor::Panel => {
            return Ok(Grounds { rule: Rule::A3, share: None, log_in_as: Some(LogInAs::ALL) });
        }
        Actor::Stranger(_) | Actor::Nobody => return Err(Denial::not_found("instance")),
        Actor::Person(person) => *person,
    };
    let privilege = operation.privilege;
    let asked = PrivilegeSet::EMPTY.with(privilege);
    let as_owner = Standing::of_owner(table, instance, person, asked);
    let owner = as_owner.is_some();
    let own_share = table.share_of_on(person, id);
    let as_guest = || own_share.map(|share| Standing::of_share(table, instance, share, asked, now));
    let standing = as_owner.or_else(as_guest).unwrap_or(Standing::NONE);
    let grounds = if standing.privileges.contains(privilege) {
        let (rule, share) = if owner { (Rule::A3, None) } else { (Rule::A7, own_share.map(|share| share.id)) };
        let log_in_as = standing.log_in_as.filter(|_| privilege == Privilege::WpAdminSso);
        Some(Grounds { rule, share, log_in_as: log_in_as.cloned() })
    } else {
        through_hosting(table, person, instance, asked, now)
    };
    if grounds.is_none() && !sees(table, actor, instance, now) {
        return Err(Denial::not_found("instance"));
    }
    if table.hosting(&instance.hosting).is_none_or(|hosting| hosting.state == HostingState::Suspended) {
        return Err(Denial::forbidden(Rule::A4, "the hosting is suspended"));
    }
    grounds.ok_or_else(|| {
        let offered = own_share.is_some_and(|share| share.is_live(now) && share.terms.privileges.contains(privilege));
        let rule = match (owner, offered) {
            (true, _) => Rule::A3,
            (false, true) => Rule::A10,
            (false, false) => Rule::A1,
        };
        Denial::lacks(rule, privilege)
    })
}

/// What gives a person one of the wanted privileges on every site of the instance's hosting: owning it (A3), or a
/// share on any of them (A6).
fn through_hosting(
    table: &AccessTable,
    person: PersonId,
    instance: &Instance,
    wanted: PrivilegeSet,
    now: Timestamp,
) -> Option<Grounds> {
    let wanted = wanted.meet(Privilege::HOSTING);
    if wanted.is_empty() {
        return None;
    }
    if table.hosting(&instance.hosting).is_some_and(|hosting| owns_hosting(table, hosting, person)) {
        return Some(Grounds { rule: Rule::A3, share: None, log_in_as: None });
    }
    let share = table.instances_of(&instance.hosting).find_map(|site| {
        let share = table.share_of_on(person, &site.id)?;
        let held = Standing::of_share(table, site, share, wanted, now).privileges;
        (!held.is_empty()).then_some(share.id)
    })?;
    Some(Grounds { rule: Rule::A6, share: Some(share), log_in_as: None })
}

/// The right of a person, or of the panel for them, over their own share: read it, accept it, leave it, set its keys.
#[derive(Debug, Clone)]
pub struct OwnShare {
    actor: Actor,
    share: ShareId,
}

impl OwnShare {
    /// On whose behalf.
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Which share.
    pub const fn share(&self) -> ShareId {
        self.share
    }
}

/// Decides whether the actor may act on the share as the one who holds it (A2), also while it is pending.
///
/// Everybody else is told that there is no such share; a suspended hosting refuses the person (A4).
pub fn decide_own_share(table: &AccessTable, actor: &Actor, share: ShareId) -> Result<OwnShare, Denial> {
    let found = table.share(share).filter(|row| *actor == Actor::Panel || actor.person() == Some(row.person));
    let Some(row) = found.filter(|row| !matches!(row.state, ShareState::Revoked | ShareState::Expired)) else {
        return Err(Denial::not_found("share"));
    };
    let hosting = table.instance(&row.instance).and_then(|instance| table.hosting(&instance.hosting));
    if *actor != Actor::Panel && hosting.is_none_or(|hosting| hosting.state == HostingState::Suspended) {
        return Err(Denial::forbidden(Rule::A4, "the hosting is suspended"));
    }
    Ok(OwnShare { actor: actor.clone(), share })
}

/// The right to do what only the panel may: registering, ending everything of a person, the whole audit.
#[derive(Debug)]
pub struct PanelPermit(());

/// Decides whether the actor is the panel (A3).
pub fn decide_panel(actor: &Actor) -> Result<PanelPermit, Denial> {
    match actor {
        Actor::Panel => Ok(PanelPermit(())),
        _ => Err(Denial::forbidden(Rule::A3, "only the panel itself may do this (Latchkey-Actor: panel)")),
    }
}
