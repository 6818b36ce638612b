//! A compiled component that was linked: what it is, and calling it.

use std::collections::HashMap;

use latchkey_adapters::{Call, Description, Fault, Function, Interface, Limits, PACKAGE, Used, VERSION, host};
use wasmtime::{
    Engine, Store,
    component::{
        Component, ComponentExportIndex, Instance, InstancePre, Linker, ResourceType, Val, types::ComponentItem,
    },
};

use crate::{
    arguments,
    bindings::exports::latchkey::adapter as exported,
    host as imported,
    instance::{self, Host, State},
};

/// A component that may be called any number of times.
pub struct Adapter {
    engine: Engine,
    linked: InstancePre<State>,
    functions: HashMap<String, HashMap<String, ComponentExportIndex>>,
    description: Description,
}

impl std::fmt::Debug for Adapter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Adapter").field("description", &self.description).finish_non_exhaustive()
    }
}

impl Adapter {
    /// Links a compiled component; [`Fault::Unfit`] with a sentence for the operator when it needs what there is not.
    pub fn link(engine: &Engine, component: &Component) -> Result<Self, Fault> {
        let description = describe(engine, component);
        let mut linker = Linker::new(engine);
        let link = |error: wasmtime::Error| Fault::Unfit(format!("{error:#}"));
        imported::add_to(&mut linker).map_err(link)?;
        offered(&description)?;
        refuse_wasi(engine, component, &mut linker).map_err(link)?;
        let linked = linker.instantiate_pre(component).map_err(link)?;
        let functions = description.exports.iter().map(|one| (one.name.clone(), indices(component, one))).collect();
        Ok(Self { engine: engine.clone(), linked, functions, description })
    }

    /// Makes an instance and looks at the type of every function that it exports.
    pub fn try_out(&self, host: Box<dyn Host>, limits: Limits) -> Result<Description, Fault> {
        let mut store = instance::store(&self.engine, host, limits);
        let instance = self.linked.instantiate(&mut store).map_err(|error| instance::fault(&store, &error))?;
        for export in &self.description.exports {
            typed(&self.linked, &mut store, &instance, &export.name)?;
        }
        Ok(self.description.clone())
    }

    /// Calls a function in a fresh instance. What it returns, or its own error, is JSON.
    pub fn call(&self, call: &Call, host: Box<dyn Host>) -> Result<Result<String, String>, Fault> {
        self.measure(call, host).0
    }

    /// As [`call`](Self::call), and what that used up.
    pub fn measure(&self, call: &Call, host: Box<dyn Host>) -> (Result<Result<String, String>, Fault>, Used) {
        let mut store = instance::store(&self.engine, host, call.limits);
        let came = self.call_in(&mut store, call);
        (came, store.data().used())
    }

    fn call_in(&self, mut store: &mut Store<State>, call: &Call) -> Result<Result<String, String>, Fault> {
        let missing = || Fault::NoSuchFunction(format!("{}.{}", call.interface, call.function));
        let index = self.functions.get(&call.interface).and_then(|functions| functions.get(&call.function));
        let index = index.ok_or_else(missing)?;
        let instance = self.linked.instantiate(&mut store).map_err(|error| instance::fault(store, &error))?;
        let function = instance.get_func(&mut store, index).ok_or_else(missing)?;
        let parameters = arguments::parse(&function.ty(&*store), &call.arguments)?;
        let mut results = [Val::Bool(false)];
        function.call(&mut store, &parameters, &mut results).map_err(|error| instance::fault(store, &error))?;
        let [Val::Result(result)] = results else {
            return Err(Fault::Unfit("it returns something else than a result".into()));
        };
        Ok(match result {
            Ok(value) => Ok(arguments::payload(value.as_deref())?.to_string()),
            Err(error) => Err(arguments::payload(error.as_deref())?.to_string()),
        })
    }
}

/// What a component imports and exports of our package.
fn describe(engine: &Engine, component: &Component) -> Description {
    let ty = component.component_type();
    let mut description = Description {
        imports: ty.imports(engine).filter_map(|(name, item)| ours(engine, name, &item.ty)).collect(),
        exports: ty.exports(engine).filter_map(|(name, item)| ours(engine, name, &item.ty)).collect(),
        foreign: ty.imports(engine).map(|(name, _)| name).filter(|name| !is_ours(name)).map(str::to_owned).collect(),
    };
    for interfaces in [&mut description.imports, &mut description.exports] {
        interfaces.sort_by(|a, b| a.name.cmp(&b.name));
    }
    description
}

fn is_ours(name: &str) -> bool {
    name.strip_prefix(PACKAGE).is_some_and(|rest| rest.starts_with('/'))
}

