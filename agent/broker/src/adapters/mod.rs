//! Adapters: compiled into a cache that only root writes, and run by runners.
//!
//! What a component does nobody here looks at: the compiler reads it and the runner runs it, both confined.

mod cache;
pub(crate) mod component;
pub mod config;
mod runners;

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use latchkey_protocol::{COMPONENT_MAX_BYTES, FrameError, chain};

use crate::{log, slots::Full, workers::StillThere};
use cache::Cache;
use config::AdaptersConfig;
use runners::Runners;

/// All adapters of this node.
#[derive(Debug)]
pub(crate) struct Adapters {
    directory: PathBuf,
    cache: Cache,
    runners: Runners,
}

/// Why an adapter cannot be compiled or run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdapterError {
    /// There is none.
    #[error("no adapter of this name is installed")]
    Missing,
    /// Somebody else than root could have written it, or it is no file, or too long.
    #[error(
        "the adapter's component has to be a file that only root can write, at most {} bytes long",
        COMPONENT_MAX_BYTES
    )]
    Component,
    /// The compiler does not take it.
    #[error("the component cannot be compiled: {0}")]
    Compile(String),
    /// As many as are allowed run.
    #[error("as many runners as the broker allows are running")]
    Full(Full),
    /// A frame socket could not be made.
    #[error("cannot make the socket of a runner")]
    Socket(#[from] FrameError),
    /// A system call failed.
    #[error("cannot {action} {path:?}")]
    System {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Adapters {
    /// None runs yet.
    pub(crate) fn new(config: &AdaptersConfig) -> Self {
        Self { directory: config.directory.clone(), cache: Cache::new(config), runners: Runners::new(config) }
    }

    /// Compiles an adapter unless that was done before. Blocks for up to a minute.
    pub(crate) fn compile(&self, name: &str) -> Result<(), AdapterError> {
        let component = component::open(&self.directory, name)?;
        self.cache.compiled(component, self.runners.uids())?;
        // What it replaces, and what was removed, is of no use any more.
        if let Err(error) = self.cache.keep_only(&component::open_all(&self.directory)) {
            log::warn("compiled adapters that are of no use were not removed", &[("error", &chain(&error))]);
        }
        Ok(())
    }

    /// Starts a runner of an adapter; answers with the socket to it. Compiles first if there is need.
    pub(crate) fn start(&self, name: &str) -> Result<OwnedFd, AdapterError> {
        let component = component::open(&self.directory, name)?;
        let compiled = self.cache.compiled(component, self.runners.uids())?;
        self.runners.start(name, compiled)
    }

    /// Kills the runners of an adapter and waits until they are gone.
    pub(crate) fn stop(&self, name: &str) -> Result<(), StillThere> {
        self.runners.stop(name)
    }
}

fn system(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AdapterError {
    let path = path.to_owned();
    move |source| AdapterError::System { action, path, source }
}
