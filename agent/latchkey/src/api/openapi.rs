//! The OpenAPI 3.1 document, written from the table of calls and the table of operations.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::reply::Reply;
use super::routes::{Needs, ROUTES, Route};
use crate::operations;
use crate::problem::Problem;

pub(super) async fn show(_call: Call) -> Result<Reply, Problem> {
    Reply::json(&document())
}

/// The document.
pub(crate) fn document() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<Problem>().to_value();
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES.iter().filter(|route| !route.path.ends_with("{operation}")) {
        let input = route.input.map(|shape| shape(&mut generator).to_value());
        let output = route.output.map(|shape| shape(&mut generator).to_value());
        let entry = describe(route, route.path, route.summary, input, output, &problem);
        put(&mut paths, route.path, route.method, entry);
    }
    if let Some(route) = ROUTES.iter().find(|route| route.path.ends_with("{operation}")) {
        for shapes in operations::shapes(&mut generator) {
            let path = route.path.replace("{operation}", shapes.spec.name);
            let summary = format!("{} (privilege `{}`)", shapes.spec.summary, shapes.spec.privilege.id());
            let (input, output) = (shapes.input.to_value(), shapes.output.to_value());
            let entry = describe(route, &path, &summary, Some(input), Some(output), &problem);
            put(&mut paths, &path, route.method, entry);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Latchkey",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Lend somebody the key to one WordPress site, not the house. Mutual TLS; every call but health, catalogues and metrics names its actor.",
        },
        "paths": paths,
        "components": { "schemas": generator.take_definitions(true) },
    })
}

fn put(paths: &mut Map<String, Value>, path: &str, method: &str, entry: Value) {
    let methods = paths.entry(path).or_insert_with(|| json!({}));
    if let Some(methods) = methods.as_object_mut() {
        methods.insert(method.to_lowercase(), entry);
    }
}

fn describe(
    route: &Route,
    path: &str,
    summary: &str,
    input: Option<Value>,
    output: Option<Value>,
    problem: &Value,
) -> Value {
    let mut parameters: Vec<Value> = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    parameters.extend(route.query.iter().map(
        |(name, text)| json!({ "name": name, "in": "query", "description": text, "schema": { "type": "string" } }),
    ));
    if route.needs == Needs::Actor {
        parameters.push(header(
            "Latchkey-Actor",
            "`panel`, or the address of the person on whose behalf the call is made.",
            true,
        ));
    }
    if route.method == "POST" {
        parameters.push(header("Idempotency-Key", "A repeat with the same key gets the first reply.", false));
    }
    let (kind, status) = match (route.path, route.method) {
        ("/metrics", _) => ("text/plain", "200"),
        (path, "POST") if path.ends_with("/shares") || path.ends_with("/links") => ("application/json", "201"),
        _ => ("application/json", "200"),
    };
    let schema = output.unwrap_or_else(|| json!({}));
    let done = json!({ "description": "Done.", "content": { kind: { "schema": schema } } });
    let not_done =
        json!({ "description": "Not done.", "content": { "application/problem+json": { "schema": problem } } });
    let mut responses = Map::from_iter([(status.to_owned(), done.clone()), ("default".to_owned(), not_done)]);
    if route.method == "PUT" {
        responses.insert("201".to_owned(), done);
    }
    let mut entry = Map::from_iter([
        ("summary".to_owned(), json!(summary)),
        ("operationId".to_owned(), json!(format!("{} {path}", route.method))),
        ("parameters".to_owned(), json!(parameters)),
        ("responses".to_owned(), json!(responses)),
    ]);
    if let Some(input) = input {
        let kind = if route.method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let content = json!({ kind: { "schema": input } });
        entry.insert(
            "requestBody".to_owned(),
            json!({ "required": !path.contains("/operations/"), "content": content }),
        );
    }
    entry.into()
}

fn header(name: &str, text: &str, required: bool) -> Value {
    json!({ "name": name, "in": "header", "required": required, "description": text, "schema": { "type": "string" } })
}
