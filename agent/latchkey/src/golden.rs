//! Reviewed text files: what the API and the operations look like. `UPDATE_GOLDEN=1` writes them anew; read the diff.

use std::fmt::Write;
use std::path::Path;

use latchkey_access::{Effect, operations};

#[track_caller]
#[expect(clippy::disallowed_methods, reason = "UPDATE_GOLDEN is how a developer asks for new files")]
fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name);
    if std::env::var("UPDATE_GOLDEN").is_ok() {
        std::fs::write(&path, text).unwrap();
    }
    let reviewed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(reviewed == text, "{name} has changed: run with UPDATE_GOLDEN=1 and read the diff");
}

#[test]
fn the_openapi_document_is_the_reviewed_one() {
    let text = serde_json::to_string_pretty(&crate::api::openapi_document()).unwrap();
    check("openapi.json", &(text + "\n"));
}

#[test]
fn every_shape_has_a_name_of_its_own() {
    let document = crate::api::openapi_document();
    let names = document["components"]["schemas"].as_object().unwrap().keys();
    // Of two shapes that are called the same the second would get a number.
    let numbered: Vec<_> = names.filter(|name| name.ends_with(|last: char| last.is_ascii_digit())).collect();
    assert!(numbered.is_empty(), "{numbered:?}");
}

#[test]
fn the_operations_are_the_reviewed_ones() {
    let mut text = "# Operations\n\nEach is `POST /v1/instances/{instance}/operations/{name}`; shapes are in `/v1/operations`.\n\n\
                    | operation | what it does | privilege | effect |\n|---|---|---|---|\n"
        .to_owned();
    for spec in operations() {
        let effect = match spec.effect {
            Effect::Read => "read",
            Effect::Change => "change",
            Effect::Destroy => "destroy",
        };
        writeln!(text, "| `{}` | {} | `{}` | {effect} |", spec.name, spec.summary, spec.privilege.id()).unwrap();
    }
    check("operations.md", &text);
}
