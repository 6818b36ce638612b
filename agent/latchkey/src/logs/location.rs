//! Where the logs of an instance are, and of which other instances each tells as well.
//!
//! The panel names some with the hosting, an adapter others; WordPress has one of its own.

use std::path::Path;
use std::sync::Arc;

use latchkey_access::{AccessTable, Hosting, HostingId, Instance, InstanceId};
use latchkey_protocol::{SitePath, SitePathError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use url::Url;

use crate::adapters::secret::Secrets;
use crate::problem::{Code, Problem};
use crate::serve::Serve;

/// Beneath the docroot: where WordPress writes with `WP_DEBUG_LOG`.
const DEBUG_LOG: &str = "wp-content/debug.log";

/// What is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Requests to the web server.
    Access,
    /// Errors of the web server.
    Error,
    /// Errors of PHP.
    Php,
    /// What WordPress writes for debugging.
    Debug,
    /// Anything else.
    Other,
}

impl Kind {
    /// As ids begin.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Error => "error",
            Self::Php => "php",
            Self::Debug => "debug",
            Self::Other => "other",
        }
    }

    /// What a file of that name probably is.
    fn of_name(name: &str) -> Self {
        let kinds = [("access", Self::Access), ("error", Self::Error), ("php", Self::Php), ("debug", Self::Debug)];
        kinds.into_iter().find(|(word, _)| name.contains(word)).map_or(Self::Other, |(_, kind)| kind)
    }
}

/// Where a log lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the node; the broker opens it.
    Node(String),
    /// Beneath a root in the hosting's home; its files worker opens it.
    Home(SitePath, SitePath),
}

impl Place {
    /// The same with something behind its name.
    pub(crate) fn with_suffix(&self, suffix: &str) -> Result<Self, SitePathError> {
        Ok(match self {
            Self::Node(path) => Self::Node(format!("{path}{suffix}")),
            Self::Home(root, path) => {
                Self::Home(root.clone(), SitePath::parse_strict(&[path.as_bytes(), suffix.as_bytes()].concat())?)
            }
        })
    }
}

/// A log.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    /// Its name in calls: the kind, and a number if there are several.
    pub(crate) id: String,
    pub(crate) kind: Kind,
    /// For people.
    pub(crate) title: String,
    pub(crate) place: Place,
    /// The other instances that it tells of: whoever reads it may read the logs of these.
    pub(crate) tells_of: Vec<InstanceId>,
}

/// An instance with what is around it.
pub(crate) struct Site<'t> {
    table: &'t AccessTable,
    hosting: &'t Hosting,
    instance: &'t Instance,
}

/// What a path says of its log.
enum Scope {
    Instance,
    Domain,
    Hosting,
}

impl<'t> Site<'t> {
    pub(crate) fn of(table: &'t AccessTable, instance: &InstanceId) -> Result<Self, Problem> {
        let instance = table.instance(instance).ok_or_else(|| Problem::not_found("instance"))?;
        let hosting = table.hosting(&instance.hosting).ok_or_else(|| Problem::not_found("hosting"))?;
        Ok(Self { table, hosting, instance })
    }

