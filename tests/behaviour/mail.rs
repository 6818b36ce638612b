//! The letters: what they say, whom they go to, and when.

use jiff::{SignedDuration, Timestamp};
use latchkey_tests::mailbox::{mail_to, mails_to};
use latchkey_tests::shares::{DEMO_OWNER, invite_as, person, pinned_editor, share};
use latchkey_tests::sites::{self, PAPERS, paper};
use latchkey_tests::waiting::eventually;
use serde_json::json;
use xtask::node::Node;

crate::trials! { beside_others:
    an_invitation_says_who_which_site_and_what_and_its_first_link_accepts,
    a_changed_role_is_told_to_an_active_person_only,
    the_end_of_access_is_told_once_and_never_for_what_was_not_accepted,
    a_suspension_is_told,
    letters_are_visible_on_the_share,
    letters_are_text_and_html_and_carry_no_markup_of_others,
    letters_belong_to_the_agent_alone,
}

fn an_invitation_says_who_which_site_and_what_and_its_first_link_accepts(node: &Node) {
    let live = node.instance("live").unwrap();
    let mut terms = pinned_editor();
    terms["note"] = json!("Please look at the front page.");
    let share = invite_as(node, DEMO_OWNER, "live", &person("anna"), &terms);
    let mail = mail_to(node, &share.email, "invitation", 1);
    for expected in [
        DEMO_OWNER,
        "Live site",
        &live.url,
        "View and SSO",
        "editor",
        "Preview Instance",
        "Please look at the front page.",
    ] {
        assert!(mail.text.contains(expected), "{expected}: {}", mail.text);
    }
    assert!(mail.subject.contains("Live site"), "{}", mail.subject);
    let first = mail.text.find("https://").unwrap();
    let gateway = &node.agent().unwrap().urls().gateway;
    assert!(mail.text[first..].starts_with(&format!("{gateway}/i/")), "{}", &mail.text[first..first + 80]);
    share.revoke();
}

fn a_changed_role_is_told_to_an_active_person_only(node: &Node) {
    paper(node, "told", PAPERS);
    let active = share(node, "told", &person("active"), &json!({ "role": "view_only" }));
    let pending = invite_as(node, "panel", "told", &person("pending"), &json!({ "role": "view_only" }));
    for share in [&active, &pending] {
        share.update(&json!({ "role": "developer" }));
    }
    let mail = mail_to(node, &active.email, "role_changed", 1);
    assert!(mail.text.contains("Developer") && mail.text.contains("Paper told"), "{}", mail.text);
    active.update(&json!({ "note": "nothing else" }));
    active.update(&json!({ "role": "view_only" }));
    // In order: what came in between would have come first.
    let _second = mail_to(node, &active.email, "role_changed", 2);
    assert_eq!(mails_to(node, &active.email, "role_changed").len(), 2);
    assert!(mails_to(node, &pending.email, "role_changed").is_empty());
}

fn the_end_of_access_is_told_once_and_never_for_what_was_not_accepted(node: &Node) {
    paper(node, "ends", PAPERS);
    let pending = invite_as(node, "panel", "ends", &person("pending"), &json!({ "role": "view_only" }));
    pending.revoke();
    let revoked = share(node, "ends", &person("revoked"), &json!({ "role": "view_only" }));
    revoked.revoke();
    revoked.revoke();
    let end = Timestamp::now() + SignedDuration::from_secs(2);
    let expired =
        share(node, "ends", &person("expired"), &json!({ "role": "view_only", "expires_at": end.to_string() }));
    let mail = mail_to(node, &expired.email, "access_ended", 1);
    assert!(mail.text.contains("Paper ends"), "{}", mail.text);
    let _told = mail_to(node, &revoked.email, "access_ended", 1);
    assert_eq!(mails_to(node, &revoked.email, "access_ended").len(), 1);
    assert!(mails_to(node, &pending.email, "access_ended").is_empty());
}

fn a_suspension_is_told(node: &Node) {
    paper(node, "on-hold", PAPERS);
    let share = share(node, "on-hold", &person("anna"), &json!({ "role": "view_only" }));
    share.suspend();
    let mail = mail_to(node, &share.email, "access_ended", 1);
    assert!(mail.subject.contains("paused") && mail.text.contains("switch it on"), "{}", mail.text);
}

fn letters_are_visible_on_the_share(node: &Node) {
    paper(node, "visible", PAPERS);
    let share =
        invite_as(node, &sites::owner_of("visible"), "visible", &person("anna"), &json!({ "role": "view_only" }));
    let _mail = mail_to(node, &share.email, "invitation", 1);
    eventually("the letter is known to be sent", || {
        let mail = &share.shown()["mail"];
        mail["kind"] == "invitation" && mail["state"] == "sent"
    });
}

fn letters_are_text_and_html_and_carry_no_markup_of_others(node: &Node) {
    let label = "<b>Shop</b> & Söhne";
    sites::put_paper(node, "markup", PAPERS, &json!({ "label": label })).done();
    let note = "<script>alert(1)</script>\nhttps://evil.example/i/x";
    let share = invite_as(
        node,
        &sites::owner_of("markup"),
        "markup",
        &person("anna"),
        &json!({ "role": "view_only", "note": note }),
    );
    let mail = mail_to(node, &share.email, "invitation", 1);
    let (text, html) = mail.text.split_once("Content-Type: text/html").expect("two parts");
    assert!(text.contains("Content-Type: text/plain") && text.contains(label), "{text}");
    assert!(!html.contains("<script>") && !html.contains("<b>Shop"), "{html}");
    assert!(html.contains("Söhne"), "{html}");
    let page = latchkey_tests::browser::Browser::at_gateway(node).open(&mail.link(node, "/i/")).body;
    assert!(!page.contains("<script>alert") && !page.contains("<b>Shop"), "{page}");
}

fn letters_belong_to_the_agent_alone(node: &Node) {
    use std::os::unix::fs::MetadataExt;
    let paths = node.agent().unwrap().paths();
    let state = std::fs::metadata(&paths.state).unwrap();
    let mail = std::fs::metadata(&paths.mail).unwrap();
    assert_eq!((mail.mode() & 0o077, mail.uid()), (0, state.uid()));
    assert_eq!(state.mode() & 0o077, 0);
}
