//! The file itself: whether it compiles, fits this agent and starts.

use latchkey_adapters::{Description, Fault};
use latchkey_protocol::COMPONENT_MAX_BYTES;

use super::{Group, Row, Verdict};
use crate::{
    CheckError, Options, Programs, Report,
    bench::Bench,
    interface,
    report::{listed, size},
    runner::Runner,
};

const SIZE: Row = Row {
    id: "component.size",
    group: Group::Component,
    proves: "the file is not longer than an agent takes",
    to_do: "build for release, strip, and leave out what you do not use",
};

const COMPILES: Row = Row {
    id: "component.compiles",
    group: Group::Component,
    proves: "the file is a component, and compiles within the limits of an installation",
    to_do: "build a component (Rust: --target wasm32-wasip2), not a core module",
};

const IMPORTS: Row = Row {
    id: "component.imports",
    group: Group::Component,
    proves: "this agent offers all that the component needs",
    to_do: "build against the version of the interface that the agent offers, and import nothing else",
};

const EXPORTS: Row = Row {
    id: "component.exports",
    group: Group::Component,
    proves: "the component exports interfaces that the agent calls, with their types",
    to_do: "export interfaces of latchkey:adapter as its WIT has them, each whole",
};

const STARTS: Row = Row {
    id: "component.starts",
    group: Group::Component,
    proves: "an instance can be made within the limits of a call",
    to_do: "do less before the first call, and need less memory; larger limits are the operator's to set",
};

const WASI: Row = Row {
    id: "component.wasi",
    group: Group::Component,
    proves: "the component relies on nothing of a system's that adapters do not have",
    to_do: "do not use files, sockets or HTTP of your language's own: use the host interfaces",
};

/// What the libraries of languages import without using it; a call of it ends the adapter's call.
const OF_LIBRARIES: &[&str] = &["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/"];

/// Looks at a component; with a bench if it can be called.
pub(crate) fn look(
    component: &[u8],
    programs: &Programs,
    options: &Options,
) -> Result<(Report, Option<Bench>), CheckError> {
    let mut report = Report::of(component.len() as u64);
    let bench = on_bench(&mut report, component, programs, options)?;
    for row in [&SIZE, &COMPILES, &IMPORTS, &EXPORTS, &STARTS, &WASI] {
        if !report.checks.iter().any(|checked| checked.check == row.id) {
            report.add_row(row, Verdict::NotApplicable("not looked at after what failed above".into()));
        }
    }
    Ok((report, bench))
}

fn on_bench(
    report: &mut Report,
    component: &[u8],
    programs: &Programs,
    options: &Options,
) -> Result<Option<Bench>, CheckError> {
    let failed = |what: String| Verdict::Failed { what, findings: Vec::new() };
    let sizes = format!("{} of {}", size(component.len() as u64), size(COMPONENT_MAX_BYTES));
    if component.len() as u64 > COMPONENT_MAX_BYTES {
        report.add_row(&SIZE, failed(sizes));
        return Ok(None);
    }
    report.add_row(&SIZE, Verdict::Passed(sizes));
    let compiled = match programs.compile(component)? {
        Ok(compiled) => compiled,
        Err(said) => {
            report.add_row(&COMPILES, failed(said));
            return Ok(None);
        }
    };
    let took_ms = u64::try_from(compiled.took.as_millis()).unwrap_or(u64::MAX);
    (report.component.compile_ms, report.component.compiled_bytes) = (Some(took_ms), Some(compiled.bytes));
    report.add_row(&COMPILES, Verdict::Passed(format!("in {took_ms} ms, to {}", size(compiled.bytes))));
    let mut runner = Runner::start(programs, &compiled)?;
    let description = match runner.describe(options.limits)? {
        Ok(description) => description,
        Err(fault) => {
            report.add_row(row_of(&fault), failed(fault.to_string()));
            return Ok(None);
        }
    };
    let names = |interfaces: &[latchkey_adapters::Interface]| -> Vec<String> {
        interfaces.iter().filter(|one| one.name != "types").map(|one| one.name.clone()).collect()
    };
    let (imports, exports) = (names(&description.imports), names(&description.exports));
    report.add_row(&IMPORTS, Verdict::Passed(listed(&imports, "nothing of the agent's")));
    let exported = if exports.is_empty() {
        failed("none of the interfaces that the agent calls".into())
    } else {
        Verdict::Passed(listed(&exports, ""))
    };
    report.add_row(&EXPORTS, exported);
    (report.component.imports, report.component.exports) = (imports, exports);
    report.add_row(&STARTS, Verdict::Passed("within the limits".into()));
    report.add_row(&WASI, wasi(&description));
    Ok(Some(Bench::new(runner, &description, interface::functions()?, options)))
}

/// What a fault before the first call is about.
fn row_of(fault: &Fault) -> &'static Row {
    match fault {
        Fault::Unfit(_) => &IMPORTS,
        Fault::UnfitExport(_) => &EXPORTS,
        _ => &STARTS,
    }
}

fn wasi(description: &Description) -> Verdict {
    let is_usual = |name: &&String| OF_LIBRARIES.iter().any(|usual| name.starts_with(usual));
    let unusual: Vec<String> = description.foreign.iter().filter(|name| !is_usual(name)).cloned().collect();
    if unusual.is_empty() {
        return Verdict::Passed(match description.foreign.len() {
            0 => "nothing of wasi".into(),
            some => format!("{some} interfaces of wasi that libraries import; a call of one ends the adapter's call"),
        });
    }
    Verdict::Failed { what: listed(&unusual, ""), findings: Vec::new() }
}
