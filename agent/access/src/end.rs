//! What ends with a share: those that rest on it, unless they are adopted, and the linked ones on stagings (A10, A11).

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::{AccessTable, Actor, Denial, GrantedBy, Rule, Share, ShareId, may_change};

/// The plan for ending a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Shares to revoke, the asked one first.
    pub ended: Vec<ShareId>,
    /// Shares that go on, on this authority.
    pub adopted: Vec<(ShareId, GrantedBy)>,
}

/// Plans the end of a share on behalf of an actor.
///
/// Its person may leave it; anybody else must hold as much as it gives. `adopt` names shares below it that shall rest
/// on the actor from now on; the actor must hold as much as each of them.
pub fn plan_ending(
    table: &AccessTable,
    actor: &Actor,
    share: &Share,
    adopt: &[ShareId],
    now: Timestamp,
) -> Result<Ending, Denial> {
    let leaving = actor.person() == Some(share.person);
    if leaving && !adopt.is_empty() {
        return Err(Denial::forbidden(Rule::A10, "who leaves a share cannot adopt those below it"));
    }
    if !leaving {
        may_change(table, actor, share, None, now)?;
    }
    let mut plan = Ending { ended: Vec::new(), adopted: Vec::new() };
    let mut wanted: BTreeSet<ShareId> = adopt.iter().copied().collect();
    let mut next = vec![share.clone()];
    while let Some(ending) = next.pop() {
        if plan.ended.contains(&ending.id) {
            continue;
        }
        plan.ended.push(ending.id);
        next.extend(table.linked_to(&ending).map(|linked| (**linked).clone()));
        for below in table.granted_through(&ending) {
            if wanted.remove(&below.id) {
                plan.adopted.push((below.id, adopter(table, actor, below, now)?));
            } else {
                next.push((**below).clone());
            }
        }
    }
    match wanted.first() {
        Some(id) => Err(Denial::invalid(Rule::A10, "adopt", format!("expected shares that rest on this one; {id} does not"))),
        None => Ok(plan),
    }
}

fn adopter(table: &AccessTable, actor: &Actor, below: &Share, now: Timestamp) -> Result<GrantedBy, Denial> {
    // Judged against what the share is meant to give, not against what the ending grantor left of it.
    let orphan = Share { granted_by: GrantedBy::Panel, ..below.clone() };
    may_change(table, actor, &orphan, None, now)?;
    let instance = table.instance(&below.instance).ok_or_else(|| Denial::not_found("instance"))?;
    Ok(match actor {
        Actor::Person(person) if instance.owners.contains(person) => GrantedBy::Owner(*person),
        Actor::Person(person) => match table.share_of_on(*person, &below.instance) {
            Some(own) => GrantedBy::Share(own.id),
            None => return Err(Denial::not_found("share")),
        },
        Actor::Panel | Actor::Stranger(_) => GrantedBy::Panel,
    })
}
