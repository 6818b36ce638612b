//! Openings and endings against each other in random orders, many at once: people log in to WP Admin while what their
//! access rests on ends.
//!
//! A round is a crowd below one share. Each of them logs in after a random delay, and two ends come at random moments: of
//! the share above all of them, of a single one, for good or not, or one twice. So each log-in is an order of its own. After
//! the round nobody may be in, somebody whose share goes on must still be, and what the replies counted must add up.

use std::fmt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::exchange::{Answer, at_agent, at_site};
use crate::build::Build;
use crate::clock::{Deadline, Stopwatch};
use crate::node::{Instance, Node, Options, packages};
use crate::random;

/// Log-ins in a round.
const CROWD: usize = 12;
/// The longest delay of a log-in.
const DELAY: Duration = Duration::from_millis(200);
/// The longest delay of an end in the first round. Later it is longer or shorter, so that either comes first now and then.
const FIRST_DELAY: Duration = Duration::from_millis(2000);
/// An end that is not confirmed at once is tried again each half minute, and on a loaded machine PHP's calls take their time.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(300);
/// What a request that was under way writes back lives until the site is looked at again, two seconds later.
const LOOKED_AT_WITHIN: Duration = Duration::from_secs(30);

/// The arguments.
#[derive(Args, Debug)]
pub struct Endings {
    /// How many orders, of a log-in and the end of what it rests on.
    #[arg(long, default_value_t = 10_000)]
    orders: usize,
    /// Begins the random numbers: the same one gives the same requests, though not the same moments.
    #[arg(long)]
    seed: Option<u64>,
    /// Directory with the programs of the agent, built already.
    #[arg(long, value_name = "DIR", hide = true)]
    built: Option<PathBuf>,
}

impl Endings {
    /// Starts a node and plays rounds on its instance `live`. Needs root.
    ///
    /// # Errors
    /// When something is not as it must be after a round.
    pub fn run(self) -> Result<()> {
        packages::require_root()?;
        let build = self.built.clone().map_or(Build::Debug, Build::Ready);
        let node = Node::start(Options { build, ..Options::demo() })?;
        let seed = self.seed.unwrap_or_else(|| fastrand::u64(..));
        println!("seed {seed}");
        let (watch, mut rounds) = (Stopwatch::start(), Rounds::begin(&node, seed)?);
        while rounds.counts.orders < self.orders {
            rounds.play(CROWD.min(self.orders - rounds.counts.orders)).with_context(|| format!("seed {seed}"))?;
            if rounds.played % 10 == 0 {
                println!("{:.0} s: {}", watch.elapsed().as_secs_f64(), rounds.counts);
            }
        }
        println!("{:.0} s: {}", watch.elapsed().as_secs_f64(), rounds.counts);
        rounds.end()?;
        let leftovers = node.take_down()?;
        ensure!(leftovers.is_empty(), "left behind: {leftovers:#?}");
        Ok(())
    }
}

/// What came of some rounds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Log-ins that were begun.
    pub orders: usize,
    /// Log-ins that got a cookie before the end.
    pub got_in: usize,
    /// Log-ins that were refused, because the end came first.
    pub refused: usize,
    /// Ends of sessions that the replies counted.
    pub closed: usize,
    /// Ends of sessions that the replies said were not confirmed, and which were later.
    pub unconfirmed: usize,
    /// Sessions that were in for a moment after the end had been confirmed: written back by somebody else's log-in.
    pub came_back: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { orders, got_in, refused, closed, unconfirmed, came_back } = self;
        write!(
            formatter,
            "{orders} orders: {got_in} got in, {refused} refused; {closed} sessions closed, {unconfirmed} confirmed later, \
             {came_back} came back and were ended again; nobody stayed in, none was counted twice"
        )
    }
}

/// Rounds on a node.
pub struct Rounds<'n> {
    node: &'n Node,
    live: Instance,
    random: fastrand::Rng,
    run: String,
    played: usize,
    longest_delay: Duration,
    bystander: Share,
    bystander_cookie: String,
    /// What came of all of them.
    pub counts: Counts,
}

/// A share and its person.
#[derive(Clone, Debug)]
struct Share {
    id: String,
    email: String,
}

/// How the access of somebody ends in a round.
#[derive(Clone, Copy, Debug)]
enum End {
    Suspend,
    Revoke,
}

/// What a reply said of an end.
#[derive(Clone, Copy, Debug, Default)]
struct Ended {
    closed: usize,
    unconfirmed: usize,
}

impl<'n> Rounds<'n> {
    /// Somebody is in, and stays.
    ///
    /// # Errors
    /// When nobody gets in.
    pub fn begin(node: &'n Node, seed: u64) -> Result<Self> {
        let live = node.instances().into_iter().find(|instance| instance.id == "live").context("no instance live")?;
        let mut rounds = Self {
            node,
            live,
            random: fastrand::Rng::with_seed(seed),
            run: random::word(6)?,
            played: 0,
            longest_delay: FIRST_DELAY,
            bystander: Share { id: String::new(), email: String::new() },
            bystander_cookie: String::new(),
            counts: Counts::default(),
        };
        rounds.bystander = rounds.share("panel", "bystander", &pinned(&["wordpress.create_sso_link"]))?;
        rounds.bystander_cookie =
            rounds.log_in(&rounds.bystander, Duration::ZERO)?.context("the bystander was refused")?;
        Ok(rounds)
    }

