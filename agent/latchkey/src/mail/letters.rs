//! The letters (mails) that Latchkey writes: typed inputs in, subject, text and HTML out.
//!
//! Pure: no address, no queue, no clock, no settings. Times and periods arrive as words.

use askama::Template;

use self::wording::{address, paragraphs, sentences, words, wrapped};
use crate::accounts::Fact;

mod wording;

/// A finished letter, ready to be put into an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    /// One line without control characters.
    pub subject: String,
    /// The text part: ASCII unless an input is not, lines of at most [`wording::LINE_WIDTH`] characters except links.
    pub text: String,
    /// The HTML part: no image, no outside resource, inline styles only.
    pub html: String,
}

/// The privileges of one category, by the titles that people see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PrivilegeGroup {
    /// The category's title.
    pub category: String,
    /// The privileges' titles.
    pub titles: Vec<String>,
}

/// What a share allows.
#[derive(Debug, Clone)]
pub(crate) struct Grants {
    pub role_title: String,
    /// What the role is, as a sentence; empty if there is nothing to add.
    pub role_tooltip: String,
    pub privileges: Vec<PrivilegeGroup>,
    /// Whom one becomes in WP Admin, in words.
    pub log_in_as: Option<String>,
    /// What the share amounts to: plain sentences.
    pub reach: Vec<String>,
    /// When the access ends, in words.
    pub access_ends: Option<String>,
}

/// What somebody is invited to, as the letter says it and the page that accepts.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub site_label: String,
    pub site_url: String,
    /// Who invites, in words: an email, a name, "the hosting provider".
    pub inviter: String,
    pub grants: Grants,
    /// What the inviter wrote; may have several lines.
    pub note: Option<String>,
    /// Until when the invitation can be accepted, in words.
    pub link_ends: String,
}

/// Asks somebody to accept a share. The first link in both parts accepts; the second is the site.
#[derive(Debug, Clone)]
pub(crate) struct Invitation {
    pub offer: Offer,
    /// Opens the page that accepts.
    pub link: String,
}

/// Tells a person what their share allows from now on.
#[derive(Debug, Clone)]
pub(crate) struct RoleChanged {
    pub site_label: String,
    pub site_url: String,
    pub grants: Grants,
    pub gateway_url: String,
}

/// Why a person can no longer use a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndReason {
    /// Somebody ended it.
    Revoked,
    /// Its time was over.
    Expired,
    /// Somebody paused it; it can come back.
    Suspended,
}

/// Tells a person that their share has ended or is paused.
#[derive(Debug, Clone)]
pub(crate) struct AccessEnded {
    pub site_label: String,
    pub site_url: String,
    pub why: EndReason,
}

/// Tells a person that their share is about to end.
#[derive(Debug, Clone)]
pub(crate) struct ExpiringSoon {
    pub site_label: String,
    pub site_url: String,
    pub access_ends: String,
    pub gateway_url: String,
}

/// Tells a person how to reach the files of a site.
#[derive(Debug, Clone)]
pub(crate) struct AccountDetails {
    pub site_label: String,
    pub site_url: String,
    /// Login, host, port, fingerprint: what is to be typed where. Never a password.
    pub facts: Vec<Fact>,
    /// Opens the page that makes a password and takes keys.
    pub page: String,
}

/// Carries the link that signs a person in at the gateway.
#[derive(Debug, Clone)]
pub(crate) struct SignIn {
    pub link: String,
    pub link_ends: String,
}

/// Tells an owner that somebody with *Manage Shared Access* invited somebody else.
#[derive(Debug, Clone)]
pub(crate) struct DelegateInvited {
    pub site_label: String,
    /// Who invited.
    pub delegate: String,
    /// Who was invited.
    pub invitee: String,
    pub grants: Grants,
    /// Where to change or end it, as a sentence; without it, "in your hosting panel".
    pub panel_hint: Option<String>,
}

#[derive(Template)]
#[template(path = "mail/invitation.txt")]
struct InvitationText<'a> {
    letter: &'a Invitation,
}

#[derive(Template)]
#[template(path = "mail/invitation.html")]
struct InvitationHtml<'a> {
    letter: &'a Invitation,
}

impl Grants {
    fn cleaned(&self) -> Self {
        Self {
            role_title: words(&self.role_title),
            role_tooltip: words(&self.role_tooltip),
            privileges: groups(&self.privileges),
            log_in_as: self.log_in_as.as_deref().map(words),
            reach: sentences(&self.reach),
            access_ends: self.access_ends.as_deref().map(words),
        }
    }
}

impl Offer {
    fn cleaned(&self) -> Self {
        Self {
            site_label: words(&self.site_label),
            site_url: address(&self.site_url),
            inviter: words(&self.inviter),
            grants: self.grants.cleaned(),
            note: self.note.as_deref().map(paragraphs).filter(|note| !note.is_empty()),
            link_ends: words(&self.link_ends),
        }
    }
}

impl Invitation {
    /// Writes the letter.
    pub(crate) fn letter(&self) -> Result<Letter, askama::Error> {
        let letter = &Self { offer: self.offer.cleaned(), link: address(&self.link) };
        finish(
            format!("You are invited to {}", letter.offer.site_label),
            &InvitationText { letter },
            &InvitationHtml { letter },
        )
    }
}

#[derive(Template)]
#[template(path = "mail/role_changed.txt")]
struct RoleChangedText<'a> {
    letter: &'a RoleChanged,
}

