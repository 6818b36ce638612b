//! The functions that adapters export, with the types of their parameters, read from the WIT itself.
//!
//! The runner has compared the component's types with the same WIT before anything here is relied on.

use wit_parser::{Resolve, SourceMap, Type, TypeDefKind, WorldItem};

/// The files of `wit/`.
pub const FILES: &[(&str, &str)] = &[
    ("accounts.wit", include_str!("../../../../wit/latchkey-adapter@0.1.0/accounts.wit")),
    ("certificates.wit", include_str!("../../../../wit/latchkey-adapter@0.1.0/certificates.wit")),
    ("clock.wit", include_str!("../../../../wit/latchkey-adapter@0.1.0/clock.wit")),
    ("cloudflare.wit", include_str!("../../../../wit/latchkey-adapter@0.1.0/cloudflare.wit")),
    ("command.wit", include_str!("../../../../wit/latchkey-adapter@0.1.0/command.wit")),
    ("config-file.wit", include_str!("../../../../wit/latchkey-adapter@0.1.0/config-file.wit")),
    ("cron.wit", include_str!("../../../../wit/latchkey-adapter@0.1.0/cron.wit")),
    ("crontab.wit", include_str!("../../../../wit/latchkey-adapter@0.1.0/crontab.wit")),
    ("databases.wit", include_str!("../../../../wit/latchkey-adapter@0.1.0/databases.wit")),
    ("dns.wit", include_str!("../../../../wit/latchkey-adapter@0.1.0/dns.wit")),
    ("domains.wit", include_str!("../../../../wit/latchkey-adapter@0.1.0/domains.wit")),
    ("edge-cache.wit", include_str!("../../../../wit/latchkey-adapter@0.1.0/edge-cache.wit")),
    ("ftp-accounts.wit", include_str!("../../../../wit/latchkey-adapter@0.1.0/ftp-accounts.wit")),
    ("http.wit", include_str!("../../../../wit/latchkey-adapter@0.1.0/http.wit")),
    ("log.wit", include_str!("../../../../wit/latchkey-adapter@0.1.0/log.wit")),
    ("logs.wit", include_str!("../../../../wit/latchkey-adapter@0.1.0/logs.wit")),
    ("mail.wit", include_str!("../../../../wit/latchkey-adapter@0.1.0/mail.wit")),
    ("mysql.wit", include_str!("../../../../wit/latchkey-adapter@0.1.0/mysql.wit")),
    ("phpmyadmin.wit", include_str!("../../../../wit/latchkey-adapter@0.1.0/phpmyadmin.wit")),
    ("state.wit", include_str!("../../../../wit/latchkey-adapter@0.1.0/state.wit")),
    ("types.wit", include_str!("../../../../wit/latchkey-adapter@0.1.0/types.wit")),
    ("world.wit", include_str!("../../../../wit/latchkey-adapter@0.1.0/world.wit")),
];

/// A function that an adapter may export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// `databases`.
    pub interface: String,
    /// `create-database`.
    pub name: String,
    /// In order.
    pub parameters: Vec<(String, Shape)>,
}

/// What a value looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// True or false.
    Bool,
    /// A whole number.
    Number,
    /// Text.
    Text,
    /// Values of one shape.
    List(Box<Shape>),
    /// Values of these shapes.
    Tuple(Vec<Shape>),
    /// Fields.
    Record(Vec<(String, Shape)>),
    /// Cases, some with something inside.
    Variant(Vec<(String, Option<Shape>)>),
    /// A value or none.
    Option(Box<Shape>),
    /// `types.hosting`.
    Hosting,
    /// `types.secret`.
    Secret,
    /// `types.idempotency-key`.
    Key,
}

/// The interface that this program was built with is not what was expected.
#[derive(Debug, thiserror::Error)]
#[error("the interface of adapters cannot be read: {0}")]
pub struct InterfaceError(String);

impl Function {
    /// `databases.create-database`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.interface, self.name)
    }

    /// Whether it changes something: what does takes an idempotency key.
    #[must_use]
    pub fn is_change(&self) -> bool {
        self.parameters.iter().any(|(_, shape)| *shape == Shape::Key)
    }
}

