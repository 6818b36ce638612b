//! The adapters of this node: loaded, called, put aside when they break too often.
//!
//! What a component does is confined in its runner; what it asks for is carried out in `host`.

mod adapter;
mod address;
mod answer;
mod awaited;
mod grant_name;
mod host;
pub(crate) mod installed;
mod origin;
mod rights;
mod runner;
pub(crate) mod secret;
mod view;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use latchkey_access::{AdapterName, Hosting};
use latchkey_adapters::{Call, Fault};
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::broker::Broker;
use crate::clock::Pauses;
use crate::in_turn::Turns;
use crate::problem::{Code, Problem, chain};
use crate::serve::Serve;
use adapter::Adapter;
pub(crate) use answer::AdapterError;
use awaited::Awaited;
use host::{Host, Tls};
use installed::{Installed, InstalledError, Terms};
use runner::{Came, Runner, RunnerError};
use secret::Secrets;
pub(crate) use view::AdapterView;

/// So many calls of one adapter at a time; the runner has as many threads.
const CALLS_AT_A_TIME: usize = 4;
/// So many of them about one hosting.
const CALLS_OF_ONE_AT_A_TIME: usize = 2;
/// At most so long between two tries to load what could not be loaded at the start.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// All adapters.
#[derive(Debug)]
pub(crate) struct Adapters {
    broker: Broker,
    adapters: PathBuf,
    operators: PathBuf,
    loaded: Mutex<BTreeMap<AdapterName, Arc<Adapter>>>,
    awaited: Awaited,
    tls: OnceLock<Tls>,
}

/// Decides once more, when it is a call's turn.
pub(crate) type StillAllowed<'a> = &'a (dyn Fn() -> Result<(), Problem> + Send + Sync);

impl Adapters {
    /// None is loaded yet.
    pub(crate) fn new(broker: Broker, adapters: &Path, operators: &Path) -> Self {
        let (adapters, operators) = (adapters.to_owned(), operators.to_owned());
        Self {
            broker,
            adapters,
            operators,
            loaded: Mutex::default(),
            awaited: Awaited::default(),
            tls: OnceLock::new(),
        }
    }

    /// Loads all that are installed. Tries again, with growing pauses, while something that is needed does not work. One
    /// that cannot be loaded is said in the log, and is not there.
    pub(crate) async fn load_all(&self, serve: &Serve) {
        let folder = self.adapters.clone();
        let Ok(names) = serve.blocking(move || installed::names(&folder)).await else { return };
        self.awaited.begin(names);
        let mut pauses = Pauses::between(Duration::from_secs(1), LONGEST_PAUSE);
        loop {
            for name in self.awaited.names() {
                let Err(problem) = self.load(serve, &name).await else { continue };
                let adapter = name.as_str();
                if problem.is_temporary() {
                    tracing::warn!(adapter, detail = problem.detail, "an adapter is not loaded yet; it is tried again");
                } else {
                    tracing::error!(adapter, detail = problem.detail, "an adapter was not loaded");
                    self.awaited.forget(&name);
                }
            }
            if self.awaited.names().is_empty() {
                return;
            }
            tokio::time::sleep(pauses.next()).await;
        }
    }

    /// Loads what is installed under a name, in place of what was loaded before. Compiles it if there is need.
    pub(crate) async fn load(&self, serve: &Serve, name: &AdapterName) -> Result<AdapterView, Problem> {
        let (adapters, operators, of) = (self.adapters.clone(), self.operators.clone(), name.clone());
        let installed = serve.blocking(move || Installed::read(&of, &adapters, &operators)).await?;
        let installed = Arc::new(installed.map_err(unusable)?);
        let terms = read_terms(serve, &installed).await?;
        let (broker, of) = (self.broker.clone(), name.to_string());
        serve.blocking(move || broker.compile_adapter(of)).await??;
        // Those that run are of what was installed before.
        self.stop(serve, name).await?;
        let runner = self.open(serve, name).await?;
        let description = runner.describe(terms.limits).await.map_err(|error| broken(&error))?;
        let adapter = Arc::new(Adapter {
            installed,
            description,
            runner: tokio::sync::Mutex::new(Some(Arc::new(runner))),
            places: tokio::sync::Semaphore::new(CALLS_AT_A_TIME),
            turns: Turns::at_once(1),
            places_of_one: Turns::at_once(CALLS_OF_ONE_AT_A_TIME),
            breaks: Mutex::default(),
        });
        let view = adapter.view(&terms);
        self.loaded().insert(name.clone(), adapter);
        self.awaited.forget(name);
        tracing::info!(adapter = name.as_str(), exports = ?view.exports, "an adapter was loaded");
        Ok(view)
    }

    /// Forgets an adapter, whether it is installed or not; false if it was not loaded.
    pub(crate) async fn unload(&self, serve: &Serve, name: &AdapterName) -> Result<bool, Problem> {
        self.awaited.forget(name);
        let was_loaded = self.loaded().remove(name).is_some();
        self.stop(serve, name).await?;
        Ok(was_loaded)
    }

