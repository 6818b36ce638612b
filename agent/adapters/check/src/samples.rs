//! Arguments made up from the shapes of parameters: such as the agent would send, and such as people type.

use serde_json::{Map, Value, json};

use crate::interface::{Function, Shape};

/// The secret that every parameter of the kind names. It is a name: no adapter sees what it stands for.
pub const SECRET: &str = "new-password";

/// What the names of the hosting's databases begin with.
pub const PREFIX: &str = "h1_";

/// The hosting of all calls.
#[must_use]
pub fn hosting(settings: &[(String, String)]) -> Value {
    json!({ "id": "h1", "system-user": "h1", "home": "/home/h1", "db-prefix": PREFIX, "settings": settings })
}

/// Settings that adapters often take. What nobody asked for by its name is passed over.
pub const USUAL_SETTINGS: &[(&str, &str)] = &[
    ("server", "https://panel.example.com:2083"),
    ("url", "https://panel.example.com:2083"),
    ("api", "https://panel.example.com:2083"),
    ("endpoint", "https://panel.example.com:2083"),
    ("origin", "https://panel.example.com:2083"),
    ("host", "panel.example.com"),
    ("account", "alice"),
    ("user", "alice"),
    ("username", "alice"),
    ("login", "alice"),
    ("domain", "example.com"),
    ("zone", "example.com"),
    ("zone-id", "023e105f4ecef8ad9ca31a8372d0c353"),
    ("server-id", "localhost"),
];

/// Text such as the agent would send, by interface and name; `*` is any interface.
const TEXTS: &[(&str, &str, &str)] = &[
    ("databases", "name", "h1_shop"),
    ("databases", "new-name", "h1_shop2"),
    ("databases", "user", "h1_shop"),
    ("databases", "database", "h1_shop"),
    ("domains", "name", "shop.example.com"),
    ("ftp-accounts", "name", "deploy"),
    ("dns", "name", "www"),
    ("dns", "kind", "A"),
    ("dns", "value", "192.0.2.1"),
    ("dns", "version", "2026010101"),
    ("dns", "id", "1"),
    ("*", "redirect", "https://www.example.com/"),
    ("*", "urls", "https://shop.example.com/"),
    ("*", "domain", "shop.example.com"),
    ("*", "zone", "example.com"),
    ("*", "address", "info@example.com"),
    ("*", "login", "deploy@example.com"),
    ("*", "directory", "public_html"),
    ("*", "docroot", "public_html"),
    ("*", "schedule", "5 4 * * *"),
    ("*", "command", "php /home/h1/public_html/wp-cron.php"),
    ("*", "tag", "wp-cron"),
    ("*", "id", "1"),
    ("*", "chain", "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"),
];

/// Text such as people type.
const ODD: &[(&str, &str)] = &[
    ("empty", ""),
    ("with letters of many alphabets", "übung 漢字 🗝 \u{202e}abc"),
    ("with quotes", "it's \"quoted\" `here` $(there) \\ ; --"),
    ("with line breaks", "two\nlines\r\n"),
    ("with a NUL", "nul\0nul"),
    ("like a path and a format", "../../%s%n%00{0}"),
];

/// The longest text, in bytes.
const LONG_BYTES: usize = 64 * 1024;

/// Arguments with one value that is another than usual.
#[derive(Debug, Clone)]
pub struct Variation {
    /// Where, and what: ``name = ""``.
    pub what: String,
    /// All arguments.
    pub arguments: Value,
}

/// Arguments such as the agent would send.
#[must_use]
pub fn arguments(function: &Function, hosting: &Value, key: &str) -> Value {
    let value = |(name, shape): &(String, Shape)| (name.clone(), usual(shape, &function.interface, name));
    let mut arguments: Map<String, Value> = function.parameters.iter().map(value).collect();
    for (name, shape) in &function.parameters {
        match shape {
            Shape::Hosting => drop(arguments.insert(name.clone(), hosting.clone())),
            Shape::Key => drop(arguments.insert(name.clone(), json!(key))),
            _ => {}
        }
    }
    Value::Object(arguments)
}

/// The same arguments, each time with one text that is odd.
#[must_use]
pub fn with_odd_texts(function: &Function, arguments: &Value) -> Vec<Variation> {
    let mut texts: Vec<(String, String)> =
        ODD.iter().map(|(says, text)| ((*says).to_owned(), (*text).to_owned())).collect();
    texts.push((format!("of {LONG_BYTES} bytes"), "x".repeat(LONG_BYTES)));
    let places = places(function).into_iter().filter(|(_, shape)| **shape == Shape::Text);
    let each = |(place, _): (String, &Shape)| {
        texts.iter().map(|(says, text)| varied(arguments, &place, json!(text), says)).collect::<Vec<_>>()
    };
    places.flat_map(each).collect()
}

