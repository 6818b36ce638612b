//! The fuzzer: libFuzzer around the target that the environment names. The targets live beside the code they try.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let wanted = std::env::var("LATCHKEY_FUZZ_TARGET").unwrap_or_default();
    let of_serve_and_broker = || latchkey::fuzz::TARGETS.into_iter().chain(latchkey_broker::fuzz::TARGETS);
    let of_files = || latchkey_files::fuzz::TARGETS.into_iter().chain(latchkey_sftp::fuzz::TARGETS);
    let targets = || of_serve_and_broker().chain(of_files());
    let found = targets().find(|(name, _)| *name == wanted);
    let names = || targets().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
    found.unwrap_or_else(|| panic!("expected LATCHKEY_FUZZ_TARGET: one of {}", names())).1
});

fuzz_target!(|bytes: &[u8]| TARGET(bytes));
