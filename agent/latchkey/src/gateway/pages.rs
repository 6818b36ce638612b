//! The gateway's pages: typed inputs in, HTML out (`render` of [`askama::Template`]).
//!
//! Pure: no routes, no cookies, no headers, no clock. Every page works without JavaScript and holds no inline script or
//! style, so the strictest Content-Security-Policy fits: `default-src 'none'; style-src 'self'; script-src 'self';
//! form-action …; base-uri 'none'; frame-ancestors 'none'`.

use askama::Template;

use crate::accounts::{Fact, Opens};
use crate::mail::letters::{Offer, PrivilegeGroup};

/// What `/style.css` answers.
pub(crate) const STYLE_CSS: &str = include_str!("../../assets/style.css");

/// What `/hand-over.js` answers.
pub(crate) const HAND_OVER_JS: &str = include_str!("../../assets/hand-over.js");

/// Shows what is offered; one button accepts it.
#[derive(Debug, Template)]
#[template(path = "gateway/invitation.html")]
pub(crate) struct InvitationPage {
    pub offer: Offer,
    /// Where the form posts.
    pub action: String,
}

/// The one answer to a link that was accepted, has expired, was cancelled or never existed.
#[derive(Debug, Template)]
#[template(path = "gateway/dead_link.html")]
pub(crate) struct DeadLinkPage;

/// Asks for the address that a sign-in link goes to (form field `email`).
#[derive(Debug, Template)]
#[template(path = "gateway/sign_in.html")]
pub(crate) struct SignInPage {
    /// Where the form posts.
    pub action: String,
    /// What was wrong with the last try, as a sentence.
    pub problem: Option<String>,
}

/// Says the same whether or not the address is known.
#[derive(Debug, Template)]
#[template(path = "gateway/sign_in_sent.html")]
pub(crate) struct SignInSentPage;

/// What an emailed sign-in link opens: only the button signs in, so that link scanners do not burn it.
#[derive(Debug, Template)]
#[template(path = "gateway/confirm_sign_in.html")]
pub(crate) struct ConfirmSignInPage {
    /// Where the form posts.
    pub action: String,
    /// Who would be signed in: an email or a name.
    pub person: String,
}

/// The instances that a person can reach.
#[derive(Debug, Template)]
#[template(path = "gateway/my_instances.html")]
pub(crate) struct MyInstancesPage {
    pub person_name_or_email: String,
    pub csrf: String,
    pub items: Vec<InstanceCard>,
    /// Where the sign-out form posts.
    pub sign_out_action: String,
}

/// One instance of [`MyInstancesPage`].
#[derive(Debug)]
pub(crate) struct InstanceCard {
    /// The instance's id; unique on the page.
    pub instance: String,
    pub label: String,
    pub url: String,
    pub role_title: String,
    /// Owns the instance, so that there is no role to show.
    pub owner: bool,
    /// What state the share is in, in words ("Active", "Paused"); empty shows nothing.
    pub state: String,
    /// When the access ends, in words.
    pub access_ends: Option<String>,
    pub privileges: Vec<PrivilegeGroup>,
    /// What the share amounts to: plain sentences.
    pub reach: Vec<String>,
    pub wp_admin: WpAdmin,
    /// The page of the person's own file account.
    pub files_page: Option<String>,
    /// Where the form posts that gives the share back.
    pub leave_action: Option<String>,
    /// Opens WP Admin: posted to for [`WpAdmin::Pinned`], the page with the users for [`WpAdmin::Choose`].
    pub open_action: String,
}

impl InstanceCard {
    fn privilege_count(&self) -> usize {
        self.privileges.iter().map(|group| group.titles.len()).sum()
    }
}

/// What an instance offers of WP Admin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WpAdmin {
    /// Nothing: the share does not allow it, or not now.
    None,
    /// One opens it as this WordPress user (the login).
    Pinned(String),
    /// One opens it as a WordPress user of one's choice.
    Choose,
    /// Allowed, but nobody has said yet as whom.
    NotSet,
}

