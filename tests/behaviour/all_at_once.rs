//! One share with everything open that a hosting has: the end of the share ends all of it, and says so.

use std::fs;
use std::thread;
use std::time::Duration;

use latchkey_tests::databases::{connections, sql_as};
use latchkey_tests::opened::files_beneath;
use latchkey_tests::processes::with_words;
use latchkey_tests::shares::{person, share};
use latchkey_tests::streams::OperationStream;
use latchkey_tests::waiting::eventually;
use serde_json::{Value, json};
use xtask::clock::Stopwatch;
use xtask::node::Node;
use xtask::process::Program;

use crate::phpmyadmin;

crate::trials! { beside_others: one_end_ends_everything_that_is_open }

const SITE: &str = "opened";
/// Twice as long as one part of an end is waited for, of which several go on side by side.
const ONE_REPLY: Duration = Duration::from_secs(6);

fn one_end_ends_everything_that_is_open(node: &Node) {
    let site = node.instance(SITE).unwrap();
    let hosting = node.hosting(&site.hosting).unwrap();
    let terms = json!({ "role": "custom", "privileges": [
        "general.view_logs", "hosting.manage_mysql", "hosting.manage_file_manager", "hosting.manage_cron",
        "hosting.phpmyadmin_sso",
    ] });
    let guest = share(node, SITE, &person("everything"), &terms);
    let may = guest.person();
    let does = |operation: &str, input: &Value| may.operate(SITE, operation, input).done();

    let mut admin = phpmyadmin::sign_in(node, &may, SITE);
    admin.is_in();
    let (user, bare) = (format!("{}k_all", hosting.db_prefix), "k_all");
    let secret = does("database_user.create", &json!({ "name": bare }))["password"].as_str().unwrap().to_owned();
    let log = OperationStream::open(node, &guest.email, SITE, "log.follow", &json!({ "log": "access" }));
    let words = "sleep 4711.25";
    let entry = does("cron.create", &json!({ "schedule": "0 0 1 1 *", "command": words }))["id"].clone();
    let job = does("cron.run", &json!({ "id": entry }))["job"].as_str().unwrap().to_owned();
    eventually("the command runs", || !with_words(words).is_empty());
    let folder = site.docroot.join("wp-content/uploads");
    let path = folder.join("arriving");
    let path = path.strip_prefix(&hosting.user.home).unwrap().display();
    let upload = may.request("PUT", &format!("/v1/instances/{SITE}/files/{path}"));
    let upload = upload.body("application/octet-stream", vec![b'x'; 20_000_000]);
    let upload = upload.option("--limit-rate").option("200K").option("--max-time").option("60");

    thread::scope(|scope| {
        let upload = scope.spawn(|| upload.try_send().map(|reply| reply.status));
        let selected = scope.spawn(|| sql_as(node, (&user, &secret), "SELECT SLEEP(100)"));
        eventually("the connection", || connections(node, &user) == "1");
        let kinds = || {
            let live = may.get("/v1/sessions").done()["items"].as_array().unwrap().clone();
            let kinds = live.iter().filter(|one| one["share"] == guest.id.as_str());
            let mut kinds: Vec<String> = kinds.map(|one| one["kind"].as_str().unwrap().to_owned()).collect();
            kinds.sort();
            kinds
        };
        eventually("all of it is live", || kinds() == ["database", "job", "phpmyadmin", "stream", "transfer"]);

        let begun = Stopwatch::start();
        let ended = guest.revoke();
        assert!(begun.elapsed() < ONE_REPLY, "{:?}", begun.elapsed());
        for kind in ["database", "job", "phpmyadmin", "stream", "transfer"] {
            assert_eq!(ended["closed"][kind], 1, "{kind}: {ended}");
        }
        assert_eq!(ended["unconfirmed"], json!([]), "{ended}");
        let known = ended["residue"].as_array().unwrap().iter().find(|one| one["kind"] == "database_user").unwrap();
        assert!(known["what"].as_str().unwrap().contains(&user), "{known}");
        assert!(known["undo"].as_str().unwrap().contains("database_user.set_password"), "{known}");

        // The node, as soon as the reply is there.
        assert_eq!(connections(node, &user), "0");
        assert!(with_words(words).is_empty());
        assert_eq!(files_beneath(&folder), []);
        assert!(!fs::exists(folder.join("arriving")).unwrap());
        assert_eq!(upload.join().unwrap(), Ok(403));
        assert!(selected.join().unwrap().is_err());
    });
    admin.is_out();
    eventually("the log is told no more", || log.is_closed());
    may.get(&format!("/v1/jobs/{job}")).refused(404, "not_found");
    // cron says there is none, or tells one without it.
    let crontab = Program::new("crontab").args(["-l", "-u", &hosting.user.name]).text().unwrap_or_default();
    assert!(!crontab.contains(words), "{crontab}");
}
