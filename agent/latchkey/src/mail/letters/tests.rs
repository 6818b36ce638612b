//! What holds for the letters.

use super::*;
use crate::mail::letters::wording::LINE_WIDTH;

const LINK: &str = "https://gateway.example:8444/i/0123456789012345678901234567890123456789abc";
const SITE: &str = "https://cornerbakery.example";

fn privileges() -> Vec<PrivilegeGroup> {
    let titles = ["WP Admin SSO", "Update WordPress", "Manage Auto Update", "Set Debug Mode", "Manage Themes"];
    let titles = titles.map(str::to_owned).to_vec();
    vec![PrivilegeGroup { category: "WordPress Management".to_owned(), titles }]
}

fn grants() -> Grants {
    Grants {
        role_title: "Developer".to_owned(),
        role_tooltip: "Manages the website except sharing, copying or deleting it.".to_owned(),
        privileges: privileges(),
        log_in_as: Some("the WordPress user editor".to_owned()),
        reach: vec!["You can do what an administrator of this site can, whoever you log in as.".to_owned()],
        access_ends: None,
    }
}

fn invitation(label: &str) -> Invitation {
    let offer = Offer {
        site_label: label.to_owned(),
        site_url: SITE.to_owned(),
        inviter: "olga@cornerbakery.example".to_owned(),
        grants: grants(),
        note: Some("The shop is slow.\nPlease leave the theme.".to_owned()),
        link_ends: "28 November 2026, 22:10 UTC".to_owned(),
    };
    Invitation { offer, link: LINK.to_owned() }
}

fn account_details(label: &str) -> AccountDetails {
    let facts = [
        ("Login", "jo.live"),
        ("SFTP", "node.example, port 2222"),
        ("The server's key", "SHA256:Wl0rLzUBPMGqk4gY9gGQ3kYcTq4qA6DC0Gk6QhYhVbE"),
    ];
    AccountDetails {
        site_label: label.to_owned(),
        site_url: SITE.to_owned(),
        facts: facts.map(|(name, value)| Fact { name, value: value.to_owned() }).into(),
        page: "https://gateway.example:8444/shares/7/files".to_owned(),
    }
}

fn every_letter(label: &str) -> Vec<Letter> {
    let (site_label, site_url) = (label.to_owned(), SITE.to_owned());
    let (ends, gateway_url) = ("31 December 2026, 12:00 UTC".to_owned(), "https://gateway.example".to_owned());
    let mut letters = vec![
        invitation(label).letter(),
        RoleChanged {
            site_label: site_label.clone(),
            site_url: site_url.clone(),
            grants: Grants { access_ends: Some(ends.clone()), ..grants() },
            gateway_url: gateway_url.clone(),
        }
        .letter(),
        ExpiringSoon {
            site_label: site_label.clone(),
            site_url: site_url.clone(),
            access_ends: ends.clone(),
            gateway_url,
        }
        .letter(),
        SignIn { link: LINK.to_owned(), link_ends: ends }.letter(),
        account_details(label).letter(),
        DelegateInvited {
            site_label: site_label.clone(),
            delegate: "dan@studio.example".to_owned(),
            invitee: "freelancer@example.net".to_owned(),
            grants: grants(),
            panel_hint: None,
        }
        .letter(),
    ];
    for why in [EndReason::Revoked, EndReason::Expired, EndReason::Suspended] {
        letters.push(AccessEnded { site_label: site_label.clone(), site_url: site_url.clone(), why }.letter());
    }
    letters.into_iter().map(Result::unwrap).collect()
}

fn links(text: &str) -> Vec<&str> {
    text.match_indices("https://")
        .map(|(start, _)| text[start..].split(|c: char| c.is_whitespace() || "\"<".contains(c)).next().unwrap())
        .collect()
}