/// A person's own file account of a share (form field `keys`: lines of public keys).
#[derive(Template)]
#[template(path = "gateway/file_account.html")]
pub(crate) struct FileAccountPage {
    pub site_label: String,
    pub site_url: String,
    /// Login, host, port, fingerprint.
    pub facts: Vec<Fact>,
    /// The folder that is seen, from the site's own: `/` for that itself.
    pub root: String,
    pub read_only: bool,
    /// The protocols that it is open to now.
    pub opens: Opens,
    pub fingerprints: Vec<String>,
    /// What stands in the field for keys.
    pub keys: String,
    pub has_password: bool,
    /// A password that was made just now.
    pub password: Option<String>,
    /// Which sessions that closed, as a sentence.
    pub ended: Option<String>,
    /// What was wrong with the last try, as a sentence.
    pub problem: Option<String>,
    /// Where the forms post, without their last part.
    pub action: String,
    pub csrf: String,
}

/// Asks which WordPress user to become (form field `wp_user`: the id).
#[derive(Debug, Template)]
#[template(path = "gateway/wp_users.html")]
pub(crate) struct WpUsersPage {
    /// The instance's label.
    pub label: String,
    pub items: Vec<WpUserItem>,
    /// Where the form posts.
    pub action: String,
    pub csrf: String,
    /// Why there is nothing to choose from, or what was wrong with the last try.
    pub problem: Option<String>,
}

/// One WordPress user of [`WpUsersPage`].
#[derive(Debug)]
pub(crate) struct WpUserItem {
    pub id: u64,
    pub login: String,
    pub display_name: String,
    pub roles: Vec<String>,
}

/// Posts the SSO token to the site.
#[derive(Template)]
#[template(path = "gateway/hand_over.html")]
pub(crate) struct HandOverPage {
    pub site_label: String,
    pub site_url: String,
    /// On whose behalf, as a sentence; or nothing where that is not to be told.
    pub person_note: Option<String>,
    /// Whom one becomes: the WordPress user's login.
    pub wp_user_login: String,
    /// The redeemer's URL on the site.
    pub action: String,
    pub token: String,
    /// The page includes the script that posts without a click.
    pub submits_itself: bool,
}

/// Hands over to phpMyAdmin.
#[derive(Debug, Template)]
#[template(path = "gateway/phpmyadmin.html")]
pub(crate) struct PhpmyadminPage {
    pub site_label: String,
    pub site_url: String,
    /// The database's whole name.
    pub database: String,
    /// Where phpMyAdmin takes the token.
    pub action: String,
    pub token: String,
    /// The page includes the script that posts without a click.
    pub submits_itself: bool,
}

/// Says what went wrong and what to do.
#[derive(Debug, Template)]
#[template(path = "gateway/problem.html")]
pub(crate) struct ProblemPage {
    pub title: String,
    pub text: String,
    pub link_text: String,
    pub link: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::letters::Grants;

    const HOSTILE: &str = "\"><script>alert(1)</script>";
    const SCRIPT: &str = "script src=\"/hand-over.js\" defer";

    fn privileges(title: &str) -> Vec<PrivilegeGroup> {
        vec![PrivilegeGroup { category: title.to_owned(), titles: vec![title.to_owned(), "Clear Cache".to_owned()] }]
    }

    fn invitation(words: &str) -> InvitationPage {
        let grants = Grants {
            role_title: words.to_owned(),
            role_tooltip: words.to_owned(),
            privileges: privileges(words),
            log_in_as: Some(words.to_owned()),
            reach: vec![words.to_owned()],
            access_ends: Some(words.to_owned()),
        };
        let offer = Offer {
            site_label: words.to_owned(),
            site_url: "https://site.example".to_owned(),
            inviter: words.to_owned(),
            grants,
            note: Some(words.to_owned()),
            link_ends: words.to_owned(),
        };
        InvitationPage { offer, action: "/i/token".to_owned() }
    }

