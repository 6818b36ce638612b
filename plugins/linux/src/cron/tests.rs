//! Entries in a crontab that is played: what is done, what is done once, and what of others stays.

use sdk::fake::{Host, hosting};

use super::*;

fn entry(command: &str, tag: Option<&str>) -> Entry {
    Entry { schedule: "5 4 * * *".into(), command: command.into(), tag: tag.map(str::to_owned), enabled: true }
}

fn list() -> Vec<ListedEntry> {
    Linux::list_entries(hosting()).unwrap()
}

fn create(entry: &Entry) -> Result<()> {
    Linux::create_entry(hosting(), "k1".into(), entry.clone())
}

fn update(given: &ListedEntry, entry: &Entry) -> Result<()> {
    Linux::update_entry(hosting(), "k2".into(), given.clone(), entry.clone())
}

fn delete(key: &str, given: &ListedEntry) -> Result<()> {
    Linux::delete_entry(hosting(), key.into(), given.clone())
}

#[track_caller]
fn is_changed(result: Result<()>) {
    assert!(matches!(result, Err(Error::Changed(_))), "{result:?}");
}

const FOREIGN: &[u8] = b"# by hand\r\nA=b\n@daily  echo caf\xe9 \\% \r\n";

#[test]
fn a_call_that_is_repeated_is_done_once() {
    let host = Host::new();
    host.has_crontab(FOREIGN);
    for _ in 0..2 {
        create(&entry("a", Some("t"))).unwrap();
    }
    let with = |ours: &str| [FOREIGN, ours.as_bytes()].concat();
    assert_eq!(host.crontab(), with("# latchkey: t\n5 4 * * * a\n"));
    let listed = list().remove(1);
    let off = Entry { enabled: false, command: "b".into(), ..listed.entry.clone() };
    for _ in 0..2 {
        update(&listed, &off).unwrap();
    }
    assert_eq!(host.crontab(), with("# latchkey: t\n# latchkey off: 5 4 * * * b\n"));
    let listed = list().remove(1);
    for _ in 0..2 {
        delete("k3", &listed).unwrap();
    }
    assert_eq!(host.crontab(), FOREIGN);
    assert!(matches!(delete("k4", &listed), Err(Error::NotFound(_))));
}

#[test]
fn of_entries_that_are_alike_one_is_changed_however_often_it_is_repeated() {
    let host = Host::new();
    host.has_crontab("@daily x\n@daily x\n@daily x\n");
    let listed = list();
    for _ in 0..2 {
        delete("k1", &listed[1]).unwrap();
    }
    assert_eq!(host.crontab(), b"@daily x\n@daily x\n");
    is_changed(update(&listed[0], &entry("y", None)));
    let listed = list();
    for _ in 0..2 {
        update(&listed[1], &Entry { command: "y".into(), ..listed[1].entry.clone() }).unwrap();
    }
    assert_eq!(host.crontab(), b"@daily x\n@daily y\n");
    // One without a tag that is there just so is the one that is wanted.
    for _ in 0..2 {
        create(&entry("z", None)).unwrap();
    }
    assert_eq!(host.crontab(), b"@daily x\n@daily y\n5 4 * * * z\n");
}

#[test]
fn a_tag_is_of_one_entry() {
    let host = Host::new();
    create(&entry("a", Some("t"))).unwrap();
    create(&entry("b", Some("u"))).unwrap();
    let before = host.crontab();
    let taken = |result| assert!(matches!(&result, Err(Error::AlreadyExists(_))), "{result:?}");
    taken(create(&entry("other", Some("t"))));
    taken(update(&list()[0], &entry("a", Some("u"))));
    assert_eq!(host.crontab(), before);
    update(&list()[0], &entry("a", None)).unwrap();
    update(&list()[1], &entry("b", Some("t"))).unwrap();
    assert_eq!(host.crontab(), b"5 4 * * * a\n# latchkey: t\n5 4 * * * b\n");
}

#[test]
fn what_is_not_as_it_was_listed_is_not_touched() {
    let host = Host::new();
    create(&entry("a", Some("t"))).unwrap();
    let listed = list().remove(0);
    let by_hand = "# latchkey: t\n6 4 * * * a\n";
    host.has_crontab(by_hand);
    is_changed(update(&listed, &entry("b", Some("t"))));
    is_changed(delete("k3", &listed));
    is_changed(delete("k3", &ListedEntry { id: list()[0].id.clone(), ..listed.clone() }));
    assert_eq!(host.crontab(), by_hand.as_bytes());
    host.has_crontab("");
    is_changed(update(&listed, &entry("b", Some("t"))));
    assert!(matches!(delete("k3", &listed), Err(Error::NotFound(_))));
}

