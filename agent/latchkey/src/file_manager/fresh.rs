//! Something that is being made out of sight, and gets its name when it is whole.

use std::sync::Arc;

use latchkey_protocol::{Existing, SitePath};

use super::hidden::{self, Kept};
use super::{Home, problem, tidy};
use crate::problem::{Problem, chain};
use crate::request;
use crate::serve::Serve;
use crate::token::random_hex;

/// A name out of sight under which something is made. Dropped before it was named, all of it is removed.
pub(crate) struct Fresh {
    home: Home,
    path: Option<SitePath>,
}

impl Fresh {
    /// A name that nobody has.
    pub(crate) async fn new(serve: &Arc<Serve>, home: &Home) -> Result<Self, Problem> {
        // What a crash leaves there is removed later on.
        tidy::note(serve, &home.hosting.id).await?;
        let folder = Kept::New.ensure(home).await?;
        let path = hidden::child(&folder, random_hex()?.as_bytes())?;
        Ok(Self { home: home.clone(), path: Some(path) })
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

impl Drop for Fresh {
    fn drop(&mut self) {
        let Some(path) = self.path.take() else { return };
        let home = self.home.clone();
        request::spawn(async move {
            use latchkey_files::client::FilesError;
            use latchkey_protocol::FileFault;
            match home.tree.remove_all(&path).await {
                Ok(()) | Err(FilesError::Fault(FileFault::NotFound)) => {}
                Err(error) => {
                    tracing::warn!(error = %chain(&error), %path, "what was half made is removed later on");
                }
            }
        });
    }
}