#[derive(Template)]
#[template(path = "mail/role_changed.html")]
struct RoleChangedHtml<'a> {
    letter: &'a RoleChanged,
}

impl RoleChanged {
    /// Writes the letter.
    pub(crate) fn letter(&self) -> Result<Letter, askama::Error> {
        let letter = &Self {
            site_label: words(&self.site_label),
            site_url: address(&self.site_url),
            grants: self.grants.cleaned(),
            gateway_url: address(&self.gateway_url),
        };
        finish(
            format!("Your access to {} has changed", letter.site_label),
            &RoleChangedText { letter },
            &RoleChangedHtml { letter },
        )
    }
}

#[derive(Template)]
#[template(path = "mail/access_ended.txt")]
struct AccessEndedText<'a> {
    letter: &'a AccessEnded,
}

#[derive(Template)]
#[template(path = "mail/access_ended.html")]
struct AccessEndedHtml<'a> {
    letter: &'a AccessEnded,
}

impl AccessEnded {
    /// Writes the letter.
    pub(crate) fn letter(&self) -> Result<Letter, askama::Error> {
        let letter = &Self { site_label: words(&self.site_label), site_url: address(&self.site_url), why: self.why };
        let what = match self.why {
            EndReason::Revoked | EndReason::Expired => "has ended",
            EndReason::Suspended => "is paused",
        };
        finish(
            format!("Your access to {} {what}", letter.site_label),
            &AccessEndedText { letter },
            &AccessEndedHtml { letter },
        )
    }
}

#[derive(Template)]
#[template(path = "mail/expiring_soon.txt")]
struct ExpiringSoonText<'a> {
    letter: &'a ExpiringSoon,
}

#[derive(Template)]
#[template(path = "mail/expiring_soon.html")]
struct ExpiringSoonHtml<'a> {
    letter: &'a ExpiringSoon,
}

impl ExpiringSoon {
    /// Writes the letter.
    pub(crate) fn letter(&self) -> Result<Letter, askama::Error> {
        let letter = &Self {
            site_label: words(&self.site_label),
            site_url: address(&self.site_url),
            access_ends: words(&self.access_ends),
            gateway_url: address(&self.gateway_url),
        };
        finish(
            format!("Your access to {} ends soon", letter.site_label),
            &ExpiringSoonText { letter },
            &ExpiringSoonHtml { letter },
        )
    }
}

#[derive(Template)]
#[template(path = "mail/account_details.txt")]
struct AccountDetailsText<'a> {
    letter: &'a AccountDetails,
}

#[derive(Template)]
#[template(path = "mail/account_details.html")]
struct AccountDetailsHtml<'a> {
    letter: &'a AccountDetails,
}

impl AccountDetails {
    /// Writes the letter.
    pub(crate) fn letter(&self) -> Result<Letter, askama::Error> {
        let shown = |fact: &Fact| Fact { name: fact.name, value: words(&fact.value) };
        let letter = &Self {
            site_label: words(&self.site_label),
            site_url: address(&self.site_url),
            facts: self.facts.iter().map(shown).collect(),
            page: address(&self.page),
        };
        finish(
            format!("Your file access to {}", letter.site_label),
            &AccountDetailsText { letter },
            &AccountDetailsHtml { letter },
        )
    }
}

#[derive(Template)]
#[template(path = "mail/sign_in.txt")]
struct SignInText<'a> {
    letter: &'a SignIn,
}

#[derive(Template)]
#[template(path = "mail/sign_in.html")]
struct SignInHtml<'a> {
    letter: &'a SignIn,
}

impl SignIn {
    /// Writes the letter.
    pub(crate) fn letter(&self) -> Result<Letter, askama::Error> {
        let letter = &Self { link: address(&self.link), link_ends: words(&self.link_ends) };
        finish("Your sign-in link".to_owned(), &SignInText { letter }, &SignInHtml { letter })
    }
}

#[derive(Template)]
#[template(path = "mail/delegate_invited.txt")]
struct DelegateInvitedText<'a> {
    letter: &'a DelegateInvited,
}

#[derive(Template)]
#[template(path = "mail/delegate_invited.html")]
struct DelegateInvitedHtml<'a> {
    letter: &'a DelegateInvited,
}

impl DelegateInvited {
    /// Writes the letter.
    pub(crate) fn letter(&self) -> Result<Letter, askama::Error> {
        let letter = &Self {
            site_label: words(&self.site_label),
            delegate: words(&self.delegate),
            invitee: words(&self.invitee),
            grants: self.grants.cleaned(),
            panel_hint: self.panel_hint.as_deref().map(words),
        };
        finish(
            format!("{} invited {} to {}", letter.delegate, letter.invitee, letter.site_label),
            &DelegateInvitedText { letter },
            &DelegateInvitedHtml { letter },
        )
    }
}

/// `subject` is made of cleaned words only.
fn finish(subject: String, text: &impl Template, html: &impl Template) -> Result<Letter, askama::Error> {
    Ok(Letter { subject, text: wrapped(&text.render()?), html: html.render()? })
}

fn groups(input: &[PrivilegeGroup]) -> Vec<PrivilegeGroup> {
    input
        .iter()
        .filter(|group| !group.titles.is_empty())
        .map(|group| PrivilegeGroup { category: words(&group.category), titles: sentences(&group.titles) })
        .collect()
}

#[cfg(test)]
mod tests;
