//! How every process of the agent tells an error: with its causes, in one line.

use std::error::Error;

/// An error and its causes, from the outermost to the first, separated by `: `.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use std::io;

    use crate::FrameError;

    use super::*;

    #[test]
    fn an_error_is_told_with_its_causes() {
        let cause = io::Error::other("no room");
        assert_eq!(chain(&cause), "no room");
        assert_eq!(
            chain(&FrameError::System { action: "send a frame", source: cause }),
            "cannot send a frame: no room"
        );
    }
}
