//! `cron.*` and jobs: the reply, the real crontab, and the processes that run.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use latchkey_tests::api::Api;
use latchkey_tests::audit::audited;
use latchkey_tests::command_line::latchkey;
use latchkey_tests::exchange::Response;
use latchkey_tests::hostile_text::texts;
use latchkey_tests::processes::with_words;
use latchkey_tests::shares::{Share, person, share};
use latchkey_tests::sites::{folder, owner_of, paper};
use latchkey_tests::waiting::{eventually, eventually_some};
use serde_json::{Value, json};
use xtask::clock::Stopwatch;
use xtask::node::Node;
use xtask::process::Program;

crate::trials! {
    beside_others:
        entries_are_made_listed_changed_and_deleted_for_the_whole_hosting,
        an_entry_leaves_the_crontab_with_the_share_that_said_what_it_runs,
        what_was_changed_by_hand_is_shown_and_left_until_its_share_ends,
        hostile_schedules_and_commands_make_no_line_but_their_own,
        an_entry_is_run_as_a_job_with_its_output,
        a_job_ends_with_its_share_or_when_it_is_cancelled_and_with_it_all_that_it_started;
    alone:
        a_node_that_hangs_delays_no_end_and_the_entry_leaves_afterwards,
        a_job_that_was_cut_off_by_a_restart_says_so;
}

/// The hosting of these trials alone, with two instances.
const HOSTING: &str = "clock";
pub(crate) const SITE: &str = "clock-site";
const BESIDE: &str = "clock-beside";

/// What others have written there.
pub(crate) const FOREIGN: &str = "# by hand\nMAILTO=\"\"\n\n0  3\t* * *   echo \\% x\n@reboot true\n";

/// The crontab of that hosting, for one trial at a time.
static TURN: Mutex<()> = Mutex::new(());

pub(crate) struct Clock<'n> {
    node: &'n Node,
    _turn: MutexGuard<'static, ()>,
}

impl<'n> Clock<'n> {
    /// With what others have written, and nothing else.
    pub(crate) fn new(node: &'n Node) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        folder(node, SITE, HOSTING);
        paper(node, BESIDE, HOSTING);
        let clock = Self { node, _turn: turn };
        for entry in clock.listed().iter().filter(|entry| entry["id"].is_string()) {
            clock.put(FOREIGN);
            clock.owner().operate(SITE, "cron.delete", &json!({ "id": entry["id"] })).done();
        }
        clock.put(FOREIGN);
        clock
    }

    pub(crate) fn owner(&self) -> Api<'n> {
        Api::acting_as(self.node, &owner_of(HOSTING))
    }

    pub(crate) fn guest(&self) -> Share<'n> {
        let may = json!({ "role": "custom", "privileges": ["hosting.manage_cron"] });
        share(self.node, SITE, &person("may"), &may)
    }

    fn listed(&self) -> Vec<Value> {
        self.owner().operate(SITE, "cron.list", &json!({})).done()["items"].as_array().unwrap().clone()
    }

    pub(crate) fn entry(&self, id: &str) -> Value {
        self.listed().into_iter().find(|entry| entry["id"] == id).unwrap()
    }

    /// As somebody at a shell does.
    pub(crate) fn put(&self, text: &str) {
        let crontab = Program::new("crontab").arg("-").input(text.as_bytes());
        crontab.run_as(self.node.hosting(HOSTING).unwrap().user.identity()).text().unwrap();
    }

    /// What `crontab -l` says, which prints the whole of it.
    pub(crate) fn crontab(&self) -> String {
        let user = self.node.hosting(HOSTING).unwrap().user.name;
        Program::new("crontab").args(["-l", "-u", &user]).text().unwrap() + "\n"
    }

    #[track_caller]
    pub(crate) fn has(&self, ours: &str) {
        assert_eq!(self.crontab().trim_end(), format!("{FOREIGN}{ours}").trim_end());
    }
}

#[track_caller]
pub(crate) fn made(answer: &Response) -> String {
    answer.done()["id"].as_str().unwrap().to_owned()
}

