//! Between JSON and the values of the component model, by the types that the component itself says.
//!
//! Names are WIT's. An option is its value or null, a variant `"case"` or `{"case": value}`, a result `{"ok": …}` or
//! `{"error": …}`. There are no resources in what adapters export.

use latchkey_adapters::Fault;
use serde_json::{Map, Value};
use wasmtime::component::{
    Type, Val,
    types::{ComponentFunc, Record, Variant},
};

/// The values of all parameters, in order, from an object with their names.
pub(crate) fn parse(function: &ComponentFunc, arguments: &str) -> Result<Vec<Val>, Fault> {
    let arguments = serde_json::from_str(arguments).map_err(|_| wrong("arguments", "a JSON object"))?;
    let Value::Object(mut given) = arguments else { return Err(wrong("arguments", "a JSON object")) };
    let values = function.params().map(|(name, ty)| member(&mut given, name, &ty, name)).collect::<Result<_, _>>()?;
    nothing_else(&given, "")?;
    Ok(values)
}

/// What a value is as JSON.
pub(crate) fn json(value: &Val) -> Result<Value, Fault> {
    Ok(match value {
        Val::Bool(value) => Value::from(*value),
        Val::S8(value) => Value::from(*value),
        Val::U8(value) => Value::from(*value),
        Val::S16(value) => Value::from(*value),
        Val::U16(value) => Value::from(*value),
        Val::S32(value) => Value::from(*value),
        Val::U32(value) => Value::from(*value),
        Val::S64(value) => Value::from(*value),
        Val::U64(value) => Value::from(*value),
        Val::Float32(value) => Value::from(*value),
        Val::Float64(value) => Value::from(*value),
        Val::Char(value) => Value::from(value.to_string()),
        Val::String(value) | Val::Enum(value) => Value::from(value.as_str()),
        Val::List(values) | Val::Tuple(values) | Val::FixedLengthList(values) => {
            values.iter().map(json).collect::<Result<Value, _>>()?
        }
        Val::Record(fields) => {
            fields.iter().map(|(name, value)| Ok((name.clone(), json(value)?))).collect::<Result<Value, Fault>>()?
        }
        Val::Variant(case, None) => Value::from(case.as_str()),
        Val::Variant(case, Some(value)) => one(case, json(value)?),
        Val::Option(None) => Value::Null,
        Val::Option(Some(value)) => json(value)?,
        Val::Result(Ok(value)) => one("ok", payload(value.as_deref())?),
        Val::Result(Err(value)) => one("error", payload(value.as_deref())?),
        Val::Flags(names) => names.iter().map(String::as_str).collect(),
        Val::Map(_) | Val::Resource(_) | Val::Future(_) | Val::Stream(_) | Val::ErrorContext(_) => {
            return Err(Fault::Unfit("it returns a kind of value that the interface does not have".into()));
        }
    })
}

/// What is inside of a result.
pub(crate) fn payload(value: Option<&Val>) -> Result<Value, Fault> {
    value.map_or(Ok(Value::Null), json)
}

fn one(name: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), value)]))
}