    pub(crate) const fn hosting_id(&self) -> &'t HostingId {
        &self.hosting.id
    }

    /// The host that its visitors ask for, if it has one.
    fn domain(&self) -> Option<String> {
        domain_of(self.instance)
    }

    /// The other instances that a log of this scope tells of.
    fn others(&self, scope: &Scope) -> Vec<InstanceId> {
        let domain = self.domain();
        let is_told_of = |other: &Instance| match scope {
            Scope::Instance => false,
            Scope::Domain => domain_of(other) == domain,
            Scope::Hosting => other.hosting == self.hosting.id,
        };
        let others = self.table.instances().filter(|other| other.id != self.instance.id && is_told_of(other));
        others.map(|other| other.id.clone()).collect()
    }

    /// What the panel named with the hosting, and the log of WordPress.
    pub(crate) fn own(&self) -> Vec<Location> {
        let mut found = Found::default();
        for written in &self.hosting.log_paths {
            let scope = match written {
                _ if written.contains("{instance}") => Scope::Instance,
                _ if written.contains("{domain}") => Scope::Domain,
                _ => Scope::Hosting,
            };
            let path = written.replace("{instance}", self.instance.id.as_str());
            let Some(path) = self.with_domain(path) else { continue };
            let name = path.rsplit('/').next().unwrap_or_default().to_owned();
            if let Some(place) = self.place(path) {
                found.add(Kind::of_name(&name), name, place, self.others(&scope));
            }
        }
        let docroot = self.beneath_home(&self.instance.docroot);
        if let (Some(root), Ok(path)) = (docroot, SitePath::parse_strict(DEBUG_LOG.as_bytes())) {
            found.add(Kind::Debug, "Debugging of WordPress".into(), Place::Home(root, path), Vec::new());
        }
        found.0
    }

    /// `None` where it takes a domain and there is none.
    fn with_domain(&self, path: String) -> Option<String> {
        if path.contains("{domain}") { Some(path.replace("{domain}", &self.domain()?)) } else { Some(path) }
    }

    fn place(&self, path: String) -> Option<Place> {
        if Path::new(&path).starts_with(&self.hosting.home) {
            return Some(Place::Home(SitePath::ROOT, self.beneath_home(&path)?));
        }
        Some(Place::Node(path))
    }

    fn beneath_home(&self, path: &str) -> Option<SitePath> {
        let beneath = Path::new(path).strip_prefix(&self.hosting.home).ok()?;
        SitePath::parse_strict(beneath.as_os_str().as_encoded_bytes()).ok()
    }

    /// These, and what an adapter named beside them: first about the instance's domain, then about the whole hosting.
    fn with(&self, own: Vec<Location>, of_domain: Vec<Located>, of_hosting: &[Located]) -> Vec<Location> {
        let mut found = Found(own);
        for located in of_domain {
            let is_hostings = of_hosting.iter().any(|other| other.path == located.path);
            let scope = if is_hostings { Scope::Hosting } else { Scope::Domain };
            found.add(located.kind, located.title, Place::Node(located.path), self.others(&scope));
        }
        found.0
    }
}

fn domain_of(instance: &Instance) -> Option<String> {
    Url::parse(&instance.url).ok()?.host_str().map(str::to_owned)
}

/// Logs with ids of their own.
#[derive(Default)]
struct Found(Vec<Location>);

impl Found {
    fn add(&mut self, kind: Kind, title: String, place: Place, tells_of: Vec<InstanceId>) {
        if self.0.iter().any(|other| other.place == place) {
            return;
        }
        let before = self.0.iter().filter(|other| other.kind == kind).count();
        let id = if before == 0 { kind.as_str().to_owned() } else { format!("{}-{}", kind.as_str(), before + 1) };
        self.0.push(Location { id, kind, title, place, tells_of });
    }
}

/// A log as an adapter names it.
#[derive(Debug, Deserialize)]
struct Located {
    kind: Kind,
    title: String,
    path: String,
}

/// Every log of an instance.
pub(super) async fn all(serve: &Arc<Serve>, instance: &InstanceId) -> Result<Vec<Location>, Problem> {
    let table = serve.state.table();
    let site = Site::of(&table, instance)?;
    let (of_domain, of_hosting) =
        tokio::try_join!(locate(serve, site.hosting, site.domain()), locate(serve, site.hosting, None))?;
    Ok(site.with(site.own(), of_domain, &of_hosting))
}

