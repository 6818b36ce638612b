//! Shares as people use them: invite, accept, change, suspend, end, and how a share is shown.
//!
//! Everything here runs inside one change of the state and decides there, on the table that the change is made from.

mod accept;
mod end;
mod input;
mod invite;
mod letters;
mod staging;
mod update;
mod view;

pub(crate) use accept::{accept, accept_by_invitation};
pub(crate) use end::{EndInput, EndedShares, end_by_clock, end_of_person, revoke};
pub(crate) use input::{InviteInput, SharePatch};
pub(crate) use invite::{InviteSettings, invite, resend};
pub(crate) use letters::{announce_expiry, grants_in_words, moment_in_words, offer_in_words, tell_account_details};
pub(crate) use staging::{link_new_staging, unlink_staging};
pub(crate) use update::{reinstate, suspend, update};
pub(crate) use view::{PersonView, ShareView, view};
