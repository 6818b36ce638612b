//! Whether one of many contents, some of them alike, was exchanged for another: told by counting, because nothing else
//! tells two that are alike apart.

/// What is taken out, and what is put in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange<'a, C> {
    pub(crate) out: Option<&'a C>,
    pub(crate) into: Option<&'a C>,
}

/// What the contents say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// It was done.
    Done,
    /// It was not; this is what there was before, for the next look.
    Untouched(String),
    /// Something else was.
    Different,
}

impl<C: PartialEq> Exchange<'_, C> {
    /// Compares with what there was before the first try, if there was one.
    pub(crate) fn judge(&self, contents: &[C], before: Option<&str>) -> Found {
        let count = |wanted: Option<&C>| contents.iter().filter(|content| Some(*content) == wanted).count();
        let now = (count(self.out), count(self.into));
        let Some(before) = before.and_then(parse) else { return Found::Untouched(format!("{} {}", now.0, now.1)) };
        let done =
            (before.0.saturating_sub(usize::from(self.out.is_some())), before.1 + usize::from(self.into.is_some()));
        if now == done {
            Found::Done
        } else if now == before {
            Found::Untouched(format!("{} {}", now.0, now.1))
        } else {
            Found::Different
        }
    }
}

fn parse(before: &str) -> Option<(usize, usize)> {
    let (out, into) = before.split_once(' ')?;
    Some((out.parse().ok()?, into.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_is_told_by_counting() {
        let exchange = Exchange { out: Some(&'a'), into: Some(&'b') };
        assert_eq!(exchange.judge(&['a', 'a', 'b'], None), Found::Untouched("2 1".to_owned()));
        assert_eq!(exchange.judge(&['a', 'b', 'b'], Some("2 1")), Found::Done);
        assert_eq!(exchange.judge(&['a', 'a', 'b'], Some("2 1")), Found::Untouched("2 1".to_owned()));
        // A third one was overwritten.
        assert_eq!(exchange.judge(&['a', 'a', 'b', 'b'], Some("2 1")), Found::Different);
        let removal = Exchange { out: Some(&'a'), into: None };
        assert_eq!(removal.judge(&['a', 'b'], Some("2 0")), Found::Done);
        assert_eq!(removal.judge(&[], Some("2 0")), Found::Different);
    }
}