    fn card(words: &str, wp_admin: WpAdmin) -> InstanceCard {
        InstanceCard {
            instance: "live".to_owned(),
            label: words.to_owned(),
            url: "https://site.example".to_owned(),
            role_title: words.to_owned(),
            owner: false,
            state: words.to_owned(),
            access_ends: Some(words.to_owned()),
            privileges: privileges(words),
            reach: vec![words.to_owned()],
            wp_admin,
            files_page: Some("/shares/7/files".to_owned()),
            leave_action: Some("/leave".to_owned()),
            open_action: "/open".to_owned(),
        }
    }

    fn my_instances(words: &str) -> MyInstancesPage {
        let kinds = [WpAdmin::None, WpAdmin::Pinned(words.to_owned()), WpAdmin::Choose, WpAdmin::NotSet];
        MyInstancesPage {
            person_name_or_email: words.to_owned(),
            csrf: "csrf-value".to_owned(),
            items: kinds.map(|kind| card(words, kind)).into(),
            sign_out_action: "/sign-out".to_owned(),
        }
    }

    fn wp_users(words: &str) -> WpUsersPage {
        let user = WpUserItem {
            id: 2,
            login: words.to_owned(),
            display_name: words.to_owned(),
            roles: vec![words.to_owned(), "editor".to_owned()],
        };
        WpUsersPage {
            label: words.to_owned(),
            items: vec![user],
            action: "/open".to_owned(),
            csrf: "csrf-value".to_owned(),
            problem: Some(words.to_owned()),
        }
    }

    fn file_account(words: &str) -> FileAccountPage {
        FileAccountPage {
            site_label: words.to_owned(),
            site_url: "https://site.example".to_owned(),
            facts: vec![Fact { name: "Login", value: words.to_owned() }],
            root: words.to_owned(),
            read_only: true,
            opens: Opens { sftp: true, ftp: false },
            fingerprints: vec![words.to_owned()],
            keys: words.to_owned(),
            has_password: true,
            password: Some(words.to_owned()),
            ended: Some(words.to_owned()),
            problem: Some(words.to_owned()),
            action: "/shares/7/files".to_owned(),
            csrf: "csrf-value".to_owned(),
        }
    }

    fn hand_over(words: &str, submits_itself: bool) -> HandOverPage {
        HandOverPage {
            site_label: words.to_owned(),
            site_url: "https://site.example".to_owned(),
            person_note: Some(words.to_owned()),
            wp_user_login: words.to_owned(),
            action: "https://site.example/.well-known/latchkey-sso".to_owned(),
            token: "the-token".to_owned(),
            submits_itself,
        }
    }

    fn problem(words: &str) -> ProblemPage {
        ProblemPage {
            title: words.to_owned(),
            text: words.to_owned(),
            link_text: words.to_owned(),
            link: "/".to_owned(),
        }
    }

    fn every_page(words: &str) -> Vec<String> {
        let sign_in = SignInPage { action: "/sign-in".to_owned(), problem: Some(words.to_owned()) };
        let confirm = ConfirmSignInPage { action: "/s/token".to_owned(), person: words.to_owned() };
        [
            invitation(words).render(),
            DeadLinkPage.render(),
            sign_in.render(),
            SignInSentPage.render(),
            confirm.render(),
            my_instances(words).render(),
            wp_users(words).render(),
            file_account(words).render(),
            hand_over(words, false).render(),
            hand_over(words, true).render(),
            problem(words).render(),
        ]
        .map(Result::unwrap)
        .into()
    }

    /// The opening tags of a page, with their attributes.
    fn tags(page: &str) -> Vec<&str> {
        page.split('<').skip(1).filter_map(|piece| piece.split('>').next()).collect()
    }

    #[test]
    fn hostile_words_are_escaped_on_every_page() {
        for page in every_page(HOSTILE) {
            assert!(!page.contains("<script>") && !page.contains(HOSTILE), "{page}");
        }
        let escaped = "&#34;&#62;&#60;script&#62;alert(1)&#60;/script&#62;";
        assert_eq!(every_page(HOSTILE).iter().filter(|page| page.contains(escaped)).count(), 9);
    }

