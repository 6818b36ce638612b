//! Shares: inviting, accepting, ending, as the panel or as a person.

use serde_json::{Value, json};
use xtask::node::{Node, OWNER};

use crate::api::Api;
use crate::browser::Browser;
use crate::mailbox;
use crate::waiting::eventually_some;

/// A share on the node.
#[derive(Clone)]
pub struct Share<'n> {
    node: &'n Node,
    /// Its id.
    pub id: String,
    /// Its instance.
    pub instance: String,
    /// Its person.
    pub email: String,
}

/// Invites somebody on behalf of the panel. `terms` are the fields of the invitation but `email`.
#[must_use]
#[track_caller]
pub fn invite<'n>(node: &'n Node, instance: &str, email: &str, terms: &Value) -> Share<'n> {
    invite_as(node, "panel", instance, email, terms)
}

/// Invites somebody on behalf of an actor.
#[must_use]
#[track_caller]
pub fn invite_as<'n>(node: &'n Node, actor: &str, instance: &str, email: &str, terms: &Value) -> Share<'n> {
    let reply = offer(node, actor, instance, email, terms);
    assert_eq!(reply.status, 201, "{}", reply.body);
    let share = reply.json();
    assert_eq!(share["state"], "pending", "{share}");
    Share { node, id: share["id"].as_str().unwrap().to_owned(), instance: instance.to_owned(), email: email.to_owned() }
}

/// Tries to invite somebody on behalf of an actor.
#[must_use]
#[track_caller]
pub fn offer(node: &Node, actor: &str, instance: &str, email: &str, terms: &Value) -> crate::exchange::Response {
    let mut body = terms.clone();
    body["email"] = json!(email);
    Api::acting_as(node, actor).post(&format!("/v1/instances/{instance}/shares"), &body)
}

/// Invites somebody on behalf of the panel and has them accept.
#[track_caller]
pub fn share<'n>(node: &'n Node, instance: &str, email: &str, terms: &Value) -> Share<'n> {
    share_as(node, "panel", instance, email, terms)
}

/// Invites somebody on behalf of an actor and has them accept.
#[track_caller]
pub fn share_as<'n>(node: &'n Node, actor: &str, instance: &str, email: &str, terms: &Value) -> Share<'n> {
    let share = invite_as(node, actor, instance, email, terms);
    share.accept();
    share
}

/// Terms of the role *View and SSO* pinned to the WordPress user `editor`.
#[must_use]
pub fn pinned_editor() -> Value {
    json!({ "role": "view_and_sso", "log_in_as": { "id": 2, "login": "editor" } })
}

/// Terms of the role *View and SSO* with any WordPress user.
#[must_use]
pub fn any_user() -> Value {
    json!({ "role": "view_and_sso", "log_in_as": "all" })
}

/// Terms with every privilege that can be chosen but this one.
#[must_use]
#[track_caller]
pub fn all_but(node: &Node, privilege: &str) -> Value {
    let all = Api::panel(node).get("/v1/privileges").done();
    let ids = all["items"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap());
    // Signing in needs a WordPress user to do it as.
    let chosen: Vec<_> = ids.filter(|id| ![privilege, "wordpress.create_sso_link"].contains(id)).collect();
    json!({ "role": "custom", "privileges": chosen })
}

impl<'n> Share<'n> {
    /// A share that is known by its id.
    #[must_use]
    pub fn known(node: &'n Node, instance: &str, id: &str, email: &str) -> Self {
        Self { node, id: id.to_owned(), instance: instance.to_owned(), email: email.to_owned() }
    }

    /// Its address in the API.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/v1/instances/{}/shares/{}", self.instance, self.id)
    }

    /// The share as the panel sees it.
    #[must_use]
    #[track_caller]
    pub fn shown(&self) -> Value {
        Api::panel(self.node).get(&self.path()).done()
    }

    /// What its person left behind, as a list, once its hosting has been looked at.
    #[must_use]
    #[track_caller]
    pub fn residue(&self) -> Value {
        eventually_some("a look at the hosting", || {
            let left = self.shown().get("residue").cloned().unwrap_or_else(|| json!([]));
            let is_known = left.as_array().unwrap().iter().all(|one| one["kind"] != "being_looked_at");
            is_known.then_some(left)
        })
    }

    /// Its state.
    #[must_use]
    #[track_caller]
    pub fn state(&self) -> String {
        self.shown()["state"].as_str().unwrap().to_owned()
    }

    /// Accepts it for its person.
    #[track_caller]
    pub fn accept(&self) {
        let share = self.person().post(&format!("{}/accept", self.path()), &json!({})).done();
        assert_eq!(share["state"], "active", "{share}");
    }

    /// Accepts it by the link in the invitation, in a browser, which is signed in afterwards.
    #[must_use]
    #[track_caller]
    pub fn accept_by_mail(&self) -> Browser {
        let link = mailbox::mail_to(self.node, &self.email, "invitation", 1).link(self.node, "/i/");
        let mut browser = Browser::at_gateway(self.node);
        let page = browser.open(&link);
        assert_eq!(page.status, 200, "{}", page.body);
        assert!(page.body.contains("Accept"), "{}", page.body);
        let accepted = browser.submit(&link, &[]);
        assert_eq!((accepted.status, accepted.location()), (303, "/"), "{}", accepted.body);
        browser
    }

    /// The API on behalf of its person.
    #[must_use]
    pub fn person(&self) -> Api<'n> {
        Api::acting_as(self.node, &self.email)
    }

    /// Changes it on behalf of the panel; the reply's `ended`.
    #[track_caller]
    pub fn update(&self, change: &Value) -> Value {
        Api::panel(self.node).patch(&self.path(), change).done()["ended"].clone()
    }

    /// Suspends it on behalf of the panel; the reply's `ended`.
    #[track_caller]
    pub fn suspend(&self) -> Value {
        let reply = Api::panel(self.node).post(&format!("{}/suspend", self.path()), &json!({})).done();
        assert_eq!(reply["share"]["state"], "suspended", "{reply}");
        reply["ended"].clone()
    }

    /// Gives it its access back.
    #[track_caller]
    pub fn reinstate(&self) {
        let share = Api::panel(self.node).post(&format!("{}/reinstate", self.path()), &json!({})).done();
        assert_eq!(share["state"], "active", "{share}");
    }

    /// Ends it on behalf of the panel; the reply's `ended`.
    #[track_caller]
    pub fn revoke(&self) -> Value {
        let reply = Api::panel(self.node).delete(&self.path()).done();
        assert_eq!(reply["share"]["state"], "revoked", "{reply}");
        reply["ended"].clone()
    }
}

/// An address that nobody else has: tests run side by side.
#[must_use]
pub fn person(name: &str) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{name}-{}@guests.example", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The owner of the instances that come with the node.
pub const DEMO_OWNER: &str = OWNER;
