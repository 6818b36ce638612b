//! The home of the hosting that a permit is about.

use std::sync::Arc;

use latchkey_access::{Denial, Hosting, Operation, Permit};
use latchkey_files::tree::Tree;
use latchkey_protocol::{Links, SitePath};

use super::problem;
use crate::problem::Problem;
use crate::serve::Serve;

/// All files of a hosting.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    pub(crate) hosting: Arc<Hosting>,
    pub(crate) tree: Tree,
    /// The number of the system user.
    pub(super) uid: u32,
}

impl Home {
    /// The home that a permit opens.
    pub(crate) async fn of<O: Operation>(serve: &Serve, permit: &Permit<O>) -> Result<Self, Problem> {
        let table = serve.state.table();
        let instance = table.instance(permit.instance());
        let hosting = instance.and_then(|instance| table.hosting(&instance.hosting).cloned());
        let hosting = hosting.ok_or_else(|| Problem::from(Denial::not_found("instance")))?;
        Self::open(serve, hosting).await
    }

    /// The home of a hosting, for the agent itself.
    pub(super) async fn open(serve: &Serve, hosting: Arc<Hosting>) -> Result<Self, Problem> {
        let tree = serve.files.tree(&hosting.id, SitePath::ROOT).await?;
        let uid = tree.stat(&SitePath::ROOT, Links::Meant).await.map_err(problem)?.uid;
        Ok(Self { hosting, tree, uid })
    }
}