/// The same arguments, each time with another case of a variant, without an option, or with an empty list.
#[must_use]
pub fn with_other_cases(function: &Function, arguments: &Value) -> Vec<Variation> {
    let each = |(place, shape): (String, &Shape)| {
        let others = match shape {
            Shape::Option(_) => vec![(Value::Null, "absent".to_owned())],
            Shape::List(_) => vec![(json!([]), "empty".to_owned())],
            Shape::Bool => vec![(json!(false), "false".to_owned())],
            Shape::Number => vec![(json!(0), "0".to_owned())],
            Shape::Variant(cases) => {
                let other = |case: &(String, Option<Shape>)| (one_case(case, &function.interface), case.0.clone());
                cases.iter().skip(1).map(other).collect()
            }
            _ => vec![],
        };
        others.into_iter().map(|(value, says)| varied(arguments, &place, value, &says)).collect::<Vec<_>>()
    };
    places(function).into_iter().flat_map(each).collect()
}

fn varied(arguments: &Value, place: &str, value: Value, says: &str) -> Variation {
    let mut arguments = arguments.clone();
    if let Some(there) = arguments.pointer_mut(place) {
        *there = value;
    }
    Variation { what: format!("{} {says}", place.trim_start_matches('/').replace('/', ".")), arguments }
}

fn usual(shape: &Shape, interface: &str, name: &str) -> Value {
    match shape {
        Shape::Bool => json!(true),
        Shape::Number => json!(if name == "quota" { 100 << 20 } else { 3600 }),
        Shape::Text => json!(text(interface, name)),
        Shape::Secret => json!(SECRET),
        Shape::Hosting | Shape::Key => Value::Null,
        Shape::List(inner) => json!([usual(inner, interface, name)]),
        Shape::Tuple(inner) => inner.iter().map(|shape| usual(shape, interface, name)).collect(),
        Shape::Record(fields) => {
            fields.iter().map(|(name, shape)| (name.clone(), usual(shape, interface, name))).collect()
        }
        Shape::Variant(cases) => cases.first().map_or(Value::Null, |case| one_case(case, interface)),
        Shape::Option(inner) => usual(inner, interface, name),
    }
}

fn one_case((name, inside): &(String, Option<Shape>), interface: &str) -> Value {
    match inside {
        None => json!(name),
        Some(shape) => Value::Object(Map::from_iter([(name.clone(), usual(shape, interface, name))])),
    }
}

fn text(interface: &str, name: &str) -> &'static str {
    let of = |wanted: &str| {
        TEXTS.iter().find(|(interface, named, _)| *interface == wanted && *named == name).map(|(_, _, text)| *text)
    };
    of(interface).or_else(|| of("*")).unwrap_or("example")
}

/// Where something may be another than usual, as JSON pointers. The hosting and the key are the agent's own.
fn places(function: &Function) -> Vec<(String, &Shape)> {
    let mut found = Vec::new();
    function.parameters.iter().for_each(|(name, shape)| gather(format!("/{name}"), shape, &mut found));
    found
}

fn gather<'a>(place: String, shape: &'a Shape, found: &mut Vec<(String, &'a Shape)>) {
    match shape {
        Shape::Hosting | Shape::Key | Shape::Secret => return,
        Shape::Record(fields) => {
            fields.iter().for_each(|(name, shape)| gather(format!("{place}/{name}"), shape, found));
        }
        Shape::Tuple(inner) => {
            inner.iter().enumerate().for_each(|(at, shape)| gather(format!("{place}/{at}"), shape, found));
        }
        Shape::List(inner) => gather(format!("{place}/0"), inner, found),
        Shape::Option(inner) => gather(place.clone(), inner, found),
        Shape::Variant(cases) => {
            if let Some((name, Some(inside))) = cases.first() {
                gather(format!("{place}/{name}"), inside, found);
            }
        }
        Shape::Bool | Shape::Number | Shape::Text => {}
    }
    found.push((place, shape));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::functions;

    fn function(name: &str) -> Function {
        functions().unwrap().into_iter().find(|function| function.full_name() == name).unwrap()
    }

    #[test]
    fn arguments_are_such_as_the_agent_sends() {
        let made = arguments(&function("cron.create-entry"), &hosting(&[]), "k1");
        let entry = json!({
            "schedule": "5 4 * * *",
            "command": "php /home/h1/public_html/wp-cron.php",
            "tag": "wp-cron",
            "enabled": true,
        });
        assert_eq!(made, json!({ "hosting": hosting(&[]), "key": "k1", "entry": entry }));
    }

    #[test]
    fn variations_change_one_place_each_and_leave_what_is_the_agents() {
        let function = function("databases.set-grant");
        let usual = arguments(&function, &hosting(&[]), "k1");
        let odd = with_odd_texts(&function, &usual);
        assert_eq!(odd.len(), 2 * (ODD.len() + 1));
        assert_eq!(odd[0].what, "user empty");
        let cases = with_other_cases(&function, &usual);
        assert!(cases.iter().any(|varied| varied.arguments["privileges"] == json!(["execute"])));
        assert!(cases.iter().any(|varied| varied.arguments["privileges"] == json!([])));
        for varied in odd.iter().chain(&cases) {
            assert_ne!(varied.arguments, usual, "{}", varied.what);
            assert_eq!(varied.arguments["hosting"], usual["hosting"]);
            assert_eq!(varied.arguments["key"], usual["key"]);
        }
    }
}
