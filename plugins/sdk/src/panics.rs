//! Telling the operator of a panic: its words and its place, while there is still somebody who can tell.

/// Has a panic of this instance told to the log before the instance ends. Called before each function of the adapter.
///
/// Without it Rust prints a panic to a standard error stream, which adapters do not have.
pub(crate) fn tell() {
    #[cfg(target_family = "wasm")]
    std::panic::set_hook(Box::new(|panic| crate::log::error(sentence(panic))));
}

/// A panic in one line.
#[cfg(any(test, target_family = "wasm"))]
fn sentence(panic: &std::panic::PanicHookInfo<'_>) -> String {
    let words = panic.payload_as_str().unwrap_or("it did not say why");
    match panic.location() {
        Some(place) => format!("panicked at {}:{}: {words}", place.file(), place.line()),
        None => format!("panicked: {words}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_panic_is_told_with_its_words_and_its_place() {
        static TOLD: Mutex<String> = Mutex::new(String::new());
        let ours = std::thread::current().id();
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // Tests beside this one panic, too.
            if std::thread::current().id() == ours {
                *TOLD.lock().unwrap() = sentence(panic);
            }
        }));
        let caught = std::panic::catch_unwind(|| panic!("no {} here", "zone"));
        std::panic::set_hook(before);
        assert!(caught.is_err());
        let told = TOLD.lock().unwrap();
        assert!(told.starts_with("panicked at ") && told.ends_with(": no zone here"), "{told}");
        assert!(told.contains("panics.rs:"), "{told}");
    }
}
