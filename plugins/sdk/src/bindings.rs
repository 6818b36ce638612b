//! What the WIT says adapters import, as Rust: generated.
#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated; the WIT has the words")]

wit_bindgen::generate!({
    path: "wit",
    world: "latchkey:adapter/imports",
    generate_all,
    generate_unused_types: true,
    additional_derives: [PartialEq, Eq],
});
