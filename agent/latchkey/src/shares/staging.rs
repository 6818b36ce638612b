//! Apply to Staging: linked shares on the stagings of an instance, those made later included (A11).

use latchkey_access::rows::ShareInvite;
use latchkey_access::{
    GrantFault, GrantedBy, Holdings, Instance, InstanceId, PersonId, Share, ShareId, Terms, actor_holdings, decide,
    may_change, may_grant,
};

use super::end;
use crate::caller::Note;
use crate::problem::Problem;
use crate::state::Change;
use crate::token::random_number;

/// Makes a linked share on each staging of the share's instance where the person has none; the actor's rights are
/// checked on each.
pub(super) fn link_all(change: &mut Change<'_>, main: &Share) -> Result<(), Problem> {
    let stagings: Vec<InstanceId> =
        change.table().stagings_of(&main.instance).map(|staging| staging.id.clone()).collect();
    for staging in stagings {
        if change.table().share_of_on(main.person, &staging).is_some() {
            continue;
        }
        let permit = decide::<ShareInvite>(change.table(), change.actor(), &staging, change.now).map_err(|denial| {
            let detail = format!("apply_to_staging: on {staging} {}", denial.detail);
            Problem { field: Some("apply_to_staging".into()), detail, ..Problem::from(denial) }
        })?;
        let granted_by = may_grant(change.table(), &permit, &main.terms, change.now)?;
        link(change, main, &staging, granted_by)?;
    }
    Ok(())
}

/// Carries a change of a main share's terms or state over to the linked shares that still follow it.
///
/// What takes away from them needs no more than the right to take it from the main one (A11); what gives is checked on
/// the staging, too.
pub(super) fn follow(change: &mut Change<'_>, main: &Share) -> Result<(), Problem> {
    let followers: Vec<_> = change.table().linked_to(main).filter(|linked| linked.follows).cloned().collect();
    for linked in followers {
        let (wanted, held) = (Holdings::of_terms(&main.terms), Holdings::of_terms(&linked.terms));
        let granted_by = match GrantFault::of(&wanted, &held) {
            None => linked.granted_by,
            Some(_) => may_change(change.table(), change.actor(), &linked, Some(&main.terms), change.now)?,
        };
        change.put_share(Share {
            terms: main.terms.clone(),
            state: main.state,
            granted_by,
            ..Share::clone(&linked)
        })?;
    }
    Ok(())
}

/// Ends the linked shares that still follow: Apply to Staging was taken back.
pub(super) fn unlink(change: &mut Change<'_>, main: &Share) -> Result<(), Problem> {
    let followers: Vec<ShareId> =
        change.table().linked_to(main).filter(|linked| linked.follows).map(|linked| linked.id).collect();
    followers.into_iter().try_for_each(|id| end::end_linked(change, id))
}

/// Ends the linked shares of an instance that is no staging of that live one any more. As where Apply to Staging is taken
/// back, those that were edited by themselves go on.
pub(crate) fn unlink_staging(change: &mut Change<'_>, instance: &Instance, live: &InstanceId) -> Result<(), Problem> {
    let table = change.table();
    let is_of_live = |main: ShareId| table.share(main).is_some_and(|main| main.instance == *live);
    let followers: Vec<ShareId> = table
        .shares_on(&instance.id)
        .filter(|share| share.follows && !share.state.is_final() && share.linked_to.is_some_and(is_of_live))
        .map(|share| share.id)
        .collect();
    followers.into_iter().try_for_each(|id| end::end_linked(change, id))
}

/// Makes the linked shares of a staging that is new: for each share of the live instance that applies to stagings and
/// whose grantor holds as much on the staging.
pub(crate) fn link_new_staging(change: &mut Change<'_>, staging: &Instance) -> Result<(), Problem> {
    let Some(live) = &staging.staging_of else { return Ok(()) };
    let mut waiting: Vec<Share> = change
        .table()
        .shares_on(live)
        .filter(|share| share.apply_to_staging && !share.is_over(change.now))
        .map(|share| Share::clone(share))
        .collect();
    // Whoever granted comes before those they granted to; what is left over rests on nobody there.
    loop {
        let ready = waiting.iter().position(|main| grantor_there(change, main, staging).is_some());
        let Some(main) = ready.map(|index| waiting.swap_remove(index)) else { return Ok(()) };
        let taken = change.table().share_of_on(main.person, &staging.id).is_some();
        let granted_by = grantor_there(change, &main, staging).filter(|_| !taken);
        if let Some(granted_by) = granted_by {
            link(change, &main, &staging.id, granted_by)?;
        }
    }
}

/// On whose authority a linked share would rest on the staging; `None` if the grantor does not hold as much there.
fn grantor_there(change: &Change<'_>, main: &Share, staging: &Instance) -> Option<GrantedBy> {
    let (table, now) = (change.table(), change.now);
    let as_much = |person: PersonId| {
        let held = actor_holdings(table, &latchkey_access::Actor::Person(person), staging, now);
        GrantFault::of(&Holdings::of_terms(&main.terms), &held).is_none()
    };
    match main.granted_by {
        GrantedBy::Panel => Some(GrantedBy::Panel),
        GrantedBy::Owner(owner) => (staging.owners.contains(&owner) && as_much(owner)).then_some(main.granted_by),
        GrantedBy::Share(above) => {
            let grantor = table.share(above)?.person;
            let there = table.share_of_on(grantor, &staging.id)?;
            as_much(grantor).then_some(GrantedBy::Share(there.id))
        }
    }
}

fn link(change: &mut Change<'_>, main: &Share, staging: &InstanceId, granted_by: GrantedBy) -> Result<(), Problem> {
    let linked = change.put_share(Share {
        id: ShareId::from_number(random_number()?),
        instance: staging.clone(),
        terms: Terms { ..main.terms.clone() },
        granted_by,
        apply_to_staging: false,
        linked_to: Some(main.id),
        follows: true,
        generation: 0,
        created_at: change.now,
        pinned_is_administrator: None,
        log_in_as_mismatch: None,
        ..main.clone()
    })?;
    change
        .record(Note::of("share.link").on(staging).share(linked.id).rule("A11").detail(format!("follows {}", main.id)))
}
