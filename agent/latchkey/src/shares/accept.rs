//! Accepting an invitation: by its link, or by the panel for the person.

use latchkey_access::{Actor, PersonId, Share, ShareId, ShareState, decide_own_share};

use super::invite::refuse_ended;
use crate::caller::Note;
use crate::problem::Problem;
use crate::state::Change;
use crate::store::gateway_rows;
use crate::token::TokenHash;

/// Accepts a share on behalf of the one who holds it. Accepting again changes nothing.
pub(crate) fn accept(change: &mut Change<'_>, id: ShareId) -> Result<Share, Problem> {
    let own = decide_own_share(change.table(), change.actor(), id)?;
    accept_now(change, own.share())
}

/// Accepts the share that a link invites to; `None` for a link that is dead, for whatever reason.
pub(crate) fn accept_by_invitation(
    change: &mut Change<'_>,
    token: &TokenHash,
) -> Result<Option<(Share, PersonId)>, Problem> {
    let Some(id) = gateway_rows::share_of_invitation(change.connection(), token, change.now)? else { return Ok(None) };
    let share = change.share(id)?;
    if share.state != ShareState::Pending || share.has_expired(change.now) {
        return Ok(None);
    }
    // Whoever has the link is the person; a suspended hosting still refuses them.
    decide_own_share(change.table(), &Actor::Person(share.person), id)?;
    let accepted = accept_now(change, id)?;
    let person = accepted.person;
    Ok(Some((accepted, person)))
}

fn accept_now(change: &mut Change<'_>, id: ShareId) -> Result<Share, Problem> {
    let share = change.share(id)?;
    refuse_ended(&share, change.now)?;
    if share.state != ShareState::Pending {
        return Ok(Share::clone(&share));
    }
    let accepted = activate(change, &share)?;
    let linked: Vec<_> = change.table().linked_to(&share).cloned().collect();
    for linked in linked.iter().filter(|linked| linked.follows && linked.state == ShareState::Pending) {
        activate(change, linked)?;
    }
    gateway_rows::delete_invitation(change.connection(), id)?;
    change.record(Note::of("share.accept").on(&share.instance).share(id))?;
    Ok(accepted)
}

fn activate(change: &mut Change<'_>, share: &Share) -> Result<Share, Problem> {
    let accepted_at = Some(change.now);
    change.put_share(Share { state: ShareState::Active, accepted_at, ..share.clone() })
}
