//! Whatever cPanel answers is an answer or an error: never a panic, which would be a break of the adapter, and never a change
//! that is repeated blindly.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "a test fails at the line that was wrong"
)]

#[allow(dead_code, reason = "shared with the other tests")]
mod played;

use cpanel::Cpanel;
use cpanel_simulator::CronLine;
use fastrand::Rng;
use played::{Played, carry};
use sdk::cron::Entry;
use sdk::ftp_accounts::NewAccount;
use sdk::http::Response;
use sdk::{Cron, Databases, Dns, FtpAccounts, Mail};

const SEEDS: u64 = 300;

/// Parts of JSON that are likely to hurt where others are expected.
const PARTS: [&str; 12] =
    ["null", "[]", "{}", "\"\"", "-1", "1e999", "18446744073709551616", "true", "\"\\ud800\"", "[[[", "\"=\"", "0"];

/// Changes an answer: a part of it for another, or a byte, or its end.
fn garble(rng: &mut Rng, response: &mut Response) {
    let body = &mut response.body;
    let at = rng.usize(..body.len());
    match rng.u8(..5) {
        0 => body[at] = rng.u8(..),
        1 => body.truncate(at),
        2 => response.status = rng.choice([0, 200, 301, 404, 429, 500, 599]).unwrap(),
        _ => {
            // From a colon on, as long as a value may be.
            let begin = body[..at].iter().rposition(|byte| *byte == b':').map_or(0, |colon| colon + 1);
            let end = body[begin..].iter().position(|byte| b",}".contains(byte)).map_or(body.len(), |end| begin + end);
            body.splice(begin..end, rng.choice(PARTS).unwrap().bytes());
        }
    }
}

#[test]
fn whatever_cpanel_answers_is_an_answer_or_an_error() {
    let mut errors = 0;
    for seed in 0..SEEDS {
        let played = Played::begin();
        played.others(|account| account.crontab.push(CronLine::command("1 2 * * *", ": latchkey:t; x")));
        let mut rng = Rng::with_seed(seed);
        played.answers(move |request| {
            let mut response = carry(request)?;
            if rng.bool() {
                garble(&mut rng, &mut response);
            }
            Ok(response)
        });
        errors += calls(&played).into_iter().filter(|is_error| *is_error).count();
        played.nothing_was_repeated_blindly(0);
    }
    assert!(errors > 500, "{errors}");
}

/// Makes calls of every interface, each with a key of its own, and says which failed.
fn calls(played: &Played) -> Vec<bool> {
    let (hosting, own) = (|| played.hosting(), |text: &str| text.to_owned());
    let new = NewAccount { name: own("a"), directory: own("web"), quota: None, password: own("first") };
    let entry = Entry { schedule: own("1 2 * * *"), command: own("x"), tag: Some(own("u")), enabled: true };
    let mut failed = vec![
        Cpanel::create_database(hosting(), own("k1"), own("h1_a")).is_err(),
        Cpanel::create_user(hosting(), own("k2"), own("h1_u"), own("first")).is_err(),
        Cpanel::set_grant(hosting(), own("k3"), own("h1_u"), own("h1_a"), vec![sdk::Privilege::Drop]).is_err(),
        Cpanel::list_databases(hosting()).is_err(),
        Cpanel::list_users(hosting()).is_err(),
        Cpanel::create_account(hosting(), own("k4"), new).is_err(),
        Cpanel::list_accounts(hosting()).is_err(),
        Cpanel::end_sessions(hosting(), own("a@example.com")).is_err(),
        Cpanel::create_mailbox(hosting(), own("k5"), own("a@example.com"), None, own("first")).is_err(),
        Cpanel::list_mailboxes(hosting()).is_err(),
        Cpanel::create_entry(hosting(), own("k6"), entry).is_err(),
        Cpanel::list_zones(hosting()).is_err(),
    ];
    let zone = Cpanel::read_zone(hosting(), own("example.com"));
    failed.push(zone.is_err());
    if let Ok(zone) = zone
        && let Some(listed) = zone.records.into_iter().next()
    {
        let deleted = Cpanel::delete_record(hosting(), own("k7"), own("example.com"), zone.version, listed);
        failed.push(deleted.is_err());
    }
    let entries = Cpanel::list_entries(hosting());
    failed.push(entries.is_err());
    if let Some(listed) = entries.unwrap_or_default().into_iter().next() {
        failed.push(Cpanel::delete_entry(hosting(), own("k8"), listed).is_err());
    }
    failed
}
