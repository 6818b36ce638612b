//! Shares whose people have done something on a hosting that may outlive their access: what they left is looked for when
//! it ends, whether anything of theirs is open then or not.

use std::collections::BTreeSet;

use jiff::Timestamp;
use latchkey_access::{AccessTable, ShareId, share_holdings};

use super::sync::{Mutex, locked};

/// Those whose access has not ended.
#[derive(Debug, Default)]
pub(crate) struct Used(Mutex<BTreeSet<ShareId>>);

impl Used {
    /// It is used from now on. What its hosting had before is written down already.
    pub(crate) fn note(&self, share: ShareId) {
        locked(&self.0).insert(share);
    }

    /// Whether that is known.
    pub(crate) fn contains(&self, share: ShareId) -> bool {
        locked(&self.0).contains(&share)
    }

    /// Takes over what was written down, in place of what was known.
    pub(crate) fn keep(&self, shares: impl IntoIterator<Item = ShareId>) {
        *locked(&self.0) = shares.into_iter().collect();
    }

    /// Takes out those that grant nothing any more with which something could be left. For the one who has just swapped
    /// the table.
    pub(super) fn take_dead(&self, table: &AccessTable, now: Timestamp) -> BTreeSet<ShareId> {
        let is_dead = |share: &ShareId| {
            let share = table.share(*share);
            !share.is_some_and(|share| share_holdings(table, share, now).can_leave_something())
        };
        locked(&self.0).extract_if(.., is_dead).collect()
    }
}
