//! Changing a share's terms, suspending and reinstating it.

use latchkey_access::rows::ShareUpdate;
use latchkey_access::{GrantFault, GrantedBy, Holdings, Share, ShareId, ShareState, Terms, decide, may_change};

use super::input::{SharePatch, check_note, check_terms};
use super::invite::refuse_ended;
use super::{letters, staging};
use crate::caller::Note;
use crate::problem::Problem;
use crate::state::Change;

/// Changes what a share offers. What it no longer allows ends with this change.
pub(crate) fn update(
    change: &mut Change<'_>,
    id: ShareId,
    patch: &SharePatch,
    gateway_url: &str,
) -> Result<Share, Problem> {
    let before = change.share(id)?;
    let permit = decide::<ShareUpdate>(change.table(), change.actor(), &before.instance, change.now)?;
    may_change(change.table(), change.actor(), &before, None, change.now)?;
    refuse_ended(&before, change.now)?;
    let terms = patch.apply_to(&before.terms)?;
    let granted_by = if patch.changes_terms() {
        may_change(change.table(), change.actor(), &before, Some(&terms), change.now)?
    } else {
        before.granted_by
    };
    if patch.changes_terms() {
        check_terms(&terms, change.now)?;
    }
    let only_narrows = GrantFault::of(&Holdings::of_terms(&terms), &Holdings::of_terms(&before.terms)).is_none();
    // What also gives something must be written down before it counts.
    change.ends_access = only_narrows && patch.apply_to_staging != Some(true);
    check_note(patch.note.as_ref().and_then(|note| note.as_deref()))?;
    let after = put_terms(change, &before, terms, granted_by, patch)?;
    match (before.apply_to_staging, after.apply_to_staging) {
        (true, false) => staging::unlink(change, &after)?,
        (false, true) => staging::link_all(change, &after)?,
        _ if patch.changes_terms() => staging::follow(change, &after)?,
        _ => {}
    }
    if after.terms != before.terms && after.state == ShareState::Active {
        letters::role_changed(change, &after, gateway_url)?;
    }
    let note = Note::of("share.update").on(&after.instance).share(id).rule(permit.rule());
    change.record(note.detail(format!("{} to {}", before.terms.role.id(), after.terms.role.id())))?;
    Ok(after)
}

fn put_terms(
    change: &mut Change<'_>,
    before: &Share,
    terms: Terms,
    granted_by: GrantedBy,
    patch: &SharePatch,
) -> Result<Share, Problem> {
    let same_user = before.terms.log_in_as == terms.log_in_as;
    let by_itself = patch.changes_terms();
    change.put_share(Share {
        apply_to_staging: patch.apply_to_staging.unwrap_or(before.apply_to_staging),
        note: patch.note.clone().unwrap_or_else(|| before.note.clone()).filter(|note| !note.is_empty()),
        pinned_is_administrator: before.pinned_is_administrator.filter(|_| same_user),
        log_in_as_mismatch: before.log_in_as_mismatch.clone().filter(|_| same_user),
        follows: before.follows && !by_itself,
        terms,
        granted_by,
        ..before.clone()
    })
}

/// Takes a share's access away until it is reinstated.
pub(crate) fn suspend(change: &mut Change<'_>, id: ShareId) -> Result<Share, Problem> {
    change.ends_access = true;
    switch(change, id, ShareState::Active, ShareState::Suspended, "share.suspend")
}

/// Gives a suspended share its access back.
pub(crate) fn reinstate(change: &mut Change<'_>, id: ShareId) -> Result<Share, Problem> {
    switch(change, id, ShareState::Suspended, ShareState::Active, "share.reinstate")
}

fn switch(
    change: &mut Change<'_>,
    id: ShareId,
    from: ShareState,
    to: ShareState,
    operation: &str,
) -> Result<Share, Problem> {
    let share = change.share(id)?;
    let permit = decide::<ShareUpdate>(change.table(), change.actor(), &share.instance, change.now)?;
    may_change(change.table(), change.actor(), &share, None, change.now)?;
    refuse_ended(&share, change.now)?;
    if share.state == to {
        return Ok(Share::clone(&share));
    }
    if share.state != from {
        let detail = format!("expected a share that is {}; this one is {}", from.as_str(), share.state.as_str());
        return Err(Problem::conflict(detail));
    }
    let by_itself = Share { state: to, follows: false, ..Share::clone(&share) };
    let switched = change.put_share(by_itself)?;
    staging::follow(change, &switched)?;
    letters::suspended_or_back(change, &switched)?;
    change.record(Note::of(operation).on(&share.instance).share(id).rule(permit.rule()))?;
    Ok(switched)
}