    /// Plays one round with so many log-ins. Blocks.
    ///
    /// # Errors
    /// When something is not as it must be.
    pub fn play(&mut self, crowd: usize) -> Result<()> {
        self.played += 1;
        let terms = pinned(&["wordpress.create_sso_link", "general.manage_shared_access"]);
        let above = self.share("panel", &format!("above-{}", self.played), &terms)?;
        let terms = pinned(&["wordpress.create_sso_link"]);
        let below: Vec<Share> = (0..crowd)
            .map(|number| self.share(&above.email, &format!("{}-{number}", self.played), &terms))
            .collect::<Result<_>>()?;
        let delays: Vec<Duration> = below.iter().map(|_| DELAY.mul_f64(self.random.f64())).collect();
        let ends = [self.end_of(&above, &below), self.end_of(&above, &below)]
            .map(|end| (end, self.longest_delay.mul_f64(self.random.f64())));
        let this = &*self;
        let (opened, ended) = thread::scope(|scope| {
            let ends = ends.map(|((share, end), delay)| {
                scope.spawn(move || {
                    thread::sleep(delay);
                    this.finish(&share, end)
                })
            });
            let openings: Vec<_> =
                below.iter().zip(delays).map(|(share, delay)| scope.spawn(move || this.log_in(share, delay))).collect();
            let opened: Vec<_> = openings.into_iter().map(|one| joined(one.join())).collect();
            (opened, ends.map(|end| joined(end.join())))
        });
        let mut all = Ended::default();
        // What nobody ended in the round ends now, in one.
        for ended in ended.into_iter().chain([self.finish(&above, End::Revoke)]) {
            let Ended { closed, unconfirmed } = ended?;
            all.closed += closed;
            all.unconfirmed += unconfirmed;
        }
        self.settle(&below, opened.into_iter().collect::<Result<_>>()?, all)
    }

    /// The end of the bystander, who is out then like anybody.
    ///
    /// # Errors
    /// When that is not so.
    pub fn end(self) -> Result<()> {
        self.finish(&self.bystander, End::Revoke)?;
        self.waits_until_out(&self.bystander, &self.bystander_cookie).map(drop)
    }

    fn settle(&mut self, below: &[Share], opened: Vec<Option<String>>, ended: Ended) -> Result<()> {
        let (mut got_in, mut refused) = (0, 0);
        for (share, cookie) in below.iter().zip(opened) {
            self.waits_until_confirmed(share)?;
            match cookie {
                Some(cookie) => {
                    got_in += 1;
                    self.counts.came_back += self.waits_until_out(share, &cookie)?;
                }
                None => refused += 1,
            }
        }
        // A log-in that is refused at the last moment may have made its session, which is ended without a cookie.
        let all = got_in + refused;
        ensure!(
            ended.closed <= all,
            "{} sessions were closed of {got_in} that were in, {refused} refused",
            ended.closed
        );
        let told = ended.closed + ended.unconfirmed;
        ensure!(told >= got_in, "{told} ends of sessions were told, {got_in} were in");
        ensure!(self.is_in(&self.bystander_cookie)?, "the bystander is out");
        self.longest_delay = match got_in * 3 / below.len().max(1) {
            0 => self.longest_delay.mul_f64(1.3).min(CONFIRMED_WITHIN),
            1 => self.longest_delay,
            _ => self.longest_delay.div_f64(1.3),
        };
        self.counts.orders += below.len();
        self.counts.got_in += got_in;
        self.counts.refused += refused;
        self.counts.closed += ended.closed;
        self.counts.unconfirmed += ended.unconfirmed;
        Ok(())
    }

    fn end_of(&mut self, above: &Share, below: &[Share]) -> (Share, End) {
        let end = if self.random.bool() { End::Suspend } else { End::Revoke };
        let one = if self.random.u8(0..3) == 0 { self.random.choice(below) } else { None };
        (one.unwrap_or(above).clone(), end)
    }

    fn call(&self, actor: &str, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let socket = &self.node.agent()?.paths().cli_socket;
        at_agent(socket, actor, method, path, body).map_err(|error| anyhow!("{method} {path}: {error:?}"))
    }

    fn share(&self, grantor: &str, name: &str, terms: &Value) -> Result<Share> {
        let email = format!("order-{}-{name}@guests.example", self.run);
        let mut body = terms.as_object().cloned().unwrap_or_default();
        body.insert("email".into(), json!(email));
        let invited = self.call(grantor, "POST", "/v1/instances/live/shares", Some(&body.into()))?;
        ensure!(invited.status == 201, "an invitation was refused: {}", invited.body);
        let id = invited.json().get("id").and_then(Value::as_str).context("a share without an id")?.to_owned();
        let share = Share { id, email };
        let accepted = self.call(&share.email, "POST", &format!("{}/accept", path_of(&share)), Some(&json!({})))?;
        ensure!(accepted.status == 200, "a share was not accepted: {}", accepted.body);
        Ok(share)
    }

