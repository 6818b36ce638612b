//! A person: whoever holds or is offered a share, known by email.

use serde::{Deserialize, Serialize};

use crate::{Email, PersonId};

/// Somebody who holds, is offered, or grants a share, or who owns an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Stays the same when the email changes.
    pub id: PersonId,
    /// Unique among persons.
    pub email: Email,
    /// How the person likes to be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}