#[test]
fn when_somebody_else_is_faster_both_changes_are_made() {
    let host = Host::new();
    host.somebody_else_puts_crontabs([b"@daily one\n".to_vec(), b"@daily two\n".to_vec()]);
    create(&entry("a", Some("t"))).unwrap();
    assert_eq!(host.crontab(), b"@daily two\n# latchkey: t\n5 4 * * * a\n");
    let listed = list().remove(0);
    host.somebody_else_puts_crontabs((0..TRIES).map(|n| format!("@daily two\n@daily {n}\n").into_bytes()));
    is_changed(delete("k3", &listed));
    assert_eq!(host.crontab(), b"@daily two\n@daily 4\n");
}

#[test]
fn what_is_no_line_of_a_crontab_is_refused_by_its_parameter() {
    let host = Host::new();
    let refused = |name: &str, entry: &Entry| {
        let refused = create(entry);
        assert!(matches!(&refused, Err(Error::Invalid(field)) if field.name == name), "{entry:?}: {refused:?}");
    };
    for command in ["", "  ", " a", "a ", "a\nb", "a\r", "a\0", "date +%F", "a \\% b", "a\\", "\u{85}", "* a"] {
        refused("command", &entry(command, None));
    }
    let tagged = |command: &str| entry(command, Some("t"));
    for command in ["a \\% b", "a \\\\\\% b", "a % b\\%", &"%".repeat(500), &"x".repeat(999)] {
        refused("command", &tagged(command));
    }
    for schedule in
        ["", "* * * *", "* * * * * *", "*  * * * *", "@daily", "\n* * * *", "* * * * %", "a * * * *", "#1 * * * *"]
    {
        refused("schedule", &Entry { schedule: schedule.into(), ..entry("a", None) });
    }
    for tag in ["", "A", "a b", "a\n", "\u{fc}", &"a".repeat(65)] {
        refused("tag", &entry("a", Some(tag)));
    }
    assert_eq!(host.crontab(), b"");
    create(&entry("a 'b' \"c\" \\d | e=f\t# \u{fc}", Some(&"a".repeat(64)))).unwrap();
    assert_eq!(list()[0].entry.command, "a 'b' \"c\" \\d | e=f\t# \u{fc}");
    host.has_crontab("");
    for command in ["date +%F", "a \\\\% b%%", &"%".repeat(499), &"x".repeat(998)] {
        create(&tagged(command)).unwrap();
        let listed = list().remove(0);
        assert_eq!(listed.entry, tagged(command));
        assert_eq!(host.crontab(), format!("# latchkey: t\n5 4 * * * {}\n", command.replace('%', "\\%")).into_bytes());
        delete("k9", &listed).unwrap();
    }
    // What somebody else wrote may stay.
    host.has_crontab("@reboot date +\\%F\n");
    let listed = list().remove(0);
    update(&listed, &Entry { tag: Some("t".into()), ..listed.entry.clone() }).unwrap();
    assert_eq!(host.crontab(), b"# latchkey: t\n@reboot date +\\%F\n");
}

#[test]
fn what_the_agent_and_cron_say_reaches_whoever_asked() {
    let host = Host::new();
    host.has_crontab(FOREIGN);
    let listed = list().remove(0);
    let denial = sdk::Denial { message: "crontab is not granted".into(), grant: None };
    for (said, expected) in [
        (CrontabError::Denied(denial), Error::denied("crontab is not granted")),
        (CrontabError::Invalid("bad minute".into()), Error::refused("cron does not take the crontab: bad minute")),
        (CrontabError::Refused("no cron".into()), Error::refused("no cron")),
        (CrontabError::Unavailable("busy".into()), Error::unavailable("busy")),
    ] {
        host.crontab_answers(said);
        let answers = [
            Linux::list_entries(hosting()).map(drop),
            create(&entry("a", None)),
            update(&listed, &entry("a", None)),
            delete("k3", &listed),
        ];
        assert_eq!(answers, [0; 4].map(|_| Err(expected.clone())));
    }
    assert_eq!(host.crontab(), FOREIGN);
}