    /// Logs in, unless the access ends first; answers with the cookies.
    fn log_in(&self, share: &Share, delay: Duration) -> Result<Option<String>> {
        thread::sleep(delay);
        let asked = self.call(&share.email, "POST", "/v1/instances/live/operations/sso.open", Some(&json!({})))?;
        if asked.status != 200 {
            ensure!([403, 404].contains(&asked.status), "sso.open: {} {}", asked.status, asked.body);
            return Ok(None);
        }
        let reply = asked.json();
        let token = reply.get("url").and_then(Value::as_str).and_then(|url| url.rsplit('/').next());
        let form = format!("token={}", token.context("a link without a token")?);
        let gateway = &self.node.agent()?.urls().gateway;
        let headers = format!("Origin: {gateway}\r\nContent-Type: application/x-www-form-urlencoded\r\n");
        let opened = at_site(&self.live.url, "POST /.well-known/latchkey-sso", &headers, &form);
        let opened = opened.map_err(|error| anyhow!("the redeemer did not answer: {error:?}"))?;
        match opened.status {
            302 => {
                let pairs = opened.headers("set-cookie").filter_map(|line| line.split(';').next()).map(str::trim);
                Ok(Some(pairs.collect::<Vec<_>>().join("; ")))
            }
            403 => {
                ensure!(opened.headers("set-cookie").next().is_none(), "a refusal with a cookie");
                Ok(None)
            }
            other => bail!("the redeemer answered {other}: {}", opened.body),
        }
    }

    /// Ends a share, or tries to where it has ended already.
    fn finish(&self, share: &Share, end: End) -> Result<Ended> {
        let answer = match end {
            End::Suspend => self.call("panel", "POST", &format!("{}/suspend", path_of(share)), Some(&json!({})))?,
            End::Revoke => self.call("panel", "DELETE", &path_of(share), None)?,
        };
        if answer.status == 409 {
            return Ok(Ended::default());
        }
        ensure!(answer.status == 200, "{end:?} of {share:?}: {} {}", answer.status, answer.body);
        let reply = answer.json();
        let closed =
            reply.pointer("/ended/closed/wordpress").and_then(Value::as_u64).context("a reply without `closed`")?;
        let unconfirmed = reply.pointer("/ended/unconfirmed").and_then(Value::as_array).map(Vec::len);
        Ok(Ended {
            closed: usize::try_from(closed)?,
            unconfirmed: unconfirmed.context("a reply without `unconfirmed`")?,
        })
    }

    fn waits_until_confirmed(&self, share: &Share) -> Result<()> {
        let mut shown = Value::Null;
        let mut failed = None;
        let confirmed = Deadline::after(CONFIRMED_WITHIN).wait_until(|| {
            match self.call("panel", "GET", &path_of(share), None) {
                Ok(answer) => shown = answer.json(),
                Err(error) => failed = Some(error),
            }
            failed.is_some() || shown.get("unconfirmed").is_none()
        });
        if let Some(error) = failed {
            return Err(error);
        }
        ensure!(confirmed, "an end is not confirmed after {} s: {shown}", CONFIRMED_WITHIN.as_secs());
        Ok(())
    }

    /// Answers with 1 for a session that was in for a moment still, because it had been written back.
    fn waits_until_out(&self, share: &Share, cookie: &str) -> Result<usize> {
        if !self.is_in(cookie)? {
            return Ok(0);
        }
        let mut failed = None;
        let is_out = Deadline::after(LOOKED_AT_WITHIN).wait_until(|| match self.is_in(cookie) {
            Ok(is_in) => !is_in,
            Err(error) => {
                failed = Some(error);
                true
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        ensure!(is_out, "{} is still in {} s after the end", share.email, LOOKED_AT_WITHIN.as_secs());
        Ok(1)
    }

    fn is_in(&self, cookie: &str) -> Result<bool> {
        match at_site(&self.live.url, "GET /wp-admin/profile.php", &format!("Cookie: {cookie}\r\n"), "") {
            Ok(answer) if answer.status == 200 => Ok(true),
            Ok(answer) if answer.headers("location").any(|to| to.contains("/wp-login.php")) => Ok(false),
            other => bail!("WP Admin answered {other:?}"),
        }
    }
}

fn pinned(privileges: &[&str]) -> Value {
    json!({ "role": "custom", "privileges": privileges, "log_in_as": { "id": 2, "login": "editor" } })
}

fn path_of(share: &Share) -> String {
    format!("/v1/instances/live/shares/{}", share.id)
}

fn joined<T>(outcome: thread::Result<Result<T>>) -> Result<T> {
    outcome.map_err(|_| anyhow!("a thread panicked"))?
}