/// All functions of all interfaces that an adapter may export, in the WIT's order.
pub fn functions() -> Result<Vec<Function>, InterfaceError> {
    let failed = |said: String| InterfaceError(said);
    let mut sources = SourceMap::new();
    FILES.iter().for_each(|(name, text)| sources.push_str(name, *text));
    let group = sources.parse().map_err(|(_, error)| failed(error.to_string()))?;
    let mut resolve = Resolve::new();
    let package = resolve.push_group(group).map_err(|error| failed(error.to_string()))?;
    let world = resolve.select_world(&[package], Some("everything")).map_err(|error| failed(error.to_string()))?;
    let mut functions = Vec::new();
    let exports = resolve.worlds.get(world).map(|world| &world.exports);
    for item in exports.into_iter().flat_map(|exports| exports.values()) {
        let WorldItem::Interface { id, .. } = item else { continue };
        let Some(interface) = resolve.interfaces.get(*id) else { continue };
        for function in interface.functions.values() {
            let shape = |param: &wit_parser::Param| Ok((param.name.clone(), shape(&resolve, &param.ty)?));
            functions.push(Function {
                interface: interface.name.clone().unwrap_or_default(),
                name: function.name.clone(),
                parameters: function.params.iter().map(shape).collect::<Result<_, InterfaceError>>()?,
            });
        }
    }
    Ok(functions)
}

fn shape(resolve: &Resolve, ty: &Type) -> Result<Shape, InterfaceError> {
    Ok(match ty {
        Type::Bool => Shape::Bool,
        Type::String => Shape::Text,
        Type::Id(id) => {
            let Some(named) = resolve.types.get(*id) else { return Err(unknown("a type that is not there")) };
            match named.name.as_deref() {
                Some("hosting") => Shape::Hosting,
                Some("secret") => Shape::Secret,
                Some("idempotency-key") => Shape::Key,
                _ => of_kind(resolve, &named.kind)?,
            }
        }
        Type::Char | Type::F32 | Type::F64 | Type::ErrorContext => return Err(unknown("a kind of number or sign")),
        _ => Shape::Number,
    })
}

fn of_kind(resolve: &Resolve, kind: &TypeDefKind) -> Result<Shape, InterfaceError> {
    let inner = |ty: &Type| shape(resolve, ty);
    Ok(match kind {
        TypeDefKind::Type(ty) => inner(ty)?,
        TypeDefKind::List(ty) => Shape::List(Box::new(inner(ty)?)),
        TypeDefKind::Option(ty) => Shape::Option(Box::new(inner(ty)?)),
        TypeDefKind::Tuple(tuple) => Shape::Tuple(tuple.types.iter().map(inner).collect::<Result<_, _>>()?),
        TypeDefKind::Record(record) => {
            let field = |field: &wit_parser::Field| Ok((field.name.clone(), inner(&field.ty)?));
            Shape::Record(record.fields.iter().map(field).collect::<Result<_, InterfaceError>>()?)
        }
        TypeDefKind::Enum(cases) => Shape::Variant(cases.cases.iter().map(|case| (case.name.clone(), None)).collect()),
        TypeDefKind::Variant(variant) => {
            let case = |case: &wit_parser::Case| Ok((case.name.clone(), case.ty.as_ref().map(inner).transpose()?));
            Shape::Variant(variant.cases.iter().map(case).collect::<Result<_, InterfaceError>>()?)
        }
        other => return Err(unknown(other.as_str())),
    })
}

fn unknown(what: &str) -> InterfaceError {
    InterfaceError(format!("no value can be made up for {what}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_of_the_interface_is_here() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../wit/latchkey-adapter@0.1.0");
        let there = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let here = FILES.iter().map(|(name, _)| (*name).to_owned());
        assert_eq!(here.collect::<BTreeSet<_>>(), there.collect::<BTreeSet<_>>());
    }

    #[test]
    fn functions_are_told_with_what_their_parameters_are() {
        let functions = functions().unwrap();
        let find = |name: &str| functions.iter().find(|function| function.full_name() == name).unwrap();
        let create = find("databases.create-user");
        let shapes: Vec<_> = create.parameters.iter().map(|(name, shape)| (name.as_str(), shape)).collect();
        assert_eq!(
            shapes,
            [("hosting", &Shape::Hosting), ("key", &Shape::Key), ("name", &Shape::Text), ("password", &Shape::Secret)]
        );
        assert!(create.is_change() && !find("databases.list-users").is_change());
    }
}