    /// All that are loaded, by name.
    pub(crate) async fn list(&self, serve: &Serve) -> Result<Vec<AdapterView>, Problem> {
        let loaded: Vec<Arc<Adapter>> = self.loaded().values().cloned().collect();
        let mut views = Vec::new();
        for adapter in loaded {
            // With a file that cannot be used nothing is called.
            let (terms, fault) = match read_terms(serve, &adapter.installed).await {
                Ok(terms) => (terms, None),
                Err(problem) => (Terms::default(), Some(problem.detail)),
            };
            views.push(AdapterView { operators_file_fault: fault, ..adapter.view(&terms) });
        }
        Ok(views)
    }

    /// Calls a function of the first adapter of a hosting that exports the interface.
    pub(crate) async fn ask(
        &self,
        serve: &Arc<Serve>,
        hosting: &Hosting,
        function: (&str, &str),
        arguments: Map<String, Value>,
        secrets: Secrets,
    ) -> Result<Value, Problem> {
        self.ask_if(serve, hosting, function, (arguments, secrets), &|| Ok(())).await
    }

    /// The first adapter of a hosting that exports the interface. One that is still to be loaded may be it: no other
    /// is taken in its place.
    pub(crate) fn serving(&self, hosting: &Hosting, interface: &str) -> Result<AdapterName, Problem> {
        let loaded = self.loaded();
        for name in hosting.adapters.iter().filter_map(|name| name.parse().ok()) {
            match loaded.get(&name) {
                Some(adapter) if adapter.exports(interface) => return Ok(name),
                None if self.awaited.contains(&name) => return Err(self.not_loaded(&name)),
                _ => {}
            }
        }
        let detail = format!("no adapter of the hosting {} serves {interface}", hosting.id);
        Err(Problem::new(Code::Unsupported, detail))
    }

    /// The same for somebody: what they may not do any more when it is their turn is not done.
    pub(crate) async fn ask_if(
        &self,
        serve: &Arc<Serve>,
        hosting: &Hosting,
        function: (&str, &str),
        (arguments, secrets): (Map<String, Value>, Secrets),
        still_allowed: StillAllowed<'_>,
    ) -> Result<Value, Problem> {
        let name = self.serving(hosting, function.0)?;
        self.call(serve, (&name, hosting), function, (arguments, secrets), still_allowed).await
    }

    /// Calls a function about a hosting. The hosting and, where the function takes one, an idempotency key are added to
    /// the arguments. A call whose runner dies is repeated once, with the same key.
    pub(crate) async fn call(
        &self,
        serve: &Arc<Serve>,
        (name, hosting): (&AdapterName, &Hosting),
        (interface, function): (&str, &str),
        (arguments, secrets): (Map<String, Value>, Secrets),
        still_allowed: StillAllowed<'_>,
    ) -> Result<Value, Problem> {
        let adapter = self.loaded().get(name).cloned().ok_or_else(|| self.not_loaded(name))?;
        adapter.refuse_if_put_aside()?;
        // Before the place, so that changes that wait for one another leave places to others.
        let _turn =
            if adapter.is_change(interface, function) { Some(adapter.turns.take(&hosting.id).await) } else { None };
        let _place_of_one = adapter.places_of_one.take(&hosting.id).await;
        let _place = adapter.places.acquire().await.map_err(|error| Problem::internal(&error))?;
        still_allowed()?;
        // As the operator has it now: what was granted before the wait may not be any more.
        let terms = read_terms(serve, &adapter.installed).await?;
        let settings = terms.settings(hosting.id.as_str());
        let arguments = adapter.complete((hosting, settings), (interface, function), arguments)?;
        let limits = terms.limits;
        let mut host = Host {
            serve: serve.clone(),
            adapter: adapter.installed.clone(),
            terms,
            hosting: hosting.clone(),
            secrets,
            deadline: Instant::now() + Duration::from_millis(limits.wall_ms.into()),
            http_requests: 0,
        };
        let call = Call { interface: interface.to_owned(), function: function.to_owned(), arguments, limits };
        let mut came = self.call_once(serve, &adapter, call.clone(), &mut host).await?;
        if matches!(came, Err(RunnerError::Gone(_))) {
            tracing::warn!(adapter = name.as_str(), "the runner died in a call, which is repeated");
            host.begin_anew();
            came = self.call_once(serve, &adapter, call, &mut host).await?;
        }
        match came {
            Ok(Came::Returned(value)) => Ok(serde_json::from_str(&value).unwrap_or_default()),
            Ok(Came::Failed(error)) => Err(answer::refused(&error)),
            Err(error) => {
                adapter.note_break(&error, serve.state.clock.now());
                Err(broken(&error))
            }
        }
    }

    fn not_loaded(&self, name: &AdapterName) -> Problem {
        if self.awaited.contains(name) {
            let detail = format!("the adapter {name} is not loaded yet: the agent was started just now");
            return Problem::new(Code::Unavailable, detail).retry_after(1);
        }
        Problem::not_found("adapter")
    }

