//! What callers say about a share, parsed once into terms.

use std::str::FromStr;

use jiff::Timestamp;
use latchkey_access::{
    FileAccess, FileAccessKind, LogInAs, Privilege, PrivilegeSet, Role, Rule, Terms, UnknownPrivilege,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::body::{given, present};
use crate::problem::Problem;

const LONGEST_NOTE: usize = 500;

/// An invitation.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InviteInput {
    /// The person's address.
    pub(crate) email: String,
    /// `view_only`, `view_and_sso`, `developer`, `full_access` or `custom`.
    pub(crate) role: String,
    /// Privilege ids; for the role `custom` only, and needed there.
    #[serde(default)]
    pub(crate) privileges: Option<Vec<String>>,
    /// `"all"` or a WordPress user by id and login; only with the privilege WP Admin SSO.
    #[serde(default)]
    pub(crate) log_in_as: Option<LogInAs>,
    /// Whether stagings of the instance get the same, those made later included.
    #[serde(default)]
    pub(crate) apply_to_staging: bool,
    /// The file account; what the role brings if not given.
    #[serde(default)]
    pub(crate) file_access: Option<FileAccess>,
    /// When the share ends by itself, RFC 3339.
    #[serde(default)]
    pub(crate) expires_at: Option<String>,
    /// A remark, at most 500 characters; the person sees it.
    #[serde(default)]
    pub(crate) note: Option<String>,
}

/// A change to a share (RFC 7396: what is absent stays, `null` removes).
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SharePatch {
    /// Another role; its privileges are frozen anew.
    #[serde(deserialize_with = "given")]
    pub(crate) role: Option<String>,
    /// Privilege ids; for the role `custom` only.
    #[serde(deserialize_with = "given")]
    pub(crate) privileges: Option<Vec<String>>,
    /// `"all"`, a WordPress user, or `null`.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Option<LogInAs>")]
    pub(crate) log_in_as: Option<Option<LogInAs>>,
    /// Whether stagings get the same.
    #[serde(deserialize_with = "given")]
    pub(crate) apply_to_staging: Option<bool>,
    /// The file account, or `null` for none.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Option<FileAccess>")]
    pub(crate) file_access: Option<Option<FileAccess>>,
    /// Another end, or `null` for none.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Option<String>")]
    pub(crate) expires_at: Option<Option<String>>,
    /// Another remark, or `null` for none.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Option<String>")]
    pub(crate) note: Option<Option<String>>,
}

impl SharePatch {
    /// Whether it touches what the share offers.
    pub(crate) const fn changes_terms(&self) -> bool {
        self.role.is_some()
            || self.privileges.is_some()
            || self.log_in_as.is_some()
            || self.file_access.is_some()
            || self.expires_at.is_some()
    }

    /// The terms that a share has after this.
    pub(crate) fn apply_to(&self, before: &Terms) -> Result<Terms, Problem> {
        let (role, privileges) = match (&self.role, &self.privileges) {
            (None, None) => (before.role, before.privileges),
            (None, Some(ids)) => role_and_privileges(before.role, Some(ids))?,
            (Some(role), ids) => role_and_privileges(parse_role(role)?, ids.as_deref())?,
        };
        let kept = before.log_in_as.clone().filter(|_| privileges.contains(Privilege::WpAdminSso));
        let file_access = match (&self.file_access, &self.role) {
            (Some(given), _) => given.clone().unwrap_or(FileAccess::NONE),
            (None, Some(_)) => file_access_of(role),
            (None, None) => before.file_access.clone(),
        };
        let expires_at = match &self.expires_at {
            Some(given) => given.as_deref().map(parse_moment).transpose()?,
            None => before.expires_at,
        };
        Ok(Terms { role, privileges, log_in_as: self.log_in_as.clone().unwrap_or(kept), file_access, expires_at })
    }
}

impl InviteInput {
    /// The terms that the invitation offers. Faults that do not matter for them are left to [`check_terms`].
    pub(crate) fn terms(&self) -> Result<Terms, Problem> {
        let (role, privileges) = role_and_privileges(parse_role(&self.role)?, self.privileges.as_deref())?;
        Ok(Terms {
            role,
            privileges,
            log_in_as: self.log_in_as.clone(),
            file_access: self.file_access.clone().unwrap_or_else(|| file_access_of(role)),
            expires_at: self.expires_at.as_deref().map(parse_moment).transpose()?,
        })
    }
}

