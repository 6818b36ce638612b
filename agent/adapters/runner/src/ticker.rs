//! The thread that has running components look at the clock. It rests while none runs.

use std::{
    io,
    sync::{Arc, Barrier, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use wasmtime::Engine;

/// How often a component looks.
pub const TICK: Duration = Duration::from_millis(5);

/// Ticks while somebody holds a [`Running`].
#[derive(Debug, Clone, Default)]
pub struct Ticker(Arc<Calls>);

#[derive(Debug, Default)]
struct Calls {
    under_way: Mutex<usize>,
    begun: Condvar,
}

/// A call that is under way.
#[derive(Debug)]
pub struct Running<'a>(&'a Calls);

impl Ticker {
    /// Starts the thread, which runs when this returns. It ends with the process.
    pub fn start(engine: &Engine) -> io::Result<Self> {
        let ticker = Self::default();
        let (calls, engine) = (Arc::clone(&ticker.0), engine.weak());
        let running = Arc::new(Barrier::new(2));
        let runs = Arc::clone(&running);
        thread::Builder::new().spawn(move || {
            runs.wait();
            loop {
                calls.wait_for_one();
                thread::sleep(TICK);
                let Some(engine) = engine.upgrade() else { return };
                engine.increment_epoch();
            }
        })?;
        running.wait();
        Ok(ticker)
    }

    /// Ticks until what is returned is dropped.
    #[must_use]
    pub fn run(&self) -> Running<'_> {
        *self.0.lock() += 1;
        self.0.begun.notify_one();
        Running(&self.0)
    }
}

impl Calls {
    fn lock(&self) -> MutexGuard<'_, usize> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for_one(&self) {
        let _under_way =
            self.begun.wait_while(self.lock(), |under_way| *under_way == 0).unwrap_or_else(PoisonError::into_inner);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *self.0.lock() -= 1;
    }
}
