//! The letters about shares: what a share means in words, and who is told when it changes.

use jiff::Timestamp;
use latchkey_access::{
    AccessTable, Email, GrantedBy, LogInAs, Privilege, PrivilegeSet, Reach, ReachFlag, Role, Share, ShareState,
    catalogue, reach,
};

use crate::accounts::Fact;
use crate::mail::letters::{
    AccessEnded, AccountDetails, DelegateInvited, EndReason, ExpiringSoon, Grants, Invitation, Letter, Offer,
    PrivilegeGroup, RoleChanged,
};
use crate::problem::Problem;
use crate::state::Change;
use crate::store::mail_queue::NewLetter;

/// Says in words what a share allows.
pub(crate) fn grants_in_words(share: &Share, reach: &Reach) -> Grants {
    let terms = &share.terms;
    let role = terms.role.entry();
    Grants {
        role_title: role.map(|entry| entry.title.clone()).unwrap_or_default(),
        role_tooltip: role
            .filter(|_| speaks_to_holder(terms.role))
            .map(|entry| entry.tooltip.clone())
            .unwrap_or_default(),
        privileges: groups(terms.privileges),
        log_in_as: terms.privileges.contains(Privilege::WpAdminSso).then(|| who(terms.log_in_as.as_ref())),
        reach: reach_in_words(reach),
        access_ends: terms.expires_at.map(moment_in_words),
    }
}

/// Says in words what somebody is invited to, until `link_ends`. `None` if the instance is gone.
pub(crate) fn offer_in_words(
    table: &AccessTable,
    share: &Share,
    link_ends: Option<Timestamp>,
    now: Timestamp,
) -> Option<Offer> {
    let instance = table.instance(&share.instance)?;
    Some(Offer {
        site_label: instance.label.clone(),
        site_url: instance.url.clone(),
        inviter: grantor_in_words(table, share),
        grants: grants_in_words(share, &reach(table, share, now)),
        note: share.note.clone(),
        link_ends: link_ends.map(moment_in_words).unwrap_or_default(),
    })
}

/// Some tooltips speak to whoever chooses the role; the person gets the details instead.
const fn speaks_to_holder(role: Role) -> bool {
    matches!(role, Role::ViewOnly | Role::Developer | Role::FullAccess)
}

fn who(log_in_as: Option<&LogInAs>) -> String {
    match log_in_as {
        Some(LogInAs::All(_)) => "any WordPress user".to_owned(),
        Some(LogInAs::Pinned(user)) => user.login.clone(),
        None => "nobody yet".to_owned(),
    }
}

fn groups(privileges: PrivilegeSet) -> Vec<PrivilegeGroup> {
    let group = |category: &latchkey_access::Category| {
        let of_category = privileges.iter().filter(|privilege| privilege.entry().category() == category.id);
        let titles = of_category.map(|privilege| privilege.entry().title.clone()).collect();
        PrivilegeGroup { category: category.title.clone(), titles }
    };
    catalogue().categories.iter().map(group).filter(|group| !group.titles.is_empty()).collect()
}

/// One sentence for each flag of a reach.
fn reach_in_words(reach: &Reach) -> Vec<String> {
    let sentences = [
        (reach.effective_admin, ReachFlag::EffectiveAdmin, "This amounts to being an administrator of the site."),
        (reach.reaches_other_sites, ReachFlag::ReachesOtherSites, "This reaches the other sites on the same hosting."),
        (reach.sees_secrets, ReachFlag::SeesSecrets, "This shows passwords, keys or personal data of the site."),
        (reach.can_mint, ReachFlag::CanMint, "This can make further users, passwords or shares."),
        (reach.destroys, ReachFlag::Destroys, "This can delete what cannot be brought back."),
    ];
    sentences.into_iter().filter(|(set, _, _)| *set).map(|(_, _, sentence)| sentence.to_owned()).collect()
}

/// A moment for people, in UTC: the node does not know where they are.
pub(crate) fn moment_in_words(moment: Timestamp) -> String {
    moment.strftime("%-d %B %Y, %H:%M UTC").to_string()
}

struct Site {
    label: String,
    url: String,
}

fn site_of(change: &Change<'_>, share: &Share) -> Result<Site, Problem> {
    let instance = change.table().instance(&share.instance).ok_or_else(|| Problem::not_found("instance"))?;
    Ok(Site { label: instance.label.clone(), url: instance.url.clone() })
}

fn grants(change: &Change<'_>, share: &Share) -> Grants {
    grants_in_words(share, &reach(change.table(), share, change.now))
}

