//! WordPress on the other side: the PHP bridge, WP Admin SSO and the sessions it opens.

pub(crate) mod bridge;
pub(crate) mod bridge_call;
pub(crate) mod redeemer;
pub(crate) mod sessions;
pub(crate) mod sso;
