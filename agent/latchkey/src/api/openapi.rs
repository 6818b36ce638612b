//! The OpenAPI 3.1 document, written from the table of calls and the table of operations.

use std::collections::BTreeSet;

use latchkey_access::Runs;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::files::BYTES;
use super::operations::JobStarted;
use super::reply::{ProblemDocument, Reply};
use super::routes::{JSON, Needs, ROUTES, Route};
use super::statuses;
use crate::events::EVENTS;
use crate::operations;
use crate::problem::Problem;

/// The call that says for each instance why it made nothing there.
const SEVERAL: &str = "/v1/shares";
/// The media type of problems.
const PROBLEM: &str = "application/problem+json";

pub(super) async fn show(_call: Call) -> Result<Reply, Problem> {
    Reply::json(&document())
}

/// The document.
pub(crate) fn document() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    // What may be left out differs: a field with a default in what is taken, an empty one in what is given.
    let mut taken = settings.clone().for_deserialize().into_generator();
    let mut given = settings.for_serialize().into_generator();
    // Named by `problems`.
    let _ = given.subschema_for::<ProblemDocument<'_>>();
    let mut paths: Map<String, Value> = Map::new();
    let mut failures: BTreeSet<u16> =
        ROUTES.iter().flat_map(statuses::of).filter(|status| !statuses::is_done(*status)).collect();
    for route in ROUTES.iter().filter(|route| !route.path.ends_with("{operation}")) {
        let input = route.input.map(|shape| shape(&mut taken).to_value());
        let output = route.output.map(|shape| shape(&mut given).to_value());
        // The rest of a path is a parameter like any other here.
        let path = route.path.replace("{*", "{");
        let entry = describe(route, (&path, route.summary), &statuses::of(route), input, output);
        put(&mut paths, &path, route.method, entry);
    }
    if let Some(route) = ROUTES.iter().find(|route| route.path.ends_with("{operation}")) {
        for shapes in operations::shapes(&mut taken, &mut given) {
            let path = route.path.replace("{operation}", shapes.spec.name);
            let summary = format!("{} (privilege `{}`)", shapes.spec.summary, shapes.spec.privilege.id());
            let (input, output) = (shapes.input.to_value(), shapes.output.to_value());
            let answers = statuses::of_operation(route, shapes.spec, shapes.failures);
            let mut entry = describe(route, (&path, &summary), &answers, Some(input), Some(output.clone()));
            failures.extend(answers.into_iter().filter(|status| !statuses::is_done(*status)));
            match shapes.spec.runs {
                Runs::Now => {}
                Runs::Stream => answers_with_events(&mut entry, &output),
                Runs::Job { .. } => begins_a_job(&mut entry, &given.subschema_for::<JobStarted>().to_value(), &output),
            }
            put(&mut paths, &path, route.method, entry);
        }
    }
    // Of a shape that is both taken and given the first is kept: it leaves out more.
    let mut schemas = given.take_definitions(true);
    schemas.extend(taken.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Latchkey",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Lend somebody the key to one WordPress site, not the house. Mutual TLS; every call but health, catalogues and metrics names its actor.",
        },
        "paths": paths,
        "components": { "responses": problems(failures), "schemas": schemas },
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
    (path, summary): (&str, &str),
    statuses: &BTreeSet<u16>,
    input: Option<Value>,
    output: Option<Value>,
) -> Value {
    let mut parameters: Vec<Value> = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    parameters.extend(route.query.iter().map(
        |(name, text)| json!({ "name": name, "in": "query", "description": text, "schema": { "type": "string" } }),
    ));
    parameters.extend(route.headers.iter().map(|(name, text)| header(name, text, false)));
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
    if statuses.contains(&412) && !path.contains("/operations/") {
        parameters.push(header("If-Match", "The `ETag` of the reply that the caller knows, or `*`.", false));
    }
    let schema = output.unwrap_or_else(|| json!({}));
    let responses: Map<String, Value> =
        statuses.iter().map(|status| (status.to_string(), response(route, *status, &schema))).collect();
    let mut entry = Map::from_iter([
        ("summary".to_owned(), json!(summary)),
        ("operationId".to_owned(), json!(format!("{} {path}", route.method))),
        ("parameters".to_owned(), json!(parameters)),
        ("responses".to_owned(), json!(responses)),
    ]);
    if route.takes_stream {
        let content = json!({ "application/octet-stream": { "schema": { "type": "string", "format": "binary" } } });
        entry.insert("requestBody".to_owned(), json!({ "required": false, "content": content }));
    }
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

/// Of a call whose answer is a stream: the operation's output is the data of each event.
fn answers_with_events(entry: &mut Value, data: &Value) {
    let content = json!({ EVENTS: { "schema": { "type": "string" }, "x-event-data": data } });
    if let Some(response) = entry.pointer_mut("/responses/200/content") {
        *response = content;
    }
}

/// Of a call that begins a job: the answer is the job's name, and the operation's output is the job's.
fn begins_a_job(entry: &mut Value, started: &Value, output: &Value) {
    let content = json!({ JSON: { "schema": started, "x-job-output": output } });
    if let Some(response) = entry.pointer_mut("/responses/202") {
        *response = json!({ "description": "Begun: the job tells how it goes.", "content": content });
    }
}

/// What comes with a status.
fn response(route: &Route, status: u16, schema: &Value) -> Value {
    let text = json!({ "type": "string" });
    let of_kind = |kind: &str| json!({ "schema": if kind == JSON { schema } else { &text } });
    if statuses::is_done(status) {
        // Only files are sent in parts.
        let kinds = route.kinds.iter().filter(|kind| status != 206 || **kind == BYTES);
        let content = kinds.map(|kind| ((*kind).to_owned(), of_kind(kind))).collect::<Map<_, _>>();
        let header = |text: &str| json!({ "description": text, "schema": { "type": "string" } });
        let headers: Map<_, _> =
            route.gives_headers.iter().map(|(name, text)| ((*name).to_owned(), header(text))).collect();
        let done = [("description", json!(statuses::text(status))), ("content", json!(content))];
        let headers = Some(("headers", json!(headers))).filter(|_| !route.gives_headers.is_empty());
        return done
            .into_iter()
            .chain(headers)
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<Map<_, _>>()
            .into();
    }
    if status == 409 && route.path == SEVERAL {
        let content = json!({ JSON: of_kind(JSON), PROBLEM: { "schema": problem_reference() } });
        return json!({ "description": statuses::text(status), "content": content });
    }
    json!({ "$ref": format!("#/components/responses/{status}") })
}

/// What comes with a status that says that a call was not carried out: the same for all calls.
fn problems(all: BTreeSet<u16>) -> Map<String, Value> {
    let content = json!({ PROBLEM: { "schema": problem_reference() } });
    let response = |status| json!({ "description": statuses::text(status), "content": content });
    all.into_iter().map(|status| (status.to_string(), response(status))).collect()
}

fn problem_reference() -> Value {
    json!({ "$ref": "#/components/schemas/ProblemDocument" })
}

fn header(name: &str, text: &str, required: bool) -> Value {
    json!({ "name": name, "in": "header", "required": required, "description": text, "schema": { "type": "string" } })
}