    #[test]
    fn no_page_holds_inline_script_or_style_or_anything_from_outside() {
        for page in every_page("words") {
            for tag in tags(&page) {
                let name = tag.split_whitespace().next().unwrap_or_default();
                assert!(!["style", "img", "iframe", "object", "base"].contains(&name), "{tag}");
                assert!(![" style=", " on", "javascript:"].iter().any(|part| tag.contains(part)), "{tag}");
                assert!(name != "script" || tag == SCRIPT, "{tag}");
                assert!(name != "link" || tag == "link rel=\"stylesheet\" href=\"/style.css\"", "{tag}");
            }
        }
    }

    #[test]
    fn only_a_hand_over_that_submits_itself_brings_the_script() {
        assert!(hand_over("words", true).render().unwrap().contains("<script"));
        let pages = every_page("words");
        assert_eq!(pages.iter().filter(|page| page.contains("<script")).count(), 1);
    }

    #[test]
    fn every_form_posts() {
        for page in every_page("words") {
            for form in tags(&page).into_iter().filter(|tag| tag.starts_with("form")) {
                assert!(form.contains(" method=\"post\"") && form.contains(" action=\""), "{form}");
            }
        }
    }

    #[test]
    fn every_form_of_a_signed_in_page_carries_the_csrf_value() {
        let file_account = file_account("words").render();
        for page in [my_instances("words").render(), wp_users("words").render(), file_account].map(Result::unwrap) {
            assert!(page.contains("<form"));
            for form in page.split("<form").skip(1).filter_map(|rest| rest.split("</form>").next()) {
                assert!(form.contains("<input type=\"hidden\" name=\"csrf\" value=\"csrf-value\">"), "{form}");
            }
        }
    }

    #[test]
    fn accepting_asks_for_nothing_but_one_button() {
        let page = invitation("words").render().unwrap();
        assert_eq!(page.matches("<form").count(), 1);
        assert_eq!(page.matches("<button").count(), 1);
        assert_eq!(page.matches("<input").count(), 0);
    }

    #[test]
    fn a_password_is_on_the_page_only_when_it_was_made_just_now() {
        let shown = |password: Option<&str>, has_password| {
            let password = password.map(str::to_owned);
            FileAccountPage { password, has_password, ..file_account("words") }.render().unwrap()
        };
        assert!(shown(Some("s3cret"), true).contains("<code>s3cret</code>"));
        assert!(shown(None, true).contains("cannot be shown again"));
        assert!(shown(None, false).contains("no password yet"));
    }

    #[test]
    fn the_hand_over_form_posts_the_token_to_the_site() {
        let page = hand_over("editor", false).render().unwrap();
        let form = "<form method=\"post\" action=\"https://site.example/.well-known/latchkey-sso\" id=\"hand-over\">";
        assert!(page.contains(form) && page.contains("<input type=\"hidden\" name=\"token\" value=\"the-token\">"));
        assert!(page.contains("Open WP Admin as <bdi>editor</bdi></button>"));
    }

    #[test]
    fn wp_admin_is_offered_as_the_share_says() {
        let shown = |kind: WpAdmin| {
            let items = vec![card("words", kind)];
            MyInstancesPage { items, ..my_instances("words") }.render().unwrap()
        };
        assert!(!shown(WpAdmin::None).contains("WP Admin"));
        assert!(shown(WpAdmin::Pinned("editor".to_owned())).contains("Open WP Admin as <bdi>editor</bdi></button>"));
        assert!(shown(WpAdmin::Choose).contains("<a class=\"button\" href=\"/open\">"));
        assert!(shown(WpAdmin::NotSet).contains("nobody has set yet") && !shown(WpAdmin::NotSet).contains("/open"));
    }

    #[test]
    fn every_page_has_its_title_its_landmarks_and_a_heading() {
        for page in every_page("words") {
            for part in
                ["<html lang=\"en\">", " - Latchkey</title>", "<header", "<main>", "<footer", "width=device-width"]
            {
                assert!(page.contains(part), "{part}");
            }
            assert_eq!(page.matches("<h1").count(), 1);
        }
    }
}