pub(crate) fn create(person: &Api<'_>, command: &str) -> Response {
    person.operate(SITE, "cron.create", &json!({ "schedule": "5 4 * * *", "command": command }))
}

pub(crate) fn line(id: &str, command: &str) -> String {
    format!("# latchkey: {id}\n5 4 * * * {command}\n")
}

fn entries_are_made_listed_changed_and_deleted_for_the_whole_hosting(node: &Node) {
    let clock = Clock::new(node);
    let (may, may_not) = (clock.guest(), share(node, SITE, &person("may-not"), &json!({ "role": "developer" })));
    let (share_id, may, may_not) = (may.id.clone(), may.person(), may_not.person());
    let id = made(&create(&may, "date +%F > \"$HOME/a b\""));
    for (operation, input) in [
        ("cron.list", json!({})),
        ("cron.create", json!({ "schedule": "5 4 * * *", "command": "true" })),
        ("cron.update", json!({ "id": id, "command": "true" })),
        ("cron.delete", json!({ "id": id })),
        ("cron.run", json!({ "id": id })),
    ] {
        may_not.operate(SITE, operation, &input).refused_by("A1", 403, "forbidden");
        // Nothing of it is anything on another hosting.
        let elsewhere = Api::panel(node).operate("named", operation, &json!({ "id": id }));
        match operation {
            "cron.list" | "cron.create" => drop(elsewhere.refused(400, "invalid")),
            _ if operation == "cron.update" => {
                drop(Api::panel(node).operate("named", operation, &input).refused(404, "not_found"));
            }
            _ => drop(elsewhere.refused(404, "not_found")),
        }
    }
    clock.has(&line(&id, "date +\\%F > \"$HOME/a b\""));
    audited(node, SITE, "cron.create", "allowed", |row| row["share"] == share_id.as_str() && row["rule"] == "A7");
    let mine = clock.entry(&id);
    assert_eq!(mine["command"], "date +%F > \"$HOME/a b\"");
    assert_eq!((&mine["share"], &mine["enabled"]), (&json!(share_id), &json!(true)), "{mine}");
    assert!(mine["creator"].as_str().unwrap().starts_with("may-") && mine["conflict"].is_null(), "{mine}");
    assert_eq!(mine["in_words"], "at 04:05 every day");
    assert_eq!(mine["next_runs"].as_array().unwrap().len(), 3, "{mine}");
    assert!(mine["next_runs"][0].as_str().unwrap().contains("T04:05:00"), "{mine}");
    let others: Vec<Value> = clock.listed().into_iter().filter(|entry| entry["id"].is_null()).collect();
    assert_eq!(others.len(), 2, "{others:?}");
    assert_eq!((&others[0]["schedule"], &others[0]["command"]), (&json!("0 3 * * *"), &json!("echo \\% x")));
    assert_eq!((&others[1]["schedule"], &others[1]["next_runs"]), (&json!("@reboot"), &json!([])));
    // The whole hosting (A6): through its other site as well, which the guest's share is not about.
    let there = may.operate(BESIDE, "cron.list", &json!({})).done();
    assert!(there["items"].as_array().unwrap().iter().any(|entry| entry["id"] == id.as_str()));
    let changed = may.operate(BESIDE, "cron.update", &json!({ "id": id, "schedule": "*/5 * * * *" })).done();
    assert_eq!(changed["in_words"], "every 5 minutes");
    clock.has(&format!("# latchkey: {id}\n*/5 * * * * date +\\%F > \"$HOME/a b\"\n"));
    may.operate(SITE, "cron.update", &json!({ "id": id, "enabled": false })).done();
    clock.has("");
    let off = clock.entry(&id);
    assert!(off["enabled"] == false && off["next_runs"] == json!([]) && off["conflict"].is_null(), "{off}");
    may.operate(SITE, "cron.update", &json!({ "id": id, "enabled": true, "command": "true" })).done();
    clock.has(&format!("# latchkey: {id}\n*/5 * * * * true\n"));
    may.operate(SITE, "cron.delete", &json!({ "id": id })).done();
    clock.has("");
    may.operate(SITE, "cron.delete", &json!({ "id": id })).refused(404, "not_found");
    let off =
        may.operate(SITE, "cron.create", &json!({ "schedule": "5 4 * * *", "command": "true", "enabled": false }));
    clock.has("");
    may.operate(SITE, "cron.delete", &json!({ "id": made(&off) })).done();
}