/// On whose authority a share rests, in words.
fn grantor_in_words(table: &AccessTable, share: &Share) -> String {
    let email = |person| table.person(person).map(|person| person.email.to_string());
    let named = match share.granted_by {
        GrantedBy::Panel => None,
        GrantedBy::Owner(owner) => email(owner),
        GrantedBy::Share(above) => table.share(above).and_then(|above| email(above.person)),
    };
    named.unwrap_or_else(|| "the hosting provider".to_owned())
}

fn post(
    change: &Change<'_>,
    share: &Share,
    kind: &'static str,
    to: &Email,
    letter: Result<Letter, askama::Error>,
) -> Result<(), Problem> {
    let letter = letter.map_err(|error| Problem::internal(&error))?;
    change.send(&NewLetter {
        share: Some(share.id.to_string()),
        kind,
        recipient: to.to_string(),
        subject: letter.subject,
        text: letter.text,
        html: letter.html,
    })
}

fn holder(change: &Change<'_>, share: &Share) -> Result<Email, Problem> {
    let person = change.table().person(share.person).ok_or_else(|| Problem::not_found("person"))?;
    Ok(person.email.clone())
}

/// Invites.
pub(super) fn invitation(
    change: &Change<'_>,
    share: &Share,
    link: String,
    link_ends: Timestamp,
) -> Result<(), Problem> {
    let offer = offer_in_words(change.table(), share, Some(link_ends), change.now);
    let letter = Invitation { offer: offer.ok_or_else(|| Problem::not_found("instance"))?, link };
    post(change, share, "invitation", &holder(change, share)?, letter.letter())
}

/// Tells the owners that somebody they trusted invited somebody else.
pub(super) fn tell_owners(change: &Change<'_>, share: &Share, gateway_url: &str) -> Result<(), Problem> {
    let GrantedBy::Share(_) = share.granted_by else { return Ok(()) };
    let (site, grants) = (site_of(change, share)?, grants(change, share));
    let owners = change.table().instance(&share.instance).map(|instance| instance.owners.clone()).unwrap_or_default();
    for owner in owners {
        let Some(owner) = change.table().person(owner) else { continue };
        let letter = DelegateInvited {
            site_label: site.label.clone(),
            delegate: grantor_in_words(change.table(), share),
            invitee: holder(change, share)?.to_string(),
            grants: grants.clone(),
            panel_hint: Some(format!("People with access, in your hosting panel or at {gateway_url}")),
        };
        post(change, share, "delegate_invited", &owner.email.clone(), letter.letter())?;
    }
    Ok(())
}

/// Tells a person what they may do from now on.
pub(super) fn role_changed(change: &Change<'_>, share: &Share, gateway_url: &str) -> Result<(), Problem> {
    let (site, grants) = (site_of(change, share)?, grants(change, share));
    let letter =
        RoleChanged { site_label: site.label, site_url: site.url, grants, gateway_url: gateway_url.to_owned() };
    post(change, share, "role_changed", &holder(change, share)?, letter.letter())
}

/// Tells a person how to reach the site's files.
pub(crate) fn tell_account_details(
    change: &Change<'_>,
    share: &Share,
    facts: &[Fact],
    page: &str,
) -> Result<(), Problem> {
    let site = site_of(change, share)?;
    let letter =
        AccountDetails { site_label: site.label, site_url: site.url, facts: facts.to_vec(), page: page.to_owned() };
    post(change, share, "account_details", &holder(change, share)?, letter.letter())
}

/// Tells a person that their access was suspended; a reinstated one shows on their page.
pub(super) fn suspended_or_back(change: &Change<'_>, share: &Share) -> Result<(), Problem> {
    if share.state == ShareState::Suspended { ended(change, share, EndReason::Suspended) } else { Ok(()) }
}

/// Tells a person that their access has ended.
pub(super) fn access_ended(change: &Change<'_>, share: &Share) -> Result<(), Problem> {
    let why = if share.state == ShareState::Expired { EndReason::Expired } else { EndReason::Revoked };
    ended(change, share, why)
}

fn ended(change: &Change<'_>, share: &Share, why: EndReason) -> Result<(), Problem> {
    // The instance may go in this very change; its share is told all the same.
    let site =
        site_of(change, share).unwrap_or_else(|_| Site { label: share.instance.to_string(), url: String::new() });
    let letter = AccessEnded { site_label: site.label, site_url: site.url, why };
    post(change, share, "access_ended", &holder(change, share)?, letter.letter())
}

/// Tells a person that their access ends soon.
pub(crate) fn announce_expiry(change: &Change<'_>, share: &Share, gateway_url: &str) -> Result<(), Problem> {
    let site = site_of(change, share)?;
    let access_ends = share.terms.expires_at.map(moment_in_words).unwrap_or_default();
    let letter =
        ExpiringSoon { site_label: site.label, site_url: site.url, access_ends, gateway_url: gateway_url.to_owned() };
    post(change, share, "expiring_soon", &holder(change, share)?, letter.letter())
}