    /// Whether any adapter that is loaded exports the interface.
    pub(crate) fn any_exports(&self, interface: &str) -> bool {
        self.loaded().values().any(|adapter| adapter.exports(interface))
    }

    /// How the certificates of those that adapters speak to are checked.
    fn tls(&self) -> Result<Tls, rustls::Error> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls.clone());
        }
        let tls = host::tls()?;
        Ok(self.tls.get_or_init(|| tls).clone())
    }

    async fn call_once(
        &self,
        serve: &Serve,
        adapter: &Adapter,
        call: Call,
        host: &mut Host,
    ) -> Result<Result<Came, RunnerError>, Problem> {
        let name = &adapter.installed.manifest.name;
        let runner = {
            let mut place = adapter.runner.lock().await;
            match place.as_ref().filter(|runner| !runner.is_gone()) {
                Some(runner) => runner.clone(),
                None => {
                    // One that was removed or replaced meanwhile is not begun again.
                    let loaded = self.loaded().get(name).cloned();
                    if !loaded.is_some_and(|loaded| Arc::ptr_eq(&loaded.installed, &adapter.installed)) {
                        return Err(
                            Problem::new(Code::Unavailable, "the adapter was replaced; repeat the call").retry_after(1)
                        );
                    }
                    place.insert(Arc::new(self.open(serve, name).await?)).clone()
                }
            }
        };
        let came = runner.call(call, host).await;
        if came.as_ref().is_err_and(RunnerError::is_of_runner) {
            let mut place = adapter.runner.lock().await;
            // Another call may have noticed before, and have begun with another runner.
            if place.as_ref().is_some_and(|current| Arc::ptr_eq(current, &runner)) {
                *place = None;
                self.stop(serve, name).await?;
            }
        }
        Ok(came)
    }

    async fn open(&self, serve: &Serve, name: &AdapterName) -> Result<Runner, Problem> {
        let (broker, name) = (self.broker.clone(), name.to_string());
        Ok(Runner::over(serve.blocking(move || broker.open_runner(name)).await??))
    }

    async fn stop(&self, serve: &Serve, name: &AdapterName) -> Result<(), Problem> {
        let (broker, name) = (self.broker.clone(), name.to_string());
        Ok(serve.blocking(move || broker.stop_runner(name)).await??)
    }

    fn loaded(&self) -> MutexGuard<'_, BTreeMap<AdapterName, Arc<Adapter>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the operator grants an adapter and tells it, as it is now.
async fn read_terms(serve: &Serve, installed: &Arc<Installed>) -> Result<Terms, Problem> {
    let installed = installed.clone();
    serve.blocking(move || installed.terms()).await?.map_err(unusable)
}

/// What the operator did not expect of an adapter's files.
fn unusable(error: InstalledError) -> Problem {
    match error {
        InstalledError::Missing(_) => Problem::new(Code::NotFound, error.to_string()),
        error => Problem::new(Code::Invalid, chain(&error)),
    }
}

/// What broke down, for whoever called.
fn broken(error: &RunnerError) -> Problem {
    match error {
        RunnerError::Fault(Fault::Arguments { field, .. }) => Problem::invalid(field.clone(), error.to_string()),
        RunnerError::Fault(Fault::NoSuchFunction(_)) => Problem::new(Code::Unsupported, error.to_string()),
        RunnerError::Fault(Fault::Unfit(_) | Fault::UnfitExport(_)) => Problem::new(Code::Invalid, error.to_string()),
        RunnerError::Fault(Fault::Wall(_)) | RunnerError::Silent => Problem::new(Code::TimedOut, error.to_string()),
        RunnerError::Fault(_) | RunnerError::Misunderstood => Problem::new(Code::Unavailable, error.to_string()),
        RunnerError::Gone(_) => Problem::new(Code::Unavailable, error.to_string()).retry_after(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn what_is_not_loaded_yet_is_told_apart_from_what_nothing_serves() {
        let folder = Path::new("/nonexistent");
        let adapters = Adapters::new(Broker::at(folder), folder, folder);
        let of = |names: &[&str]| Hosting {
            adapters: names.iter().map(|name| (*name).to_owned()).collect(),
            ..sample::hosting(Vec::new())
        };
        let told = |names: &[&str]| adapters.serving(&of(names), "cron").unwrap_err().code;
        assert_eq!((told(&["linux"]), told(&[])), (Code::Unavailable, Code::Unsupported));
        let name = |name: &str| name.parse::<AdapterName>().unwrap();
        adapters.awaited.begin([name("cpanel"), name("linux")]);
        adapters.awaited.forget(&name("linux"));
        assert_eq!((told(&["linux"]), told(&["linux", "cpanel"])), (Code::Unsupported, Code::Unavailable));
        adapters.awaited.forget(&name("cpanel"));
        assert_eq!(told(&["linux", "cpanel"]), Code::Unsupported);
    }
}
