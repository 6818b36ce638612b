//! Checks of what the agent has written down. They read the database themselves, whether the agent runs or not.

use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;

use super::{Finding, Patient, failure, warning, well};
use crate::problem::chain;
use crate::store::sso_scripts::{self, Script};
use crate::store::{self, StoreError, audit, mail_queue, wordpress_sessions};
use crate::verification::{self, Heads, Verified};

/// Rows that the broker has not got after this time do not reach it.
const HEADS_TAKE: SignedDuration = SignedDuration::from_secs(10);
/// What the clock may be behind what was written, for a correction by the time service.
const CLOCK_MAY_STEP: SignedDuration = SignedDuration::from_secs(5);
/// The reaper comes every few seconds, and every minute where it could not do its work.
const REAPER_TAKES: SignedDuration = SignedDuration::from_secs(150);
/// So many scripts are named; the others are of the same sites as a rule.
const NAMED_SCRIPTS: usize = 5;
/// A letter that was tried so often waits for more than a mail server's restart.
const MANY_ATTEMPTS: u32 = 5;

/// Runs a check on the database.
fn on_database(patient: &Patient, check: impl FnOnce(&Connection) -> Result<Finding, StoreError>) -> Finding {
    let opened = patient.config().map(|config| store::open_to_read(&config.state_dir));
    let checked = match opened {
        Ok(opened) => opened.and_then(|connection| check(&connection)),
        Err(not_looked) => return not_looked.into(),
    };
    checked.unwrap_or_else(|error| failure(chain(&error), "run this as root; if the file is damaged, restore a backup"))
}

pub(super) fn database(patient: &Patient) -> Finding {
    on_database(patient, judge_database)
}

fn judge_database(connection: &Connection) -> Result<Finding, StoreError> {
    Ok(match store::damage(connection)? {
        None => well("whole"),
        Some(damage) => failure(format!("the database is damaged: {damage}"), "stop the agent and restore a backup"),
    })
}

pub(super) fn clock(patient: &Patient) -> Finding {
    on_database(patient, |connection| Ok(judge_clock(audit::newest_at(connection)?, patient.now)))
}

fn judge_clock(newest: Option<Timestamp>, now: Timestamp) -> Finding {
    match newest {
        Some(newest) if newest.duration_since(now) > CLOCK_MAY_STEP => failure(
            format!("it is {now}, but a row of the audit was written at {newest}"),
            "set the clock: shares expire by it",
        ),
        _ => well(format!("it is {now}")),
    }
}

fn verified(patient: &Patient) -> Result<&Verified, Finding> {
    patient.verified.get_or_init(|| verify(patient)).as_ref().map_err(Finding::clone)
}

fn verify(patient: &Patient) -> Result<Verified, Finding> {
    let settings = patient.broker_settings().map_err(Finding::from)?;
    let config = patient.config().map_err(Finding::from)?;
    let fault = |error: String| failure(error, "run this as root; see `database` and `broker`");
    let connection = store::open_to_read(&config.state_dir).map_err(|error| fault(chain(&error)))?;
    verification::verify(&connection, &Heads::in_directory(&settings.state_dir)).map_err(|error| fault(chain(&error)))
}

pub(super) fn audit(patient: &Patient) -> Finding {
    verified(patient).map_or_else(|finding| finding, judge_audit)
}

fn judge_audit(found: &Verified) -> Finding {
    match &found.fault {
        Some(fault) => failure(
            format!("broken at row {}: {}", fault.seq, fault.what),
            "take it for an attack until you know better: keep the files, and compare with journalctl -t latchkey-broker",
        ),
        None if !found.set_back.is_empty() => {
            well(format!("{} rows; set back by root {} times: latchkey audit verify", found.rows, found.set_back.len()))
        }
        None => well(format!("{} rows", found.rows)),
    }
}

