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

/// How many there are: of what goes out, of what comes in, and in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    out: usize,
    into: usize,
    all: usize,
}

impl<C: PartialEq> Exchange<'_, C> {
    /// Compares with what there was before the first try, if there was one.
    pub(crate) fn judge(&self, contents: &[C], before: Option<&str>) -> Found {
        let count = |wanted: Option<&C>| contents.iter().filter(|content| Some(*content) == wanted).count();
        let now = Counts { out: count(self.out), into: count(self.into), all: contents.len() };
        let untouched = Found::Untouched(format!("{} {} {}", now.out, now.into, now.all));
        let Some(before) = before.and_then(parse) else { return untouched };
        let done_out = before.out.saturating_sub(usize::from(self.out.is_some()));
        let done_into = before.into + usize::from(self.into.is_some());
        if (now.out, now.into) == (done_out, done_into) {
            Found::Done
        } else if (now.out, now.into) == (before.out, before.into) && now.all >= before.all {
            untouched
        } else {
            // Another one may have been taken for it.
            Found::Different
        }
    }
}

fn parse(before: &str) -> Option<Counts> {
    let mut numbers = before.split(' ').map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some(Counts { out: next()?, into: next()?, all: next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_is_told_by_counting() {
        let exchange = Exchange { out: Some(&'a'), into: Some(&'b') };
        let untouched = || Found::Untouched("2 1 4".to_owned());
        assert_eq!(exchange.judge(&['a', 'a', 'b', 'c'], None), untouched());
        assert_eq!(exchange.judge(&['a', 'b', 'b', 'c'], Some("2 1 4")), Found::Done);
        assert_eq!(exchange.judge(&['a', 'a', 'b', 'c'], Some("2 1 4")), untouched());
        // Another one was overwritten.
        assert_eq!(exchange.judge(&['a', 'a', 'b', 'b'], Some("2 1 4")), Found::Different);
        let removal = Exchange { out: Some(&'a'), into: None };
        assert_eq!(removal.judge(&['a', 'c'], Some("2 0 3")), Found::Done);
        // Another one was removed.
        assert_eq!(removal.judge(&['a', 'a'], Some("2 0 3")), Found::Different);
        assert_eq!(removal.judge(&[], Some("2 0 3")), Found::Different);
    }
}
