//! The fuzzer: libFuzzer around the target that the environment names. The targets live beside the code they try.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let wanted = std::env::var("LATCHKEY_FUZZ_TARGET").unwrap_or_default();
    let targets = || latchkey::fuzz::TARGETS.into_iter().chain(latchkey_broker::fuzz::TARGETS).chain(latchkey_sftp::fuzz::TARGETS);
    let found = targets().find(|(name, _)| *name == wanted);
    let names = || targets().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
    found.unwrap_or_else(|| panic!("expected LATCHKEY_FUZZ_TARGET: one of {}", names())).1
});

fuzz_target!(|bytes: &[u8]| TARGET(bytes));