/// What the hosting's adapter knows of logs; nothing where none does.
async fn locate(serve: &Arc<Serve>, hosting: &Hosting, domain: Option<String>) -> Result<Vec<Located>, Problem> {
    let arguments = Map::from_iter([("domain".to_owned(), json!(domain))]);
    match serve.adapters.ask(serve, hosting, ("logs", "locate"), arguments, Secrets::default()).await {
        Ok(located) => serde_json::from_value(located).map_err(|error| Problem::internal(&error)),
        Err(problem) if problem.code == Code::Unsupported => Ok(Vec::new()),
        // What it does not take for a domain has no logs there.
        Err(problem) if problem.code == Code::Invalid => Ok(Vec::new()),
        Err(problem) => Err(problem),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn table(paths: &[&str]) -> AccessTable {
        let mut table = AccessTable::default();
        let hosting = sample::hosting(vec![]);
        let paths = paths.iter().map(|path| path.replace("{home}", &hosting.home)).collect();
        table.put_hosting(Hosting { log_paths: paths, ..hosting });
        let live = sample::instance(latchkey_access::PersonId::from_number(1));
        let other = |id: &str, url: &str| Instance { id: id.parse().unwrap(), url: url.into(), ..live.clone() };
        table.put_instance(other("live1", "https://elsewhere.example"));
        table.put_instance(other("shop", &format!("{}/shop", live.url)));
        table.put_instance(live);
        table
    }

    fn own(paths: &[&str]) -> Vec<Location> {
        Site::of(&table(paths), &sample::live()).unwrap().own()
    }

    fn tells_of(location: &Location) -> Vec<&str> {
        let mut others: Vec<&str> = location.tells_of.iter().map(InstanceId::as_str).collect();
        others.sort_unstable();
        others
    }

    #[test]
    fn a_log_that_the_panel_names_tells_of_the_instances_that_its_path_leaves_open() {
        let found = own(&["/logs/{instance}.access.log", "/logs/{domain}.error.log", "/logs/php.log"]);
        let domain = domain_of(Site::of(&table(&[]), &sample::live()).unwrap().instance).unwrap();
        assert_eq!(found[0].place, Place::Node("/logs/live.access.log".into()));
        assert_eq!(found[1].place, Place::Node(format!("/logs/{domain}.error.log")));
        let ids: Vec<&str> = found.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["access", "error", "php", "debug"]);
        assert_eq!(tells_of(&found[0]), Vec::<&str>::new());
        assert_eq!(tells_of(&found[1]), ["shop"]);
        assert_eq!(tells_of(&found[2]), ["live1", "shop"]);
        assert_eq!(tells_of(&found[3]), Vec::<&str>::new());
    }

    #[test]
    fn a_log_in_the_home_is_the_files_workers_and_a_name_that_only_begins_like_it_is_not() {
        let found = own(&["{home}/logs/access.log", "{home}x/access.log"]);
        assert!(
            matches!(&found[0].place, Place::Home(root, path) if root.is_root() && path.as_bytes() == b"logs/access.log")
        );
        assert!(matches!(&found[1].place, Place::Node(_)));
        assert_eq!(found[1].id, "access-2");
    }

    #[test]
    fn what_an_adapter_names_for_the_domain_and_for_the_hosting_tells_of_all_sites_of_the_hosting() {
        let table = table(&[]);
        let site = Site::of(&table, &sample::live()).unwrap();
        let located = |path: &str| Located { kind: Kind::Php, title: "PHP".into(), path: path.into() };
        let found = site.with(
            site.own(),
            vec![located("/logs/domain.log"), located("/logs/all.log")],
            &[located("/logs/all.log")],
        );
        assert_eq!(found.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["debug", "php", "php-2"]);
        assert_eq!(tells_of(&found[1]), ["shop"]);
        assert_eq!(tells_of(&found[2]), ["live1", "shop"]);
    }

    #[test]
    fn a_rotated_log_has_the_same_place_with_its_suffix() {
        let on_node = Place::Node("/logs/a.log".into()).with_suffix(".1").unwrap();
        assert_eq!(on_node, Place::Node("/logs/a.log.1".into()));
        let debug = own(&[]).remove(0).place.with_suffix(".2.gz").unwrap();
        assert!(matches!(debug, Place::Home(_, path) if path.as_bytes() == b"wp-content/debug.log.2.gz"));
    }
}