fn an_entry_leaves_the_crontab_with_the_share_that_said_what_it_runs(node: &Node) {
    let clock = Clock::new(node);
    let owners = made(&create(&clock.owner(), "echo of the owner"));
    let expiring = |share: &Share<'_>| {
        let end = jiff::Timestamp::now() + jiff::Span::new().seconds(2);
        share.update(&json!({ "expires_at": end.to_string() }));
        Value::Null
    };
    type End<'e> = &'e dyn Fn(&Share<'_>) -> Value;
    let ends: [(&str, End<'_>); 4] = [
        ("revoked", &|share| share.revoke()),
        ("suspended", &|share| share.suspend()),
        ("narrowed", &|share| share.update(&json!({ "role": "custom", "privileges": ["wordpress.update_site_name"] }))),
        ("expired", &expiring),
    ];
    for (how, end) in ends {
        let guest = clock.guest();
        let id = made(&create(&guest.person(), "echo of a guest"));
        // What the owner has said last what it runs is the owner's.
        let taken_over = made(&create(&guest.person(), "echo of a guest"));
        clock.owner().operate(SITE, "cron.update", &json!({ "id": taken_over, "command": "echo taken over" })).done();
        clock.has(
            &[line(&owners, "echo of the owner"), line(&id, "echo of a guest"), line(&taken_over, "echo taken over")]
                .concat(),
        );
        let ended = end(&guest);
        if ended.is_null() {
            eventually("it expires", || guest.state() == "expired");
            eventually("it leaves", || !clock.crontab().contains(&id));
        } else {
            assert_eq!(ended["unconfirmed"], json!([]), "{how}: {ended}");
            let left = &ended["disabled"][0];
            assert_eq!((&left["kind"], &left["id"]), (&json!("cron_entry"), &json!(id)), "{how}: {ended}");
            assert_eq!(guest.residue(), json!([]), "nobody can use it: {how}: {ended}");
        }
        clock.has(&[line(&owners, "echo of the owner"), line(&taken_over, "echo taken over")].concat());
        let kept = eventually_some("it is kept as disabled", || {
            Some(clock.entry(&id)).filter(|kept| kept["enabled"] == false)
        });
        assert_eq!((&kept["command"], &kept["share"]), (&json!("echo of a guest"), &json!(guest.id)), "{how}");
        assert!(guest.shown()["disabled"].to_string().contains(&id), "{how}");
        if how == "suspended" {
            guest.reinstate();
            clock.has(&[line(&owners, "echo of the owner"), line(&taken_over, "echo taken over")].concat());
        }
        // It runs again as the entry of whoever says so, unless the guest answers for it again.
        clock.owner().operate(SITE, "cron.update", &json!({ "id": id, "enabled": true })).done();
        let answers = (how == "suspended").then_some(&guest.id);
        assert!(clock.entry(&id)["share"] == json!(answers) && clock.crontab().contains(&id), "{how}");
        assert!(guest.shown()["disabled"].is_null(), "{how}");
        for id in [id, taken_over] {
            clock.owner().operate(SITE, "cron.delete", &json!({ "id": id })).done();
        }
        if guest.state() == "active" {
            guest.revoke();
        }
    }
    clock.has(&line(&owners, "echo of the owner"));
    clock.owner().operate(SITE, "cron.delete", &json!({ "id": owners })).done();
}

fn what_was_changed_by_hand_is_shown_and_left_until_its_share_ends(node: &Node) {
    let clock = Clock::new(node);
    let guest = clock.guest();
    let may = guest.person();
    let id = made(&create(&may, "echo a"));
    clock.put(&format!("{FOREIGN}{}", line(&id, "echo by hand")));
    let by_hand = |ours: &str| clock.has(ours);
    let shown = clock.entry(&id);
    assert_eq!(shown["conflict"], json!({ "kind": "changed", "lines": ["5 4 * * * echo by hand"] }), "{shown}");
    assert_eq!(shown["command"], "echo a");
    let updated = may.operate(SITE, "cron.update", &json!({ "id": id, "command": "echo b" }));
    assert!(updated.refused(409, "conflict")["detail"].as_str().unwrap().contains("by hand"));
    may.operate(SITE, "cron.delete", &json!({ "id": id })).refused(409, "conflict");
    by_hand(&line(&id, "echo by hand"));
    // What stands there is taken over, and then it is as any other.
    let taken_over = may.operate(SITE, "cron.update", &json!({ "id": id, "command": "echo by hand" })).done();
    assert!(taken_over["conflict"].is_null(), "{taken_over}");
    by_hand(&line(&id, "echo by hand"));
    clock.put(FOREIGN);
    let shown = clock.entry(&id);
    assert_eq!(shown["conflict"], json!({ "kind": "removed", "lines": [] }), "{shown}");
    may.operate(SITE, "cron.update", &json!({ "id": id, "command": "echo b" })).refused(409, "conflict");
    by_hand("");
    may.operate(SITE, "cron.delete", &json!({ "id": id })).done();
    // Twice, changed, or without its `%` escaped: all of it leaves with the share.
    let id = made(&create(&may, "date +%F"));
    clock.put(&format!("{FOREIGN}{}@daily x\n{}", line(&id, "date +%F"), line(&id, "other")));
    assert_eq!(clock.entry(&id)["conflict"]["kind"], "changed");
    guest.revoke();
    by_hand("@daily x\n");
    assert_eq!(clock.entry(&id)["enabled"], false);
}

/// Texts that a crontab could take for more than they are.
fn hostile() -> Vec<String> {
    let lines = [
        "x\n* * * * * evil",
        "x\r* * * * * evil",
        "x\r\n@reboot evil",
        "x\u{2028}* * * * * evil",
        "x\u{85}evil",
        "x\0evil",
        "\n# latchkey: evil",
        "# latchkey: evil",
        "# latchkey off: * * * * * evil",
        "%* * * * * evil",
        "x%y%z",
        "x\\%y",
        "x\\\\%y",
        "x\\\\\\%y",
        "\\",
        "x\\",
        "MAILTO=evil",
        "PATH=/evil",
        "a=b",
        "= x",
        "@reboot evil",
        "@daily",
        "* * * * *",
        "* * * * * evil",
        "*/5",
        "L",
        "5#2",
        "0 0 31 2 *",
        "${IFS}",
        "x # y",
        "'",
        "\"",
        "x > /dev/null 2>&1 &",
    ];
    lines.into_iter().map(str::to_owned).chain(texts()).collect()
}

fn hostile_schedules_and_commands_make_no_line_but_their_own(node: &Node) {
    let clock = Clock::new(node);
    let owner = clock.owner();
    let mut made_of_them = 0;
    let mut tried = 0;
    let mut check = |schedule: &str, command: &str| {
        let answer = owner.operate(SITE, "cron.create", &json!({ "schedule": schedule, "command": command }));
        tried += 1;
        if answer.status == 200 {
            let id = made(&answer);
            clock.has(&format!("# latchkey: {id}\n{schedule} {}\n", command.replace('%', "\\%")));
            let listed = clock.entry(&id);
            assert_eq!((listed["command"].as_str(), listed["conflict"].is_null()), (Some(command), true), "{listed}");
            owner.operate(SITE, "cron.delete", &json!({ "id": id })).done();
            made_of_them += 1;
        } else {
            let problem = answer.refused(400, "invalid");
            let field = problem["field"].as_str().unwrap();
            assert!(["schedule", "command"].contains(&field), "{problem}");
        }
        clock.has("");
    };
    for text in hostile() {
        check(&text, "true");
        check(&format!("{text} * * * *"), "true");
        check("5 4 * * *", &text);
        check("5 4 * * *", &format!("echo {text} x"));
    }
    assert!(tried >= 500 && made_of_them > 50, "{made_of_them} of {tried}");
    for text in hostile() {
        let answer = owner.operate(SITE, "cron.update", &json!({ "id": text, "command": "true" }));
        answer.refused(404, "not_found");
    }
    clock.has("");
}

/// Waits until a job has ended, and answers with it.
#[track_caller]
fn ended_job(person: &Api<'_>, job: &str) -> Value {
    eventually_some("the job has ended", || {
        Some(person.get(&format!("/v1/jobs/{job}")).done()).filter(|job| job["ended_at"].is_string())
    })
}

#[track_caller]
fn run(person: &Api<'_>, id: &str) -> String {
    let answer = person.operate(SITE, "cron.run", &json!({ "id": id }));
    assert_eq!(answer.status, 202, "{}", answer.body);
    answer.json()["job"].as_str().unwrap().to_owned()
}

fn an_entry_is_run_as_a_job_with_its_output(node: &Node) {
    let clock = Clock::new(node);
    let (guest, other) = (clock.guest(), clock.guest());
    let may = guest.person();
    let id = made(&create(&may, "id -un; pwd; echo $PATH; echo 100% >&2; exit 3"));
    let job = run(&may, &id);
    let ended = ended_job(&may, &job);
    let user = node.hosting(HOSTING).unwrap().user;
    assert_eq!((&ended["state"], &ended["percent"]), (&json!("succeeded"), &json!(100)), "{ended}");
    let stdout = format!("{}\n{}\n/usr/bin:/bin\n", user.name, user.home.display());
    assert_eq!(ended["output"], json!({ "end": "exited", "code": 3, "stdout": stdout, "stderr": "100%\n" }));
    assert_eq!((&ended["operation"], &ended["share"]), (&json!("cron.run"), &json!(guest.id)));
    assert_eq!(ended["steps"][0]["name"], "run the command");
    assert!(ended["log"][0].as_str().unwrap().contains("id -un"), "{ended}");
    audited(node, SITE, "cron.run", "allowed", |row| row["share"] == guest.id.as_str());
    // It is theirs and the panel's, and nobody else's.
    let path = format!("/v1/jobs/{job}");
    assert_eq!(Api::panel(node).get(&path).done()["id"], job.as_str());
    for somebody in [other.person(), clock.owner(), Api::acting_as(node, &person("stranger"))] {
        somebody.get(&path).refused(404, "not_found");
        somebody.get(&format!("{path}/events")).refused(404, "not_found");
        somebody.delete(&path).refused(404, "not_found");
    }
    let events = may.get(&format!("{path}/events"));
    assert_eq!(events.header("content-type"), Some("text/event-stream"));
    assert!(
        events.body.starts_with("id: 1\nevent: job\ndata: {") && events.body.contains("\"succeeded\""),
        "{}",
        events.body
    );
    may.operate(SITE, "cron.run", &json!({ "id": "0123456789abcdef" })).refused(404, "not_found");
    // Followed from its begin to its end.
    let slow = made(&create(&may, "sleep 1; echo done"));
    let job = run(&may, &slow);
    let followed = may.get(&format!("/v1/jobs/{job}/events")).body;
    assert!(followed.matches("event: job").count() >= 2, "{followed}");
    assert!(
        followed.contains("\"running\"") && followed.trim_end().ends_with('}') && followed.contains("done\\n"),
        "{followed}"
    );
    let words = ["op", "run", SITE, "cron.run", &format!("id={id}"), "--wait", "--as", &guest.email];
    let printed = latchkey(node, &words);
    assert!(printed.done().contains(&format!("stdout:\n{stdout}")), "{}", printed.text);
    guest.revoke();
    may.get(&path).refused(404, "not_found");
    assert_eq!(Api::panel(node).get(&path).done()["state"], "succeeded");
}

fn a_job_ends_with_its_share_or_when_it_is_cancelled_and_with_it_all_that_it_started(node: &Node) {
    let clock = Clock::new(node);
    let guest = clock.guest();
    let may = guest.person();
    let begun = |seconds: &str| {
        let command = format!("setsid sleep {seconds} & trap '' TERM; sleep {seconds}");
        let job = run(&may, &made(&create(&may, &command)));
        eventually("it runs", || with_words(&format!("sleep {seconds}")).len() >= 2);
        job
    };
    let sessions = || Api::panel(node).get("/v1/sessions").done()["items"].to_string();
    let job = begun("86431");
    assert!(sessions().contains(&job));
    let cancelled = may.delete(&format!("/v1/jobs/{job}")).done();
    assert_eq!(
        (&cancelled["state"], &cancelled["error"]["code"]),
        (&json!("cancelled"), &json!("unavailable")),
        "{cancelled}"
    );
    assert_eq!(with_words("sleep 86431"), []);
    assert!(!sessions().contains(&job));
    // Once more is as good.
    assert_eq!(may.delete(&format!("/v1/jobs/{job}")).done()["state"], "cancelled");
    let job = begun("86432");
    let ended = guest.revoke();
    assert_eq!((&ended["closed"]["job"], &ended["unconfirmed"]), (&json!(1), &json!([])), "{ended}");
    assert_eq!(with_words("sleep 86432"), []);
    let job = Api::panel(node).get(&format!("/v1/jobs/{job}")).done();
    assert_eq!((&job["state"], &job["error"]["code"]), (&json!("cancelled"), &json!("not_found")), "{job}");
    clock.has("");
}

fn a_node_that_hangs_delays_no_end_and_the_entry_leaves_afterwards(node: &Node) {
    let clock = Clock::new(node);
    let guest = clock.guest();
    let id = made(&create(&guest.person(), "echo a"));
    let second = clock.guest();
    let through_a_restart = made(&create(&second.person(), "echo b"));
    node.broker().unwrap().hang().unwrap();
    for (share, id) in [(&guest, &id), (&second, &through_a_restart)] {
        let stopwatch = Stopwatch::start();
        let ended = share.revoke();
        assert!(stopwatch.elapsed() < Duration::from_secs(3), "{:?}", stopwatch.elapsed());
        let unconfirmed = &ended["unconfirmed"][0];
        assert_eq!(unconfirmed["channel"], "cron_entry", "{ended}");
        assert!(unconfirmed["what"].as_str().unwrap().contains(id), "{ended}");
        assert!(share.shown()["unconfirmed"].to_string().contains(id));
    }
    assert!(clock.crontab().contains(&id) && clock.crontab().contains(&through_a_restart));
    node.serve().unwrap().crash().unwrap();
    node.broker().unwrap().resume().unwrap();
    node.serve().unwrap().wait_ready().unwrap();
    eventually("they leave", || !clock.crontab().contains("# latchkey"));
    clock.has("");
    eventually("it is confirmed", || guest.shown()["unconfirmed"].is_null() && second.shown()["unconfirmed"].is_null());
    assert_eq!(clock.entry(&through_a_restart)["enabled"], false);
    assert!(second.shown()["disabled"].to_string().contains(&through_a_restart));
}

fn a_job_that_was_cut_off_by_a_restart_says_so(node: &Node) {
    let clock = Clock::new(node);
    let job = run(&clock.owner(), &made(&create(&clock.owner(), "sleep 86433")));
    eventually("it runs", || !with_words("sleep 86433").is_empty());
    node.serve().unwrap().crash().unwrap();
    node.serve().unwrap().wait_ready().unwrap();
    let job = eventually_some("the agent is there", || {
        Some(clock.owner().get(&format!("/v1/jobs/{job}"))).filter(|answer| answer.status == 200)
    });
    let job = job.done();
    assert_eq!(job["state"], "failed", "{job}");
    assert!(job["error"]["detail"].as_str().unwrap().contains("the command was ended with it"), "{job}");
    eventually("the command has ended", || with_words("sleep 86433").is_empty());
}
