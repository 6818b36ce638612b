//! The one configuration of wasmtime: what compiles a component and what runs it must agree on it.

use wasmtime::{Config, Engine};

/// How deep a component may call itself, in bytes of stack.
pub const STACK_BYTES: usize = 512 * 1024;

/// An engine for adapters. Where it compiles, that is what takes long; here it does not.
///
/// Off is what no supported language needs, and with it the code that would run it: threads, 64-bit memories, tail calls,
/// exceptions, garbage collection, SIMD that differs between processors.
pub fn engine() -> wasmtime::Result<Engine> {
    Engine::new(&config())
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES)
        .memory_init_cow(true)
        .concurrency_support(false)
        .wasm_component_model(true)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false)
        .wasm_memory64(false)
        .wasm_backtrace_max_frames(None);
    config
}
