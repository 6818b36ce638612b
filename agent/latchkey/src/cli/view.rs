//! Replies as tables and lists for people. A reply that lacks a field shows a gap, never an error.

use comfy_table::{Table, presets};
use serde_json::{Map, Value};

use super::print::visible;

/// A column of a table or a line of a list: its title, and the path of its field (`person.email`).
pub(crate) type Field = (&'static str, &'static str);

/// The `items` of a reply as a table, or a sentence when there are none.
pub(crate) fn table(reply: &Value, columns: &[Field], none: &str) -> String {
    let items = items(reply);
    if items.is_empty() {
        return none.to_owned();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(columns.iter().map(|(title, _)| *title));
    for item in items {
        table.add_row(columns.iter().map(|(_, path)| one_line(&cell(at(item, path)))));
    }
    trimmed(&table)
}

/// Some fields of a reply, one per line; those that are absent are left out.
pub(crate) fn record(value: &Value, fields: &[Field]) -> String {
    lines(fields.iter().map(|(title, path)| ((*title).to_owned(), at(value, path))))
}

/// Any reply at all: a list as a table, an object as a list of its fields.
pub(crate) fn anything(value: &Value) -> String {
    match value {
        Value::Null => "Done.".to_owned(),
        Value::Object(object) if object.get("items").is_some_and(Value::is_array) => any_table(items(value)),
        Value::Object(object) => lines(object.iter().map(|(name, value)| (words(name), value))),
        other => cell(other),
    }
}

/// A list in lines or, of objects, as a table.
pub(crate) fn list(items: &[Value]) -> String {
    any_table(items)
}

/// The items of a list; none if it is no list.
pub(crate) fn items(reply: &Value) -> &[Value] {
    reply.get("items").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A field by its path; null if it is not there.
pub(crate) fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').try_fold(value, |value, name| value.get(name)).unwrap_or(&Value::Null)
}

/// A value in a few words.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(values) if values.is_empty() => "-".to_owned(),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(object) => object_cell(object).unwrap_or_else(|| value.to_string()),
    }
}

/// The objects that the API shows in many places: a person, a WordPress user, a file account, flags.
fn object_cell(object: &Map<String, Value>) -> Option<String> {
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    if let Some(email) = text("email") {
        return Some(text("name").map_or_else(|| email.to_owned(), |name| format!("{name} <{email}>")));
    }
    if let (Some(id), Some(login)) = (object.get("id"), text("login")) {
        return Some(format!("{id}:{login}"));
    }
    if let Some(kind) = text("kind") {
        let place = text("path").filter(|path| !path.is_empty()).map(|path| format!(" in {path}")).unwrap_or_default();
        let reading = object.get("read_only") == Some(&Value::Bool(true));
        return Some(format!("{}{place}{}", words(kind), if reading { ", read only" } else { "" }));
    }
    if object.values().any(Value::is_boolean) {
        let set = object.iter().filter(|(_, value)| **value == Value::Bool(true));
        let set = set.map(|(name, _)| words(name)).collect::<Vec<_>>();
        return Some(if set.is_empty() { "-".to_owned() } else { set.join(", ") });
    }
    None
}

fn any_table(items: &[Value]) -> String {
    let Some(Value::Object(first)) = items.first() else {
        let rows = items.iter().map(cell).collect::<Vec<_>>();
        return if rows.is_empty() { "None.".to_owned() } else { rows.join("\n") };
    };
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(first.keys().map(|name| words(name).to_uppercase()));
    for item in items {
        table.add_row(first.keys().map(|name| one_line(&cell(item.get(name).unwrap_or(&Value::Null)))));
    }
    trimmed(&table)
}

fn lines<'a>(fields: impl Iterator<Item = (String, &'a Value)>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for (title, value) in fields.filter(|(_, value)| !value.is_null()) {
        table.add_row([visible(&title).into_owned(), one_line(&cell(value))]);
    }
    trimmed(&table)
}

/// One row stays one line, whatever its text holds.
fn one_line(text: &str) -> String {
    visible(text).replace('\n', "\\n")
}

/// Without the padding at both sides, which the style without borders leaves.
fn trimmed(table: &Table) -> String {
    let line = |line: String| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned();
    table.lines().map(line).collect::<Vec<_>>().join("\n")
}

pub(super) fn words(name: &str) -> String {
    name.replace('_', " ")
}
