//! Cron entries: lines of a hosting's crontab that were made here, beside those of others.
//!
//! SQLite says what there should be: the crontab has exactly the entries that are enabled, each below a comment with its id.
//! A change is written down as wanted, made in the crontab, and then settled, so that a crash in between is made good by
//! looking. Each entry rests on the share of whoever said last what it runs, and leaves the crontab when that ends.

mod change;
mod crontab;
mod ending;
mod list;
mod resting;
mod settle;
mod strays;

pub(crate) use change::{NewEntry, Patch, create, delete, find, update};
pub(crate) use crontab::is_line_of;
pub(crate) use ending::{close, disabled_with, retry};
pub(crate) use list::{EntryView, list};
pub(crate) use resting::{Leaving, Resting};
pub(crate) use settle::settle_for_ever;
pub(crate) use strays::look_at_all;
