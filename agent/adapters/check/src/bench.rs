//! A component on the bench: its functions, calls of them, and what all calls together have shown.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_adapters::{Call, Description, Fault, Used};
use serde_json::Value;

use crate::{
    Options,
    interface::Function,
    report::Finding,
    runner::{Came, Runner, RunnerError},
    samples,
    world::{Http, World},
};

/// A component that can be called.
#[derive(Debug)]
pub struct Bench {
    runner: Runner,
    options: Options,
    imports: Vec<String>,
    functions: Vec<Function>,
    calls: u32,
    most: BTreeMap<&'static str, Most>,
    broken: BTreeMap<&'static str, Vec<Finding>>,
    unclear: Vec<Finding>,
    aside: BTreeSet<String>,
    reads_by_get: Option<bool>,
}

/// The most that one call used up of something.
#[derive(Debug, Clone, Default)]
pub struct Most {
    /// In the unit of the limit.
    pub used: u64,
    /// Which function that was.
    pub function: String,
}

impl Bench {
    /// With a runner that has described what it runs.
    #[must_use]
    pub fn new(runner: Runner, description: &Description, all: Vec<Function>, options: &Options) -> Self {
        let exports = |function: &Function| {
            let interface = description.exports.iter().find(|export| export.name == function.interface);
            interface.is_some_and(|export| export.functions.iter().any(|one| one.name == function.name))
        };
        Self {
            runner,
            options: options.clone(),
            imports: description.imports.iter().map(|import| import.name.clone()).collect(),
            functions: all.into_iter().filter(exports).collect(),
            calls: 0,
            most: BTreeMap::new(),
            broken: BTreeMap::new(),
            unclear: Vec::new(),
            aside: BTreeSet::new(),
            reads_by_get: None,
        }
    }

    /// The functions that the component exports, but for those that have broken a limit: that would take long, again and
    /// again.
    #[must_use]
    pub fn functions(&self) -> Vec<Function> {
        self.functions.iter().filter(|function| !self.aside.contains(&function.full_name())).cloned().collect()
    }

    /// Whether the component uses an interface of the agent.
    #[must_use]
    pub fn imports(&self, interface: &str) -> bool {
        self.imports.iter().any(|import| import == interface)
    }

