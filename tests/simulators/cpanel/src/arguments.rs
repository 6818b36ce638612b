//! The arguments of a call, from its query and its form, and how cPanel says no.

use std::str::FromStr;

/// The arguments of a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arguments(Vec<(String, String)>);

/// What cPanel refuses, in words for people.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) String);

impl Arguments {
    pub(crate) fn parse(query: &str, form: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(query.as_bytes()).chain(form_urlencoded::parse(form));
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    pub(crate) fn optional(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str, Refusal> {
        let given = self.optional(name).filter(|value| !value.is_empty());
        given.ok_or_else(|| refusal(format!("The argument \"{name}\" is missing.")))
    }

    pub(crate) fn number<N: FromStr>(&self, name: &str) -> Result<Option<N>, Refusal> {
        let parse = |text: &str| text.parse().map_err(|_| refusal(format!("\"{text}\" is no number for \"{name}\".")));
        self.optional(name).map(parse).transpose()
    }

    /// Every value of an argument that may be given several times.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn sorted(&self) -> Vec<(String, String)> {
        let mut sorted = self.0.clone();
        sorted.sort();
        sorted
    }
}

pub(crate) fn refusal(words: impl Into<String>) -> Refusal {
    Refusal(words.into())
}
