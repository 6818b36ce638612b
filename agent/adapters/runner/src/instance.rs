//! One call: a fresh instance, its limits, and what ended it.

use std::time::{Duration, Instant};

use latchkey_adapters::{Fault, HostFunction, Limits, Used, call::LogLevel};
use rustix::time::{ClockId, clock_gettime};
use wasmtime::{Engine, Store, Trap, UpdateDeadline};

use crate::{clock, limiter::Limiter};

/// Of the last words of a component so many bytes are told.
const WORDS_MAX_BYTES: usize = 300;

/// Who carries out host functions.
pub trait Host: Send + 'static {
    /// Carries out one: arguments and answer are in the encoding of its interface. Blocks; not beyond the call's time.
    fn ask(&mut self, function: HostFunction, arguments: Vec<u8>) -> Result<Vec<u8>, Fault>;

    /// Takes a line of the log.
    fn log(&mut self, level: LogLevel, line: String) -> Result<(), Fault>;

    /// Whether nobody waits for the call any more. Asked every few milliseconds while the component runs.
    fn is_gone(&self) -> bool;
}

/// What belongs to one instance.
pub struct State {
    pub(crate) host: Box<dyn Host>,
    limits: Limits,
    limiter: Limiter,
    began: Instant,
    ran_before: Duration,
    host_calls: u32,
    logged: usize,
    last_words: Option<String>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("State").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl State {
    /// Time since the call began.
    pub(crate) fn since_begin(&self) -> Duration {
        self.began.elapsed()
    }

    /// What the call has used up so far.
    pub(crate) fn used(&self) -> Used {
        let (memory_bytes, table_elements) = self.limiter.in_use();
        Used {
            cpu: processor_time().saturating_sub(self.ran_before),
            wall: self.since_begin(),
            memory_bytes,
            table_elements,
            host_calls: self.host_calls,
            log_bytes: self.logged as u64,
        }
    }

    pub(crate) fn count_host_call(&mut self) -> Result<(), Fault> {
        self.refuse_if_too_late()?;
        self.host_calls += 1;
        if self.host_calls > self.limits.host_calls { Err(Fault::HostCalls(self.limits.host_calls)) } else { Ok(()) }
    }

    pub(crate) fn count_log(&mut self, bytes: usize) -> Result<(), Fault> {
        // The line itself costs something, too.
        self.logged = self.logged.saturating_add(bytes).saturating_add(1);
        let most = usize::try_from(self.limits.log_bytes).unwrap_or(usize::MAX);
        if self.logged > most { Err(Fault::Log(self.limits.log_bytes)) } else { Ok(()) }
    }

    /// Keeps what the component logged as an error: the last of it may be why it ends itself.
    pub(crate) fn keep_last_words(&mut self, line: &str) {
        let kept = line.get(..line.floor_char_boundary(WORDS_MAX_BYTES)).unwrap_or_default();
        self.last_words = Some(kept.to_owned());
    }

    /// At every tick; a host function looks for itself whether anybody is there.
    fn look_at_the_clock(&self) -> Result<(), Fault> {
        self.refuse_if_too_late()?;
        if self.host.is_gone() { Err(Fault::Cancelled) } else { Ok(()) }
    }

    fn refuse_if_too_late(&self) -> Result<(), Fault> {
        if self.since_begin() > Duration::from_millis(self.limits.wall_ms.into()) {
            return Err(Fault::Wall(self.limits.wall_ms));
        }
        if processor_time().saturating_sub(self.ran_before) > Duration::from_millis(self.limits.cpu_ms.into()) {
            return Err(Fault::Cpu(self.limits.cpu_ms));
        }
        Ok(())
    }
}

/// A store in which one call runs.
pub(crate) fn store(engine: &Engine, host: Box<dyn Host>, limits: Limits) -> Store<State> {
    let state = State {
        host,
        limits,
        limiter: Limiter::new(limits),
        began: clock::now(),
        ran_before: processor_time(),
        host_calls: 0,
        logged: 0,
        last_words: None,
    };
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(usize::try_from(limits.copied_bytes).unwrap_or(usize::MAX));
    store.set_max_component_handles(usize::try_from(limits.handles).unwrap_or(usize::MAX));
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|store| {
        store.data().look_at_the_clock()?;
        Ok(UpdateDeadline::Continue(1))
    });
    store
}

/// Why a call ended with that error.
pub(crate) fn fault(store: &Store<State>, error: &wasmtime::Error) -> Fault {
    let refused = store.data().limiter.refused();
    match (error.downcast_ref::<Fault>(), refused) {
        // What it did when it got no memory, usually to call for help.
        (Some(Fault::Trapped(_)), Some(refused)) => return refused.clone(),
        (Some(fault), _) => return fault.clone(),
        (None, _) => {}
    }
    let limits = &store.data().limits;
    // The causes are sentences of wasmtime's; there are no types for these.
    let said = format!("{error:#}");
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => Fault::Stack,
        _ if said.contains("fuel allocated for hostcalls") => Fault::Copied(limits.copied_bytes),
        _ if said.contains("handle limit exceeded") => Fault::Handles(limits.handles),
        _ if said.contains("count too high") => Fault::Instances(limits.instances),
        trap => match (refused, trap) {
            (Some(refused), _) => refused.clone(),
            (None, Some(Trap::UnreachableCodeReached)) => Fault::Trapped(ended_itself(store.data())),
            (None, Some(trap)) => Fault::Trapped(trap.to_string()),
            (None, None) => Fault::Trapped(said),
        },
    }
}

/// What a panic or an exception looks like from outside, with what the component had to say.
fn ended_itself(state: &State) -> String {
    match &state.last_words {
        Some(words) => format!("it ended itself; the last error that it logged: {words}"),
        None => "it ended itself (a panic, an exception) and logged no error before".to_owned(),
    }
}

/// What this thread has run for, which is the component's own time: it runs nowhere else.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
