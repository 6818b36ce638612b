//! What was found on a hosting after an access ended, in words: what it is, since when, and how to undo it.
//!
//! The site's own PHP says it, so no text and no list of it is taken at any length.

use jiff::Timestamp;
use serde::Deserialize;

use super::first_use::CrontabLine;
use crate::store::residue::{FirstUse, Residue, ResidueKind};
use crate::wordpress::bridge::shortened;

/// No more is told of one share.
const MOST: usize = 100;
const LONGEST: usize = 1_200;
/// A line of a crontab may hold a password; this much tells which one it is.
const LONGEST_LINE: usize = 120;

/// The answer of `residue.left`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Left {
    keys: Vec<NewKey>,
    keys_in_all: usize,
    keys_unread: Vec<String>,
    places: Vec<Place>,
    places_in_all: usize,
    problems: Vec<Unread>,
}

#[derive(Debug, Deserialize)]
struct NewKey {
    file: String,
    key: String,
}

/// Files of one kind that changed, in one place.
#[derive(Debug, Deserialize)]
struct Place {
    kind: PlaceKind,
    folder: String,
    count: usize,
    changed_at: i64,
    names: Vec<Name>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PlaceKind {
    UserIni,
    Htaccess,
    MuPlugin,
    DropIn,
    Link,
    PhpFile,
}

#[derive(Debug, Deserialize)]
struct Name {
    path: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    runs: String,
}

/// Something that was not looked at.
#[derive(Debug, Deserialize)]
struct Unread {
    reason: UnreadReason,
    path: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum UnreadReason {
    Unreadable,
    Bound,
    TooDeep,
    Link,
}

impl From<PlaceKind> for ResidueKind {
    fn from(kind: PlaceKind) -> Self {
        match kind {
            PlaceKind::UserIni => Self::UserIni,
            PlaceKind::Htaccess => Self::Htaccess,
            PlaceKind::MuPlugin => Self::MuPlugin,
            PlaceKind::DropIn => Self::DropIn,
            PlaceKind::Link => Self::Link,
            PlaceKind::PhpFile => Self::PhpFile,
        }
    }
}

/// All that was found, the most telling first.
pub(super) fn in_words(first: &FirstUse, left: Left, crontab: Option<Vec<CrontabLine>>) -> Vec<Residue> {
    let since = moment(first.at);
    let mut all = keys(first, &left, &since);
    all.extend(crontab_lines(first, crontab, &since));
    let mut places: Vec<Residue> = left.places.iter().flat_map(|place| files(place, &since)).collect();
    places.sort_by_key(|one| one.kind);
    all.extend(places);
    let mut unread: Vec<Residue> = left.problems.iter().map(not_looked_at).collect();
    if left.places_in_all > left.places.len() {
        let more = left.places_in_all - left.places.len();
        unread.push(unknown(format!("files changed in {more} more places"), "look through the files of the site"));
    }
    // What is not known must not fall victim to a long list of what is.
    let room = MOST.saturating_sub(unread.len()).saturating_sub(1);
    if all.len() > room {
        unread.push(unknown(
            format!("there is more of this: {} in all", all.len()),
            "look through the files of the site",
        ));
        all.truncate(room);
    }
    all.extend(unread);
    all
}

/// The hosting is not registered any more, so nobody can look.
pub(super) fn hosting_is_gone(hosting: &str) -> Residue {
    let what = format!(
        "files, SSH keys and crontab of the hosting {hosting} could not be looked at: the agent no longer has it"
    );
    unknown(what, "look through them yourself")
}

fn keys(first: &FirstUse, left: &Left, since: &str) -> Vec<Residue> {
    let is_known = |file: &str| matches!(first.before.keys.get(file), Some(Some(_)));
    let told = |NewKey { file, key }: &NewKey| {
        if is_known(file) {
            let what = format!("an SSH key was added to {file} since {since}: {key}");
            of(ResidueKind::AuthorizedKey, what, format!("remove that line from {file}"))
        } else {
            let what = format!(
                "{file} has the SSH key {key}; whether it was there before {since} is not known, because the file could \
                 not be read then"
            );
            of(ResidueKind::AuthorizedKey, what, format!("remove that line from {file} unless it is yours"))
        }
    };
    let mut all: Vec<Residue> = left.keys.iter().map(told).collect();
    if left.keys_in_all > left.keys.len() {
        let what = format!("{} SSH keys in all were added since {since}", left.keys_in_all);
        all.push(of(ResidueKind::AuthorizedKey, what, "look through .ssh/authorized_keys".into()));
    }
    let unread = |file: &String| unknown(format!("{file} could not be read"), "look through its lines");
    all.extend(left.keys_unread.iter().map(unread));
    all
}

fn crontab_lines(first: &FirstUse, now: Option<Vec<CrontabLine>>, since: &str) -> Vec<Residue> {
    let Some(now) = now else {
        return vec![unknown("the crontab of the hosting could not be read".into(), "look through it: crontab -l")];
    };
    let told = |line: &CrontabLine| {
        let text = shortened(&line.text, LONGEST_LINE);
        let (what, undo) = match &first.before.crontab {
            Some(_) => (
                format!("the crontab of the hosting has a new line since {since}: {text}"),
                "remove that line from the crontab of the hosting's system user",
            ),
            None => (
                format!(
                    "the crontab of the hosting has the line {text}; whether it was there before {since} is not known, \
                     because the crontab could not be read then"
                ),
                "remove that line from the crontab of the hosting's system user unless it is yours",
            ),
        };
        of(ResidueKind::CrontabLine, what, undo.into())
    };
    let is_new = |line: &&CrontabLine| !first.before.crontab.as_ref().is_some_and(|old| old.contains(&line.hash));
    now.iter().filter(is_new).map(told).collect()
}

/// One by one where they are few, all in one where they are many.
fn files(place: &Place, since: &str) -> Vec<Residue> {
    let kind = ResidueKind::from(place.kind);
    if place.count <= place.names.len() {
        let told = |name: &Name| of(kind, file(place.kind, name, since), undo_file(place.kind, &name.path));
        return place.names.iter().map(told).collect();
    }
    let last = Timestamp::from_second(place.changed_at).map_or_else(|_| "?".into(), moment);
    let names: Vec<_> = place.names.iter().map(|name| name.path.as_str()).collect();
    let (count, folder, names) = (place.count, &place.folder, names.join(", "));
    let sort = if place.kind == PlaceKind::Link { "links" } else { "files that the site may run" };
    let what =
        format!("{count} {sort} in {folder} were made or changed since {since}, the last at {last}, such as {names}");
    vec![of(kind, what, undo_folder(folder))]
}

fn file(kind: PlaceKind, name: &Name, since: &str) -> String {
    let Name { path, to, runs } = name;
    match kind {
        PlaceKind::UserIni if !runs.is_empty() => {
            format!("{path} was made or changed since {since}: PHP runs {runs} with every page")
        }
        PlaceKind::UserIni => format!("{path}, which sets how PHP runs, was made or changed since {since}"),
        PlaceKind::Htaccess => {
            format!("{path}, which may tell the web server what to run, was made or changed since {since}")
        }
        PlaceKind::MuPlugin => format!("{path}, of a must-use plugin, was made or changed since {since}"),
        PlaceKind::DropIn => format!("{path}, which WordPress loads by its name, was made or changed since {since}"),
        PlaceKind::Link => format!("{path}, a link to {to}, was made since {since}"),
        PlaceKind::PhpFile => format!("{path}, which the site may run, was made or changed since {since}"),
    }
}

fn undo_file(kind: PlaceKind, path: &str) -> String {
    match kind {
        PlaceKind::Link => format!("delete the link {path} unless you made it"),
        _ => format!("unless you or an update changed it: delete {path}, or restore it from before"),
    }
}

fn undo_folder(folder: &str) -> String {
    if folder.ends_with("/wp-admin") || folder.ends_with("/wp-includes") {
        return format!(
            "unless you updated WordPress: delete {folder} and install the same version of WordPress over the site again"
        );
    }
    format!(
        "unless you or an update changed them: delete {folder} and install what belongs there again, or restore it from before"
    )
}

fn not_looked_at(unread: &Unread) -> Residue {
    let path = &unread.path;
    match unread.reason {
        UnreadReason::Unreadable => {
            unknown(format!("{path} could not be read"), "look through it, or let the hosting's system user read it")
        }
        UnreadReason::Bound => {
            unknown(format!("{path} and what comes after it were too much to be looked at in full"), "look through it")
        }
        UnreadReason::TooDeep => {
            unknown(format!("folders in {path} are too deep to be looked at"), "look through them")
        }
        UnreadReason::Link => unknown(
            format!("{path} is a link to a folder elsewhere, which was not looked at"),
            "look through that folder",
        ),
    }
}

fn unknown(what: String, undo: &str) -> Residue {
    of(ResidueKind::NotLookedAt, what, undo.into())
}

fn of(kind: ResidueKind, what: String, undo: String) -> Residue {
    Residue { kind, what: shortened(&what, LONGEST), undo: Some(shortened(&undo, LONGEST)) }
}

fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::store::residue::Before;
    use crate::store::wordpress_sessions::Site;

