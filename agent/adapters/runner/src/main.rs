//! `latchkey-runner`: runs one adapter for whoever holds the other end of descriptor 0.
//!
//! The broker starts it as root with two descriptors: 0, a socket that carries frames; 1, the compiled component, whose
//! digest the broker has checked. Each frame brings one more socket, a lane. It ends when descriptor 0's other end is
//! closed, or when the broker ends.

use std::{
    error::Error,
    ffi::OsString,
    io::Write as _,
    os::{fd::AsFd as _, unix::net::UnixStream},
    process::ExitCode,
    sync::{
        Arc, Barrier, Mutex, PoisonError,
        mpsc::{Receiver, sync_channel},
    },
    thread,
};

use latchkey_adapters::Fault;
use latchkey_confine::{asked::Arguments, descriptors, privileges};
use latchkey_protocol::{FrameError, FrameSocket, chain};
use latchkey_runner::{component::Adapter, confinement, engine, lane, ticker::Ticker};

/// As many calls may be under way at a time.
const LANES: usize = 4;

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // To the broker's log; there is nobody else to tell when that is gone.
            let _ = writeln!(std::io::stderr(), "latchkey-runner: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: impl Iterator<Item = OsString>) -> Result<(), Box<dyn Error>> {
    descriptors::close_strays()?;
    share_memory();
    privileges::hide_memory()?;
    let asked = Arguments::parse(arguments)?.identity()?;
    // Still as root, whose file it is. Nothing of it runs yet.
    let engine = engine::engine()?;
    let component = load(&engine)?;
    confinement::become_nobody(asked.uid, asked.gid)?;
    asked.end_with_broker()?;
    let control = FrameSocket::from(rustix::stdio::stdin().as_fd().try_clone_to_owned()?);
    let adapter = Adapter::link(&engine, &component);
    descriptors::refuse_new_code()?;
    confinement::keep_to_sockets(asked.landlock_at_most)?;
    let ticker = Ticker::start(&engine)?;
    let (give, take) = sync_channel(LANES);
    let lanes = Arc::new(Lanes { adapter, ticker, waiting: Mutex::new(take) });
    // A thread that only begins makes system calls of its own.
    let running = Arc::new(Barrier::new(LANES + 1));
    for _ in 0..LANES {
        let (lanes, runs) = (Arc::clone(&lanes), Arc::clone(&running));
        thread::Builder::new().spawn(move || {
            runs.wait();
            lanes.serve();
        })?;
    }
    running.wait();
    confinement::keep_to_calls()?;
    loop {
        match control.receive::<()>() {
            Ok(((), descriptors)) => {
                for lane in descriptors {
                    give.send(UnixStream::from(lane))?;
                }
            }
            Err(FrameError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Has all threads allocate from one place. glibc opens a file before it gives back what threads have of their own, which
/// ends the process when it is confined.
#[expect(unsafe_code, reason = "mallopt has no safe form")]
fn share_memory() {
    // SAFETY: takes numbers only; there is one thread yet.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// Loads the compiled component of descriptor 1.
#[expect(unsafe_code, reason = "compiled code is code")]
fn load(engine: &wasmtime::Engine) -> wasmtime::Result<wasmtime::component::Component> {
    // SAFETY: the broker compiled it into a file of root's, and checked that it is what it compiled then.
    let component = unsafe { wasmtime::component::Component::deserialize_file(engine, "/proc/self/fd/1") }?;
    // Makes files in memory, which cannot be made later.
    component.initialize_copy_on_write_image()?;
    Ok(component)
}

/// What the threads share.
struct Lanes {
    adapter: Result<Adapter, Fault>,
    ticker: Ticker,
    waiting: Mutex<Receiver<UnixStream>>,
}

impl Lanes {
    fn serve(&self) {
        loop {
            let lane = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(lane) = lane else { return };
            // A lane that ends, however it does, is closed; serve sees that.
            let _ended = match &self.adapter {
                Ok(adapter) => lane::serve(lane, adapter, &self.ticker),
                Err(unfit) => lane::refuse(&lane, unfit),
            };
        }
    }
}
