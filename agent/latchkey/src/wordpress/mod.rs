//! WordPress on the other side: the PHP bridge, WP Admin SSO and the sessions it opens.

pub(crate) mod bridge;
pub(crate) mod bridge_call;
pub(crate) mod reaper;
pub(crate) mod redeemer;
pub(crate) mod script;
pub(crate) mod sessions;
pub(crate) mod sso;

use std::path::Path;

use latchkey_access::{AccessTable, InstanceId};

use crate::problem::Problem;
use crate::store::wordpress_sessions::Site;

/// Where the bridge finds an instance.
pub(crate) fn site_of(table: &AccessTable, instance: &InstanceId) -> Result<Site, Problem> {
    let instance = table.instance(instance).ok_or_else(|| Problem::not_found("instance"))?;
    let hosting = table.hosting(&instance.hosting).ok_or_else(|| Problem::not_found("hosting"))?;
    let beneath = Path::new(&instance.docroot).strip_prefix(&hosting.home);
    let docroot = beneath.map_err(|_| Problem::conflict("the instance lies outside its hosting's home"))?;
    let docroot = docroot.to_string_lossy().into_owned();
    Ok(Site { hosting: hosting.id.to_string(), docroot, url: instance.url.clone() })
}
