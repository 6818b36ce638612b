//! Somebody else, who changes the account in the moment between two requests.

use std::fmt;

use crate::account::Account;

type Change = Box<dyn FnOnce(&mut Account) + Send>;

/// What others will do.
#[derive(Default)]
pub struct Others(Vec<(usize, Change)>);

impl Others {
    /// After so many further requests, and before the one that follows, this is done to the account.
    pub fn after(&mut self, requests: usize, change: impl FnOnce(&mut Account) + Send + 'static) {
        self.0.push((requests, Box::new(change)));
    }

    /// A request comes.
    pub(crate) fn act(&mut self, account: &mut Account) {
        for (left, change) in std::mem::take(&mut self.0) {
            match left.checked_sub(1) {
                Some(left) => self.0.push((left, change)),
                None => change(account),
            }
        }
    }
}

impl fmt::Debug for Others {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Others({})", self.0.len())
    }
}
