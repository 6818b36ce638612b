//! Hostings and instances of a test's own.

use std::fs;
use std::path::PathBuf;
use std::thread;

use serde_json::{Value, json};
use xtask::build::NODES_ADAPTER;
use xtask::node::{Hosting, Instance, Layout, NewHosting, NewInstance, Node, WordPress};

use crate::api::Api;
use crate::exchange::Response;

/// The hosting of instances that are registered only.
pub const PAPERS: &str = "papers";

/// Adds hostings with a system user each and registers them, owned by [`owner_of`] them. Only while nothing else runs:
/// PHP's pools are reloaded.
#[track_caller]
pub fn add_hostings(node: &Node, ids: &[&str]) {
    ids.iter().for_each(|id| add_hosting(node, NewHosting::named(id)));
}

/// The same for one hosting that is set up in its own way.
#[track_caller]
pub fn add_hosting(node: &Node, new: NewHosting) {
    let hosting = node.add_hosting(NewHosting { owners: vec![owner_of(&new.id)], ..new }).unwrap();
    put_hosting(node, &hosting, "active").done();
}

/// A real WordPress instance that a trial has for itself.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// Its id.
    pub id: &'static str,
    /// Its hosting.
    pub hosting: &'static str,
    /// The instance that it is the staging copy of.
    pub staging_of: Option<&'static str>,
    /// Where its parts lie.
    pub layout: Layout,
    /// Its WordPress.
    pub wordpress: WordPress,
}

/// Adds instances and registers them, owned by [`owner_of`] them. Only while nothing else runs: a reload of nginx cuts
/// off answers that are under way.
#[track_caller]
pub fn add_instances(node: &Node, sites: &[Site]) {
    let add = |site: &Site| {
        let Site { id, hosting, staging_of, layout, wordpress } = *site;
        let new = NewInstance::named(id, hosting, &format!("Site {id}"));
        let staging_of = staging_of.map(str::to_owned);
        node.add_instance(NewInstance { owners: vec![owner_of(id)], staging_of, layout, wordpress, ..new }).unwrap()
    };
    let added: Vec<Instance> = thread::scope(|scope| {
        let halves =
            sites.chunks(sites.len().div_ceil(2)).map(|half| scope.spawn(|| half.iter().map(add).collect::<Vec<_>>()));
        halves.collect::<Vec<_>>().into_iter().flat_map(|half| half.join().unwrap()).collect()
    });
    added.iter().for_each(|instance| node.agent().unwrap().register_instance(instance).unwrap());
}

/// The owner of a test's own hosting or instance.
#[must_use]
pub fn owner_of(id: &str) -> String {
    format!("owner-of-{id}@example.org")
}

/// Registers a hosting in this state.
#[track_caller]
pub fn put_hosting(node: &Node, hosting: &Hosting, state: &str) -> Response {
    put_hosting_of(node, hosting, state, &hosting.owners)
}

/// Registers a hosting in this state with these owners.
#[track_caller]
pub fn put_hosting_of(node: &Node, hosting: &Hosting, state: &str, owners: &[String]) -> Response {
    put_hosting_with(node, hosting, &json!({ "state": state, "owners": owners }))
}

/// Registers a hosting with some fields different.
#[track_caller]
pub fn put_hosting_with(node: &Node, hosting: &Hosting, different: &Value) -> Response {
    let mut body = json!({
        "system_user": hosting.user.name,
        "home": hosting.user.home,
        "db_prefix": hosting.db_prefix,
        "owners": hosting.owners,
        "adapters": [NODES_ADAPTER],
        "state": "active",
        "php": hosting.php_for_panel(),
        "web": { "kind": "nginx", "sso": hosting.sso.name() },
        "log_paths": hosting.logs_for_panel(),
    });
    for (name, value) in different.as_object().unwrap() {
        body[name] = value.clone();
    }
    Api::panel(node).put(&format!("/v1/hostings/{}", hosting.id), &body)
}

/// An instance that is registered only: for what is decided without asking WordPress. Owned by [`owner_of`] it.
#[track_caller]
pub fn paper(node: &Node, id: &str, hosting: &str) -> Value {
    put_paper(node, id, hosting, &json!({})).done()
}

/// Registers such an instance with some fields different.
#[track_caller]
pub fn put_paper(node: &Node, id: &str, hosting: &str, different: &Value) -> Response {
    let home = node.hosting(hosting).unwrap().user.home;
    let mut body = json!({
        "hosting": hosting,
        "docroot": home.join("paper").join(id),
        "url": format!("https://{id}.example.org"),
        "label": format!("Paper {id}"),
        "owners": [owner_of(id)],
    });
    for (name, value) in different.as_object().unwrap() {
        body[name] = value.clone();
    }
    Api::panel(node).put(&format!("/v1/instances/{id}"), &body)
}

/// A paper whose docroot is there: an empty folder of the hosting's system user.
#[track_caller]
pub fn folder(node: &Node, id: &str, hosting: &str) -> PathBuf {
    let user = node.hosting(hosting).unwrap().user;
    let papers = user.home.join("paper");
    let docroot = papers.join(id);
    fs::create_dir_all(&docroot).unwrap();
    user.own(&papers).unwrap();
    user.own(&docroot).unwrap();
    paper(node, id, hosting);
    docroot
}
