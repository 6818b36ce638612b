//! Ending shares: by somebody, by leaving, by the clock, or all of a person's.

use latchkey_access::rows::ShareRevoke;
use latchkey_access::{
    Actor, Denial, Ending, PersonId, Share, ShareId, ShareState, decide, decide_own_share, decide_panel, may_change,
    plan_ending,
};

use super::letters;
use crate::caller::Note;
use crate::problem::Problem;
use crate::state::Change;

/// How to end a share.
#[derive(Debug, Clone, Default)]
pub(crate) struct EndInput {
    /// The person's other shares as well, those that the actor may end.
    pub(crate) everywhere: bool,
    /// Shares below it that shall rest on the actor instead of ending.
    pub(crate) adopt: Vec<ShareId>,
}

/// What was ended.
#[derive(Debug)]
pub(crate) struct EndedShares {
    /// The share that was asked for.
    pub(crate) share: Share,
    /// Other shares of the person that the actor may end, and that go on.
    pub(crate) others: Vec<ShareId>,
}

/// Ends a share on behalf of an actor: its own person leaves it, anybody else revokes it.
pub(crate) fn revoke(change: &mut Change<'_>, id: ShareId, input: &EndInput) -> Result<EndedShares, Problem> {
    change.ends_access = true;
    let share = change.share(id)?;
    let leaving = change.actor().person() == Some(share.person);
    let rule = if leaving {
        decide_own_share(change.table(), change.actor(), id)?;
        latchkey_access::Rule::A2
    } else {
        decide::<ShareRevoke>(change.table(), change.actor(), &share.instance, change.now)?.rule()
    };
    let mut plan = plan_ending(change.table(), change.actor(), &share, &input.adopt, change.now)?;
    let others = if leaving { Vec::new() } else { endable(change, share.person, &plan) };
    if input.everywhere {
        for other in &others {
            let more = plan_ending(change.table(), change.actor(), &*change.share(*other)?, &[], change.now)?;
            let goes_on = |id: &ShareId| plan.adopted.iter().any(|(adopted, _)| adopted == id);
            let more: Vec<_> = more.ended.into_iter().filter(|id| !plan.ended.contains(id) && !goes_on(id)).collect();
            plan.ended.extend(more);
        }
    }
    let operation = if leaving { "share.leave" } else { "share.revoke" };
    apply(change, &plan, ShareState::Revoked, operation, rule)?;
    let share = Share::clone(&*change.share(id)?);
    Ok(EndedShares { share, others: if input.everywhere { Vec::new() } else { others } })
}

/// The person's shares beyond the plan that the actor may end.
fn endable(change: &Change<'_>, person: PersonId, plan: &Ending) -> Vec<ShareId> {
    let table = change.table();
    let may_end = |share: &Share| -> Result<(), Denial> {
        decide::<ShareRevoke>(table, change.actor(), &share.instance, change.now)?;
        may_change(table, change.actor(), share, None, change.now).map(drop)
    };
    let others = table.shares_of(person).filter(|share| !plan.ended.contains(&share.id));
    others.filter(|share| may_end(share).is_ok()).map(|share| share.id).collect()
}

fn apply(
    change: &mut Change<'_>,
    plan: &Ending,
    state: ShareState,
    operation: &str,
    rule: latchkey_access::Rule,
) -> Result<(), Problem> {
    let first = plan.ended.first().copied();
    let mut ended = Vec::new();
    for id in &plan.ended {
        let before = change.share(*id)?;
        let state = match state {
            _ if Some(*id) == first => state,
            ShareState::Expired if before.has_expired(change.now) => state,
            _ => ShareState::Revoked,
        };
        if before.state.is_final() {
            continue;
        }
        let share = change.set_state(*id, state)?;
        ended.push((before, share));
    }
    for (id, granted_by) in &plan.adopted {
        let share = change.share(*id)?;
        change.put_share(Share { granted_by: *granted_by, ..Share::clone(&share) })?;
        change.record(Note::of("share.adopt").on(&share.instance).share(id).rule(rule))?;
    }
    for (before, share) in ended {
        if before.state != ShareState::Pending {
            letters::access_ended(change, &share)?;
        }
        let note = Note::of(operation).on(&share.instance).share(share.id).rule(rule);
        change.record(if Some(share.id) == first { note } else { note.detail("ended with the share above it") })?;
    }
    Ok(())
}

/// Ends a linked share and what rests on it, because it is linked no more.
pub(super) fn end_linked(change: &mut Change<'_>, id: ShareId) -> Result<(), Problem> {
    let share = change.share(id)?;
    let plan = plan_ending(change.table(), change.actor(), &share, &[], change.now)?;
    apply(change, &plan, ShareState::Revoked, "share.revoke", latchkey_access::Rule::A11)
}

/// Ends every share whose time is over. The agent does this by itself; the answer says how many there were.
pub(crate) fn end_by_clock(change: &mut Change<'_>) -> Result<usize, Problem> {
    change.ends_access = true;
    let now = change.now;
    let over: Vec<_> =
        change.table().shares().filter(|share| !share.state.is_final() && share.has_expired(now)).cloned().collect();
    for share in &over {
        if change.share(share.id)?.state.is_final() {
            continue;
        }
        let plan = plan_ending(change.table(), &Actor::Panel, share, &[], now)?;
        apply(change, &plan, ShareState::Expired, "share.expire", latchkey_access::Rule::A5)?;
    }
    Ok(over.len())
}

/// Ends all shares and sign-in links of a person, for the panel.
pub(crate) fn end_of_person(change: &mut Change<'_>, person: PersonId) -> Result<Vec<Share>, Problem> {
    decide_panel(change.actor())?;
    change.ends_access = true;
    if change.table().person(person).is_none() {
        return Err(Problem::not_found("person"));
    }
    let own: Vec<_> = change.table().shares_of(person).cloned().collect();
    let mut ended = Vec::new();
    for share in own {
        if !change.share(share.id)?.state.is_final() {
            let plan = plan_ending(change.table(), change.actor(), &share, &[], change.now)?;
            apply(change, &plan, ShareState::Revoked, "share.revoke", latchkey_access::Rule::A3)?;
        }
        ended.push(Share::clone(&*change.share(share.id)?));
    }
    crate::registry::people::end_sign_ins(change, person)?;
    Ok(ended)
}