fn value(ty: &Type, given: Value, at: &str) -> Result<Val, Fault> {
    let expected = |what: &str| wrong(at, what);
    match ty {
        Type::Bool => given.as_bool().map(Val::Bool).ok_or_else(|| expected("true or false")),
        Type::S8 => number(&given, at, Val::S8),
        Type::U8 => number(&given, at, Val::U8),
        Type::S16 => number(&given, at, Val::S16),
        Type::U16 => number(&given, at, Val::U16),
        Type::S32 => number(&given, at, Val::S32),
        Type::U32 => number(&given, at, Val::U32),
        Type::S64 => number(&given, at, Val::S64),
        Type::U64 => number(&given, at, Val::U64),
        #[expect(clippy::cast_possible_truncation, reason = "what the interface asks for")]
        Type::Float32 => given.as_f64().map(|value| Val::Float32(value as f32)).ok_or_else(|| expected("a number")),
        Type::Float64 => given.as_f64().map(Val::Float64).ok_or_else(|| expected("a number")),
        Type::Char => character(&given).map(Val::Char).ok_or_else(|| expected("one character")),
        Type::String => match given {
            Value::String(text) => Ok(Val::String(text)),
            _ => Err(expected("a string")),
        },
        Type::List(list) => {
            let ty = list.ty();
            let each = |(index, given)| value(&ty, given, &format!("{at}[{index}]"));
            array(given, at)?.into_iter().enumerate().map(each).collect::<Result<_, _>>().map(Val::List)
        }
        Type::Tuple(tuple) => {
            let (types, given) = (tuple.types(), array(given, at)?);
            if types.len() != given.len() {
                return Err(expected(&format!("a list of {}", types.len())));
            }
            let each = |(index, (ty, given)): (usize, (Type, Value))| value(&ty, given, &format!("{at}[{index}]"));
            types.zip(given).enumerate().map(each).collect::<Result<_, _>>().map(Val::Tuple)
        }
        Type::Record(record) => fields(record, given, at),
        Type::Enum(cases) => match given.as_str() {
            Some(case) if cases.names().any(|name| name == case) => Ok(Val::Enum(case.to_owned())),
            _ => Err(expected(&format!("one of {}", listed(cases.names())))),
        },
        Type::Variant(variant) => case(variant, given, at),
        Type::Option(_) if given.is_null() => Ok(Val::Option(None)),
        Type::Option(option) => value(&option.ty(), given, at).map(|value| Val::Option(Some(Box::new(value)))),
        _ => Err(Fault::Unfit("it takes a kind of value that the interface does not have".into())),
    }
}

fn member(given: &mut Map<String, Value>, name: &str, ty: &Type, at: &str) -> Result<Val, Fault> {
    // What is not there is null: right for an option, and refused by its own words for anything else.
    value(ty, given.remove(name).unwrap_or(Value::Null), at)
}

fn fields(record: &Record, given: Value, at: &str) -> Result<Val, Fault> {
    let Value::Object(mut given) = given else { return Err(wrong(at, "an object")) };
    let fields = record.fields();
    let values = fields
        .map(|field| {
            let at = format!("{at}.{}", field.name);
            Ok((field.name.to_owned(), member(&mut given, field.name, &field.ty, &at)?))
        })
        .collect::<Result<_, Fault>>()?;
    nothing_else(&given, at)?;
    Ok(Val::Record(values))
}

fn case(variant: &Variant, given: Value, at: &str) -> Result<Val, Fault> {
    let names = || wrong(at, &format!("one of {}", listed(variant.cases().map(|case| case.name))));
    let (name, inside) = match given {
        Value::String(name) => (name, None),
        Value::Object(given) if given.len() == 1 => {
            given.into_iter().next().map(|(name, inside)| (name, Some(inside))).ok_or_else(names)?
        }
        _ => return Err(names()),
    };
    let case = variant.cases().find(|case| case.name == name).ok_or_else(names)?;
    let at = format!("{at}.{name}");
    let inside = match (case.ty, inside) {
        (None, None) => None,
        (Some(ty), inside) => Some(Box::new(value(&ty, inside.unwrap_or(Value::Null), &at)?)),
        (None, Some(_)) => return Err(wrong(&at, "nothing inside")),
    };
    Ok(Val::Variant(name, inside))
}

fn array(given: Value, at: &str) -> Result<Vec<Value>, Fault> {
    match given {
        Value::Array(values) => Ok(values),
        _ => Err(wrong(at, "a list")),
    }
}

fn number<T: TryFrom<i128>>(given: &Value, at: &str, make: fn(T) -> Val) -> Result<Val, Fault> {
    let wide = given.as_u64().map(i128::from).or_else(|| given.as_i64().map(i128::from));
    wide.and_then(|wide| T::try_from(wide).ok())
        .map(make)
        .ok_or_else(|| wrong(at, &format!("a whole number, {}", std::any::type_name::<T>())))
}

fn character(given: &Value) -> Option<char> {
    let mut characters = given.as_str()?.chars();
    characters.next().filter(|_| characters.next().is_none())
}

fn nothing_else(given: &Map<String, Value>, at: &str) -> Result<(), Fault> {
    match given.keys().next() {
        None => Ok(()),
        Some(name) if at.is_empty() => Err(wrong(name, "no parameter of this name")),
        Some(name) => Err(wrong(&format!("{at}.{name}"), "no field of this name")),
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

fn wrong(field: &str, expected: &str) -> Fault {
    Fault::Arguments { field: field.to_owned(), expected: expected.to_owned() }
}