/// Checks what is not a question of rights. Rights come first: who may not grant learns nothing from these.
pub(super) fn check_terms(terms: &Terms, now: Timestamp) -> Result<(), Problem> {
    if terms.log_in_as.is_some() && !terms.privileges.contains(Privilege::WpAdminSso) {
        let detail = "expected only together with the privilege wordpress.create_sso_link";
        return Err(Problem { rule: Some(Rule::A9), ..Problem::invalid("log_in_as", detail) });
    }
    if let Some((field, expected)) = terms.file_access.fault() {
        return Err(Problem::invalid(field, expected));
    }
    if terms.expires_at.is_some_and(|end| end <= now) {
        return Err(Problem::invalid("expires_at", "expected a moment in the future"));
    }
    if terms.privileges.is_empty() && !terms.file_access.reads() {
        return Err(Problem::invalid("privileges", "expected at least one privilege"));
    }
    Ok(())
}

/// Checks a remark.
pub(super) fn check_note(note: Option<&str>) -> Result<(), Problem> {
    match note {
        Some(note)
            if note.chars().count() > LONGEST_NOTE
                || note.chars().any(|letter| letter.is_control() && letter != '\n') =>
        {
            Err(Problem::invalid("note", "expected at most 500 characters, no control characters but line breaks"))
        }
        _ => Ok(()),
    }
}

fn parse_role(id: &str) -> Result<Role, Problem> {
    let expected = "expected view_only, view_and_sso, developer, full_access or custom";
    Role::from_id(id).ok_or_else(|| Problem::invalid("role", expected))
}

fn role_and_privileges(role: Role, ids: Option<&[String]>) -> Result<(Role, PrivilegeSet), Problem> {
    let unknown = |fault: UnknownPrivilege| {
        let detail = format!("expected ids from /v1/privileges; {fault}");
        Problem { rule: Some(Rule::A13), ..Problem::invalid("privileges", detail) }
    };
    match (role, ids) {
        (Role::Custom, Some(ids)) => {
            PrivilegeSet::parse(ids.iter().map(String::as_str)).map(|set| (role, set)).map_err(unknown)
        }
        (Role::Custom, None) => {
            Err(Problem::invalid("privileges", "expected a list of privilege ids for the role custom"))
        }
        (_, None) => Ok((role, role.privileges())),
        (_, Some(ids)) => {
            // Saying again what the role means is no contradiction.
            let named = PrivilegeSet::parse(ids.iter().map(String::as_str)).map_err(unknown)?;
            let same = named == role.privileges();
            let detail = format!("expected only with the role custom; {} has its own", role.id());
            same.then_some((role, named)).ok_or_else(|| Problem::invalid("privileges", detail))
        }
    }
}

fn file_access_of(role: Role) -> FileAccess {
    match role.entry().and_then(|entry| entry.file_access) {
        Some(kind) if kind != FileAccessKind::None => FileAccess { kind, ..FileAccess::NONE },
        _ => FileAccess::NONE,
    }
}

fn parse_moment(text: &str) -> Result<Timestamp, Problem> {
    let expected = |_| Problem::invalid("expires_at", "expected a moment like 2027-01-31T18:00:00Z");
    let moment = Timestamp::from_str(text).map_err(expected)?;
    Ok(Timestamp::from_millisecond(moment.as_millisecond()).unwrap_or(moment))
}

#[cfg(test)]
mod tests {
    use super::SharePatch;
    use crate::body::parse_body;

    #[track_caller]
    fn check(patch: &str, refused_field: Option<&str>) {
        let parsed = parse_body::<SharePatch>(patch.as_bytes());
        assert_eq!(parsed.err().and_then(|problem| problem.field).as_deref(), refused_field, "{patch}");
    }

    #[test]
    fn null_removes_what_can_be_removed_and_is_refused_elsewhere() {
        for field in ["log_in_as", "file_access", "expires_at", "note"] {
            check(&format!("{{\"{field}\": null}}"), None);
        }
        for field in ["role", "privileges", "apply_to_staging"] {
            check(&format!("{{\"{field}\": null}}"), Some(field));
        }
        check("{}", None);
    }
}
