//! What the WIT says, as Rust: generated.
#![allow(missing_docs, clippy::all, reason = "generated; the WIT has the words")]

wasmtime::component::bindgen!({
    path: "../../../wit/latchkey-adapter@0.1.0",
    world: "everything",
    imports: { default: trappable },
    additional_derives: [serde::Serialize, serde::Deserialize],
});
