//! Openings and endings against each other in random orders: two people log in to WP Admin while their shares end.
//!
//! The delays are random, which is the point; nothing here waits for luck. After each round nobody may be in who must
//! not, somebody whose share goes on must still be, and what the replies counted must add up.

use std::ops::AddAssign;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use xtask::node::{Instance, Node};
use xtask::random;

use crate::api::Api;
use crate::browser::Browser;
use crate::shares::{Share, person, pinned_editor, share};
use crate::wp_admin;

/// The longest random delay before each of the two steps of a log-in.
const LONGEST_DELAY_MS: u16 = 60;
/// The longest random delay before an end: about as long as a log-in takes, so that either may come first.
const LONGEST_DELAY_OF_END_MS: u16 = 600;

/// What came of some rounds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// How many log-ins came to an open WP Admin before the end.
    pub got_in: usize,
    /// How many were refused, because the end came first.
    pub refused: usize,
    /// How many ends of sessions the replies counted.
    pub closed: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.got_in += other.got_in;
        self.refused += other.refused;
        self.closed += other.closed;
    }
}

/// Plays this many rounds on the instance `live`. Blocks.
#[track_caller]
pub fn play(node: &Node, rounds: u32) -> Counts {
    let live = node.instance("live").unwrap();
    let bystander = share(node, "live", &person("bystander"), &pinned_editor());
    let mut bystander_in = wp_admin::log_in(node, &bystander.email, &live, None);
    let mut all = Counts::default();
    for _ in 0..rounds {
        all += play_one(node, &live);
        wp_admin::is_in_as(&mut bystander_in, "editor");
    }
    bystander.revoke();
    wp_admin::is_out(&mut bystander_in);
    all
}

fn play_one(node: &Node, live: &Instance) -> Counts {
    let shares = ["one", "two"].map(|name| share(node, "live", &person(name), &pinned_editor()));
    let [one, two] = &shares;
    // One of them is suspended and revoked at the same time, or each is revoked.
    let other: (&Share<'_>, fn(&Node, &Share<'_>) -> usize) =
        if random::below(2).unwrap() == 0 { (one, suspend) } else { (two, revoke) };
    let (opened, closed) = thread::scope(|scope| {
        let openings = [one, two].map(|share| scope.spawn(move || open(node, live, share)));
        let endings = [(one, revoke as fn(&Node, &Share<'_>) -> usize), other].map(|(share, end)| {
            scope.spawn(move || {
                delay(LONGEST_DELAY_OF_END_MS);
                end(node, share)
            })
        });
        (openings.map(|one| one.join().unwrap()), endings.map(|one| one.join().unwrap()))
    });
    // What nobody ended in the round ends now.
    let late: usize = shares.iter().filter(|share| share.state() != "revoked").map(|share| revoke(node, share)).sum();
    let mut round = Counts { closed: closed.iter().sum::<usize>() + late, ..Counts::default() };
    for browser in opened {
        match browser {
            Some(mut browser) => {
                round.got_in += 1;
                wp_admin::is_out(&mut browser);
            }
            None => round.refused += 1,
        }
    }
    // A log-in that is refused at the last moment may have made its session, which is ended without a cookie.
    let expected = round.got_in..=round.got_in + round.refused;
    assert!(expected.contains(&round.closed), "{round:?}");
    round
}

fn delay(longest_ms: u16) {
    thread::sleep(Duration::from_millis(random::below(longest_ms).unwrap().into()));
}

/// Logs in, unless the share ends first.
fn open(node: &Node, live: &Instance, share: &Share<'_>) -> Option<Browser> {
    delay(LONGEST_DELAY_MS);
    let asked = wp_admin::ask(node, &share.email, "live", None);
    if asked.status != 200 {
        asked.refused(404, "not_found");
        return None;
    }
    let url = asked.json()["url"].as_str().unwrap().to_owned();
    delay(LONGEST_DELAY_MS);
    let redeemed = wp_admin::redeem(node, live, url.rsplit('/').next().unwrap());
    if redeemed.status != 302 {
        wp_admin::is_refused(&redeemed, node, "access");
        return None;
    }
    let mut browser = Browser::at_site(&live.url);
    browser.keep_cookies(&redeemed);
    Some(browser)
}

/// Ends a share for good; answers with how many sessions that closed.
fn revoke(_: &Node, share: &Share<'_>) -> usize {
    closed_of(&share.revoke())
}

/// Suspends a share, unless it has ended for good; answers with how many sessions that closed.
fn suspend(node: &Node, share: &Share<'_>) -> usize {
    let reply = Api::panel(node).post(&format!("{}/suspend", share.path()), &json!({}));
    if reply.status == 409 { 0 } else { closed_of(&reply.done()["ended"]) }
}

#[track_caller]
fn closed_of(ended: &Value) -> usize {
    assert_eq!(ended["unconfirmed"], json!([]), "{ended}");
    usize::try_from(ended["closed"]["wordpress"].as_u64().unwrap()).unwrap()
}
