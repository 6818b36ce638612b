//! Something that is being made out of sight, and gets its name when it is whole.

use std::sync::Arc;

use latchkey_files::client::FilesError;
use latchkey_protocol::{Existing, FileFault, SitePath};

use super::hidden::{self, Kept};
use super::{Home, problem, tidy};
use crate::problem::Problem;
use crate::request;
use crate::serve::Serve;
use crate::token::random_hex;

/// A name out of sight under which something is made. Dropped before it was named, all of it is removed.
pub(crate) struct Fresh {
    serve: Arc<Serve>,
    home: Home,
    path: Option<SitePath>,
}

impl Fresh {
    /// A name that nobody has.
    pub(crate) async fn new(serve: &Arc<Serve>, home: &Home) -> Result<Self, Problem> {
        // What a crash leaves there is removed later on.
        tidy::note(serve, &home.hosting.id).await?;
        let folder = Kept::New.ensure(home).await?;
        let name = format!("{}{}", of_this_run(serve), random_hex()?);
        let path = hidden::child(&folder, name.as_bytes())?;
        Ok(Self { serve: serve.clone(), home: home.clone(), path: Some(path) })
    }

    /// Where it is made.
    pub(crate) fn path(&self) -> SitePath {
        self.path.clone().unwrap_or_default()
    }

    /// Gives it its name; refused if something has that name.
    pub(crate) async fn name(mut self, to: &SitePath) -> Result<(), Problem> {
        self.home.tree.rename(&self.path(), to, Existing::Refused).await.map_err(problem)?;
        self.path = None;
        Ok(())
    }
}

/// How the names of what is made begin as long as the agent runs: nothing outlives that.
pub(super) fn of_this_run(serve: &Serve) -> String {
    format!("{}-", serve.started_at.as_millisecond())
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let Some(path) = self.path.take() else { return };
        let (serve, home) = (self.serve.clone(), self.home.clone());
        request::spawn(async move {
            if let Err(problem) = remove(&serve, &home, &path).await {
                tracing::warn!(detail = %problem.detail, %path, "what was half made is removed later on");
            }
        });
    }
}

/// Removes it. A worker that is gone leaves that to the one after it.
async fn remove(serve: &Serve, home: &Home, path: &SitePath) -> Result<(), Problem> {
    let removed = match home.tree.remove_all(path).await {
        Err(FilesError::Gone) => Home::open(serve, home.hosting.clone()).await?.tree.remove_all(path).await,
        removed => removed,
    };
    match removed {
        Ok(()) | Err(FilesError::Fault(FileFault::NotFound)) => Ok(()),
        Err(error) => Err(problem(error)),
    }
}