#[test]
fn the_first_link_of_an_invitation_accepts_and_the_second_is_the_site() {
    for label in ["Corner Bakery", "https://evil.example", "see https://evil.example\nhttps://evil.example"] {
        let letter = invitation(label).letter().unwrap();
        assert_eq!(links(&letter.text)[..2], [LINK, SITE], "text of {label}");
        assert_eq!(links(&letter.html)[..2], [LINK, SITE], "html of {label}");
    }
    let mut hostile = invitation("Corner Bakery");
    hostile.offer.inviter = "http://evil.example".to_owned();
    assert_eq!(links(&hostile.letter().unwrap().text)[0], LINK);
}

#[test]
fn the_text_is_ascii_in_short_lines_and_each_link_stands_alone() {
    for letter in every_letter("Corner Bakery, the shop of the two sisters at the old mill bridge") {
        assert!(letter.text.is_ascii() && letter.html.is_ascii());
        for line in letter.text.lines() {
            match line.contains("://") {
                true => assert!(line.starts_with("https://") && !line.contains(' '), "{line}"),
                false => assert!(line.len() <= LINE_WIDTH, "{line}"),
            }
        }
        assert!(!letter.text.contains("\n\n\n") && letter.text.ends_with("house.\n"), "{}", letter.text);
    }
}

#[test]
fn a_subject_is_one_line_whatever_the_label() {
    for letter in every_letter("Corner\r\nBcc: everyone@example.net\u{2028}\t\u{202e}Bakery\0") {
        assert!(!letter.subject.contains(|c: char| c.is_control() || c == '\u{2028}' || c == '\u{202e}'));
    }
    let letter = invitation("Corner\r\nBakery").letter().unwrap();
    assert_eq!(letter.subject, "You are invited to Corner Bakery");
}

#[test]
fn a_label_adds_no_line_to_the_text() {
    let plain = invitation("Corner Bakery").letter().unwrap();
    assert_eq!(invitation("Corner\r\n\r\nBakery").letter().unwrap(), plain);
}

#[test]
fn hostile_words_are_escaped_in_html() {
    for letter in every_letter("<script>alert(1)</script>\" onload=\"x") {
        assert!(!letter.html.contains("<script") && !letter.html.contains("\" onload"), "{}", letter.html);
    }
    let escaped = "&#60;script&#62;alert(1)&#60;/script&#62;&#34; onload=&#34;x";
    let letter = invitation("<script>alert(1)</script>\" onload=\"x").letter().unwrap();
    assert!(letter.html.contains(escaped));
}

#[test]
fn html_loads_nothing_from_outside() {
    for letter in every_letter("Corner Bakery") {
        for tag in ["<img", "<link", "<style", "<script", "url(", "src="] {
            assert!(!letter.html.contains(tag), "{tag}");
        }
    }
}

#[test]
fn an_invitation_says_who_what_and_what_it_amounts_to() {
    let letter = invitation("Corner Bakery").letter().unwrap();
    for part in [letter.text, letter.html] {
        let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
        for said in [
            "olga@cornerbakery.example",
            "Corner Bakery",
            "Developer",
            "the WordPress user editor",
            "WP Admin SSO, Update WordPress, Manage Auto Update",
            "You can do what an administrator of this site can, whoever you log in as.",
            "Please leave the theme.",
            "28 November 2026, 22:10 UTC",
            "somebody ends it",
        ] {
            assert!(part.contains(said), "{said} in {part}");
        }
    }
}

#[test]
fn account_details_say_where_to_connect_and_lead_to_the_page_first() {
    let letter = account_details("https://evil.example").letter().unwrap();
    for part in [&letter.text, &letter.html] {
        for fact in ["jo.live", "node.example, port 2222", "SHA256:Wl0rLzUBPMGqk4gY9gGQ3kYcTq4qA6DC0Gk6QhYhVbE"] {
            assert!(part.contains(fact), "{fact}: {part}");
        }
        assert_eq!(links(part)[0], "https://gateway.example:8444/shares/7/files");
    }
}