fn ours(engine: &Engine, name: &str, item: &ComponentItem) -> Option<Interface> {
    let (name, version) = name.strip_prefix(PACKAGE)?.strip_prefix('/')?.split_once('@')?;
    let ComponentItem::ComponentInstance(instance) = item else { return None };
    let functions = instance.exports(engine).filter_map(|(name, item)| {
        let ComponentItem::ComponentFunc(function) = item.ty else { return None };
        Some(Function {
            name: name.to_owned(),
            parameters: function.params().map(|(name, _)| name.to_owned()).collect(),
        })
    });
    Some(Interface { name: name.to_owned(), version: version.to_owned(), functions: functions.collect() })
}

/// Says in words what a component needs that this agent does not have, before wasmtime does in its own.
fn offered(description: &Description) -> Result<(), Fault> {
    let of = |needed: &Interface, missing: &str| {
        let version = &needed.version;
        Fault::Unfit(format!("it needs {missing} of {PACKAGE} {version}; this agent has {PACKAGE} {VERSION}"))
    };
    for needed in &description.imports {
        let interface = needed.name.as_str();
        let known: Vec<&str> =
            host::offered().filter(|(of, _)| *of == interface).map(|(_, function)| function).collect();
        // `types` has no functions.
        if known.is_empty() && interface != "types" {
            return Err(of(needed, &format!("the interface {interface}")));
        }
        if let Some(missing) = needed.functions.iter().find(|function| !known.contains(&function.name.as_str())) {
            return Err(of(needed, &format!("the function {interface}.{}", missing.name)));
        }
    }
    if let Some(unknown) = description.exports.iter().find(|export| !EXPORTED.contains(&export.name.as_str())) {
        let (name, version) = (&unknown.name, &unknown.version);
        let why = format!("nobody calls {name} of {PACKAGE} {version}; this agent has {PACKAGE} {VERSION}");
        return Err(Fault::UnfitExport(why));
    }
    Ok(())
}

/// Answers `wasi:` imports with a refusal: what a language's own library pulls in is often never called.
fn refuse_wasi(engine: &Engine, component: &Component, linker: &mut Linker<State>) -> wasmtime::Result<()> {
    for (name, item) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(instance) = item.ty else { continue };
        if !name.starts_with("wasi:") {
            continue;
        }
        let mut refused = linker.instance(name)?;
        for (member, item) in instance.exports(engine) {
            match item.ty {
                ComponentItem::ComponentFunc(_) => {
                    let what = format!("it called {name}#{member}, which adapters do not have{}", hint(name));
                    refused.func_new(member, move |_, _, _, _| Err(Fault::Trapped(what.clone()).into()))?;
                }
                ComponentItem::Resource(_) => {
                    refused.resource(member, ResourceType::host::<()>(), |_, _| Ok(()))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// What it usually means when a component calls that.
fn hint(interface: &str) -> &'static str {
    match interface.split_once('@').map_or(interface, |(name, _)| name) {
        "wasi:cli/environment" | "wasi:cli/stderr" => " (Rust does so to print a panic; the SDK logs it instead)",
        "wasi:random/insecure-seed" => " (Rust's HashMap does so; BTreeMap does not)",
        _ => "",
    }
}

fn indices(component: &Component, export: &Interface) -> HashMap<String, ComponentExportIndex> {
    let name = format!("{PACKAGE}/{}@{}", export.name, export.version);
    let Some(interface) = component.get_export_index(None, &name) else { return HashMap::new() };
    let index = |function: &Function| {
        Some((function.name.clone(), component.get_export_index(Some(&interface), &function.name)?))
    };
    export.functions.iter().filter_map(index).collect()
}

macro_rules! exported {
    ($($module:ident = $name:literal,)+) => {
        /// The interfaces that an adapter may export.
        const EXPORTED: &[&str] = &[$($name,)+];

        /// Compares the types of all functions of an exported interface with the WIT's.
        fn typed(
            linked: &InstancePre<State>,
            store: &mut Store<State>,
            instance: &Instance,
            interface: &str,
        ) -> Result<(), Fault> {
            let unfit = |error: wasmtime::Error| Fault::UnfitExport(format!("its interface {interface}: {error:#}"));
            match interface {
                $($name => {
                    let indices = exported::$module::GuestIndices::new(linked).map_err(unfit)?;
                    indices.load(&mut *store, instance).map(drop).map_err(unfit)
                })+
                _ => Ok(()),
            }
        }
    };
}

exported! {
    accounts = "accounts",
    databases = "databases",
    cron = "cron",
    ftp_accounts = "ftp-accounts",
    mail = "mail",
    dns = "dns",
    domains = "domains",
    certificates = "certificates",
    edge_cache = "edge-cache",
    cloudflare = "cloudflare",
    phpmyadmin = "phpmyadmin",
    logs = "logs",
}
