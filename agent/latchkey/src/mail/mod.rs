//! Mail: the letters, and the one who sends them from the queue.

pub(crate) mod letters;
pub(crate) mod post_office;
