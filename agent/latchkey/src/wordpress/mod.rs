//! WordPress on the other side: the PHP bridge, WP Admin SSO and the sessions it opens.

pub(crate) mod bridge;
pub(crate) mod bridge_call;
pub(crate) mod first_use;
mod left_behind;
pub(crate) mod reaper;
pub(crate) mod redeemer;
pub(crate) mod scan;
pub(crate) mod script;
pub(crate) mod sessions;
pub(crate) mod sso;
