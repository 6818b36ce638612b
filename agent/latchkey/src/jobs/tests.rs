//! Jobs on a node without a site: how many there are, how long they last, what is said of those that were cut off.

use latchkey_access::rows::{CronCreate, CronRun};
use latchkey_access::{Actor, decide};

use super::*;
use crate::body::parse_body;
use crate::clock::Clock;
use crate::cron::{self, NewEntry};
use crate::sample::{self, UID};
use crate::state::State;
use crate::store::cron_entries::{self, CronEntry, Says};

struct Fixture {
    serve: Arc<Serve>,
    _dir: tempfile::TempDir,
}

impl Fixture {
    /// A node with one instance, and nothing that runs anything.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (serve, records) = Serve::new(sample::config(), State::open(dir.path(), Clock::default()).unwrap().0);
        crate::background::write_records(serve.clone(), records);
        let registered = serve.change(Caller::agent(), |change| {
            let owner = change.person_with(&"owner@example.org".parse().unwrap())?;
            change.put_hosting(sample::hosting(vec![]), UID)?;
            change.put_instance(sample::instance(owner.id))
        });
        registered.await.unwrap();
        Self { serve, _dir: dir }
    }

    fn context(&self) -> Context {
        Context { serve: self.serve.clone(), caller: Caller::agent(), job: None }
    }

    fn permit<O: latchkey_access::Operation>(&self) -> Permit<O> {
        decide(&self.serve.state.table(), &Actor::Panel, &sample::live(), self.serve.state.clock.now()).unwrap()
    }

    async fn start(&self) -> Result<String, Problem> {
        let input = parse_body(br#"{"id":"none"}"#).unwrap();
        start(&self.context(), self.permit::<CronRun>(), input).await
    }

    fn job(&self, id: &str) -> Job {
        jobs::find(&self.serve.state.store.reader(), id).unwrap().unwrap()
    }

    async fn ended(&self, id: &str) -> Job {
        let mut changes = self.serve.jobs.changes();
        while !self.job(id).state.is_final() {
            changes.changed().await.unwrap();
        }
        self.job(id)
    }

    /// Jobs that an agent before this one had begun.
    fn has_open(&self, count: usize) {
        for number in 0..count {
            let state = if number == 0 { JobState::Queued } else { JobState::Running };
            let job = Job { id: format!("j{number}"), state, ..sample::job(self.serve.state.clock.now()) };
            self.serve.state.store.write(|rows| jobs::save(rows, &job)).unwrap();
        }
    }
}

#[tokio::test]
async fn a_hosting_has_so_many_jobs_at_a_time() {
    let node = Fixture::new().await;
    node.has_open(AT_A_TIME);
    assert_eq!(node.start().await.unwrap_err().code, Code::Busy);
    assert!(node.serve.state.channels.list().is_empty());
    let end = End { state: JobState::Cancelled, output: None, error: None, at: node.serve.state.clock.now() };
    node.serve.state.store.write(|rows| jobs::end(rows, "j0", &end)).unwrap();
    let ended = node.ended(&node.start().await.unwrap()).await;
    // There is no such entry.
    assert_eq!((ended.state, &ended.error.unwrap()["code"]), (JobState::Failed, &json!("not_found")));
}

#[tokio::test]
async fn a_job_is_ended_when_its_time_is_over() {
    let node = Fixture::new().await;
    // Nobody reads meanwhile, so it does not get far.
    let (let_go, told) = std::sync::mpsc::channel::<()>();
    let (holding, is_held) = tokio::sync::oneshot::channel();
    let serve = node.serve.clone();
    let held = tokio::task::spawn_blocking(move || {
        let _reader = serve.state.store.reader();
        holding.send(()).unwrap();
        let _ = told.recv();
    });
    is_held.await.unwrap();
    let mut changes = node.serve.jobs.changes();
    let input = parse_body(br#"{"id":"none"}"#).unwrap();
    let begun = start_for(&node.context(), node.permit::<CronRun>(), input, Duration::from_millis(1)).await;
    changes.changed().await.unwrap();
    drop(let_go);
    held.await.unwrap();
    let id = begun.unwrap();
    let ended = node.ended(&id).await;
    assert_eq!((ended.state, &ended.error.unwrap()["code"]), (JobState::Failed, &json!("timed_out")));
}

#[tokio::test]
async fn a_step_is_judged_again_and_what_is_said_is_one_line_of_bounded_length() {
    let node = Fixture::new().await;
    node.has_open(1);
    let work = channels::open_work(&node.serve, &node.permit::<CronRun>(), WorkKind::Job, &Caller::agent()).unwrap();
    let underway = Underway::of::<CronRun>(node.serve.clone(), node.job("j0"), work);
    underway.say(&format!("a\nb{}", "\u{e9}".repeat(2_000))).await;
    let said = jobs::lines(&node.serve.state.store.reader(), "j0").unwrap();
    assert!(said.len() == 1 && said[0].starts_with("a b") && said[0].len() <= 1_000, "{said:?}");
    underway.step("one", 10).await.unwrap();
    assert_eq!((node.job("j0").percent, node.job("j0").steps.len()), (10, 1));
    drop(node.serve.state.channels.take_where(|_| true));
    assert!(underway.must_stop());
    underway.step("two", 20).await.unwrap_err();
    assert_eq!(node.job("j0").steps.len(), 1);
    let gone = node.serve.change(Caller::agent(), |change| change.remove_instance(&sample::live()));
    gone.await.unwrap();
    assert_eq!(underway.step("three", 30).await.unwrap_err().code, Code::NotFound);
}

#[tokio::test]
async fn a_hosting_has_so_many_entries() {
    let node = Fixture::new().await;
    let entry = CronEntry {
        id: String::new(),
        hosting: "demo".parse().unwrap(),
        creator: Actor::Panel,
        share: None,
        says: Says { schedule: "5 4 * * *".into(), command: "true".into(), enabled: true },
        wanted: None,
        leaving: false,
        created_at: node.serve.state.clock.now(),
    };
    let fill = |rows: &rusqlite::Connection| {
        (0..200)
            .try_for_each(|number| cron_entries::save(rows, &CronEntry { id: format!("{number}"), ..entry.clone() }))
    };
    node.serve.state.store.write(fill).unwrap();
    let new = || NewEntry { schedule: "5 4 * * *".into(), command: "true".into(), enabled: true };
    let permit = node.permit::<CronCreate>();
    assert_eq!(cron::create(&node.serve, &permit, new()).await.unwrap_err().code, Code::Quota);
    node.serve.state.store.write(|rows| cron_entries::delete(rows, "0")).unwrap();
    // Then the adapter is asked, of which there is none.
    assert_eq!(cron::create(&node.serve, &permit, new()).await.unwrap_err().code, Code::Unsupported);
}

#[tokio::test]
async fn jobs_that_a_stop_cut_off_have_failed_and_say_what_was_left() {
    let node = Fixture::new().await;
    node.has_open(2);
    fail_cut_off(&node.serve).await;
    let detail = |id| node.job(id).error.unwrap()["detail"].as_str().unwrap().to_owned();
    assert!(detail("j0").contains("nothing was done"), "{}", detail("j0"));
    assert!(detail("j1").contains("the command was ended with it"), "{}", detail("j1"));
    assert!(node.job("j0").state == JobState::Failed && node.job("j1").ended_at.is_some());
}