pub(super) fn audit_heads(patient: &Patient) -> Finding {
    let found = match verified(patient) {
        Ok(found) => found,
        Err(finding) => return finding,
    };
    on_database(patient, |connection| {
        Ok(judge_heads(found.unrecorded_rows, audit::newest_at(connection)?, patient.now))
    })
}

fn judge_heads(unrecorded: u64, newest: Option<Timestamp>, now: Timestamp) -> Finding {
    let is_late = newest.is_some_and(|newest| now.duration_since(newest) > HEADS_TAKE);
    if unrecorded > 0 && is_late {
        return failure(
            format!("{unrecorded} rows of the audit are not recorded by the broker"),
            "see `serve` and `broker`; after a backup replaced a damaged state: latchkey audit set-back",
        );
    }
    well("up to the newest rows")
}

pub(super) fn unconfirmed(patient: &Patient) -> Finding {
    on_database(patient, judge_unconfirmed)
}

fn judge_unconfirmed(connection: &Connection) -> Result<Finding, StoreError> {
    let kept = wordpress_sessions::load(connection)?;
    let looks = kept.iter().filter(|kept| kept.look.is_some()).count();
    let ending = kept.iter().filter(|kept| kept.must_end && kept.look.is_none()).count();
    Ok(match ending {
        0 => well(format!("nothing waits to be ended; {looks} sessions are looked at again")),
        count => warning(
            format!("{count} WordPress sessions must end and are not confirmed to have ended"),
            "the agent tries again by itself; latchkey share show names them; see whether the site's database answers",
        ),
    })
}

pub(super) fn scripts(patient: &Patient) -> Finding {
    on_database(patient, |connection| judge_scripts(connection, patient.now))
}

fn judge_scripts(connection: &Connection, now: Timestamp) -> Result<Finding, StoreError> {
    let left = sso_scripts::expired(connection, now.saturating_sub(REAPER_TAKES).unwrap_or(Timestamp::MIN))?;
    if left.is_empty() {
        let all = sso_scripts::count(connection)?;
        return Ok(well(format!("{all} are there, none for longer than it may be used")));
    }
    let name = |script: &Script| format!("{}/{} of {}", script.site.docroot, script.name, script.site.hosting);
    let names: Vec<_> = left.iter().take(NAMED_SCRIPTS).map(name).collect();
    Ok(warning(
        format!("{} that nobody can use any more could not be removed: {}", left.len(), names.join(", ")),
        "the agent tries again for a day; see `php_starts`, and whether the hosting's user may write to that folder",
    ))
}

pub(super) fn mail(patient: &Patient) -> Finding {
    on_database(patient, |connection| {
        let (attempts, given_up) = mail_queue::trouble(connection)?;
        Ok(judge_mail(mail_queue::count_queued(connection)?, attempts.unwrap_or_default(), given_up))
    })
}

fn judge_mail(queued: u64, attempts: u32, given_up: u64) -> Finding {
    let to_do = "look for `a letter was not sent` in the agent's log; latchkey share resend sends an invitation again";
    if attempts >= MANY_ATTEMPTS {
        return failure(format!("{queued} letters wait, one of them after {attempts} attempts"), to_do);
    }
    if given_up > 0 {
        return warning(format!("{given_up} letters were given up; {queued} wait"), to_do);
    }
    well(format!("{queued} letters wait"))
}

