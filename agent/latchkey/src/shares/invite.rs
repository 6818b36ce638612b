//! Inviting a person, and sending an invitation again.

use std::time::Duration;

use latchkey_access::rows::{ShareInvite, ShareResend};
use latchkey_access::{
    Actor, Email, Holdings, InstanceId, Rule, Share, ShareId, ShareState, Terms, actor_holdings, decide, may_change,
    may_grant,
};

use super::input::{InviteInput, check_note, check_terms};
use super::{letters, staging};
use crate::caller::Note;
use crate::clock::{later, until};
use crate::problem::{Code, Problem};
use crate::state::Change;
use crate::store::gateway_rows::{self, Invitation};
use crate::store::mail_queue;
use crate::token::{Token, random_number};

/// What the operator decides about invitations.
#[derive(Debug, Clone)]
pub(crate) struct InviteSettings {
    /// The gateway's origin.
    pub(crate) gateway_url: String,
    /// How long a link is good.
    pub(crate) life: Duration,
    /// How long until it can be sent again.
    pub(crate) resend_after: Duration,
}

/// Invites a person to an instance: a pending share, a link by mail, and linked shares on stagings if wanted.
pub(crate) fn invite(
    change: &mut Change<'_>,
    instance: &InstanceId,
    input: &InviteInput,
    settings: &InviteSettings,
) -> Result<Share, Problem> {
    let permit = decide::<ShareInvite>(change.table(), change.actor(), instance, change.now)?;
    let terms = within_own_time(change, instance, input.terms()?);
    let granted_by = may_grant(change.table(), &permit, &terms, change.now)?;
    let email: Email = input
        .email
        .parse()
        .map_err(|fault: latchkey_access::InvalidEmail| Problem::invalid("email", fault.to_string()))?;
    check_terms(&terms, change.now)?;
    check_note(input.note.as_deref())?;
    let person = change.person_with(&email)?;
    refuse_second(change, &person, instance)?;
    let share = change.put_share(Share {
        id: ShareId::from_number(random_number()?),
        person: person.id,
        instance: instance.clone(),
        terms,
        state: ShareState::Pending,
        granted_by,
        apply_to_staging: input.apply_to_staging,
        linked_to: None,
        follows: false,
        generation: 0,
        note: input.note.clone().filter(|note| !note.is_empty()),
        created_at: change.now,
        accepted_at: None,
        pinned_is_administrator: None,
        log_in_as_mismatch: None,
    })?;
    if share.apply_to_staging {
        staging::link_all(change, &share)?;
    }
    send_invitation(change, &share, settings)?;
    letters::tell_owners(change, &share, &settings.gateway_url)?;
    let detail = format!("{} as {}", person.email, share.terms.role.id());
    change.record(Note::of("share.invite").on(instance).share(share.id).rule(permit.rule()).detail(detail))?;
    Ok(share)
}

/// Whoever has access for a time only gives none that lasts longer, if they do not say how long.
fn within_own_time(change: &Change<'_>, instance: &InstanceId, terms: Terms) -> Terms {
    let held = change
        .table()
        .instance(instance)
        .map_or(Holdings::NONE, |instance| actor_holdings(change.table(), change.actor(), instance, change.now));
    Terms { expires_at: terms.expires_at.or(held.expires_at), ..terms }
}

fn refuse_second(change: &Change<'_>, person: &latchkey_access::Person, instance: &InstanceId) -> Result<(), Problem> {
    let table = change.table();
    if table.instance(instance).is_some_and(|instance| instance.owners.contains(&person.id)) {
        return Err(Problem::conflict(format!("{} owns this instance", person.email)));
    }
    if *change.actor() == Actor::Person(person.id) {
        return Err(Problem::conflict("nobody invites themselves"));
    }
    match table.share_of_on(person.id, instance) {
        Some(share) => Err(Problem::conflict(format!(
            "{} has a share of this instance already ({}, {}); change that one",
            person.email,
            share.id,
            share.state.as_str()
        ))),
        None => Ok(()),
    }
}

/// Sends an invitation again, with a new link; the link before is dead from now on.
pub(crate) fn resend(change: &mut Change<'_>, id: ShareId, settings: &InviteSettings) -> Result<Share, Problem> {
    let share = change.share(id)?;
    let permit = decide::<ShareResend>(change.table(), change.actor(), &share.instance, change.now)?;
    may_change(change.table(), change.actor(), &share, None, change.now)?;
    if share.state != ShareState::Pending || share.has_expired(change.now) {
        return Err(Problem::conflict(format!(
            "only a pending share can be sent again; this one is {}",
            share.state.as_str()
        )));
    }
    if let Some(last) = gateway_rows::invitation_of(change.connection(), id)? {
        let wait = until(later(last.sent_at, settings.resend_after), change.now);
        if !wait.is_zero() {
            let seconds = wait.as_secs().max(1);
            let detail = format!("the invitation was sent a moment ago; it can be sent again in {seconds} seconds");
            return Err(Problem::new(Code::Busy, detail).retry_after(seconds));
        }
    }
    mail_queue::drop_invitations(change.connection(), &id.to_string())?;
    send_invitation(change, &share, settings)?;
    change.record(Note::of("share.resend").on(&share.instance).share(id).rule(permit.rule()))?;
    Ok(Share::clone(&share))
}

fn send_invitation(change: &Change<'_>, share: &Share, settings: &InviteSettings) -> Result<(), Problem> {
    let token = Token::generate()?;
    let expires_at = later(change.now, settings.life);
    let expires_at = share.terms.expires_at.map_or(expires_at, |end| end.min(expires_at));
    gateway_rows::save_invitation(
        change.connection(),
        share.id,
        &token.hash(),
        Invitation { expires_at, sent_at: change.now },
    )?;
    let link = format!("{}/i/{}", settings.gateway_url, token.text());
    letters::invitation(change, share, link, expires_at)
}

/// Refuses a share that is over.
pub(super) fn refuse_ended(share: &Share, now: jiff::Timestamp) -> Result<(), Problem> {
    if share.is_over(now) {
        let state = if share.state.is_final() { share.state } else { ShareState::Expired };
        return Err(Problem { rule: Some(Rule::A4), ..Problem::conflict(format!("the share is {}", state.as_str())) });
    }
    Ok(())
}
