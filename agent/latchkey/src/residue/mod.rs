//! What somebody left on a hosting: what it has is kept at the first use of a share, and compared when access ends.

pub(crate) mod first_use;
mod left_behind;
pub(crate) mod scan;
