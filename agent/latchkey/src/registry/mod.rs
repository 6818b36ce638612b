//! What the panel registers: hostings, instances, and the people it knows.

pub(crate) mod hostings;
pub(crate) mod instances;
pub(crate) mod people;

use std::path::{Component, Path};

use latchkey_access::{Email, PersonId};

use crate::problem::Problem;
use crate::state::Change;

/// The persons with these addresses, made where there are none.
fn owners(change: &mut Change<'_>, emails: &[String]) -> Result<Vec<PersonId>, Problem> {
    let mut owners = Vec::new();
    for email in parse_owners(emails)? {
        let person = change.person_with(&email)?;
        if !owners.contains(&person.id) {
            owners.push(person.id);
        }
    }
    Ok(owners)
}

fn parse_owners(emails: &[String]) -> Result<Vec<Email>, Problem> {
    let parse = |(index, text): (usize, &String)| {
        text.parse().map_err(|fault: latchkey_access::InvalidEmail| {
            Problem::invalid(format!("owners[{index}]"), fault.to_string())
        })
    };
    emails.iter().enumerate().map(parse).collect()
}

/// Checks that a body names, if anything, what the path names.
fn same_name(in_path: &str, in_body: Option<&str>) -> Result<(), Problem> {
    match in_body {
        Some(name) if name != in_path => Err(Problem::invalid("id", format!("expected {in_path}, as in the path"))),
        _ => Ok(()),
    }
}

/// Checks that a text is an absolute path that says plainly where it leads.
fn absolute_path(field: &str, text: &str) -> Result<(), Problem> {
    let plain = Path::new(text).components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    let as_written = text.starts_with('/') && (text.len() == 1 || !text.ends_with('/')) && !text.contains("//");
    if plain && as_written && !text.contains('\0') && !text.contains("/./") && text.len() <= 1024 {
        Ok(())
    } else {
        Err(Problem::invalid(field, "expected an absolute path without `.`, `..`, `//` or a slash at the end"))
    }
}

#[cfg(test)]
mod tests {
    use super::absolute_path;

    #[track_caller]
    fn check(path: &str, accepted: bool) {
        assert_eq!(absolute_path("home", path).is_ok(), accepted, "{path:?}");
    }

    #[test]
    fn a_registered_path_says_plainly_where_it_leads() {
        check("/home/demo", true);
        check("home/demo", false);
        check("/home/../etc", false);
        check("/home/./demo", false);
        check("/home//demo", false);
        check("/home/demo/", false);
        check("", false);
    }
}