#[cfg(test)]
mod tests {
    use crate::cli::client::Client;
    use crate::store::wordpress_sessions::{Look, Seen, Site, WordpressSession};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_damaged_database_fails() {
        let dir = tempfile::tempdir().unwrap();
        drop(store::Store::open(dir.path()).unwrap());
        let judge = || judge_database(&store::open_to_read(dir.path()).unwrap());
        assert_eq!(judge().unwrap(), well("whole"));
        // The second page, which is some table's.
        let file = std::fs::File::options().write(true).open(dir.path().join("latchkey.db")).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &[0xff; 512], 4096).unwrap();
        assert!(matches!(judge(), Ok(Finding::Failure { .. }) | Err(_)));
    }

    #[test]
    fn a_session_that_must_end_and_is_not_confirmed_is_told_until_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let store = store::Store::open(dir.path()).unwrap();
        let session = WordpressSession {
            mark: "m".into(),
            instance: "live".parse().unwrap(),
            site: Site { hosting: "h".into(), docroot: String::new(), url: "https://a.example".into() },
            share: None,
            actor: latchkey_access::Actor::Panel,
            user: latchkey_access::WpUser { id: 2, login: "editor".into() },
            opened_at: at(0),
            expires_at: at(100),
        };
        let is_well = || matches!(judge_unconfirmed(&store.reader()).unwrap(), Finding::Well(_));
        wordpress_sessions::save(&store.writer(), &session).unwrap();
        assert!(is_well());
        wordpress_sessions::mark_ending(&store.writer(), "m").unwrap();
        assert!(!is_well());
        let look = Look { at: at(2), seen: Seen { quiet: 0, returns: 0, before: None } };
        wordpress_sessions::watch(&store.writer(), "m", &look).unwrap();
        assert!(is_well());
    }

    #[test]
    fn a_script_that_is_there_after_its_minute_is_named_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let store = store::Store::open(dir.path()).unwrap();
        let script = Script {
            name: "latchkey-07.php".into(),
            mark: "m".into(),
            instance: "live".parse().unwrap(),
            site: Site { hosting: "h".into(), docroot: "public".into(), url: "https://a.example".into() },
            expires_at: at(1000),
            path: None,
        };
        sso_scripts::save(&store.writer(), &script).unwrap();
        let found = |now| judge_scripts(&store.reader(), at(now)).unwrap();
        assert_eq!(found(1000), well("1 are there, none for longer than it may be used"));
        assert!(matches!(found(1100), Finding::Well(_)));
        let Finding::Warning { what, .. } = found(1200) else { panic!() };
        assert!(what.contains("public/latchkey-07.php of h"), "{what}");
        sso_scripts::delete(&store.writer(), &script.name).unwrap();
        assert!(matches!(found(1200), Finding::Well(_)));
    }

    #[test]
    fn the_audit_is_verified_once_for_all_checks() {
        let verified = Verified {
            rows: 1,
            head: None,
            ok: true,
            fault: None,
            recorded: None,
            unrecorded_rows: 0,
            set_back: Vec::new(),
        };
        // Without a configuration nothing can be verified now, so this is what was found before.
        let patient = Patient {
            path: "/none".into(),
            config: Err("none".into()),
            broker: Err("none".into()),
            client: Client::new("/none".into(), hyper::header::HeaderValue::from_static("panel")),
            now: at(0),
            verified: Ok(verified).into(),
        };
        assert_eq!(audit(&patient), well("1 rows"));
    }

    #[test]
    fn a_clock_behind_what_was_written_fails() {
        assert!(matches!(judge_clock(None, at(0)), Finding::Well(_)));
        assert!(matches!(judge_clock(Some(at(100)), at(98)), Finding::Well(_)));
        assert!(matches!(judge_clock(Some(at(3700)), at(100)), Finding::Failure { .. }));
    }

    #[test]
    fn rows_that_do_not_reach_the_broker_fail_after_a_while() {
        assert!(matches!(judge_heads(0, Some(at(0)), at(1000)), Finding::Well(_)));
        assert!(matches!(judge_heads(3, Some(at(999)), at(1000)), Finding::Well(_)));
        assert!(matches!(judge_heads(3, Some(at(0)), at(1000)), Finding::Failure { .. }));
    }

    #[test]
    fn letters_that_are_not_sent_are_told_from_those_under_way() {
        assert!(matches!(judge_mail(2, 1, 0), Finding::Well(_)));
        assert!(matches!(judge_mail(2, 1, 1), Finding::Warning { .. }));
        assert!(matches!(judge_mail(2, 7, 1), Finding::Failure { .. }));
    }
}