    /// What whoever runs the check has said.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// How many calls were made.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.calls
    }

    /// The most that a call used up of a limit, if that is measured.
    #[must_use]
    pub fn most(&self, limit: &str) -> Option<&Most> {
        self.most.get(limit)
    }

    /// The calls that were ended by a limit.
    #[must_use]
    pub fn broken(&self, limit: &str) -> &[Finding] {
        self.broken.get(limit).map_or(&[], Vec::as_slice)
    }

    /// The errors that tell people nothing.
    #[must_use]
    pub fn unclear(&self) -> &[Finding] {
        &self.unclear
    }

    /// The hosting of the calls, with what was set for it and what adapters often take.
    #[must_use]
    pub fn hosting(&self) -> Value {
        let given = &self.options.settings;
        let is_given = |name: &str| given.iter().any(|(given, _)| given == name);
        let usual = samples::USUAL_SETTINGS.iter().filter(|(name, _)| !is_given(name));
        let usual = usual.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        samples::hosting(&given.iter().cloned().chain(usual).collect::<Vec<_>>())
    }

    /// Arguments such as the agent would send, under a key that no call had before.
    #[must_use]
    pub fn arguments(&self, function: &Function) -> Value {
        samples::arguments(function, &self.hosting(), &format!("key-{}", self.calls))
    }

    /// Whether methods of requests mean what they say: functions that change nothing send GET and HEAD alone. There are
    /// platforms where every request is a POST.
    pub fn reads_by_get(&mut self) -> Result<bool, RunnerError> {
        if let Some(known) = self.reads_by_get {
            return Ok(known);
        }
        let mut all = true;
        for function in self.functions().iter().filter(|function| !function.is_change()) {
            let mut world = World::default();
            self.call(function, (&self.arguments(function), "as usual"), &mut world)?;
            all &= world.http().sent().iter().all(|sent| sent.is_read);
        }
        self.reads_by_get = Some(all);
        Ok(all)
    }

    /// Calls a function in a world; `with` says with what, for the report.
    pub fn call(
        &mut self,
        function: &Function,
        (arguments, with): (&Value, &str),
        world: &mut World,
    ) -> Result<Came, RunnerError> {
        self.calls += 1;
        let call = Call {
            interface: function.interface.clone(),
            function: function.name.clone(),
            arguments: arguments.to_string(),
            limits: self.options.limits,
        };
        world.commands_print(&self.options.commands);
        world.http().at_most(usize::try_from(self.options.limits.http_requests).unwrap_or(usize::MAX));
        let (came, used) = self.runner.measure(call, world)?;
        self.note_use(function, used, world.http());
        if world.http().refused() > 0 {
            let found = Finding::new(function, with, "wanted to send more requests than http_requests");
            self.broken.entry("http_requests").or_default().push(found);
        }
        match &came {
            Came::Ended(fault @ (Fault::Arguments { .. } | Fault::NoSuchFunction(_) | Fault::Protocol(_))) => {
                return Err(RunnerError::Unexpected(fault.clone()));
            }
            Came::Ended(fault) => {
                if let Some(limit) = limit_of(fault) {
                    self.aside.insert(function.full_name());
                    self.broken.entry(limit).or_default().push(Finding::new(function, with, fault.to_string()));
                }
            }
            Came::Failed(error) => self.note_words(function, with, error),
            Came::Returned(_) | Came::Cut => {}
        }
        Ok(came)
    }

    fn note_use(&mut self, function: &Function, used: Used, http: &Http) {
        let whole = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let measured = [
            ("cpu_ms", whole(used.cpu)),
            ("wall_ms", whole(used.wall)),
            ("memory_bytes", used.memory_bytes),
            ("table_elements", used.table_elements),
            ("host_calls", used.host_calls.into()),
            ("log_bytes", used.log_bytes),
            ("http_requests", http.sent().len() as u64),
        ];
        for (limit, used) in measured {
            let most = self.most.entry(limit).or_default();
            if used > most.used || most.function.is_empty() {
                *most = Most { used, function: function.full_name() };
            }
        }
    }

    fn note_words(&mut self, function: &Function, with: &str, error: &Value) {
        let said = words(error);
        if said.trim().is_empty() {
            self.unclear.push(Finding::new(function, with, format!("an error without words: {}", case(error))));
        }
    }
}

/// The case of an error of the interface.
#[must_use]
pub fn case(error: &Value) -> &str {
    error.as_str().or_else(|| error.as_object()?.keys().next().map(String::as_str)).unwrap_or_default()
}

/// The words of an error of the interface.
#[must_use]
pub fn words(error: &Value) -> &str {
    let inside = error.as_object().and_then(|error| error.values().next()).unwrap_or(&Value::Null);
    let of = |field: &str| inside.get(field).and_then(Value::as_str);
    inside.as_str().or_else(|| of("message")).or_else(|| of("expected")).unwrap_or_default()
}

/// The limit that a fault is about; `None` where the component broke down by itself.
#[must_use]
pub fn limit_of(fault: &Fault) -> Option<&'static str> {
    Some(match fault {
        Fault::Cpu(_) => "cpu_ms",
        Fault::Wall(_) => "wall_ms",
        Fault::Memory(_) => "memory_bytes",
        Fault::Tables(_) => "table_elements",
        Fault::Instances(_) => "instances",
        Fault::Stack => "stack",
        Fault::Handles(_) => "handles",
        Fault::HostCalls(_) => "host_calls",
        Fault::Copied(_) => "copied_bytes",
        Fault::Log(_) => "log_bytes",
        _ => return None,
    })
}
