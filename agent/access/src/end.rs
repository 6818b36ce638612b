//! What ends with a share: those that rest on it, unless they are adopted, and the linked ones on stagings (A10, A11).

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::delegate::authority;
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
/// Its person may leave it; anybody else must be allowed to change it ([`may_change`]). `adopt` names shares below it
/// that shall rest on the actor from now on; the actor must hold as much as each of them offers, and may not rest on
/// what ends. A share that is linked to one that ends cannot be adopted (A11).
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
    // The panel ends shares of instances that are gone, too.
    if !leaving && *actor != Actor::Panel {
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
    if let Some(id) = wanted.first() {
        let detail = format!("expected shares that rest on this one; {id} does not");
        return Err(Denial::invalid(Rule::A10, "adopt", detail));
    }
    plan.adoptions_hold(table)?;
    Ok(plan)
}

impl Ending {
    /// Checks that nothing is both ended and adopted, or adopted by somebody whose own share ends here, too.
    fn adoptions_hold(&self, table: &AccessTable) -> Result<(), Denial> {
        for (adopted, by) in &self.adopted {
            if self.ended.contains(adopted) {
                let detail = format!("{adopted} is linked to a share that ends, and ends with it");
                return Err(Denial::invalid(Rule::A11, "adopt", detail));
            }
            let GrantedBy::Share(by) = by else { continue };
            let above = table.share(*by).into_iter().flat_map(|share| table.authorities(share));
            let mut adopters = above.chain([GrantedBy::Share(*by)]);
            if adopters.any(|by| matches!(by, GrantedBy::Share(id) if self.ended.contains(&id))) {
                return Err(Denial::forbidden(
                    Rule::A10,
                    "who rests on the share that ends cannot adopt those below it",
                ));
            }
        }
        Ok(())
    }
}

fn adopter(table: &AccessTable, actor: &Actor, below: &Share, now: Timestamp) -> Result<GrantedBy, Denial> {
    // Judged by all that its terms offer, also where it rests on the actor already through the share that ends.
    let orphan = Share { granted_by: GrantedBy::Panel, ..below.clone() };
    may_change(table, actor, &orphan, Some(&below.terms), now)?;
    let instance = table.instance(&below.instance).ok_or_else(|| Denial::not_found("instance"))?;
    authority(table, actor, instance)
}
