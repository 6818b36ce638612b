//! A set of privileges in one machine word.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Privilege;

/// A set of privileges; written in JSON as the list of their ids, in catalogue order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PrivilegeSet(u64);

/// A privilege id that the catalogue does not have (A13: refused, never ignored).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown privilege `{0}`")]
pub struct UnknownPrivilege(pub String);

impl PrivilegeSet {
    /// The set of nothing.
    pub const EMPTY: Self = Self(0);

    /// Whether the privilege is in the set.
    pub const fn contains(self, privilege: Privilege) -> bool {
        self.0 & (1 << privilege as u8) != 0
    }

    /// The set with one more.
    #[must_use]
    pub const fn with(self, privilege: Privilege) -> Self {
        Self(self.0 | (1 << privilege as u8))
    }

    /// What is in both.
    #[must_use]
    pub const fn meet(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in either.
    #[must_use]
    pub const fn join(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this one and not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether nothing is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether everything in it is in the other, too.
    pub const fn is_within(self, other: Self) -> bool {
        self.without(other).is_empty()
    }

    /// The members in catalogue order.
    pub fn iter(self) -> impl Iterator<Item = Privilege> {
        Privilege::ALL.iter().copied().filter(move |privilege| self.contains(*privilege))
    }

    /// The set of the privileges with these ids.
    pub fn parse<'a>(ids: impl IntoIterator<Item = &'a str>) -> Result<Self, UnknownPrivilege> {
        ids.into_iter().try_fold(Self::EMPTY, |set, id| {
            Privilege::from_id(id).map(|privilege| set.with(privilege)).ok_or_else(|| UnknownPrivilege(id.to_owned()))
        })
    }
}

impl FromIterator<Privilege> for PrivilegeSet {
    fn from_iter<I: IntoIterator<Item = Privilege>>(privileges: I) -> Self {
        privileges.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl Serialize for PrivilegeSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Privilege::id))
    }
}

impl<'de> Deserialize<'de> for PrivilegeSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ids = Vec::<String>::deserialize(deserializer)?;
        Self::parse(ids.iter().map(String::as_str)).map_err(serde::de::Error::custom)
    }
}