    fn first(before: Before) -> FirstUse {
        FirstUse {
            share: "00000000000000aa".parse().unwrap(),
            instance: "live".parse().unwrap(),
            site: Site { hosting: "demo".into(), docroot: "public".into(), url: "https://x.example".into() },
            at: Timestamp::UNIX_EPOCH,
            before,
        }
    }

    /// The owner's key file was read and the crontab had one line.
    fn known() -> FirstUse {
        let keys = BTreeMap::from([(".ssh/authorized_keys".to_owned(), Some(Vec::new()))]);
        first(Before { keys, crontab: Some(vec!["old".into()]), folders: Vec::new() })
    }

    fn line(hash: &str) -> CrontabLine {
        CrontabLine { hash: hash.into(), text: format!("@daily {hash}") }
    }

    #[track_caller]
    fn check(first: &FirstUse, left: &str, crontab: Option<Vec<CrontabLine>>, expected: &[(ResidueKind, &str)]) {
        let found = in_words(first, serde_json::from_str(left).unwrap(), crontab);
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (one, (kind, words)) in found.iter().zip(expected) {
            assert!(one.kind == *kind && one.what.contains(words) && one.undo.is_some(), "{words:?} in {one:?}");
        }
    }

    #[test]
    fn nothing_new_is_no_residue_and_what_is_new_has_its_kind() {
        check(&known(), "{}", Some(vec![line("old")]), &[]);
        let left = r#"{"keys":[{"file":".ssh/authorized_keys","key":"ssh-rsa X"}],"keys_in_all":1,"places":[
            {"kind":"php_file","folder":"p","count":1,"changed_at":9,"names":[{"path":"p/a.php"}]},
            {"kind":"php_file","folder":"p/wp-includes","count":900,"changed_at":9,"names":[{"path":"p/wp-includes/b.php"}]},
            {"kind":"user_ini","folder":"p","count":1,"changed_at":9,"names":[{"path":"p/.user.ini","runs":"/tmp/x.php"}]}
            ],"places_in_all":3}"#;
        let expected = [
            (ResidueKind::AuthorizedKey, "added to .ssh/authorized_keys since 1970-01-01 00:00:00 UTC: ssh-rsa X"),
            (ResidueKind::CrontabLine, "@daily new"),
            (ResidueKind::UserIni, "PHP runs /tmp/x.php"),
            (ResidueKind::PhpFile, "p/a.php"),
            (ResidueKind::PhpFile, "900 files that the site may run in p/wp-includes"),
        ];
        check(&known(), left, Some(vec![line("old"), line("new")]), &expected);
    }

    #[test]
    fn what_was_not_read_is_said_and_never_taken_for_old_or_for_nothing() {
        let left = r#"{"keys":[{"file":".ssh/authorized_keys","key":"ssh-rsa X"}],"keys_in_all":1,
            "keys_unread":[".ssh/authorized_keys2"],"problems":[{"reason":"bound","path":"p/full"}],"places_in_all":7}"#;
        let unread = [
            (ResidueKind::AuthorizedKey, "whether it was there before"),
            (ResidueKind::NotLookedAt, ".ssh/authorized_keys2 could not be read"),
            (ResidueKind::NotLookedAt, "crontab of the hosting could not be read"),
            (ResidueKind::NotLookedAt, "p/full"),
            (ResidueKind::NotLookedAt, "7 more places"),
        ];
        check(&first(Before::default()), left, None, &unread);
        let not_known_before = [(ResidueKind::CrontabLine, "whether it was there before")];
        check(&first(Before::default()), "{}", Some(vec![line("old")]), &not_known_before);
    }

    #[test]
    fn a_site_does_not_fill_the_state_and_its_problems_are_not_crowded_out() {
        let name = format!(r#"{{"path":"{}"}}"#, "x".repeat(5_000));
        let place = format!(r#"{{"kind":"php_file","folder":"p","count":1,"changed_at":9,"names":[{name}]}}"#);
        let places = vec![place; 5_000].join(",");
        let left =
            format!(r#"{{"places":[{places}],"places_in_all":5000,"problems":[{{"reason":"link","path":"l"}}]}}"#);
        let found = in_words(&known(), serde_json::from_str(&left).unwrap(), Some(Vec::new()));
        assert!(found.len() <= MOST, "{}", found.len());
        assert!(found.iter().all(|one| one.what.len() <= LONGEST));
        assert!(found.iter().any(|one| one.what.starts_with("l is a link")));
    }
}
